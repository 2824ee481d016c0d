"""A program as the tables of the C template: only channels that are read, only taps that are not zero."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.emitters.streaming import ring_lengths
from bacalhaunet.deploy.integer.layers import Conv, MaxPool, source_channels
from bacalhaunet.deploy.integer.program import IntArray, Layer, Program, needed_channels
from bacalhaunet.deploy.integer.requantizer_search import low_bits
from bacalhaunet.deploy.integer.requantizers import Thresholds, WideForm
from bacalhaunet.errors import UnsupportedOperationError

_INT32 = 2**31 - 1
_MOST_TENSORS, _MOST_COLUMNS = 254, 65535

SIGNED_ZERO = 128
"""The byte that stands for 0 in a tensor of signed values."""


@dataclass(frozen=True)
class TensorTable:
    """A tensor as a ring: which channels it stores, the byte that stands for 0, its columns and place in memory."""

    name: str
    length: int
    stored: IntArray
    zero: int
    columns: int
    offset: int


class LayerKind(Enum):
    """How a layer's taps are listed: one channel an output, one position, or both; or a pool."""

    DEPTHWISE = auto()
    POINTWISE = auto()
    FULL = auto()
    POOL = auto()
    RUNNING_POOL = auto()

    @property
    def pools(self) -> bool:
        """Whether it is a pool, without sums."""
        return self in (LayerKind.POOL, LayerKind.RUNNING_POOL)


class Rounding(Enum):
    """How sums become levels: a product of 32 bits, a long one in two parts, not at all, or by a search."""

    NARROW = auto()
    LONG = auto()
    SUM = auto()
    SEARCH = auto()


@dataclass
class LayerTable:
    """One layer: its kinds, its tensors by number (``output`` None: the logits), scalars and arrays by name."""

    name: str
    kind: LayerKind
    output: int | None
    sources: list[int]
    groups: list[int]
    scalars: dict[str, int]
    requantizer: Rounding | None = None
    arrays: dict[str, IntArray] = field(default_factory=dict)


@dataclass(frozen=True)
class ProgramTables:
    """Everything the C template needs."""

    tensors: list[TensorTable]
    layers: list[LayerTable]
    memory: int


def stored_channels(program: Program) -> dict[str, IntArray]:
    """Return for each tensor the channels some layer reads."""
    needed = needed_channels(program.layers, program.tensors)
    return {name: np.flatnonzero(mask) for name, mask in needed.items()}


def build_tables(program: Program) -> ProgramTables:
    """Lay out a program for streaming.

    Raises:
        UnsupportedOperationError: If a layer's sums do not fit 32 bits with the stored bytes.
    """
    columns, stored = ring_lengths(program), stored_channels(program)
    tensors: list[TensorTable] = []
    offset = 0
    for name in [program.input, *(layer.output for layer in program.layers[:-1])]:
        tensor = program.tensors[name]
        zero = SIGNED_ZERO if tensor.format_low < 0 else 0
        tensors.append(TensorTable(name, tensor.length, stored[name], zero, columns[name], offset))
        offset += columns[name] * len(stored[name])
    _check_sizes(tensors)
    by_name = {table.name: number for number, table in enumerate(tensors)}
    layers = [layer_table(layer, program, tensors, by_name) for layer in program.layers]
    return ProgramTables(tensors, layers, max(offset, 1))


def _check_sizes(tensors: list[TensorTable]) -> None:
    """Refuse what the fields of the C tables do not hold."""
    largest = max(max(tensor.columns, len(tensor.stored)) for tensor in tensors)
    if len(tensors) > _MOST_TENSORS or largest > _MOST_COLUMNS:
        raise UnsupportedOperationError(
            f"{len(tensors)} tensors, the largest of {largest} channels or columns in memory",
            allowed=f"at most {_MOST_TENSORS} tensors, and {_MOST_COLUMNS} channels and columns in memory",
            action="run it with engine='native' or 'onnxruntime', or make the network smaller",
        )


