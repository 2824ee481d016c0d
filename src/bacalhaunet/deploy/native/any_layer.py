"""Channels that no kernel is exact for: any convolution, plainly."""

from __future__ import annotations

from bacalhaunet.deploy.integer.program import Conv, Program, Thresholds
from bacalhaunet.deploy.native.layout import Rows
from bacalhaunet.deploy.native.tables import Kind, NativeTables
from bacalhaunet.deploy.native.taps import taps_of, zero_sum


def add_any(program: Program, layer: Conv, channels: list[int], placed: dict[str, Rows], tables: NativeTables) -> None:
    """Add the step that runs channels as the definition reads."""
    first, n = len(tables.numbers), program.tensors[layer.output].length
    form = layer.requantizer
    for channel in channels:
        head = [int(placed[layer.output].offset[channel]), 0, len(tables.wides)]
        if isinstance(form, Thresholds):
            head[1] = 1
            tables.wides.extend(int(v) for v in form.values[channel])
            head.append(form.values.shape[1])
        else:
            assert form.low is not None
            assert form.high is not None
            offset = int(form.offset[channel]) - (form.low << form.shift)
            tables.wides.extend((offset, form.shift, *(int(m) for m in form.multiplier[:, channel])))
            head.append(form.high - form.low)
        tables.numbers.extend(head)
        for group in range(layer.accumulators):
            taps = taps_of(layer, channel, group, placed)
            tables.numbers.extend((-zero_sum(layer, channel, group, placed), len(taps)))
            for row, position, weight in taps:
                tables.numbers.extend((row + position, weight))
    tables.sums = max(tables.sums, layer.accumulators * n)
    tables.add_step(Kind.ANY, n=n, channels=len(channels), first=first, stride=layer.stride, groups=layer.accumulators)
