"""Which input channels of a pointwise layer to put side by side, so that its weights need the fewest byte pairs."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Output = TypeVar("Output", bound=Hashable)

_WORTH = 2
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
        if together[a, b] < _WORTH:
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
