"""How long each ring buffer must be, by playing the schedule of the emitted code for one frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from bacalhaunet.deploy.integer.program import Conv, Layer, MaxPool, Program


def is_running_pool(layer: Layer, program: Program) -> bool:
    """Whether a pool's windows do not overlap, so that one running column is enough."""
    if not isinstance(layer, MaxPool) or layer.pad:
        return False
    return layer.stride >= layer.kernel or program.tensors[layer.output].length == 1


def _reach(layer: Layer) -> tuple[int, int]:
    """Return padding, and the distance from a layer's first tap to its last."""
    if isinstance(layer, Conv):
        return layer.pad, layer.dilation * (layer.kernel - 1)
    return layer.pad, layer.kernel - 1


@dataclass
class Schedule:
    """Plays ``model_advance`` of the C template with counters only.

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
            for name in self._sources(layer):
                self._readers[name].append(index)
        self.columns = dict.fromkeys(self.program.tensors, 1)
        for _ in range(self.program.frame_length):
            self._write(self.program.input)
            self._walk()
        while self._written[self.program.output] == 0:
            for index in range(len(self.program.layers)):
                while self._ready(index):
                    self._step(index)

    @staticmethod
    def _sources(layer: Layer) -> tuple[str, ...]:
        return layer.sources if isinstance(layer, Conv) else (layer.source,)

    def _first_needed(self, index: int) -> int:
        """Return the first column a reader will still want."""
        layer = self.program.layers[index]
        if is_running_pool(layer, self.program):
            return self._consumed[index]
        done = self._written[layer.output]
        if done >= self.program.tensors[layer.output].length:
            return self.program.tensors[self._sources(layer)[0]].length
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
        pad, span = _reach(layer)
        running = is_running_pool(layer, self.program)
        last = self._consumed[index] if running else done * layer.stride + span - pad
        return all(
            self._written[name] > min(last, self.program.tensors[name].length - 1) for name in self._sources(layer)
        )

    def _step(self, index: int) -> None:
        layer = self.program.layers[index]
        if is_running_pool(layer, self.program):
            place = self._consumed[index] - self._written[layer.output] * layer.stride
            if place == 0:  # the running column takes its place in the ring now
                self._hold(layer.output, self._written[layer.output] + 1)
            self._consumed[index] += 1
            if place != layer.kernel - 1:
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
