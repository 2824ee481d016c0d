"""What the accuracies of a run mean, in words."""

from __future__ import annotations

from bacalhaunet.report import wording
from bacalhaunet.report.run import Run

_SOURCES = {
    "twin": "The frames come from the twin, a generator made to match RadioML 2018.01A. The published accuracies "
    "beside ours were measured on the real data, so they compare as far as the twin can be trusted.",
    "field": "The frames come from the field profile: signals as a receiver meets them, not RadioML's. The published "
    "accuracies beside ours are of another task and give only a scale.",
    "file": "The frames come from a file in RadioML 2018.01A's layout. The published accuracies beside ours are of the "
    "original data set's prescribed test split; they compare directly only if this file is that data set.",
}

_NAMES = {
    "split": "part of the data",
    "frames_per_cell": "frames of each modulation and SNR",
    "train_snr_min_db": "lowest SNR trained on, dB",
    "seed": "seed",
    "selection": "choices were made on",
}


def protocol_sentences(run: Run) -> list[str]:
    """Return what a reader must know before comparing the accuracies, one statement a sentence or two."""
    sentences: list[str] = []
    if run.record.profile in _SOURCES:
        sentences.append(_SOURCES[run.record.profile])
    if run.evaluated and (last := run.evaluated[-1].evaluation):
        modulations, snrs = len(last.by_modulation), len(last.by_snr)
        sentences.append(
            f"Accuracy is the share of {wording.count(last.frames)} frames whose modulation was named rightly, "
            f"over {modulations} modulations and {snrs} SNR labels."
        )
        sentences.append(
            "Intervals are Wilson's at 95 %. They cover the chance in which frames were drawn, not the chance in "
            "training: another seed can move an accuracy further than its interval is wide."
        )
    seen = sum(step.record.frames_seen for step in run.steps)
    if seen:
        sentences.append(
            f"The network saw {wording.count(seen)} frames in all steps together; the paper's training saw about "
            "46 million."
        )
    return sentences


def protocol_rows(run: Run) -> list[tuple[str, str]]:
    """Return the recorded facts of the protocol as rows of name and value."""
    rows = [("data", run.record.data)] if run.record.data else []
    for key, value in run.record.protocol.items():
        rows.append((_NAMES.get(key, key.replace("_", " ")), wording.MISSING if value is None else str(value)))
    return rows
