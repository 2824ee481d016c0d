"""The layers after the global pool: sums of one vector's bytes, and their rounding."""

from __future__ import annotations

import numpy as np

from bacalhaunet.deploy.integer.program import Conv, Program, Thresholds
from bacalhaunet.deploy.native.layout import Arena, Rows
from bacalhaunet.deploy.native.tables import Kind, NativeTables, pack_quad
from bacalhaunet.deploy.native.taps import taps_of, zero_sum

_DENSE_SHARE = 0.15
"""Share of non-zero weights from which on a matrix is faster than a list."""
_INT32 = 2**31 - 1


def add_vector_layer(
    program: Program, layer: Conv, placed: dict[str, Rows], tables: NativeTables, arena: Arena
) -> bool:
    """Add the steps of a layer of output length 1; False if its rounding needs thresholds."""
    last = layer.output == program.output
    channels = np.arange(program.classes) if last else placed[layer.output].channels
    if not last and not round_numbers(program, layer, placed[layer.output], tables, dry=True):
        return False
    if not last and _rescale(program, layer, placed, tables):
        return True
    if not _dense(program, layer, channels, placed, tables, arena):
        _sparse(layer, channels, placed, tables)
    tables.sums = max(tables.sums, layer.accumulators * len(channels))
    if not last:
        return round_numbers(program, layer, placed[layer.output], tables)
    form = layer.requantizer
    assert not isinstance(form, Thresholds)
    first = len(tables.wides)
    for channel in channels:
        tables.wides.extend((int(form.offset[channel]), *(int(m) for m in form.multiplier[:, channel])))
    plain = layer.accumulators == 1 and form.shift == 0 and bool(np.all(form.multiplier == 1))
    numbers = len(tables.numbers)
    if plain:
        tables.numbers.extend(int(offset) for offset in form.offset)
    tables.add_step(
        Kind.LOGITS,
        channels=len(channels),
        first=first,
        groups=layer.accumulators,
        extra=form.shift,
        flags=int(plain),
        source=numbers,
    )
    return True


def _rescale(program: Program, layer: Conv, placed: dict[str, Rows], tables: NativeTables) -> bool:
    """Add a layer that only rescales a vector, byte by byte, in one step."""
    source, output = placed[layer.sources[0]], placed[layer.output]
    alike = layer.depthwise and layer.kernel == 1 and len(layer.sources) == 1 and layer.pad == 0
    if not alike or not source.vector or not np.array_equal(source.channels, output.channels):
        return False
    return round_numbers(program, layer, output, tables, source=source)


def _sparse(layer: Conv, channels: np.ndarray, placed: dict[str, Rows], tables: NativeTables) -> None:
    first = len(tables.numbers)
    for group in range(layer.accumulators):
        for channel in map(int, channels):
            taps = taps_of(layer, channel, group, placed) if layer.computed[channel] else []
            tables.numbers.extend((-zero_sum(layer, channel, group, placed) if taps else 0, len(taps)))
            for row, position, weight in taps:
                tables.numbers.extend((row + position, weight))
    tables.add_step(Kind.SPARSE, channels=layer.accumulators * len(channels), first=first)


