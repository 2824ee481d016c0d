"""Masks of a network's weights: small ones become zero and stay zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from bacalhaunet.errors import ConfigError

Masks = Mapping[str, Tensor]
"""For each prunable layer, by module name, a bool tensor of its weight's shape: True where a weight may be non-zero."""


def prunable_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights of all convolutions and dense layers by module name.

    Biases, batch normalization and quantizer scales are not pruned: the score charges nothing for them.
    """
    return {
        name: module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
    }


def masks_above(
    weights: Mapping[str, Tensor], lengths: Mapping[str, Tensor], min_abs_weight: float
) -> dict[str, Tensor]:
    """Mask ``v >= epsilon`` and ``w != 0`` for each layer.

    Args:
        weights: w by layer.
        lengths: v, 0 or more, by layer: ``|w|``, or what ``importance.lengths`` returns.
        min_abs_weight: epsilon of the BacalhauNet report, 0 or more. With 0 the masks are True exactly where weights
            are non-zero now.

    Raises:
        ConfigError: If epsilon is negative or not a number, or would remove every weight of a layer.
    """
    if not min_abs_weight >= 0:
        raise ConfigError(f"min_abs_weight is {min_abs_weight}", allowed="0 or more")
    masks = {}
    for name, length in lengths.items():
        mask = (length >= min_abs_weight) & (weights[name].detach() != 0)
        if not bool(mask.any()):
            raise ConfigError(
                f"min_abs_weight {min_abs_weight} removes every weight of {name}",
                allowed=f"at most {float(length.max()):.4g}, the layer's largest",
                action="prune less, or train longer before pruning",
            )
        masks[name] = mask
    return masks


def magnitude_masks(network: nn.Module, min_abs_weight: float) -> dict[str, Tensor]:
    """Mask ``|w| >= epsilon`` and ``w != 0`` for each prunable weight of any network; see ``masks_above``."""
    weights = prunable_weights(network)
    return masks_above(weights, {name: weight.detach().abs() for name, weight in weights.items()}, min_abs_weight)


def apply_masks(network: nn.Module, masks: Masks) -> None:
    """Set every masked-out weight to zero, in place."""
    weights = prunable_weights(network)
    with torch.no_grad():
        for name, mask in masks.items():
            weights[name].mul_(mask.to(weights[name].device))


def density(network: nn.Module) -> float:
    """Share of prunable weights that are not zero."""
    weights = prunable_weights(network).values()
    return sum(int(w.count_nonzero()) for w in weights) / sum(w.numel() for w in weights)


class KeepZeros(Callback):
    """Give the optimizer the gradients of kept weights only, and set the others back to zero after every step.

    Adam's moments and the penalty's gradient would otherwise bring a pruned weight back; Muon's step, which depends on
    a layer's whole gradient, would follow that of pruned weights too. Place it before callbacks that save weights.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = dict(masks)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prune before the first step."""
        weights = prunable_weights(self._network(pl_module))
        self.masks = {name: mask.to(weights[name].device) for name, mask in self.masks.items()}
        apply_masks(self._network(pl_module), self.masks)

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Take pruned weights' gradients away."""
        weights = prunable_weights(self._network(pl_module))
        for name, mask in self.masks.items():
            gradient = weights[name].grad
            if gradient is not None:
                gradient.mul_(mask.to(gradient.device))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Undo what the step did to pruned weights."""
        apply_masks(self._network(pl_module), self.masks)

    @staticmethod
    def _network(module: LightningModule) -> nn.Module:
        network = module.network
        assert isinstance(network, nn.Module)
        return network
