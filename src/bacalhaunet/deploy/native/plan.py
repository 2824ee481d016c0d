"""From an integer program to the tables of the native engine: which kernel runs which channels, on which rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bacalhaunet.deploy.integer.program import Conv, MaxPool, Program, Thresholds
from bacalhaunet.deploy.integer.ranges import needed_channels
from bacalhaunet.deploy.native.forms import Form16, LongForm, RealForm, find_form16, find_long, find_real
from bacalhaunet.deploy.native.layout import Arena, Rows, place_tensors
from bacalhaunet.deploy.native.tables import Kind, NativeTables, Pattern, pack_halves
from bacalhaunet.deploy.native.taps import EntryMaker, taps_of, zero_sum
from bacalhaunet.deploy.native.vectors import add_vector_layer, round_numbers
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
    fused: set[str] = field(default_factory=set)

    def run(self) -> NativePlan:
        self.placed = place_tensors(self.program, self.arena)
        source = self.placed[self.program.input]
        self.tables.rows = (int(source.offset[0]), int(source.offset[1]))
        self.tables.code = source.zero
        for number, layer in enumerate(self.program.layers):
            if isinstance(layer, MaxPool):
                self._pool(layer)
            else:
                self._conv(layer, number)
        self.tables.initial = self.arena.initial()
        return NativePlan(self.tables, self.placed, frozenset(self.fused))

    def _pool(self, layer: MaxPool) -> None:
        if layer.source in self.fused:
            return
        source, output = self.placed[layer.source], self.placed[layer.output]
        first = len(self.tables.numbers)
        for channel in output.channels:
            self.tables.numbers.extend((int(source.offset[channel]), int(output.offset[channel])))
        self.tables.add_step(
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
                self._any(layer, self._channels(layer))
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
        for channel in self._channels(layer):
            kind, form = self._choose(layer, channel)
            if form is None:
                rest.append(channel)
            else:
                kinds[kind][channel] = form
        for kind, forms in kinds.items():
            if forms:
                _KERNELS[kind](self, layer, forms)
        if rest:
            self._any(layer, rest)

    def _choose(self, layer: Conv, channel: int) -> tuple[Kind, Form16 | LongForm | RealForm | None]:
        bytes_fit = all(np.abs(w[channel]).max(initial=0) < 128 for w in layer.weights)
        if not bytes_fit or layer.accumulators > 2:
            return Kind.ANY, None
        single = layer.accumulators == 1 and isinstance(layer.requantizer, Thresholds)
        if self._pairs_fit(layer, channel):
            form = find_form16(layer, channel) if single else None
            if form is not None:
                return Kind.CONV16, form
            long = find_long(layer, channel)
            if long is not None:
                return Kind.WIDE16, long
        return Kind.CONV32, find_real(layer, channel) if single else None

    def _pairs_fit(self, layer: Conv, channel: int) -> bool:
        """Whether no two products of bytes can leave 16 bits, whichever taps are paired."""
        for name, weights in zip(layer.sources, layer.weights, strict=True):
            largest = self.program.tensors[name].format_high + self.placed[name].zero
            heaviest = np.sort(np.abs(weights[channel]).ravel())[-2:].sum()
            if largest * int(heaviest) > 32767:
                return False
        return True

    def _entries(self, layer: Conv, channels: list[int], quad: int, groups: int) -> tuple[Pattern, list[list[int]]]:
        """Add the entries of channels; return the pattern and for each channel first entry and counts.

        Sums beyond the layer's accumulators are empty.
        """
        maker = EntryMaker(self.program, layer, self.tables, self.arena, quad)
        taps = {
            channel * groups + group: taps_of(layer, channel, group, self.placed)
            for channel in channels
            for group in range(groups)
        }
        entries = maker.plan(taps)
        spans = []
        for channel in channels:
            span = [len(self.tables.entries)]
            for group in range(groups):
                listed = entries[channel * groups + group]
                self.tables.entries.extend(listed)
                span.append(len(listed) // (2 if maker.pattern is Pattern.PAIR_1 else 1))
            spans.append(span)
        return maker.pattern, spans

    def _step(self, layer: Conv, kind: Kind, pattern: Pattern, channels: int) -> None:
        """Add the step whose records were just added."""
        self.tables.add_step(
            kind,
            pattern=int(pattern),
            n=self.program.tensors[layer.output].length,
            channels=channels,
            first=len(self.tables.records) - channels,
            high=layer.affine.ceiling - layer.affine.floor,
        )

    def _order(self, layer: Conv, channels: list[int]) -> list[int]:
        """Channels with as many taps one after the other: loops of one length are predicted."""
        return sorted(channels, key=lambda c: (sum(int(np.count_nonzero(w[c])) for w in layer.weights), c))

    def _conv16(self, layer: Conv, forms: dict[int, Form16 | LongForm | RealForm]) -> None:
        channels = self._order(layer, list(forms))
        pattern, spans = self._entries(layer, channels, 2, 1)
        order = sorted(range(len(channels)), key=lambda place: spans[place][1])
        for place in order:
            channel, form = channels[place], forms[channels[place]]
            assert isinstance(form, Form16)
            start = form.start - zero_sum(layer, channel, 0, self.placed)
            self.tables.add_record(
                first=spans[place][0],
                count=spans[place][1],
                output=int(self.placed[layer.output].offset[channel]),
                start=start,
                multiplier=form.multiplier,
                offset=form.offset,
                shift=form.shift,
            )
        self._step(layer, Kind.CONV16, pattern, len(channels))

    def _wide16(self, layer: Conv, forms: dict[int, Form16 | LongForm | RealForm]) -> None:
        channels = list(forms)
        groups = layer.accumulators
        pattern, spans = self._entries(layer, channels, 2, 2)
        for channel, span in sorted(zip(channels, spans, strict=True), key=lambda item: item[1][1:]):
            form = forms[channel]
            assert isinstance(form, LongForm)
            starts = [-zero_sum(layer, channel, group, self.placed) for group in range(groups)]
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
        self._step(layer, Kind.WIDE16, pattern, len(channels))

    def _conv32(self, layer: Conv, forms: dict[int, Form16 | LongForm | RealForm]) -> None:
        channels = self._order(layer, list(forms))
        pattern, spans = self._entries(layer, channels, 4, 1)
        for channel, span in zip(channels, spans, strict=True):
            form = forms[channel]
            assert isinstance(form, RealForm)
            self.tables.add_record(
                first=span[0],
                count=span[1],
                output=int(self.placed[layer.output].offset[channel]),
                start=-zero_sum(layer, channel, 0, self.placed),
                scale_float=form.scale,
                bias_float=form.bias,
                exact_float=int(form.single),
                scale=form.scale,
                bias=form.bias,
            )
        self._step(layer, Kind.CONV32, pattern, len(channels))

    def _any(self, layer: Conv, channels: list[int]) -> None:
        """Run channels as the definition reads."""
        first, n = len(self.tables.numbers), self.program.tensors[layer.output].length
        form = layer.requantizer
        for channel in channels:
            head = [int(self.placed[layer.output].offset[channel]), 0, len(self.tables.wides)]
            if isinstance(form, Thresholds):
                head[1] = 1
                self.tables.wides.extend(int(v) for v in form.values[channel])
                head.append(form.values.shape[1])
            else:
                assert form.low is not None
                assert form.high is not None
                offset = int(form.offset[channel]) - (form.low << form.shift)
                self.tables.wides.extend((offset, form.shift, *(int(m) for m in form.multiplier[:, channel])))
                head.append(form.high - form.low)
            self.tables.numbers.extend(head)
            for group in range(layer.accumulators):
                taps = taps_of(layer, channel, group, self.placed)
                self.tables.numbers.extend((-zero_sum(layer, channel, group, self.placed), len(taps)))
                for row, position, weight in taps:
                    self.tables.numbers.extend((row + position, weight))
        self.tables.sums = max(self.tables.sums, layer.accumulators * n)
        self.tables.add_step(
            Kind.ANY, n=n, channels=len(channels), first=first, stride=layer.stride, groups=layer.accumulators
        )

    def _max16(self, layer: Conv, number: int) -> bool:
        """Fuse a layer with the global max pool after it: only the largest sum of a row is requantized."""
        program = self.program
        after = program.layers[number + 1] if number + 1 < len(program.layers) else None
        readers = [x for x in program.layers if layer.output in (x.sources if isinstance(x, Conv) else (x.source,))]
        n = program.tensors[layer.output].length
        fits = isinstance(after, MaxPool) and readers == [after] and after.kernel == n and (n == 64 or n % 128 == 0)
        if not fits or not isinstance(layer.requantizer, Thresholds) or layer.accumulators != 1:
            return False
        assert isinstance(after, MaxPool)
        output = self.placed[after.output]
        channels = self._channels(layer)
        whole = all(self._pairs_fit(layer, c) and np.abs(layer.weights[0][c]).max(initial=0) < 128 for c in channels)
        low, high = layer.acc_low[:, channels], layer.acc_high[:, channels]
        if not whole or not output.vector or low.min(initial=0) < -32768 or high.max(initial=0) > 32767:
            return False
        if not round_numbers(program, layer, output, self.tables, dry=True):
            return False
        self.fused.add(layer.output)
        places = {int(channel): place for place, channel in enumerate(output.channels)}
        channels = self._order(layer, channels)
        pattern, spans = self._entries(layer, channels, 2, 1)
        for place in sorted(range(len(channels)), key=lambda p: spans[p][1]):
            self.tables.add_record(
                first=spans[place][0],
                count=spans[place][1],
                output=places[channels[place]],
                start=-zero_sum(layer, channels[place], 0, self.placed),
            )
        self._step(layer, Kind.MAX16, pattern, len(channels))
        self.tables.sums = max(self.tables.sums, len(output.channels))
        return round_numbers(program, layer, output, self.tables)


_KERNELS = {Kind.CONV16: _Planner._conv16, Kind.WIDE16: _Planner._wide16, Kind.CONV32: _Planner._conv32}


def plan_native(program: Program) -> NativePlan:
    """Plan a program for the native engine.

    Raises:
        UnsupportedOperationError: If a quantizer's range does not contain 0, which the engine's bytes need.
    """
    for layer in program.layers[:-1]:
        if isinstance(layer, Conv) and (layer.affine.floor > 0 or layer.affine.ceiling - layer.affine.floor > 255):
            raise UnsupportedOperationError(
                f"a quantizer that gives only {layer.affine.floor} to {layer.affine.ceiling}",
                where=f"node {layer.name!r}",
                allowed="ranges with 0 in them, of at most 8 bits",
                action="use engine='onnxruntime', or train without a lower clip above 0",
            )
    tables = NativeTables(program.quantizer, program.frame_length, program.classes, program.logit_scale)
    return _Planner(program, tables).run()


__all__ = ["NativePlan", "needed_channels", "plan_native"]