@singledispatch
def layer_table(layer: Layer, program: Program, tensors: list[TensorTable], by_name: dict[str, int]) -> LayerTable:
    """Return the table of one layer.

    Raises:
        UnsupportedOperationError: If the template has no code for this kind.
    """
    raise UnsupportedOperationError(
        f"the C template has no code for a layer of the kind {type(layer).__name__}", where=f"node {layer.name!r}"
    )


@layer_table.register
def _pool(layer: MaxPool, program: Program, tensors: list[TensorTable], by_name: dict[str, int]) -> LayerTable:
    source, output = by_name[layer.source], by_name[layer.output]
    kind = LayerKind.RUNNING_POOL if layer.running(program.tensors[layer.output].length) else LayerKind.POOL
    scalars = {
        "groups": 1,
        "outputs": len(tensors[output].stored),
        "kernel": layer.kernel,
        "stride": layer.stride,
        "dilation": 1,
        "pad": layer.pad,
    }
    places = np.searchsorted(tensors[source].stored, tensors[output].stored)
    return LayerTable(layer.name, kind, output, [source], [0], scalars, arrays={"channels": places})


@layer_table.register
def _conv(layer: Conv, program: Program, tensors: list[TensorTable], by_name: dict[str, int]) -> LayerTable:
    last = layer.output == program.output
    channels = np.arange(program.classes) if last else tensors[by_name[layer.output]].stored
    sources = [by_name[name] for name in layer.sources]
    flat = LayerKind.POINTWISE if layer.kernel == 1 else LayerKind.FULL
    kind = LayerKind.DEPTHWISE if layer.depthwise else flat
    scalars = {
        "groups": layer.accumulators,
        "outputs": len(channels),
        "kernel": layer.kernel,
        "stride": layer.stride,
        "dilation": layer.dilation,
        "pad": layer.pad,
    }
    output = None if last else by_name[layer.output]
    table = LayerTable(layer.name, kind, output, sources, list(layer.group_of), scalars)
    weights = [np.where(layer.computed[:, None, None], w, 0)[channels] for w in layer.weights]
    _taps(table, layer, weights, channels, [tensors[number] for number in sources])
    _start(table, layer, weights, [tensors[number].zero for number in sources])
    tensor = program.tensors[layer.output]
    constant = np.where(layer.computed, 0, tensor.low)[channels]
    _requantizer(table, layer, channels, np.where(layer.computed[channels], 0, 1).astype(bool), constant)
    return table


def _taps(
    table: LayerTable,
    layer: Conv,
    weights: list[IntArray],
    channels: IntArray,
    sources: list[TensorTable],
) -> None:
    """List the taps of each output and source: counts, channels, kernel positions, weights."""
    counts: list[int] = []
    places: list[int] = []
    taps: list[int] = []
    values: list[int] = []
    behind = source_channels(layer.weights[0].shape[0], layer.weights[0].shape[1], layer.groups)[channels]
    for row in range(len(channels)):
        for source, matrix in zip(sources, weights, strict=True):
            tap, inner = np.nonzero(matrix[row].T)  # by kernel position, then channel
            where = np.searchsorted(source.stored, behind[row][inner])
            counts.append(len(tap))
            if table.kind is LayerKind.DEPTHWISE:
                places.append(int(where[0]) if len(where) else 0)
            else:
                places.extend(where.tolist())
            taps.extend(tap.tolist())
            values.extend(matrix[row][inner, tap].tolist())
    table.arrays["counts"] = np.array(counts, np.int64)
    table.arrays["channels"] = np.array(places, np.int64)
    if table.kind is not LayerKind.POINTWISE:
        table.arrays["taps"] = np.array(taps, np.int64)
    table.arrays["weights"] = np.array(values, np.int64)


