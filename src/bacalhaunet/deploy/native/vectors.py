"""The layers after the global pool: sums of one vector's bytes, and their rounding.

Channels that no kernel is exact for: any convolution, plainly.

Layers whose outputs depend on one byte, or on the sum of two: residual sums of one scale, and rescaling.

code = min((sum M + 2^14) >> 15, high),  0 <= sum <= 255, 0 < M < 2^15
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bacalhaunet.deploy.integer.layers import Conv
from bacalhaunet.deploy.integer.program import Program
from bacalhaunet.deploy.integer.requantizers import Thresholds
from bacalhaunet.deploy.native.layout import Arena, Kind, NativeTables, Rows, pack_quad, round_up
from bacalhaunet.deploy.native.taps import taps_of, zero_sum

_DENSE_SHARE = 0.15
"""Share of non-zero weights from which on a matrix is faster than a list."""
_INT32 = 2**31 - 1


def add_vector_layer(
    program: Program, layer: Conv, placed: dict[str, Rows], tables: NativeTables, arena: Arena
) -> bool:
    """Add the instructions of a layer of output length 1; False if its rounding needs thresholds."""
    last = layer.output == program.output
    channels = np.arange(program.classes) if last else placed[layer.output].channels
    if not last and linear_form(layer, channels) is None:
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
    tables.add_instruction(
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
    """Add a layer that only rescales a vector, byte by byte, in one instruction."""
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
    tables.add_instruction(Kind.SPARSE, channels=layer.accumulators * len(channels), first=first)


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
    tables.add_instruction(Kind.DENSE, n=quads, channels=len(channels), first=first, source=base)
    return True


def _side_by_side(source: Rows, length: int, tables: NativeTables, arena: Arena) -> int:
    """Add the instruction that copies all rows of a tensor one after the other."""
    base = arena.take(len(source.channels) * length)
    first = len(tables.numbers)
    for place, channel in enumerate(source.channels):
        tables.numbers.extend((base + place * length, int(source.offset[channel])))
    tables.add_instruction(Kind.GATHER, n=length, channels=len(source.channels), first=first, stride=1, extra=1)
    return base


@dataclass(frozen=True)
class LinearForm:
    """How sums of a layer become bytes, channel by channel: ``(multiplier . sums + offset) >> shift``, then clipped.

    Attributes:
        base: The smallest value.
        high: The largest value less the smallest.
        offset, shift: Of each channel.
        multiplier: Of each accumulator (row) and channel (column).
    """

    base: int
    high: int
    offset: np.ndarray
    shift: np.ndarray
    multiplier: np.ndarray


def linear_form(layer: Conv, channels: np.ndarray) -> LinearForm | None:
    """Return the rounding of a layer's channels; None if some channel has no linear form or is not rounded at all."""
    form = layer.requantizer
    if isinstance(form, Thresholds):
        if not np.all(form.linear.exact[channels] | ~layer.computed[channels]):
            return None
        parts = form.linear.offset[channels], form.linear.shift[channels], form.linear.multiplier[channels][None]
        return LinearForm(form.base, form.values.shape[1], *parts)
    if form.low is None or form.high is None:
        return None
    shift = np.full(len(channels), form.shift)
    return LinearForm(form.low, form.high - form.low, form.offset[channels], shift, form.multiplier[:, channels])


def round_numbers(
    program: Program,
    layer: Conv,
    output: Rows,
    tables: NativeTables,
    *,
    source: Rows | None = None,
    table: list[int] | None = None,
    place: int = 0,
) -> bool:
    """Add the instruction that rounds the sums of a layer into a vector; False if some channel has no linear form.

    Args:
        program: The whole program.
        layer: The layer whose sums they are.
        output: The vector.
        tables: Where the instruction goes.
        source: The vector whose bytes, times the layer's one weight each, are the sums; None: they are there.
        table: What the rounded bytes become, if they do not stay.
        place: Where these go.
    """
    channels = output.channels
    form = linear_form(layer, channels)
    if form is None:
        return False
    tables.sums = max(tables.sums, layer.accumulators * len(channels))
    form = _of_codes(form, layer, channels, program.tensors[layer.output].low[channels], source)
    narrow = _fits_32_bits(form, layer, channels, source)
    extra = len(tables.numbers)
    if narrow:
        tables.numbers.extend(int(v) for v in (*form.offset, *form.shift, *form.multiplier[0]))
    first = len(tables.wides)
    tables.wides.extend(int(v) for v in (*form.offset, *form.shift, *form.multiplier.ravel()))
    looked_up = len(tables.numbers)
    tables.numbers.extend(table or ())
    tables.add_instruction(
        Kind.ROUND,
        channels=len(channels),
        first=first,
        high=form.high,
        output=place if table else int(output.offset[channels[0]]) if len(channels) else 0,
        pad=looked_up,
        groups=layer.accumulators,
        extra=extra,
        flags=int(narrow) + (2 if source is not None else 0) + (4 if table else 0),
        source=int(source.offset[channels[0]]) if source is not None and len(channels) else 0,
    )
    return True


def _of_codes(
    form: LinearForm, layer: Conv, channels: np.ndarray, constant: np.ndarray, source: Rows | None
) -> LinearForm:
    """Return the form that gives codes, a value minus the smallest one, from sums or from the bytes of ``source``."""
    still = ~layer.computed[channels]  # channels that never change ignore their sum
    multiplier = np.where(still, 0, form.multiplier)
    moved = form.offset - (np.int64(form.base) << form.shift)
    offset = np.where(still, constant, moved) - np.where(still, form.base, 0)
    if source is not None:
        weight = layer.weights[0][channels, 0, 0]
        offset = offset - multiplier[0] * weight * source.zero
        multiplier = multiplier * weight
    return replace(form, offset=offset, shift=np.where(still, 0, form.shift), multiplier=multiplier)


def _fits_32_bits(form: LinearForm, layer: Conv, channels: np.ndarray, source: Rows | None) -> bool:
    """Say whether no part of the rounding leaves 32 bits."""
    worst = np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high))[:, channels]
    worst = np.maximum(worst, 255) if source is not None else worst
    reach = (np.abs(form.multiplier) * worst).sum(axis=0) + np.abs(form.offset)
    return layer.accumulators == 1 and bool(np.all(reach <= _INT32))


def add_any(program: Program, layer: Conv, channels: list[int], placed: dict[str, Rows], tables: NativeTables) -> None:
    """Add the instruction that runs channels as the definition reads."""
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
    tables.add_instruction(
        Kind.ANY, n=n, channels=len(channels), first=first, stride=layer.stride, groups=layer.accumulators
    )


SMALL_SUM = 64
"""Sums below it are looked up in one operation by processors with AVX-512 VBMI."""
_TRIED = 200
"""Multipliers tried on either side of the real one."""


def add_sums(
    program: Program, layer: Conv, channels: list[int], placed: dict[str, Rows], tables: NativeTables, arena: Arena
) -> set[int]:
    """Add an instruction for the channels of a layer that are a requantized sum of two rows; return these channels.

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
    tables.add_instruction(Kind.SUM, n=length, channels=len(found), first=first, high=high, flags=int(small))
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
    readers = [reader for reader in program.layers if name in reader.sources]
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
