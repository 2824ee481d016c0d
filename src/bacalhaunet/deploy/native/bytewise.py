"""Layers whose outputs depend on one byte, or on the sum of two: residual sums of one scale, and rescaling.

code = min((sum M + 2^14) >> 15, high),  0 <= sum <= 255, 0 < M < 2^15
"""

from __future__ import annotations

import numpy as np

from bacalhaunet.deploy.integer.program import Conv, Program, Thresholds
from bacalhaunet.deploy.native.layout import Arena, Rows, round_up
from bacalhaunet.deploy.native.tables import Kind, NativeTables

SMALL_SUM = 64
"""Sums below it are looked up in one operation by processors with AVX-512 VBMI."""
_TRIED = 200
"""Multipliers tried on either side of the real one."""


def add_sums(
    program: Program, layer: Conv, channels: list[int], placed: dict[str, Rows], tables: NativeTables, arena: Arena
) -> set[int]:
    """Add a step for the channels of a layer that are a requantized sum of two rows; return these channels.

    Sums of tensors with a shared scale, never negative, are of this kind: bytes are added as they are.
    """
    alike = layer.depthwise and layer.kernel == 1 and layer.stride == 1 and layer.pad == 0
    plain = alike and len(layer.sources) == 2 and layer.accumulators == 1 and layer.affine.floor == 0
    if not plain or placed[layer.output].vector or any(placed[name].zero for name in layer.sources):
        return set()
    length = program.tensors[layer.output].length
    found: dict[int, int] = {}
    for channel in channels:
        multiplier = _multiplier(layer, channel)
        if multiplier is not None:
            found[channel] = multiplier
    if not found:
        return set()
    nothing = arena.take(length + round_up(1)) if any(not w[c].any() for w in layer.weights for c in found) else 0
    first = len(tables.numbers)
    for channel, multiplier in found.items():
        rows = [int(placed[name].offset[channel]) if weights[channel].any() else nothing
                for name, weights in zip(layer.sources, layer.weights, strict=True)]  # fmt: skip
        tables.numbers.extend((*rows, int(placed[layer.output].offset[channel]), multiplier))
    high = layer.affine.ceiling - layer.affine.floor
    small = all(int(layer.acc_high[0, channel]) < SMALL_SUM for channel in found)
    tables.add_step(Kind.SUM, n=length, channels=len(found), first=first, high=high, flags=int(small))
    return set(found)


def _multiplier(layer: Conv, channel: int) -> int | None:
    """Return a multiplier that gives every possible sum its level; None if there is none."""
    form, top = layer.requantizer, int(layer.acc_high[0, channel])
    if not isinstance(form, Thresholds) or layer.acc_low[0, channel] < 0 or top > 255:
        return None
    if any(int(weights[channel, 0, 0]) not in (0, 1) for weights in layer.weights):
        return None
    sums = np.arange(top + 1)
    codes = np.searchsorted(form.values[channel], sums, side="right")
    centre = round(float(layer.affine.scale[0, channel]) * 2**15)
    tried = np.arange(max(1, centre - _TRIED), min(32767, centre + _TRIED) + 1)
    levels = np.minimum((sums * tried[:, None] + 2**14) >> 15, form.values.shape[1])
    exact = np.flatnonzero((levels == codes).all(axis=1))
    return int(tried[exact[len(exact) // 2]]) if len(exact) else None


def byte_table(program: Program, placed: dict[str, Rows], name: str, number: int) -> list[int] | None:
    """Return what layer ``number`` makes of every byte of a vector, if it only rescales it, all channels alike."""
    layer = program.layers[number] if number < len(program.layers) - 1 else None
    readers = [x for x in program.layers if name in (x.sources if isinstance(x, Conv) else (x.source,))]
    if not isinstance(layer, Conv) or readers != [layer] or len(layer.sources) > 1 or not layer.depthwise:
        return None
    source, output, form = placed[name], placed[layer.output], layer.requantizer
    channels = output.channels
    if layer.kernel > 1 or not output.vector or not np.array_equal(source.channels, channels):
        return None
    if not isinstance(form, Thresholds) or not layer.computed[channels].all() or not len(channels):
        return None
    weights, rows = layer.weights[0][channels, 0, 0], form.values[channels]
    reach = program.tensors[name]
    values = np.arange(256)[None] - source.zero
    codes = np.array([np.searchsorted(row, values[0] * int(weights[0]), side="right") for row in rows])
    seen = (values >= reach.low[channels][:, None]) & (values <= reach.high[channels][:, None])
    table = np.where(seen, codes, -1).max(axis=0)
    if np.any(weights != weights[0]) or np.any(seen & (codes != table)):
        return None
    return [int(code) for code in np.maximum(table, 0)]
