"""From an integer program to the tables of the native engine: which kernel runs which channels, on which rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bacalhaunet.deploy.integer.layers import Conv, MaxPool
from bacalhaunet.deploy.integer.program import Program
from bacalhaunet.deploy.integer.requantizers import Thresholds
from bacalhaunet.deploy.native.forms import Form16, LongForm, RealForm, find_form16, find_long, find_real, find_signed16
from bacalhaunet.deploy.native.layout import (
    CONV16_TWO,
    Arena,
    FormKind,
    Kind,
    NativeTables,
    Pattern,
    Rows,
    pack_halves,
    place_tensors,
)
from bacalhaunet.deploy.native.taps import EntryMaker, Tap, largest_byte, largest_factor, split_taps, taps_of, zero_sum
from bacalhaunet.deploy.native.vectors import (
    add_any,
    add_sums,
    add_vector_layer,
    byte_table,
    linear_form,
    round_numbers,
)
from bacalhaunet.errors import UnsupportedOperationError


@dataclass(frozen=True)
class NativePlan:
    """Tables, and where every tensor lies in the arena."""

    tables: NativeTables
    placed: dict[str, Rows]
    fused: frozenset[str]


@dataclass
class _Planner:
    program: Program
    tables: NativeTables
    arena: Arena = field(default_factory=Arena)
    placed: dict[str, Rows] = field(default_factory=dict)
    fours: bool = False
    fused: set[str] = field(default_factory=set)
    skipped: set[int] = field(default_factory=set)

    def run(self) -> NativePlan:
        self.placed = place_tensors(self.program, self.arena)
        source = self.placed[self.program.input]
        self.tables.rows = (int(source.offset[0]), int(source.offset[1]))
        self.tables.code = source.zero
        for number, layer in enumerate(self.program.layers):
            if number in self.skipped:
                continue
            _PLANNED[type(layer)](self, layer, number)
        self.tables.initial = self.arena.initial()
        return NativePlan(self.tables, self.placed, frozenset(self.fused))

    def _pool(self, layer: MaxPool, number: int) -> None:
        if layer.source in self.fused:
            return
        source, output = self.placed[layer.source], self.placed[layer.output]
        first = len(self.tables.numbers)
        for channel in output.channels:
            self.tables.numbers.extend((int(source.offset[channel]), int(output.offset[channel])))
        self.tables.add_instruction(
            Kind.POOL,
            n=self.program.tensors[layer.output].length,
            channels=len(output.channels),
            first=first,
            stride=layer.stride,
            kernel=layer.kernel,
            pad=layer.pad,
            length=self.program.tensors[layer.source].length,
        )

    def _conv(self, layer: Conv, number: int) -> None:
        if layer.output == self.program.output or self.placed[layer.output].vector:
            if not add_vector_layer(self.program, layer, self.placed, self.tables, self.arena):
                add_any(self.program, layer, self._channels(layer), self.placed, self.tables)
            return
        if not self._max16(layer, number):
            self._rows(layer)

    def _channels(self, layer: Conv) -> list[int]:
        needed = self.placed[layer.output].channels
        return [int(channel) for channel in needed if layer.computed[channel]]

    def _rows(self, layer: Conv) -> None:
        """Give each channel of a layer the fastest kernel that is exact for it."""
        kinds: dict[Kind, dict[int, Form16 | LongForm | RealForm]] = {k: {} for k in _KERNELS}
        rest = []
        summed = add_sums(self.program, layer, self._channels(layer), self.placed, self.tables, self.arena)
        for channel in sorted(set(self._channels(layer)) - summed):
            kind, form = self._choose(layer, channel)
            if form is None:
                rest.append(channel)
            else:
                kinds[kind][channel] = form
        for kind, forms in kinds.items():
            if forms:
                _KERNELS[kind](self, layer, forms)
        if rest:
            add_any(self.program, layer, rest, self.placed, self.tables)

    def _choose(self, layer: Conv, channel: int) -> tuple[Kind, Form16 | LongForm | RealForm | None]:
        factors = self._factors(layer, channel)
        if layer.accumulators > 2 or any(np.abs(w[channel]).max(initial=0) > 127 for w in layer.weights):
            return Kind.ANY, None
        single = layer.accumulators == 1 and isinstance(layer.requantizer, Thresholds)
        if factors:
            form = find_form16(layer, channel, factors) if single else None
            form = form or (self._two_sums(layer, channel) if single else None)
            if form is not None:
                return Kind.CONV16, form
            long = find_long(layer, channel)
            if long is not None:
                return Kind.WIDE16, long
        return Kind.CONV32, find_real(layer, channel) if single else None

    def _factors(self, layer: Conv, channel: int) -> int:
        return largest_factor(self.program, self.placed, layer, channel)

    def _two_sums(self, layer: Conv, channel: int) -> Form16 | None:
        """Return a form whose sum is that of two of 16 bits, where one is not enough."""
        form = find_signed16(layer, channel, saturated=True)
        if form is None:
            return None
        taps = taps_of(layer, channel, 0, self.placed)
        largest = max(largest_byte(self.program, self.placed, name) for name in layer.sources)
        place = split_taps(taps, largest, form.start - zero_sum(layer, channel, 0, self.placed))
        return None if place is None else replace(form, split=place)

    def _entries(
        self, layer: Conv, quad: int, taps: dict[int, list[list[Tap]]], *, fours: bool = False
    ) -> tuple[Pattern, dict[int, list[int]]]:
        """Add the entries of channels; return the pattern and for each channel first entry and counts of its sums.

        With ``fours`` sums may be made in 32 bits and packed to 16, signed.
        """
        rows = [int(offset) for offset in self.placed[layer.sources[0]].offset]
        fours = fours and self.fours and layer.groups == 1
        maker = EntryMaker(self.program, layer, self.tables, self.arena, quad, fours=fours, rows=rows)
        keyed = {(channel, place): rows for channel, sums in taps.items() for place, rows in enumerate(sums)}
        entries = maker.plan(keyed)
        spans = {}
        for channel, sums in taps.items():
            spans[channel] = [len(self.tables.entries)]
            for place in range(len(sums)):
                listed = entries[channel, place]
                self.tables.entries.extend(listed)
                spans[channel].append(len(listed) // (2 if maker.pattern is Pattern.PAIR_1 else 1))
        return maker.pattern, spans

    def _instruction(self, layer: Conv, kind: Kind, pattern: Pattern, channels: int, flags: int = 0) -> None:
        """Add the instruction whose records were just added."""
        self.tables.add_instruction(
            kind,
            pattern=int(pattern),
            n=self.program.tensors[layer.output].length,
            channels=channels,
            first=len(self.tables.records) - channels,
            high=layer.affine.ceiling - layer.affine.floor,
            flags=flags,
        )

    def _conv16(self, layer: Conv, forms: dict[int, Form16 | LongForm | RealForm]) -> None:
        taps, kinds = {}, {}
        for channel, form in forms.items():
            assert isinstance(form, Form16)
            rows = [(row, at, form.factor * weight) for row, at, weight in taps_of(layer, channel, 0, self.placed)]
            taps[channel] = [rows] if form.split is None else [rows[: form.split], rows[form.split :]]
            kinds[channel] = int(form.kind) + (CONV16_TWO if form.split is not None else 0)
        signed = all(kind < CONV16_TWO and kind != FormKind.FULL for kind in kinds.values())
        pattern, spans = self._entries(layer, 2, taps, fours=signed)
        for kind in sorted(set(kinds.values())):
            # Channels with as many entries one after the other: loops of one length are predicted.
            channels = sorted((c for c in forms if kinds[c] == kind), key=lambda c: (spans[c][1:], c))
            for channel in channels:
                form = forms[channel]
                assert isinstance(form, Form16)
                self.tables.add_record(
                    first=spans[channel][0],
                    count=spans[channel][1],
                    count2=sum(spans[channel][2:]),
                    output=int(self.placed[layer.output].offset[channel]),
                    start=form.start - form.factor * zero_sum(layer, channel, 0, self.placed),
                    multiplier=form.multiplier,
                    offset=form.below if form.offset is None else form.offset,
                    shift=form.shift,
                )
            self._instruction(layer, Kind.CONV16, pattern, len(channels), kind)

    def _wide16(self, layer: Conv, forms: dict[int, Form16 | LongForm | RealForm]) -> None:
        groups = layer.accumulators
        taps = {c: [taps_of(layer, c, group, self.placed) if group < groups else [] for group in (0, 1)] for c in forms}
        pattern, spans = self._entries(layer, 2, taps)
        for even in (False, True):
            channels = [c for c, form in forms.items() if isinstance(form, LongForm) and form.even == even]
            for channel in sorted(channels, key=lambda c: (spans[c][1:], c)):
                form, span = forms[channel], spans[channel]
                assert isinstance(form, LongForm)
                starts = [form.starts[g] - zero_sum(layer, channel, g, self.placed) for g in range(groups)]
                self.tables.add_record(
                    first=span[0],
                    count=span[1],
                    count2=span[2],
                    output=int(self.placed[layer.output].offset[channel]),
                    start=pack_halves(starts[0], starts[1] if groups > 1 else 0),
                    multiplier=pack_halves(*form.upper),
                    lower=pack_halves(*form.lower),
                    offset=form.offset,
                    offset_low=form.offset_low,
                    shift=form.shift,
                    split=form.split,
                )
            if channels:
                self._instruction(layer, Kind.WIDE16, pattern, len(channels), int(even))

    def _conv32(self, layer: Conv, forms: dict[int, Form16 | LongForm | RealForm]) -> None:
        pattern, spans = self._entries(layer, 4, {c: [taps_of(layer, c, 0, self.placed)] for c in forms})
        for channel in sorted(forms, key=lambda c: (spans[c][1], c)):
            form = forms[channel]
            assert isinstance(form, RealForm)
            self.tables.add_record(
                first=spans[channel][0],
                count=spans[channel][1],
                output=int(self.placed[layer.output].offset[channel]),
                start=-zero_sum(layer, channel, 0, self.placed),
                scale_float=form.scale,
                bias_float=form.bias,
                exact_float=int(form.single),
                scale=form.scale,
                bias=form.bias,
            )
        small = all(self._factors(layer, channel) for channel in forms)
        self._instruction(layer, Kind.CONV32, pattern, len(forms), int(small))

    def _max16(self, layer: Conv, number: int) -> bool:
        """Fuse a layer with the global max pool after it: only the largest sum of a row is requantized."""
        program = self.program
        after = program.layers[number + 1] if number + 1 < len(program.layers) else None
        readers = [reader for reader in program.layers if layer.output in reader.sources]
        n = program.tensors[layer.output].length
        fits = isinstance(after, MaxPool) and readers == [after] and after.kernel == n and (n == 64 or n % 128 == 0)
        whole_row = isinstance(after, MaxPool) and after.pad == 0 and program.tensors[after.output].length == 1
        if not fits or not whole_row or not isinstance(layer.requantizer, Thresholds) or layer.accumulators != 1:
            return False
        assert isinstance(after, MaxPool)
        output = self.placed[after.output]
        channels = self._channels(layer)
        whole = all(self._factors(layer, channel) for channel in channels)
        low, high = layer.acc_low[:, channels], layer.acc_high[:, channels]
        if not whole or not output.vector or low.min(initial=0) < -32768 or high.max(initial=0) > 32767:
            return False
        if linear_form(layer, output.channels) is None:
            return False
        self.fused.add(layer.output)
        table = byte_table(program, self.placed, after.output, number + 2)
        places = {int(channel): place for place, channel in enumerate(output.channels)}
        pattern, spans = self._entries(layer, 2, {c: [taps_of(layer, c, 0, self.placed)] for c in channels}, fours=True)
        for channel in sorted(channels, key=lambda c: (spans[c][1], c)):
            self.tables.add_record(
                first=spans[channel][0],
                count=spans[channel][1],
                output=places[channel],
                start=-zero_sum(layer, channel, 0, self.placed),
            )
        self._instruction(layer, Kind.MAX16, pattern, len(channels))
        self.tables.sums = max(self.tables.sums, len(output.channels))
        if table is None:
            return round_numbers(program, layer, output, self.tables)
        self.fused.add(after.output)
        self.skipped.add(number + 2)
        return round_numbers(program, layer, output, self.tables, table=table, place=self._after(number + 2))

    def _after(self, number: int) -> int:
        """Return where the vector that a layer writes begins."""
        rows = self.placed[self.program.layers[number].output]
        return int(rows.offset[rows.channels[0]]) if len(rows.channels) else 0


_PLANNED: dict[type, Callable[[_Planner, Any, int], None]] = {Conv: _Planner._conv, MaxPool: _Planner._pool}
"""How the kernels run each kind of layer."""
_KERNELS = {Kind.CONV16: _Planner._conv16, Kind.WIDE16: _Planner._wide16, Kind.CONV32: _Planner._conv32}


def check_bytes(program: Program) -> None:
    """Refuse a program with layers that the kernels have no code for, or whose values their bytes cannot hold.

    Raises:
        UnsupportedOperationError: For such a layer, or if a quantizer's range does not contain 0, or has more than 256
            levels.
    """
    for layer in program.layers:
        if type(layer) not in _PLANNED:
            raise UnsupportedOperationError(
                f"the native engine has no kernel for a layer of the kind {type(layer).__name__}",
                where=f"node {layer.name!r}",
                action="use engine='onnxruntime'",
            )
    for layer in program.layers[:-1]:
        if isinstance(layer, Conv) and (layer.affine.floor > 0 or layer.affine.ceiling - layer.affine.floor > 255):
            raise UnsupportedOperationError(
                f"a quantizer that gives only {layer.affine.floor} to {layer.affine.ceiling}",
                where=f"node {layer.name!r}",
                allowed="ranges with 0 in them, of at most 8 bits",
                action="use engine='onnxruntime', or train without a lower clip above 0",
            )


def plan_native(program: Program, *, fours: bool = False) -> NativePlan:
    """Plan a program for the native engine.

    Args:
        program: What to run.
        fours: Whether the kernels sum four bytes in one operation, as those with VNNI do.

    Raises:
        UnsupportedOperationError: If a quantizer's range does not contain 0, which the engine's bytes need.
    """
    check_bytes(program)
    tables = NativeTables(program.quantizer, program.frame_length, program.classes, program.logit_scale)
    return _Planner(program, tables, fours=fours).run()
