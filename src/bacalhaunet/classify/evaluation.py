"""Accuracy of an engine on the frames of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.data.evaluation import Evaluation, Predictor, evaluate_together
from bacalhaunet.errors import ModelFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bacalhaunet.classify.engines import Engine


def class_map(engine: Engine, names: Sequence[str]) -> NDArray[np.int64]:
    """Return, for each logit of an engine, the label of that class in a data set with these names.

    Raises:
        ModelFileError: If the engine has a class that the data set does not.
    """
    unknown = [label for label in engine.labels if label not in names]
    if unknown:
        raise ModelFileError(
            f"the network has classes the data do not have: {', '.join(unknown)}",
            where=engine.target,
            allowed=", ".join(names),
        )
    return np.array([list(names).index(label) for label in engine.labels], np.int64)


def predict(engine: Engine, frames: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the index of the largest logit of each frame, int64 (n,).

    Raises:
        ModelFileError: If a logit is NaN: the largest of them would be a number without meaning.
    """
    logits = engine.logits(frames)
    damaged = np.flatnonzero(np.isnan(logits).any(axis=1))
    if damaged.size:
        raise ModelFileError(
            f"the network gives NaN for {damaged.size} of {len(frames)} frames, the first at {damaged[0]} of the batch",
            where=engine.target,
            action="check the frames for NaN ('bacalhaunet data check') and the network's weights",
        )
    return np.asarray(logits.argmax(axis=1), np.int64)


def class_predictor(engine: Engine, names: Sequence[str]) -> Predictor:
    """Return what gives the labels, in data with these names, of frames that an engine classifies.

    Raises:
        ModelFileError: If the engine has a class that the data do not have.
    """
    to_label = class_map(engine, names)
    return lambda frames: to_label[predict(engine, frames.cpu().numpy() if hasattr(frames, "cpu") else frames)]


def evaluate(
    engine: Engine,
    batches: Iterable[tuple[Any, ...]],
    names: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Return the evaluation of an engine on batches of labelled frames.

    Args:
        engine: The network.
        batches: Frames, labels, and SNRs in dB or None; of a data set, ``data.test.batches()``. Batches of a thousand
            frames and more keep all cores busy.
        names: Class names by label of the data, ``data.classes.names``; None for the network's own.
        progress: Called with the number of frames after each batch.

    Raises:
        ConfigError: If there is no frame.
        ModelFileError: If the network's classes are not the data's, or it gives NaN.
    """
    names = engine.labels if names is None else names
    return evaluate_together({"": class_predictor(engine, names)}, batches, names, progress)[""]
