"""Networks as CUDA graphs: recorded once, then started as one piece.

The networks here are so small that a GPU computes their layers faster than Python can ask for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_WARM_UP = 3


@contextmanager
def trained_as_one_graph(network: nn.Module, frames: Tensor) -> Iterator[None]:
    """Within, ``network`` in training mode computes batches like ``frames``, and their gradients, as two graphs.

    The network is taken to the device of the frames; its weights and statistics are what they were. In evaluation mode
    it computes batches of any size, as ever.

    Args:
        network: A network in training mode, without hooks.
        frames: float32 (batch, 2, length) on a GPU.
    """
    network.train().to(frames.device)
    # Recording runs the network a few times, which moves the running statistics.
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    torch.cuda.make_graphed_callables(network, (frames,), num_warmup_iters=_WARM_UP, allow_unused_input=True)
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    try:
        yield
    finally:
        network.__dict__.pop("forward", None)  # what was recorded stands in front of the class's method


class Replayed:
    """A network in evaluation mode, without gradients, as one graph.

    Args:
        network: The network, on the device of the frames.
        frames: float32 (batch, 2, length) on a GPU: all batches have this shape.
    """

    def __init__(self, network: nn.Module, frames: Tensor) -> None:
        self._frames = frames.clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.no_grad(), torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                network(self._frames)
        torch.cuda.current_stream().wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.no_grad(), torch.cuda.graph(self._graph):
            self._logits: Tensor = network(self._frames)

    def takes(self, frames: Tensor) -> bool:
        """Say whether a batch has the shape that was recorded."""
        return frames.shape == self._frames.shape

    def __call__(self, frames: Tensor) -> Tensor:
        """Return logits (batch, classes)."""
        self._frames.copy_(frames)
        self._graph.replay()
        return self._logits.clone()