def _dense(
    program: Program,
    layer: Conv,
    channels: np.ndarray,
    placed: dict[str, Rows],
    tables: NativeTables,
    arena: Arena,
) -> bool:
    """Add the layer as a matrix over the bytes of its source, brought side by side if they are not."""
    if len(layer.sources) > 1 or layer.depthwise or layer.pad or layer.dilation > 1 or layer.groups > 1:
        return False
    source, weights = placed[layer.sources[0]], layer.weights[0]
    length = program.tensors[layer.sources[0]].length
    filled = np.count_nonzero(weights) >= _DENSE_SHARE * weights.size
    if layer.kernel != length or not filled or not len(source.channels) or np.abs(weights).max() > 127:
        return False
    base = int(source.offset[source.channels[0]])
    if not source.vector:
        base = _side_by_side(source, length, tables, arena)
    inputs = len(source.channels) * length
    computed = np.where(layer.computed[:, None, None], weights, 0)[channels]
    matrix = computed[:, source.channels].reshape(len(channels), inputs)
    first = len(tables.numbers)
    tables.numbers.extend(-source.zero * int(total) for total in computed.sum(axis=(1, 2)))
    quads = -(-inputs // 4)
    padded = np.pad(matrix, ((0, 0), (0, 4 * quads - inputs))).reshape(len(channels), quads, 4)
    tables.numbers.extend(pack_quad(*map(int, weights)) for quad in range(quads) for weights in padded[:, quad])
    tables.add_step(Kind.DENSE, n=quads, channels=len(channels), first=first, source=base)
    return True


def _side_by_side(source: Rows, length: int, tables: NativeTables, arena: Arena) -> int:
    """Add the step that copies all rows of a tensor one after the other."""
    base = arena.take(len(source.channels) * length)
    first = len(tables.numbers)
    for place, channel in enumerate(source.channels):
        tables.numbers.extend((base + place * length, int(source.offset[channel])))
    tables.add_step(Kind.GATHER, n=length, channels=len(source.channels), first=first, stride=1, extra=1)
    return base


def round_numbers(
    program: Program,
    layer: Conv,
    output: Rows,
    tables: NativeTables,
    *,
    dry: bool = False,
    source: Rows | None = None,
    table: list[int] | None = None,
    place: int = 0,
) -> bool:
    """Add the step that rounds the sums of a layer into a vector; False if some channel has no linear form.

    Args:
        program: The whole program.
        layer: The layer whose sums they are.
        output: The vector.
        tables: Where the step goes.
        dry: Only say whether it can be done.
        source: The vector whose bytes, times the layer's one weight each, are the sums; None: they are there.
        table: What the rounded bytes become, if they do not stay.
        place: Where these go.
    """
    channels, form = output.channels, layer.requantizer
    still = ~layer.computed[channels]
    if isinstance(form, Thresholds):
        if not np.all(form.linear.exact[channels] | still):
            return False
        base, high = form.base, form.values.shape[1]
        offset, shift = form.linear.offset[channels], form.linear.shift[channels]
        multiplier = form.linear.multiplier[channels][None]
    else:
        if form.low is None or form.high is None:
            return False
        base, high = form.low, form.high - form.low
        offset, shift = form.offset[channels], np.full(len(channels), form.shift)
        multiplier = form.multiplier[:, channels]
    if dry:
        return True
    # Channels that never change ignore their sum; a code is a value minus the smallest one.
    constant = program.tensors[layer.output].low[channels]
    multiplier = np.where(still, 0, multiplier)
    offset = np.where(still, constant, offset - (np.int64(base) << shift)) - np.where(still, base, 0)
    shift = np.where(still, 0, shift)
    if source is not None:
        weight = layer.weights[0][channels, 0, 0]
        offset = offset - multiplier[0] * weight * source.zero
        multiplier = multiplier * weight
    worst = np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high))[:, channels]
    worst = np.maximum(worst, 255) if source is not None else worst
    reach = (np.abs(multiplier) * worst).sum(axis=0) + np.abs(offset)
    narrow = layer.accumulators == 1 and bool(np.all(reach <= _INT32))
    extra = len(tables.numbers)
    if narrow:
        tables.numbers.extend(int(v) for v in (*offset, *shift, *multiplier[0]))
    first = len(tables.wides)
    tables.wides.extend(int(v) for v in (*offset, *shift, *multiplier.ravel()))
    looked_up = len(tables.numbers)
    tables.numbers.extend(table or ())
    tables.add_step(
        Kind.ROUND,
        channels=len(channels),
        first=first,
        high=high,
        output=place if table else int(output.offset[channels[0]]) if len(channels) else 0,
        pad=looked_up,
        groups=layer.accumulators,
        extra=extra,
        flags=int(narrow) + (2 if source is not None else 0) + (4 if table else 0),
        source=int(source.offset[channels[0]]) if source is not None and len(channels) else 0,
    )
    return True