def _start(table: LayerTable, layer: Conv, weights: list[IntArray], zeros: list[int]) -> None:
    """Take what the zero bytes add to the sums off at the start."""
    start = np.zeros((len(weights[0]), layer.accumulators), np.int64)
    reach = np.zeros_like(start)
    for group, zero, matrix in zip(layer.group_of, zeros, weights, strict=True):
        start[:, group] -= zero * matrix.sum(axis=(1, 2))
        reach[:, group] += 255 * np.abs(matrix).sum(axis=(1, 2))
    if reach.max(initial=0) + np.abs(start).max(initial=0) > _INT32:
        raise UnsupportedOperationError(
            f"a sum of bytes can reach {int(reach.max())}, beyond 32 bits",
            where=f"node {layer.name!r}",
            allowed=f"sums of at most {_INT32}",
            action="train this layer with fewer bits, or split it",
        )
    if start.any():
        table.arrays["start"] = start.reshape(-1)


def _requantizer(
    table: LayerTable, layer: Conv, channels: IntArray, still: NDArray[np.bool_], constant: IntArray
) -> None:
    """Write the requantizer's arrays; channels that never change get a form that ignores the sum."""
    form = layer.requantizer
    if isinstance(form, Thresholds):
        table.scalars["low"] = form.base
        table.scalars["high"] = form.base + form.values.shape[1]
        linear = form.linear
        if np.all(linear.narrow[channels] | still):
            multiplier, offset = linear.multiplier[channels], linear.offset[channels]
            table.requantizer = Rounding.NARROW
            table.arrays["multiplier"] = np.where(still, 0, multiplier)
            table.arrays["offset"] = np.where(still, constant, offset)
            table.arrays["shift"] = np.where(still, 0, linear.shift[channels])
        elif np.all(linear.exact[channels] | still):
            worst = _worst(layer)
            low = low_bits(worst)
            spare = np.maximum(low - linear.shift[channels], 0)
            multiplier = linear.multiplier[channels] << spare
            _long(table, multiplier[None], linear.offset[channels] << spare, linear.shift[channels] + spare, low,
                  still, constant)  # fmt: skip
        else:
            _search(table, form, channels, still, constant)
        return
    _wide(table, layer, form, channels, still, constant)


def _worst(layer: Conv) -> int:
    return int(np.maximum(np.abs(layer.acc_low), np.abs(layer.acc_high)).sum(axis=0).max(initial=0))


def _wide(
    table: LayerTable, layer: Conv, form: WideForm, channels: IntArray, still: NDArray[np.bool_], constant: IntArray
) -> None:
    table.scalars["low"] = form.low if form.low is not None else 0
    table.scalars["high"] = form.high if form.high is not None else 0
    if form.shift == 0 and np.all(form.multiplier == 1):
        table.requantizer = Rounding.SUM
        table.arrays["offset"] = np.where(still, constant, form.offset[channels])
        return
    shift = np.full(len(channels), form.shift)
    _long(table, form.multiplier[:, channels], form.offset[channels], shift, low_bits(_worst(layer)), still, constant)


def _long(
    table: LayerTable,
    multiplier: IntArray,
    offset: IntArray,
    shift: IntArray,
    low: int,
    still: NDArray[np.bool_],
    constant: IntArray,
) -> None:
    """Split long multipliers and offsets: M = upper 2^low + lower, lower centred on 0."""
    multiplier, shift = np.where(still, 0, multiplier), np.where(still, low, shift)
    offset = np.where(still, constant << low, offset)
    lower = ((multiplier + (1 << (low - 1))) & ((1 << low) - 1)) - (1 << (low - 1))
    upper = (multiplier - lower) >> low
    table.requantizer, table.scalars["split"] = Rounding.LONG, low
    table.arrays["upper"] = upper.reshape(-1)
    table.arrays["lower"] = lower.reshape(-1)
    table.arrays["offset"] = offset >> low
    table.arrays["offset_low"] = offset & ((1 << low) - 1)
    table.arrays["shift"] = shift - low


def _search(
    table: LayerTable, form: Thresholds, channels: IntArray, still: NDArray[np.bool_], constant: IntArray
) -> None:
    """Write the thresholds themselves; a channel that never changes has them all below or above every sum."""
    rank = np.arange(form.values.shape[1])[None] < (constant - form.base)[:, None]
    fixed = np.where(rank, -_INT32, _INT32)
    table.requantizer = Rounding.SEARCH
    table.arrays["multiplier"] = np.where(still[:, None], fixed, form.values[channels]).reshape(-1)
