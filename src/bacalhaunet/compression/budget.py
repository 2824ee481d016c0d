"""Which weights a network may keep at a given score: importance against what each weight costs."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bacalhaunet.compression.config import Pattern
from bacalhaunet.cost.analytic import nonzero_weights, spec_cost
from bacalhaunet.cost.report import CostReport, score
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.block import LayerInfo
from bacalhaunet.models.spec import NetworkSpec


def network_cost(network: nn.Module, spec: NetworkSpec) -> CostReport:
    """Return the cost of a network in memory, its zeros discounted."""
    return spec_cost(spec, nonzero_weights(network, spec))


def marginal_scores(spec: NetworkSpec) -> dict[str, float]:
    """Return what one weight that is not zero adds to the score, by layer.

        1/2 length_out * input_bits * weight_bits / 807699904 + 1/2 weight_bits / 1244936

    In BacalhauNet at 6 bits a weight of the first layer costs 7.2 times as much as one of the last: 680 times the bit
    operations, and the same memory.
    """
    return {
        layer.name: score(layer.length_out * layer.input_bits * layer.weight_bits, layer.weight_bits)
        for layer in spec.layers()
    }


def charged_score(spec: NetworkSpec, masks: Mapping[str, Tensor]) -> float:
    """Return the score if every weight that a mask allows is not zero: an upper bound.

    Args:
        spec: The network.
        masks: By layer, True where a weight may be non-zero.
    """
    return sum(price * int(masks[name].sum()) for name, price in marginal_scores(spec).items())


def least_score(spec: NetworkSpec, pattern: Pattern = "single") -> float:
    """Return the score with the smallest group of each layer alone; no pruning goes below it."""
    members = groups(spec, pattern)
    return sum(int(members[n].flatten().bincount().min()) * price for n, price in marginal_scores(spec).items())


def groups(spec: NetworkSpec, pattern: Pattern) -> dict[str, Tensor]:
    """Return the number of the group that each weight is kept or cut with, by layer, int64 of the weight's shape."""
    return {layer.name: _layer_groups(_shape(layer), layer.kind, pattern) for layer in spec.layers()}


def masks_for_score(
    spec: NetworkSpec,
    importance: Mapping[str, Tensor],
    target: float,
    *,
    pattern: Pattern = "single",
    score_aware: bool = True,
    kept: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Keep the weights with the most importance for their part of the score, as many as the target allows.

    Groups are taken in order of ``sum of importance / sum of marginal scores``; the first of each layer in any case,
    so that none is cut through.

    Args:
        spec: The network.
        importance: By layer, how much is lost without a weight, 0 or more, in one unit for all layers.
        target: The score that must not be exceeded, whatever the kept weights become.
        pattern: What is cut together.
        score_aware: Whether importance is divided by what a weight costs.
        kept: By layer, True where weights come before all others; whole groups.

    Returns:
        By layer, True where a weight may be non-zero.

    Raises:
        ConfigError: If one group a layer costs more than the target.
    """
    prices, members = marginal_scores(spec), groups(spec, pattern)
    ranks, costs, spans, start = [], [], {}, 0
    for name, price in prices.items():
        size = torch.bincount(members[name].flatten()).double()
        total = torch.zeros_like(size).index_add_(0, members[name].flatten(), importance[name].flatten().double())
        rank = total / size / (price if score_aware else 1.0)
        if kept is not None:
            rank[members[name][kept[name]]] = float("inf")
        rank[rank.argmax()] = float("inf")
        ranks.append(rank)
        costs.append(size * price)
        spans[name] = slice(start, start + len(size))
        start += len(size)
    order = torch.cat(ranks).argsort(descending=True, stable=True)
    spent = torch.cat(costs)[order].cumsum(0)
    least = float(spent[int(torch.cat(ranks).isinf().sum()) - 1])
    if least > target * (1 + 1e-12):
        raise ConfigError(f"the target score is {target:.6g}", allowed=f"{least:.6g} or more: something of each layer")
    chosen = torch.zeros(start, dtype=torch.bool)
    chosen[order[spent <= target * (1 + 1e-12)]] = True
    return {name: chosen[span][members[name]] for name, span in spans.items()}


def _shape(layer: LayerInfo) -> tuple[int, ...]:
    inputs = layer.in_channels // layer.groups
    return (layer.out_channels, inputs) if layer.kind == "dense" else (layer.out_channels, inputs, layer.kernel)


def _layer_groups(shape: tuple[int, ...], kind: str, pattern: Pattern) -> Tensor:
    outputs, inputs = shape[:2]
    if kind != "pointwise" or pattern == "single":
        return torch.arange(math.prod(shape)).reshape(shape)
    if pattern == "channels":
        return torch.arange(inputs).repeat(outputs).reshape(shape)
    pairs = (inputs + 1) // 2
    return (torch.arange(outputs)[:, None] * pairs + torch.arange(inputs) // 2).reshape(shape)
