"""What a reproduction needs of a file, asked before any training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bacalhaunet.data.radioml import RadioMLFile
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.modulations import NAMES


def require_cells(path: Path, labels: Iterable[int], snrs_db: Iterable[int]) -> None:
    """Refuse a file without some classes at some SNRs.

    Args:
        path: A file in RadioML's layout.
        labels: Class numbers that are needed.
        snrs_db: SNR labels in dB at which they are needed.

    Raises:
        ConfigError: If one is missing.
    """
    with RadioMLFile(path) as file:
        layout = file.layout
    classes = [NAMES[label] for label in labels if label not in layout.labels]
    snrs = [f"{snr:+d} dB" for snr in snrs_db if snr not in layout.snrs_db]
    if classes or snrs:
        raise ConfigError(
            f"{path.name} has no frames of {', '.join([*classes, *snrs])}",
            where=str(path),
            allowed="a file with these classes at these SNRs, as RadioML 2018.01A has them all",
            action="name such a file with --data, or leave --data out for frames of the twin",
        )
