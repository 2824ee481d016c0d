"""Streaming: how long the ring buffer of each tensor must be where layers run as soon as samples let them.

A ring keeps columns, one value of each channel, back to the oldest that a reader still needs: as many as the next
layer's taps reach, and as a residual branch waits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bacalhaunet.deploy.integer.program import Program


@dataclass
class Schedule:
    """Plays the layers of a program over one frame, sample by sample, with counters only.

    After each sample the layers are walked from the first: one that can run makes one position, and the walk goes on to
    the next; one that cannot sends it back to the layer before. Emitted code must take the same order.

    Attributes:
        columns: Ring length of each tensor, the result.
    """

    program: Program
    columns: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._written = dict.fromkeys(self.program.tensors, 0)
        self._consumed = [0] * len(self.program.layers)
        self._readers: dict[str, list[int]] = {name: [] for name in self.program.tensors}
        for index, layer in enumerate(self.program.layers):
            for name in layer.sources:
                self._readers[name].append(index)
        self.columns = dict.fromkeys(self.program.tensors, 1)
        for _ in range(self.program.frame_length):
            self._write(self.program.input)
            self._walk()
        while self._written[self.program.output] == 0:
            for index in range(len(self.program.layers)):
                while self._ready(index):
                    self._step(index)

    def _running(self, index: int) -> bool:
        layer = self.program.layers[index]
        return layer.running(self.program.tensors[layer.output].length)

    def _first_needed(self, index: int) -> int:
        """Return the first column a reader will still want."""
        layer = self.program.layers[index]
        if self._running(index):
            return self._consumed[index]
        done = self._written[layer.output]
        if done >= self.program.tensors[layer.output].length:
            return self.program.tensors[layer.sources[0]].length
        return max(0, done * layer.stride - layer.pad)

    def _write(self, name: str) -> None:
        self._written[name] += 1
        self._hold(name, self._written[name])

    def _hold(self, name: str, end: int) -> None:
        """Note that columns up to ``end`` and back to the oldest still wanted must fit."""
        oldest = min((self._first_needed(reader) for reader in self._readers[name]), default=end)
        self.columns[name] = max(self.columns[name], end - oldest)

    def _ready(self, index: int) -> bool:
        layer = self.program.layers[index]
        done = self._written[layer.output]
        if done >= self.program.tensors[layer.output].length:
            return False
        last = self._consumed[index] if self._running(index) else done * layer.stride + layer.span - layer.pad
        return all(self._written[name] > min(last, self.program.tensors[name].length - 1) for name in layer.sources)

    def _step(self, index: int) -> None:
        layer = self.program.layers[index]
        if self._running(index):
            place = self._consumed[index] - self._written[layer.output] * layer.stride
            if place == 0:  # the running column takes its place in the ring now
                self._hold(layer.output, self._written[layer.output] + 1)
            self._consumed[index] += 1
            if place != layer.span:
                return
        self._write(layer.output)

    def _walk(self) -> None:
        index = 0
        while index >= 0:
            if self._ready(index):
                self._step(index)
                index = min(index + 1, len(self.program.layers) - 1)
            else:
                index -= 1


def ring_lengths(program: Program) -> dict[str, int]:
    """Return the number of columns each tensor's ring needs."""
    return Schedule(program).columns
