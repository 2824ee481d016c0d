"""Python's way to what ``bacalhaunet scan`` and ``bacalhaunet classify`` do.

>>> import numpy as np
>>> from bacalhaunet.classify.front_end.constellation import root_raised_cosine
>>> generator = np.random.default_rng(7)
>>> symbols = generator.choice([1 + 1j, 1 - 1j, -1 + 1j, -1 - 1j], 6000)
>>> signal = np.convolve(np.kron(symbols, [1, *[0] * 7]), root_raised_cosine(8), "same")
>>> noise = generator.standard_normal((48_000, 2)) @ [0.05, 0.05j]
>>> at_200_khz = np.exp(2j * np.pi * 0.2 * np.arange(48_000))

>>> result = scan(signal * at_200_khz + noise, sample_rate=1e6)
>>> [(one.label, one.group, round(one.center / 1e3), round(one.symbol_rate / 1e3)) for one in result]
[('QPSK', 'PSK', 200, 125)]

>>> classify(signal + noise, sample_rate=1e6).label
'QPSK'
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.classify.answers import COLUMNS, NO_SIGNAL, Frequencies, NamedSignal, signal_annotations, signal_boxes
from bacalhaunet.classify.classifier import Classifier, open_classifier
from bacalhaunet.classify.front_end.band import capture_hint
from bacalhaunet.classify.front_end.signals import FrontEndSettings, find_signals
from bacalhaunet.classify.label_files import annotated_metadata
from bacalhaunet.classify.picture import picture
from bacalhaunet.classify.pipeline import Classification, RecordingSummary
from bacalhaunet.data.recordings.frames import Normalization
from bacalhaunet.data.recordings.recording import Recording, open_recording, recording_of
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.data.recordings.stores import InMemory
from bacalhaunet.errors import ConfigError, MissingExtraError
from bacalhaunet.models.resolve import network_title
from bacalhaunet.outputs import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Source: TypeAlias = str | os.PathLike[str] | Recording | NDArray[np.generic]
Network: TypeAlias = str | os.PathLike[str] | Classifier | None


@dataclass(frozen=True)
class Scan:
    """The signals of a recording with what they are taken to be; a sequence of them.

    Attributes:
        signals: The signals, by their start.
        summary: What was found in all: the object under ``summary`` of ``scan --json``.
        recording: The recording.
    """

    signals: tuple[NamedSignal, ...]
    summary: dict[str, Any]
    recording: Recording = field(repr=False)

    def __len__(self) -> int:
        """Return the number of signals."""
        return len(self.signals)

    def __iter__(self) -> Iterator[NamedSignal]:
        """Iterate over the signals."""
        return iter(self.signals)

    def __getitem__(self, number: int) -> NamedSignal:
        """Return a signal."""
        return self.signals[number]

    def to_dict(self) -> dict[str, Any]:
        """Return ``signals`` and ``summary`` as of ``scan --json``."""
        return {"signals": [one.to_dict() for one in self.signals], "summary": self.summary}

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame`` with a row a signal: everything but the classes' probabilities.

        Raises:
            MissingExtraError: If pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError as error:
            raise MissingExtraError("a table of pandas needs the package pandas: pip install pandas") from error
        rows = [[getattr(one, name) for name in COLUMNS] for one in self.signals]
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def to_sigmf(self, path: str | os.PathLike[str]) -> Path:
        """Write SigMF metadata with an annotation for each signal; an array is written beside it, as ``.sigmf-data``.

        Args:
            path: A name ending in ``.sigmf-meta``; of a recording in a file, in the folder of that file.

        Returns:
            The path of the metadata.

        Raises:
            ConfigError: If the metadata cannot refer to the samples, or the sample rate of an array is unknown.
        """
        path, recording = Path(path), self.recording
        notes = signal_annotations(self.signals, recording, network_title(self.summary["network"]))
        if not isinstance(recording.store, InMemory):
            write_text(path, annotated_metadata(recording, notes, path))
            return path
        if recording.sample_rate is None:
            raise ConfigError(
                "the sample rate of the array is unknown", where=str(path), action="pass scan(..., sample_rate=...)"
            )
        return write_sigmf(path, recording.read(0, len(recording)), recording.sample_rate, annotations=notes)

    def plot(self) -> Figure:
        """Return a figure of matplotlib: the spectrogram with a labelled box about each signal, and constellations.

        Raises:
            ConfigError: If the recording is too short for a spectrogram.
            MissingExtraError: If matplotlib is not installed.
        """
        count = f"{len(self)} signal{'' if len(self) == 1 else 's'}"
        return picture(
            self.recording, signal_boxes(self.signals, self.recording), f"{self.recording.path.name}: {count}"
        )

    def _repr_html_(self) -> str:
        unit = Frequencies(self.recording).unit
        names = (
            "start",
            f"centre, {unit}",
            f"width, {unit}",
            f"symbol rate, {unit}",
            "SNR, dB",
            "label",
            "sure",
            "group",
        )
        rows = [
            (
                str(one.start),
                f"{one.center:.8g}",
                f"{one.bandwidth:.4g}",
                "" if one.symbol_rate is None else f"{one.symbol_rate:.5g}",
                "" if one.snr_db is None else f"{one.snr_db:.0f}",
                escape(one.shown),
                f"{100 * one.confidence:.1f} %",
                escape(one.group or ""),
            )
            for one in self.signals
        ]
        lines = "".join("<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>" for row in rows)
        head = "".join(f"<th>{name}</th>" for name in names)
        title = f"signals of {escape(self.recording.path.name)}" if rows else NO_SIGNAL
        return f"<table><caption>{title}</caption><tr>{head}</tr>{lines}</table>"


def scan(
    source: Source,
    sample_rate: float | None = None,
    type: str | None = None,
    network: Network = None,
    *,
    channel: int = 0,
    engine: str = "auto",
    threads: int | None = None,
    symbol_rate: float | None = None,
    bandwidth: float | None = None,
) -> Scan:
    """Find the signals of a recording and name each.

    Args:
        source: A recording or its file, or complex samples (N,).
        sample_rate: Samples a second; None for what the file says. Without one frequencies are in cycles a sample.
        type: Sample type of a file without a telling name, as ``cf32``, ``ci16_be``, ``cu8``.
        network: The name of a shipped network, a file, or a ``Classifier``; None for the shipped network that is made
            for signals on the air.
        channel: Channel of a recording with several.
        engine: What computes the network; see ``open_classifier``.
        threads: CPU threads; None for all cores.
        symbol_rate: Symbols a second of every signal, in place of estimates.
        bandwidth: Width of every signal's band, in place of estimates.

    Raises:
        RecordingError: If the recording cannot be read.
        ConfigError: If a setting is out of range, or the source holds ready frames.
        ModelFileError: If the network cannot be used.

    Example:
        >>> scan(np.zeros(20_000, complex), sample_rate=1e6).summary["answer"]
        'no signal'
    """
    recording = _recording(source, sample_rate, type, channel)
    check_capture(recording)
    classifier = _classifier(network, engine, threads)
    unit = Frequencies(recording)
    settings = FrontEndSettings(bandwidth=unit.cycles(bandwidth), symbol_rate=unit.cycles(symbol_rate))
    work = Classification(classifier, recording, find_signals(recording, settings), threads=threads)
    return Scan(tuple(work.answers()), work.capture_summary(), recording)


def classify(
    source: Source,
    sample_rate: float | None = None,
    type: str | None = None,
    network: Network = None,
    *,
    channel: int = 0,
    engine: str = "auto",
    threads: int | None = None,
    hop_length: int | None = None,
    normalization: Normalization = "auto",
    scale: float | None = None,
) -> RecordingSummary:
    """Name the one signal of a recording, which is centred and at about 8 samples a symbol, or of ready frames.

    The samples are cut into frames and brought to the scale that networks learnt; the frames' answers are pooled.

    Args:
        source: A recording or its file, complex samples (N,), or ready frames, real (n, 2, frame_length) or complex
            (n, frame_length).
        sample_rate: Samples a second; None for what the file says.
        type: Sample type of a file without a telling name, as ``cf32``, ``ci16_be``, ``cu8``.
        network: The name of a shipped network, a file, or a ``Classifier``; None for the shipped network that is made
            for signals on the air.
        channel: Channel of a recording with several.
        engine: What computes the network; see ``open_classifier``.
        threads: CPU threads; None for all cores.
        hop_length: Samples from one frame's start to the next; None for the frame length.
        normalization: How frames are scaled; see ``data.recordings.frames.Framing``.
        scale: Samples are multiplied by this first.

    Raises:
        RecordingError: If the recording cannot be read, or does not fit the network.
        ConfigError: If a setting is out of range.
        ModelFileError: If the network cannot be used.

    Warns:
        UserWarning: Where the samples look like a capture rather than one centred signal; ``scan`` is for those.
    """
    recording = _recording(source, sample_rate, type, channel)
    hint = capture_hint(recording)
    if hint is not None:
        warnings.warn(f"{hint}: scan() finds and names the signals of a capture", stacklevel=2)
    classifier = _classifier(network, engine, threads)
    return Classification(
        classifier,
        recording,
        hop_length=hop_length,
        normalization=normalization,
        scale=scale,
        threads=threads,
    ).summary()


def check_capture(recording: Recording) -> None:
    """Refuse ready frames, in which there are no signals to look for.

    Raises:
        ConfigError: If the recording holds them.
    """
    if recording.frame_length is not None:
        raise ConfigError(
            "ready frames hold no capture to look for signals in",
            where=str(recording.path),
            action="classify them: 'bacalhaunet classify', or bacalhaunet.classify()",
        )


def with_sample_rate(recording: Recording, sample_rate: float | None) -> Recording:
    """Return a recording with another sample rate; None leaves it.

    Raises:
        ConfigError: If the rate is out of range.
    """
    if sample_rate is None:
        return recording
    if not 0 < sample_rate < 1e15:
        raise ConfigError(f"the sample rate is {sample_rate}", allowed="a number above 0")
    return replace(recording, sample_rate=float(sample_rate))


def _recording(source: Source, sample_rate: float | None, type_: str | None, channel: int) -> Recording:
    if isinstance(source, str | os.PathLike):
        source = open_recording(source, type_, channel)
    elif not isinstance(source, Recording):
        source = recording_of(np.asarray(source))
    return with_sample_rate(source, sample_rate)


def _classifier(network: Network, engine: str, threads: int | None) -> Classifier:
    if isinstance(network, Classifier):
        return network
    return open_classifier(cast("str | None", network), engine, threads=threads)
