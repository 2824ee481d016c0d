"""Network slimming: structured pruning that removes whole channels by the size of their BatchNorm scales.

Source: Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.network import Network, Separable, build_network
from bacalhaunet.models.spec import NetworkSpec, SeparableBlock
from bacalhaunet.training.task import Loss, cross_entropy


def scale_penalty(network: nn.Module, factor: float) -> Loss:
    """Return the loss ``cross_entropy + factor * sum |gamma|`` over all BatchNorm scales gamma of ``network``.

    Raises:
        ConfigError: If the factor is negative or not a number.
    """
    if not 0 <= factor < float("inf"):
        raise ConfigError(f"the penalty on BatchNorm scales is {factor}", allowed="0 or more")
    scales = [module.weight for module in network.modules() if isinstance(module, nn.BatchNorm1d)]

    def loss(logits: Tensor, batch: object) -> Tensor:
        total: Tensor = cross_entropy(logits, batch) + factor * torch.stack([s.abs().sum() for s in scales]).sum()  # type: ignore[arg-type]
        return total

    return loss


@dataclass(frozen=True)
class Stream:
    """Channels that must be removed together: what some blocks write and the next ones read.

    Attributes:
        writers: Numbers of the blocks that write it: one, and those that add to it.
        scales: Largest ``|gamma|`` of each channel over the writers.
    """

    writers: tuple[int, ...]
    scales: Tensor


def streams(spec: NetworkSpec, network: nn.Module) -> tuple[Stream, ...]:
    """Return the streams of a network of separable blocks in order, the two input channels left out.

    Raises:
        ConfigError: If the network has other blocks, several depthwise outputs a channel, or no pooling over time.
    """
    for block in spec.blocks:
        if not isinstance(block, SeparableBlock) or block.depth_multiplier != 1:
            raise ConfigError("slimming removes channels of separable blocks with one depthwise output a channel")
    if spec.head.pool == "flatten" or spec.head.hidden:
        raise ConfigError("slimming needs a head of pooling over time and one dense layer")
    groups: list[list[int]] = []
    for number, (block, stream) in enumerate(zip(spec.blocks, spec.streams(), strict=False)):
        assert isinstance(block, SeparableBlock)
        if number and block.has_sum(stream):
            groups[-1].append(number)
        elif block.has_sum(stream):
            raise ConfigError("the first block adds the input, whose channels cannot be removed")
        else:
            groups.append([number])
    blocks = _blocks(network)
    return tuple(
        Stream(tuple(group), torch.stack([blocks[n].pointwise_norm.weight.detach().abs() for n in group]).amax(0))
        for group in groups
    )


def kept_channels(found: tuple[Stream, ...], share: float) -> tuple[Tensor, ...]:
    """Choose the channels that stay: all but a share of them, those of the smallest scales over all streams.

    The largest of each stream stays in any case.

    Args:
        found: The streams.
        share: Share of channels to remove, from 0 up to but not including 1.

    Returns:
        For each stream the numbers of the channels that stay, ascending, int64.

    Raises:
        ConfigError: If the share is not allowed.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"the share of channels to remove is {share}", allowed="0 or more, less than 1")
    ordered = torch.cat([stream.scales for stream in found]).sort().values
    removed = int(share * len(ordered))
    threshold = float(ordered[removed - 1]) if removed else -1.0
    kept = []
    for stream in found:
        stays = stream.scales > threshold
        stays[stream.scales.argmax()] = True
        kept.append(stays.nonzero().flatten())
    return tuple(kept)


def remove_channels(spec: NetworkSpec, network: nn.Module, share: float) -> tuple[NetworkSpec, Network]:
    """Return a narrower network without the share of channels that have the smallest BatchNorm scales.

    A channel with a scale near 0 has nearly the same value everywhere, ``v = relu(beta)``. What it gave later layers
    is moved into their BatchNorm means and biases: the outputs stay the same if the scale is 0, no quantizer rounds
    v, and no convolution's padding meets it, which a v of 0 ensures.

    Args:
        spec: The network's specification: separable blocks, pooling over time, one dense layer.
        network: The network; it is not changed.
        share: Share of channels to remove, from 0 up to but not including 1.

    Raises:
        ConfigError: If the network is of another kind or the share is not allowed.
    """
    found = streams(spec, network)
    kept = kept_channels(found, share)
    outputs = {number: kept[index] for index, stream in enumerate(found) for number in stream.writers}
    inputs = {
        number: outputs[number - 1] if number else torch.arange(spec.input.channels)
        for number in range(len(spec.blocks))
    }
    blocks = tuple(
        replace(block, channels=len(outputs[number]))  # type: ignore[call-arg]
        for number, block in enumerate(spec.blocks)
    )
    narrow = replace(spec, blocks=blocks)
    with torch.random.fork_rng(devices=[]):
        slim = build_network(narrow)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    _move_constants(network, found, inputs, outputs, state)
    for number in range(len(blocks)):
        _narrow_block(state, f"blocks.{number}", inputs[number], outputs[number])
    state["head.dense.weight"] = state["head.dense.weight"][:, outputs[len(blocks) - 1]]
    slim.load_state_dict(state)
    return narrow, slim


def _blocks(network: nn.Module) -> list[Separable]:
    return [module for module in network.modules() if isinstance(module, Separable)]


def _narrow_block(state: dict[str, Tensor], name: str, inputs: Tensor, outputs: Tensor) -> None:
    """Take the kept rows and columns of a block's weights and normalizations."""
    state[f"{name}.depthwise.weight"] = state[f"{name}.depthwise.weight"][inputs]
    state[f"{name}.pointwise.weight"] = state[f"{name}.pointwise.weight"][outputs][:, inputs]
    for norm, chosen in (("depthwise_norm", inputs), ("pointwise_norm", outputs)):
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.{norm}.{part}"] = state[f"{name}.{norm}.{part}"][chosen]


def _move_constants(
    network: nn.Module,
    found: tuple[Stream, ...],
    inputs: dict[int, Tensor],
    outputs: dict[int, Tensor],
    state: dict[str, Tensor],
) -> None:
    """Move what removed channels give into the means of later normalizations and the last bias."""
    blocks = _blocks(network)
    value = torch.zeros(blocks[0].depthwise.in_channels)  # each channel's constant in the stream a block reads
    with torch.no_grad():
        for number, block in enumerate(blocks):
            norm = block.depthwise_norm
            filtered = value * block.depthwise.weight.sum(dim=(1, 2))
            assert norm.running_mean is not None
            assert norm.running_var is not None
            spread = torch.sqrt(norm.running_var + norm.eps)
            between = torch.relu((filtered - norm.running_mean) / spread * norm.weight + norm.bias)
            between[inputs[number]] = 0
            state[f"blocks.{number}.pointwise_norm.running_mean"] -= block.pointwise.weight[:, :, 0] @ between
            written = torch.relu(block.pointwise_norm.bias.clone())
            value = value + written if block.has_sum else written
            value[outputs[number]] = 0
        state["head.dense.bias"] += state["head.dense.weight"] @ value
