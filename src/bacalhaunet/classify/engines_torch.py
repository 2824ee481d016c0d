"""PyTorch as an engine: saved models and networks by name, computed by the very network that was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.classify.engines import TargetKind, check_frames, register
from bacalhaunet.errors import MissingExtraError, how_to_install

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 64
"""Frames of one forward pass."""


class TorchEngine:
    """A network run by torch on the CPU, in evaluation mode.

    Args:
        target: A saved model or the name of a shipped or catalog network. A catalog network has no trained weights:
            it is initialised from a fixed seed, with a warning.
        threads: CPU threads; None leaves torch's setting.

    Raises:
        MissingExtraError: If torch is not installed.
        ModelFileError: If the file is damaged.
    """

    name = "torch"

    def __init__(self, target: str, threads: int | None = None) -> None:
        try:
            import torch
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{target} needs torch to run: {how_to_install('train')}",
                action="or use an exported network (.onnx)",
            ) from error
        from bacalhaunet.deploy.export_target import open_network

        if threads is not None:
            torch.set_num_threads(threads)
        opened = open_network(target)
        self.target = target
        self.labels = opened.labels
        self.frame_length = opened.spec.frame_length
        self._network = opened.network.eval()

    def logits(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (n, classes) for float32 (n, 2, frame_length)."""
        import torch

        frames = check_frames(frames, self.frame_length)
        if len(frames) == 0:
            return np.empty((0, len(self.labels)), np.float32)
        with torch.inference_mode():
            parts = [self._network(part) for part in torch.from_numpy(frames).split(CHUNK)]  # type: ignore[no-untyped-call]
        return torch.cat(parts).numpy()


def register_engine() -> None:
    """Enter torch in the table of engines, after the exact runtimes."""

    def open_(target: str, kind: TargetKind, threads: int | None) -> TorchEngine:
        return TorchEngine(target, threads)

    register("torch", open_, targets=frozenset({"saved", "name"}), priority=0)
