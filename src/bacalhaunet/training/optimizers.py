"""What takes a step along the gradient: Adam, or Muon for the layers' weights with Adam for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim import Adam, Muon, Optimizer

from bacalhaunet.training.config import OptimizerConfig


class MuonAndAdam(Optimizer):
    """Muon for every weight of two or more dimensions, Adam for biases, normalizations and quantizers' thresholds.

        G <- dL/dW + decay W,  M <- 0.95 M + 0.05 G,
        W <- W - 0.2 lr sqrt(max(rows, columns)) UV^T  with  USV^T = 0.05 G + 0.95 M

    A convolution's weight (outputs, inputs, taps) is the matrix (outputs, inputs x taps). The orthogonal factor makes a
    step change all directions alike, so that the filters of a layer become different from each other early; the factor
    before it gives the step the root mean square of one of Adam's, so that one learning rate suits all shapes.

    Args:
        network: Whose parameters are trained.
        learning_rate: Of Adam.
        matrix_learning_rate: Of Muon.
        weight_decay: L2 penalty added to every gradient, as torch's Adam adds it.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; the step's size is that of
    Liu et al., "Muon is scalable for LLM training", 2025, section 2.2. Both as ``torch.optim.Muon`` computes them.
    """

    def __init__(
        self, network: nn.Module, learning_rate: float, matrix_learning_rate: float, weight_decay: float = 0.0
    ) -> None:
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self._matrices = [parameter for parameter in trained if parameter.dim() >= 2]
        rest = [parameter for parameter in trained if parameter.dim() < 2]
        # torch's Muon takes matrices only: it steps on views, which share their memory with the weights.
        self._views = [nn.Parameter(weight.detach().flatten(1)) for weight in self._matrices]
        groups: list[dict[str, Any]] = []
        self._inner: dict[str, Optimizer] = {}
        if self._matrices:
            # Its own decay is decoupled from the gradient; the report's is a penalty.
            self._inner["muon"] = Muon(
                self._views, matrix_learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
            )
            groups.append({"params": self._matrices, "lr": matrix_learning_rate})
        if rest:
            self._inner["adam"] = Adam(rest, learning_rate, weight_decay=weight_decay)
            groups.append({"params": rest, "lr": learning_rate})
        super().__init__(groups, {"lr": learning_rate})
        self._weight_decay = weight_decay

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; learning rates are those of ``param_groups``, which a schedule changes."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for view, weight in zip(self._views, self._matrices, strict=True):
            view.grad = None
            if weight.grad is not None:
                view.grad = torch.add(weight.grad.reshape(view.shape), view, alpha=self._weight_decay)
        for inner, group in zip(self._inner.values(), self.param_groups, strict=True):
            inner.param_groups[0]["lr"] = group["lr"]
            inner.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rates and what both optimizers remember."""
        return {**super().state_dict(), **{name: inner.state_dict() for name, inner in self._inner.items()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` returned."""
        state = dict(state_dict)
        for name, inner in self._inner.items():
            inner.load_state_dict(state.pop(name))
        super().load_state_dict(state)


def _adam(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    return Adam(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)


def _muon(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    return MuonAndAdam(network, config.learning_rate, config.matrix_learning_rate, config.weight_decay)


OPTIMIZERS: dict[str, Callable[[nn.Module, OptimizerConfig], Optimizer]] = {"adam": _adam, "muon": _muon}
"""What ``optimizer.kind`` may name."""


def configured_optimizer(network: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Return the optimizer that ``config`` describes, for all parameters of ``network``."""
    return OPTIMIZERS[config.kind](network, config)
