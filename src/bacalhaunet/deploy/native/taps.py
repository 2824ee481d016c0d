"""The taps of output channels as entries of the kernels: an offset in the arena and two or four packed weights.

Entries read bytes that lie side by side: neighbours of a row, or rows that were interleaved for the purpose. Which
input channels of a pointwise layer are interleaved is chosen so that its weights need the fewest pairs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.integer.layers import Conv, source_channels
from bacalhaunet.deploy.integer.program import Program
from bacalhaunet.deploy.native.layout import Arena, Kind, NativeTables, Pattern, Rows, pack_pair, pack_quad, round_up

Output = TypeVar("Output", bound=Hashable)

_LEAST_USERS = 2
"""Outputs a pair must serve to pay for interleaving its rows."""


def choose_pairs(inputs_of: Mapping[Output, list[int]]) -> dict[Output, list[tuple[int, int]]]:
    """Cover the inputs of every output with pairs shared between outputs.

    Takes, again and again, the pair that most outputs can use; what is left over joins a pair already made, or
    another channel left over.

    Args:
        inputs_of: For each output the channels it reads.

    Returns:
        For each output its pairs (a, b); an output may not use both. Every input is in exactly one of its pairs
        first; a repeated use is up to the caller, who gives the weight 0 to what the output does not read there.
    """
    outputs, inputs = list(inputs_of), sorted({one for listed in inputs_of.values() for one in listed})
    place = {one: number for number, one in enumerate(inputs)}
    reads = np.zeros((len(outputs), len(inputs)), np.int64)
    for row, output in zip(reads, outputs, strict=True):
        row[[place[one] for one in inputs_of[output]]] = 1
    chosen: dict[Output, list[tuple[int, int]]] = {output: [] for output in outputs}
    made: set[tuple[int, int]] = set()
    for (a, b), users in _best_pairs(reads):
        pair = inputs[a], inputs[b]
        made.add(pair)
        for user in users:
            chosen[outputs[user]].append(pair)
    left = {output: {inputs[n] for n in np.flatnonzero(row)} for output, row in zip(outputs, reads, strict=True)}
    _place_leftovers(left, chosen, made)
    return chosen


def _best_pairs(reads: NDArray[np.int64]) -> Iterator[tuple[tuple[int, int], NDArray[np.int64]]]:
    """Give the pair that most outputs read both inputs of, and these outputs; then set it to 0 in them, and again.

    Args:
        reads: 1 where an output (row) reads an input (column); what is left at the end is in no pair.
    """
    together = np.triu(reads.T @ reads, 1)  # how many outputs read both
    while together.size:
        a, b = (int(place) for place in np.unravel_index(together.argmax(), together.shape))
        if together[a, b] < _LEAST_USERS:
            return
        users = np.flatnonzero(reads[:, a] & reads[:, b])
        for one in (a, b):
            gone = reads[users].sum(axis=0)
            together[one, one + 1 :] -= gone[one + 1 :]
            together[:one, one] -= gone[:one]
            reads[users, one] = 0
        yield (a, b), users


def _place_leftovers(
    left: dict[Output, set[int]], chosen: dict[Output, list[tuple[int, int]]], made: set[tuple[int, int]]
) -> None:
    for output, inputs in left.items():
        rest = sorted(inputs)
        while rest:
            first = rest.pop(0)
            partner = next((b for b in rest if (first, b) in made), None)
            if partner is not None:
                rest.remove(partner)
                chosen[output].append((first, partner))
                continue
            host = next((pair for pair in sorted(made) if first in pair), None)
            if host is None:
                host = (first, rest.pop(0)) if rest else (first, first)
                made.add(host)
            chosen[output].append(host)


Tap = tuple[int, int, int]
"""Row of the source (offset of its first value), position relative to the output, weight."""
Key = tuple[int, int]
"""An output channel and which of its sums."""


Place = tuple[tuple[int, ...], int]
"""Rows that are put together, and a position in them."""
_DIRECT = {(2, 1): Pattern.PAIR_1, (2, 2): Pattern.PAIR_2, (4, 1): Pattern.QUAD_1, (4, 2): Pattern.QUAD_2,
           (4, 4): Pattern.QUAD_4}  # fmt: skip
"""The pattern of rows read as they lie, by bytes of an entry and stride."""


def taps_of(layer: Conv, channel: int, group: int, placed: dict[str, Rows]) -> list[Tap]:
    """Return the taps of one output channel that go into one sum."""
    taps: list[Tap] = []
    for name, belongs, weights in zip(layer.sources, layer.group_of, layer.weights, strict=True):
        if belongs != group:
            continue
        behind = source_channels(weights.shape[0], weights.shape[1], layer.groups)[channel]
        for inner, tap in zip(*np.nonzero(weights[channel]), strict=True):
            row = int(placed[name].offset[behind[inner]])
            taps.append((row, layer.dilation * int(tap) - layer.pad, int(weights[channel, inner, tap])))
    return taps


def zero_sum(layer: Conv, channel: int, group: int, placed: dict[str, Rows]) -> int:
    """Return what the zero bytes of the sources add to a sum."""
    return sum(
        placed[name].zero * int(weights[channel].sum())
        for name, belongs, weights in zip(layer.sources, layer.group_of, layer.weights, strict=True)
        if belongs == group
    )


def largest_byte(program: Program, placed: dict[str, Rows], name: str) -> int:
    """Return the largest byte of a tensor, at least 1."""
    return max(1, program.tensors[name].format_high + placed[name].zero)


def largest_factor(program: Program, placed: dict[str, Rows], layer: Conv, channel: int) -> int:
    """Return the largest factor of a channel's weights with which no two products leave 16 bits; 0 if none."""
    factor = 127
    products: dict[int, list[int]] = defaultdict(list)  # of each sum: rows of all its sources may be put together
    for name, group, weights in zip(layer.sources, layer.group_of, layer.weights, strict=True):
        heaviest = np.sort(np.abs(weights[channel]).ravel())[-2:].tolist()
        products[group] += [largest_byte(program, placed, name) * weight for weight in heaviest]
        factor = min(factor, 127 // max(heaviest[-1], 1))
    return min(factor, *(32767 // max(sum(sorted(found)[-2:]), 1) for found in products.values()))


def split_taps(taps: list[Tap], largest: int, start: int) -> int | None:
    """Return how many taps to sum first so that neither they, begun with ``start``, nor the others leave 16 bits.

    Args:
        taps: All of them, of bytes up to ``largest``.
        largest: Bytes are 0 to this.
        start: What the first sum begins with.
    """

    def fits(part: list[Tap], begin: int) -> bool:
        low = begin + largest * sum(min(weight, 0) for _, _, weight in part)
        high = begin + largest * sum(max(weight, 0) for _, _, weight in part)
        return low >= -32768 and high <= 32767

    middle = len(taps) // 2
    for place in sorted(range(len(taps) + 1), key=lambda place: abs(place - middle)):
        if fits(taps[:place], start) and fits(taps[place:], 0):
            return place
    return None


@dataclass
class EntryMaker:
    """Turns taps into entries for one layer, preparing planes where the tensors' own rows do not serve.

    Attributes:
        quad: Bytes of an entry: 2 or 4.
        fours: Whether the kernels sum four bytes as fast as two.
        rows: With ``fours``, the row of each channel of the source, -1 if it is not stored.
        pattern: How the kernel is to read them; set by ``plan``.
    """

    program: Program
    layer: Conv
    tables: NativeTables
    arena: Arena
    quad: int
    pattern: Pattern = Pattern.LOCAL
    fours: bool = False
    rows: list[int] = field(default_factory=list)
    _planes: dict[tuple[int, ...], int] = field(default_factory=dict)

    @property
    def _n(self) -> int:
        return self.program.tensors[self.layer.output].length

    def plan(self, taps: dict[Key, list[Tap]]) -> dict[Key, list[tuple[int, int]]]:
        """Return the entries of each sum, and add the instructions that prepare planes for them."""
        self.arena.begin_planes()
        stride = self.layer.stride
        direct = _DIRECT.get((self.quad, stride))
        if self.layer.depthwise and direct is not None:
            self.pattern = direct
            return self._in_place(taps)
        if self.layer.kernel == 1 and stride == 1 and self.layer.pad == 0 and self.quad == 2:
            chosen = choose_pairs({key: sorted({row for row, _, _ in rows}) for key, rows in taps.items()})
            blocks = self._fours(taps, chosen) if self.fours else None
            self.pattern = Pattern.LOCAL if blocks is None else Pattern.LOCAL_4
            return self._pointwise(taps, chosen) if blocks is None else self._blocks(taps, blocks)
        if direct is not None:
            self.pattern = direct
            windows = self._in_place(taps)
            if self._summed(windows) <= sum(map(len, self._by_blocks(taps).values())):
                return windows  # as with filters that read few inputs each
        self.pattern = Pattern.PAIR_2 if self.quad == 2 else Pattern.QUAD_4
        return self._gathered(taps)

    def _in_place(self, taps: dict[Key, list[Tap]]) -> dict[Key, list[tuple[int, int]]]:
        """Neighbouring bytes of the tensors' own rows."""
        windows = self._neighbours if self.pattern is Pattern.PAIR_1 else self._windows
        return {key: windows(rows) for key, rows in taps.items()}

    def _summed(self, entries: dict[Key, list[tuple[int, int]]]) -> int:
        """Return how many sums a vector of outputs takes: neighbours have two entries for each."""
        return sum(map(len, entries.values())) // (2 if self.pattern is Pattern.PAIR_1 else 1)

    def _pack(self, weights: list[int]) -> int:
        padded = weights + [0] * (self.quad - len(weights))
        return pack_pair(*padded) if self.quad == 2 else pack_quad(*padded)

    def _neighbours(self, taps: list[Tap]) -> list[tuple[int, int]]:
        """Two entries a load: bytes (k, k + 1) are taps k, k + 1 of even outputs and k - 1, k of odd ones.

        A tap t is done for the even outputs by the load at t or t - 1, for the odd ones by that at t or t + 1.
        """
        by_row: dict[int, dict[int, int]] = defaultdict(dict)
        for row, position, weight in taps:
            by_row[row][position] = weight
        entries: list[tuple[int, int]] = []
        for row, weights in by_row.items():
            even, odd = dict(weights), dict(weights)
            while even or odd:
                load = min([*even, *(t + (t - 1 not in odd and t not in even) for t in odd)])
                first = self._pack([even.pop(load, 0), even.pop(load + 1, 0)])
                second = self._pack([odd.pop(load - 1, 0), odd.pop(load, 0)])
                entries.extend(((row + load, first), (row + load, second)))
        return entries

    def _windows(self, taps: list[Tap]) -> list[tuple[int, int]]:
        """Neighbouring taps of a row share an entry."""
        by_row: dict[int, dict[int, int]] = defaultdict(dict)
        for row, position, weight in taps:
            by_row[row][position] = weight
        entries = []
        for row, weights in by_row.items():
            waiting = sorted(weights)
            while waiting:
                first = waiting[0]
                window = [weights.get(first + n, 0) for n in range(self.quad)]
                waiting = [position for position in waiting if position >= first + self.quad]
                entries.append((row + first, self._pack(window)))
        return entries

    def _fours(
        self, taps: dict[Key, list[Tap]], chosen: dict[Key, list[tuple[int, int]]]
    ) -> dict[int, tuple[int, ...]] | None:
        """Return the four rows that each row is put with, if that takes fewer operations than pairs.

        Operations of 32 outputs: 2 an entry either way, 1 more to pack a sum of fours; 1 a pair made, 4 a four.
        """
        if len(self.layer.sources) > 1:
            return None
        rows = self.rows
        fours = [tuple(row for row in rows[n : n + 4] if row >= 0) for n in range(0, len(rows), 4)]
        block_of = {row: four for four in fours for row in four}
        pairs = len({pair for made in chosen.values() for pair in made}) + 2 * sum(map(len, chosen.values()))
        used = {key: {block_of[row] for row, _, _ in listed} for key, listed in taps.items()}
        made = len({four for four_set in used.values() for four in four_set})
        return block_of if 4 * made + sum(2 * len(f) + 1 for f in used.values()) < pairs else None

    def _blocks(
        self, taps: dict[Key, list[Tap]], block_of: dict[int, tuple[int, ...]]
    ) -> dict[Key, list[tuple[int, int]]]:
        """Rows interleaved four by four, in the kernels' own order."""
        used = sorted({block_of[row] for listed in taps.values() for row, _, _ in listed})
        first = len(self.tables.numbers)
        for four in used:
            self._planes[four] = self.arena.take_plane(4 * round_up(self._n))
            self.tables.numbers.extend((*four, *[four[0]] * (4 - len(four)), self._planes[four]))
        if used:
            pattern = int(Pattern.LOCAL_4)
            self.tables.add_instruction(Kind.PAIRS, n=self._n, channels=len(used), first=first, pattern=pattern)
        entries: dict[Key, list[tuple[int, int]]] = {}
        for key, listed in taps.items():
            weights: dict[tuple[int, ...], list[int]] = defaultdict(lambda: [0] * 4)
            for row, _, weight in listed:
                weights[block_of[row]][block_of[row].index(row)] += weight
            entries[key] = [(self._planes[four], pack_quad(*w)) for four, w in sorted(weights.items())]
        return entries

    def _pointwise(
        self, taps: dict[Key, list[Tap]], chosen: dict[Key, list[tuple[int, int]]]
    ) -> dict[Key, list[tuple[int, int]]]:
        """Rows interleaved two by two, in the kernels' own order."""
        used = sorted({pair for pairs in chosen.values() for pair in pairs})
        size = 2 * round_up(self._n)
        first = len(self.tables.numbers)
        for pair in used:
            self._planes[pair] = self.arena.take_plane(size)
            self.tables.numbers.extend((*pair, self._planes[pair]))
        if used:
            self.tables.add_instruction(Kind.PAIRS, n=self._n, channels=len(used), first=first)
        return {key: self._of_pairs(rows, chosen[key]) for key, rows in taps.items()}

    def _of_pairs(self, taps: list[Tap], pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        left: dict[int, int] = defaultdict(int)
        for row, _, weight in taps:
            left[row] += weight
        entries = []
        for a, b in pairs:
            first = left.pop(a, 0)
            second = left.pop(b, 0) if b != a else 0
            entries.append((self._planes[a, b], self._pack([first, second])))
        return entries

    def _gathered(self, taps: dict[Key, list[Tap]]) -> dict[Key, list[tuple[int, int]]]:
        """Planes of one output after the other, whatever the stride: by rows that belong together and by phase."""
        grouped = self._by_blocks(taps)
        places = {(block, position) for entries in grouped.values() for block, position in entries}
        self._gather(places)
        return {
            key: [(self._plane_offset(block, position), self._pack(weights))
                  for (block, position), weights in sorted(entries.items())]
            for key, entries in grouped.items()
        }  # fmt: skip

    def _by_blocks(self, taps: dict[Key, list[Tap]]) -> dict[Key, dict[Place, list[int]]]:
        """Return the weights of each sum by the rows put together and the position that they are read at."""
        rows = sorted({row for listed in taps.values() for row, _, _ in listed})
        if self.layer.depthwise:
            mates: dict[int, tuple[tuple[int, ...], int]] = {row: ((row,), 0) for row in rows}
        else:
            blocks = [tuple(rows[n : n + self.quad]) for n in range(0, len(rows), self.quad)]
            mates = {row: (block, place) for block in blocks for place, row in enumerate(block)}
        grouped: dict[Key, dict[Place, list[int]]] = {}
        for key, listed in taps.items():
            grouped[key] = defaultdict(lambda: [0] * self.quad)
            for row, position, weight in listed:
                block, place = mates[row]
                grouped[key][block, position][place] += weight
        return grouped

    def _plane_offset(self, block: tuple[int, ...], position: int) -> int:
        whole, phase = divmod(position, self.layer.stride)
        return self._planes[(*block, -1, phase)] + self.quad * whole

    def _gather(self, needed: set[Place]) -> None:
        """Add the instruction that fills a plane for each block and phase."""
        stride, spans = self.layer.stride, defaultdict(list)
        for block, position in needed:
            whole, phase = divmod(position, stride)
            spans[block, phase].append(whole)
        for (block, phase), wholes in sorted(spans.items()):
            low, count = min(wholes), self._n + max(wholes) - min(wholes)
            plane = self.arena.take_plane(self.quad * count + round_up(1))
            self._planes[(*block, -1, phase)] = plane - self.quad * low
            sources = [row + stride * low + phase for row in block]
            sources += [sources[0]] * (self.quad - len(sources))
            first = len(self.tables.numbers)
            self.tables.numbers.extend((plane, *sources))
            self.tables.add_instruction(Kind.GATHER, n=count, channels=1, first=first, stride=stride, extra=self.quad)
