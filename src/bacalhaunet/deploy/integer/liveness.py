"""Where each tensor lives in one buffer: two tensors share bytes only if their lives do not overlap."""

from __future__ import annotations

from dataclasses import dataclass

from bacalhaunet.deploy.integer.program import Conv, Program


@dataclass(frozen=True)
class Life:
    """A tensor's life: written by layer ``first`` (-1: the input), last read by layer ``last``."""

    first: int
    last: int

    def overlaps(self, other: Life) -> bool:
        """Whether both are alive at the same layer; a layer's output must not lie in its input."""
        return self.first <= other.last and other.first <= self.last


def lives(program: Program) -> dict[str, Life]:
    """Return the life of every tensor."""
    first = {program.input: -1} | {layer.output: position for position, layer in enumerate(program.layers)}
    last = dict(first)
    for position, layer in enumerate(program.layers):
        for name in layer.sources if isinstance(layer, Conv) else (layer.source,):
            last[name] = position
    last[program.output] = len(program.layers)
    return {name: Life(first[name], last[name]) for name in first}


@dataclass(frozen=True)
class BufferPlan:
    """Offsets in one buffer of ``size`` bytes."""

    offsets: dict[str, int]
    size: int


def plan_buffers(sizes: dict[str, int], lifetimes: dict[str, Life], align: int = 1) -> BufferPlan:
    """Place tensors, the largest first, each at the lowest offset that is free during its life.

    Args:
        sizes: Bytes of each tensor to place.
        lifetimes: Their lives.
        align: Offsets are multiples of this.
    """
    offsets: dict[str, int] = {}
    for name in sorted(sizes, key=lambda key: (-sizes[key], lifetimes[key].first)):
        taken = sorted(
            (offsets[other], offsets[other] + sizes[other])
            for other in offsets
            if lifetimes[other].overlaps(lifetimes[name])
        )
        start = 0
        for begin, end in taken:
            if start + sizes[name] <= begin:
                break
            start = max(start, -(-end // align) * align)
        offsets[name] = start
    return BufferPlan(offsets, max((offsets[name] + sizes[name] for name in offsets), default=0))
