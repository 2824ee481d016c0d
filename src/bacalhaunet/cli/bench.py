"""``bacalhaunet bench``: the engines' speed on this machine, side by side."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.errors import BacalhauNetError, ConfigError

if TYPE_CHECKING:
    from bacalhaunet.classify.benchmark import EngineSpeed
    from bacalhaunet.classify.engines import Engine

_EPILOG = (
    "example: 'bacalhaunet bench network.onnx' times one frame and the best batch of the native engine, onnxruntime "
    "computing the same function, and torch where the network can be opened by it; by turns, pinned to one core. The "
    "agreement is the share of frames in the class that onnxruntime (else the last engine) gives."
)
_ORDER = ("native", "torch", "onnxruntime")
"""The reference of the agreement is the last that opens."""


def build(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = _EPILOG
    parser.add_argument("network", type=str, help="an ONNX file, a saved model (.safetensors) or the name of a network")
    parser.add_argument("--seconds", type=float, default=6.0, help="time to measure for, in all")
    parser.add_argument("--kernels", type=str, default="best", help="native kernels: best, avx512, avx2, portable, all")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: Namespace) -> None:
    """Open what opens, measure, print."""
    from bacalhaunet.classify.benchmark import benchmark, one_core

    if not arguments.seconds > 0:
        raise ConfigError(f"{arguments.seconds} seconds", allowed="more than 0")
    with one_core():
        engines = _open(arguments.network, arguments.kernels)
        speeds = benchmark(engines, seconds=arguments.seconds)
    rows = [asdict(speed) | _bound(engine, speed) for engine, speed in zip(engines, speeds, strict=True)]
    if arguments.json:
        print(json.dumps({"network": arguments.network, "engines": rows}))
    else:
        _print(arguments.network, rows)


def _open(network: str, kernels: str) -> list[Engine]:
    """Return the engines that open the network, with one thread; the notes on the others go to standard error."""
    from bacalhaunet.classify.engines import ENGINES, open_engine
    from bacalhaunet.classify.native_engine import NativeEngine
    from bacalhaunet.deploy.native.model import available_kernels
    from bacalhaunet.models.resolve import resolve_network

    source = resolve_network(network)
    wanted = {"best": available_kernels()[:1], "all": available_kernels()}.get(kernels, [kernels])
    engines: list[Engine] = []
    for name in _ORDER:
        try:
            if name == "native":
                engines.extend(NativeEngine(source, 1, kernels=kernel) for kernel in wanted)
            else:
                engines.append(open_engine(source, name, threads=1))
        except BacalhauNetError as error:
            print(f"note: {name}: {error.problem}", file=sys.stderr)
    if not engines:
        raise ConfigError(f"no engine opens {network!r}", allowed=f"what one of {', '.join(ENGINES)} opens")
    return engines


def _bound(engine: Engine, speed: EngineSpeed) -> dict[str, Any]:
    """Return kernels and vector operations of the native engine, and the share of the vector-issue bound it reaches."""
    from bacalhaunet.classify.native_engine import NativeEngine
    from bacalhaunet.deploy.native.model import BYTES, ISSUED, clock_rate, vector_operations

    if not isinstance(engine, NativeEngine):
        return {}
    if engine.kernels not in BYTES:
        return {"kernels": engine.kernels}
    operations = vector_operations(engine.tables, engine.kernels)
    clock = clock_rate()
    return {
        "kernels": engine.kernels,
        "vector_operations": operations,
        "clock_ghz": clock / 1e9,
        "issue_bound_share": operations / ISSUED * speed.frames_per_second / clock,
    }


def _print(network: str, rows: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{network}, one core", title_justify="left", box=box.SIMPLE)
    for name in ("engine", "1 frame µs", "p99 µs", "best batch", "frames/s", "Msamples/s", "agreement", "x"):
        table.add_column(name, justify="left" if name == "engine" else "right")
    slowest = rows[-1]["frames_per_second"]
    for row in rows:
        name = f"{row['engine']} {row['kernels']}" if "kernels" in row else row["engine"]
        table.add_row(
            name,
            f"{row['latency_us']:.1f}",
            f"{row['latency_p99_us']:.1f}",
            str(row["batch"]),
            f"{row['frames_per_second']:,.0f}",
            f"{row['samples_per_second'] / 1e6:.1f}",
            f"{row['agreement']:.4f}",
            f"{row['frames_per_second'] / slowest:.1f}",
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table, highlight=False)
    for row in rows:
        if "vector_operations" in row:
            console.print(
                f"{row['kernels']}: {row['vector_operations']:,} vector operations a frame, "
                f"{100 * row['issue_bound_share']:.0f} % of what 2 a cycle at {row['clock_ghz']:.2f} GHz allow",
                highlight=False,
            )
