"""Write a web page that classifies recordings without a server: python build.py NETWORK [page.html].

The network becomes integer C (``bacalhaunet compile``), clang makes WebAssembly of it, and both the code and the
network's calibration go into one file that any browser opens from disk. Needs clang and lld.
"""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from bacalhaunet.classify.calibration import read_calibration
from bacalhaunet.deploy.emitters import write_program
from bacalhaunet.deploy.integer.program import InputQuantizer
from bacalhaunet.deploy.networks import integer_program
from bacalhaunet.outputs import write_text
from bacalhaunet.radio.modulations import classes_named

HERE = Path(__file__).parent
OPTIONS = ("--target=wasm32", "-O3", "-std=c99", "-nostdlib", "-fno-builtin-memset", "-fno-builtin-memcpy")


def main() -> None:
    """Build the page."""
    if len(sys.argv) < 2:
        sys.exit("usage: python build.py NETWORK [page.html]")
    target, output = sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else HERE / "out" / "page.html")
    program, calibration = integer_program(target), read_calibration(target)
    with tempfile.TemporaryDirectory() as folder:
        write_program(program, folder, name="modulation", vectors=1)
        code = compiled(Path(folder), program.quantizer)
    facts = {
        "network": Path(target).name,
        "labels": list(program.labels),
        "groups": list(classes_named(program.labels).group_of),
        "logitScale": program.logit_scale,
        "temperature": calibration.temperature,
        "rise": calibration.rise,
        "correlation": calibration.correlation,
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    parts = {
        "FACTS": json.dumps(facts).replace("<", "\\u003c"),
        "CODE": base64.b64encode(code).decode(),
        "SCRIPT": (HERE / "classifier.js").read_text(encoding="utf-8"),
    }
    for name, text in parts.items():
        page = page.replace(f"/*{name}*/", text)
    write_text(output, page)
    print(f"{output}: {len(page) / 1000:.0f} kB, of which {len(code) / 1000:.0f} kB are the network and its code")


def compiled(folder: Path, quantizer: InputQuantizer) -> bytes:
    """Return the WebAssembly of the C in a folder."""
    values = {"CLIP_LOW": quantizer.clip_low, "CLIP_HIGH": quantizer.clip_high, "SCALE": quantizer.scale}
    values |= {"ZERO": quantizer.zero, "LOW": quantizer.low, "HIGH": quantizer.high}
    defines = [f"-D{name}=({number(float(value))})" for name, value in values.items()]
    sources = [str(folder / "modulation.c"), str(HERE / "glue.c")]
    includes = [f"-I{HERE / 'include'}", f"-I{folder}"]
    command = ["clang", *OPTIONS, *defines, *includes, "-Wl,--no-entry", "-o", str(folder / "code.wasm"), *sources]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        sys.exit("needs clang and lld: apt install clang lld")
    return (folder / "code.wasm").read_bytes()


def number(value: float) -> str:
    """Return a number as C's float literal."""
    return f"{math.copysign(3e38, value)}f" if math.isinf(value) else f"{value!r}f"


if __name__ == "__main__":
    main()
