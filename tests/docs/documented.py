"""The blocks of README and the documents, and small files for what they name."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.models.shipped_networks import FOLDER

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
SHELLS = ("console", "bash", "sh")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def commands(self) -> Iterator[str]:
        """Yield the commands of a block for a shell; in a console block what follows ``$``, as the rest is output."""
        for line in self.text.replace("\\\n", " ").splitlines():
            command = line.removeprefix("$ ") if self.language == "console" else line
            if command.strip() and (command != line or self.language != "console"):
                yield command


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in re.finditer(r"^```(\w+)\n(.*?)^```", text, re.S | re.M)
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT).with_suffix(""))


def words_of(command: str) -> list[str]:
    """Return the words of a command up to a pipe, a redirection or a comment."""
    words = shlex.split(command, comments=True)
    ends = [place for place, word in enumerate(words) if word in ("|", ">", ">>", "2>", "&", "&&")]
    return words[: ends[0]] if ends else words


def signal(samples_per_symbol: int = 8, symbols: int = 2500) -> np.ndarray:
    """One 8PSK signal at zero frequency in a little noise, complex64."""
    generator = np.random.default_rng(8)
    corners = np.exp(2j * np.pi * generator.integers(8, size=symbols) / 8)
    pulse = np.hanning(2 * samples_per_symbol + 1)
    train = np.zeros(symbols * samples_per_symbol, complex)
    train[::samples_per_symbol] = corners
    samples = np.convolve(train, pulse, mode="same")
    return (samples + 0.05 * (generator.standard_normal((len(train), 2)) @ [1, 1j])).astype(np.complex64)


def _capture(path: Path) -> None:
    """Two signals in a band of 1 MHz: a long one below the centre and a short one above."""
    generator = np.random.default_rng(2)
    samples = 0.05 * (generator.standard_normal((60_000, 2)) @ [1, 1j])
    time = np.arange(len(samples))
    long, short = signal(symbols=6000), signal(samples_per_symbol=10, symbols=3000)
    samples[5_000 : 5_000 + len(long)] += long * np.exp(-2j * np.pi * 0.2 * time[: len(long)])
    samples[20_000 : 20_000 + len(short)] += short * np.exp(2j * np.pi * 0.25 * time[: len(short)])
    if path.suffix == ".sigmf-meta":
        write_sigmf(path, samples.astype(np.complex64), 1e6, frequency=433.92e6)
    else:
        samples.astype(np.complex64).tofile(path)


def _radioml(path: Path) -> None:
    from bacalhaunet.cli.main import main

    assert main(["twin", "make", str(path), "--frames-per-cell", "10", "--seed", "1"]) == 0


def _short_integers(path: Path) -> None:
    (signal().view(np.float32) * 8000).astype("<i2").tofile(path)


def _bytes(path: Path) -> None:
    (signal().view(np.float32) * 60 + 127.5).round().astype(np.uint8).tofile(path)


def _arrays(path: Path) -> None:
    generator, labels = np.random.default_rng(3), np.arange(600) % 3
    frames = generator.standard_normal((600, 2, 512)) * (1 + labels[:, None, None])
    np.savez(path, frames=frames.astype(np.float32), labels=labels, names=["quiet", "louder", "loud"])


SUBSTITUTES: list[tuple[str, Callable[[Path], object]]] = [
    (r"signal.*\.sigmf-meta", lambda path: write_sigmf(path, signal(), 1e6, frequency=433.92e6)),
    (r".*\.(sigmf-meta|cf32)", _capture),
    (r".*\.cs16", _short_integers),
    (r".*\.cu8", _bytes),
    (r".*\.npz", _arrays),
    (r".*\.hdf5", _radioml),
    (r".*\.onnx", lambda path: shutil.copy(FOLDER / "paper.onnx", path)),
    (r".*\.safetensors", lambda path: shutil.copy(FOLDER / "paper.safetensors", path)),
]
"""What a name in a document stands for: a pattern of the file's name, and what makes a small one."""


class Substitutes:
    """Makes the files that a document names and a reader would have, each kind once."""

    def __init__(self, store: Path) -> None:
        self.store = store

    def provide(self, names: list[str], folder: Path) -> None:
        """Put those of the files that are missing into a folder."""
        for name in names:
            path = folder / name
            for number, (pattern, make) in enumerate(SUBSTITUTES):
                if not re.fullmatch(pattern, path.name) or path.exists() or Path(name).is_absolute():
                    continue
                kept = self.store / f"{number}-{path.name}"
                if not kept.exists():
                    make(kept)
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(kept, path)
                if kept.suffix == ".sigmf-meta":
                    shutil.copy(kept.with_suffix(".sigmf-data"), path.with_suffix(".sigmf-data"))
                break
