"""Which input channels of a pointwise layer to put side by side, so that its weights need the fewest byte pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from itertools import combinations
from typing import TypeVar

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
    left = {output: set(inputs) for output, inputs in inputs_of.items()}
    chosen: dict[Output, list[tuple[int, int]]] = {output: [] for output in inputs_of}
    counts = Counter(pair for inputs in left.values() for pair in combinations(sorted(inputs), 2))
    made: set[tuple[int, int]] = set()
    while counts:
        pair, uses = max(counts.items(), key=lambda item: (item[1], -item[0][0], -item[0][1]))
        if uses < _WORTH:
            break
        made.add(pair)
        for output, inputs in left.items():
            if inputs.issuperset(pair):
                counts.subtract(combinations(sorted(inputs), 2))
                inputs.difference_update(pair)
                counts.update(combinations(sorted(inputs), 2))
                chosen[output].append(pair)
        counts += Counter()  # drops what fell to zero
    _place_leftovers(left, chosen, made)
    return chosen


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
