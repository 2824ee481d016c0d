"""Builds the program: each quantizer that is met turns the layer pending before it into integers.

While a graph is walked, each of its tensors has a symbolic form: samples, levels and sums of them, a pending layer,
constants. ``Builder`` holds the layers and tensors made so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from bacalhaunet.deploy.integer.layers import Conv, MaxPool, accumulator_range, padded_taps, source_channels
from bacalhaunet.deploy.integer.program import FloatArray, IntArray, Layer, Tensor, needed_channels
from bacalhaunet.deploy.integer.requantizer_search import logits_form, requantizer_for
from bacalhaunet.deploy.integer.requantizers import Affine, Thresholds, WideForm
from bacalhaunet.errors import UnsupportedOperationError


@dataclass(frozen=True)
class InputForm:
    """The real samples, perhaps clipped."""

    length: int
    clip_low: float = -np.inf
    clip_high: float = np.inf
    channels: int = 2


@dataclass(frozen=True)
class LevelsForm:
    """Sum of tensors of the program: real number = sum of their scales times their integers."""

    tensors: tuple[str, ...]
    channels: int
    length: int


@dataclass(frozen=True)
class Pool:
    """A pending max pool."""

    name: str
    kernel: int
    stride: int
    pad: int
    length: int


@dataclass(frozen=True)
class PendingForm:
    """A convolution waiting for its quantizer: y = clip(scale (sum of taps in real units) + offset, low, high), pooled.

    Attributes:
        name: Node the layer is named after.
        sources: Tensors of the program.
        weights: Integer taps (outputs, inputs / groups, kernel), the same for each source.
        scale: (sources, outputs) real value of an integer 1 in each source's sum; of any sign.
        offset: (outputs,).
        low: Lower clip in real units: 0 after a ReLU.
        high: Upper clip.
        pools: Max pools after it; they commute with every function that does not decrease.
        length: Length before the pools.
    """

    name: str
    sources: tuple[str, ...]
    weights: IntArray
    groups: int
    stride: int
    dilation: int
    pad: int
    scale: FloatArray
    offset: FloatArray
    length: int
    low: float = -np.inf
    high: float = np.inf
    pools: tuple[Pool, ...] = ()

    @property
    def pooled_length(self) -> int:
        """Length after the pools."""
        return self.pools[-1].length if self.pools else self.length

    @property
    def channels(self) -> int:
        """Output channels."""
        return len(self.offset)

    @property
    def clipped(self) -> bool:
        """Whether it is no longer affine in the sums."""
        return self.low > -np.inf or self.high < np.inf

    def affine(self, factor: FloatArray | float, shift: FloatArray | float) -> PendingForm:
        """Return ``factor * y + shift`` by channel."""
        return replace(self, scale=self.scale * factor, offset=self.offset * factor + shift)

    def clip(self, low: float, high: float) -> PendingForm:
        """Return the form clipped to [low, high] after what is already there."""
        return replace(self, low=min(max(self.low, low), high), high=max(min(self.high, high), low))


@dataclass(frozen=True)
class WeightsForm:
    """Quantized constants: integers times a scale that is one number or one a row of the first axis."""

    integers: IntArray
    scale: FloatArray

    @property
    def real(self) -> FloatArray:
        """The constants as real numbers."""
        return self.integers * self.scale


@dataclass(frozen=True)
class ShapeForm:
    """Something worked out from shapes only; it can do nothing but give a reshape its target."""


@dataclass(frozen=True)
class FloatForm:
    """Real numbers that have no integer form, and why."""

    node: str
    reason: str
    action: str


Form: TypeAlias = InputForm | LevelsForm | PendingForm | WeightsForm | ShapeForm | FloatForm


_INT32 = 2**31 - 1
_RATIOS = [(p, q) for p in range(1, 9) for q in range(1, 9)]


@dataclass(frozen=True)
class Levels:
    """The integers a quantizer can give: value = level - zero, of scale ``scale``."""

    scale: float
    zero: int
    low: int
    high: int


@dataclass
class Builder:
    """The layers and tensors so far."""

    layers: list[Layer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def add_input(self, channels: int, length: int, levels: Levels) -> LevelsForm:
        """Add the input tensor."""
        low = np.full(channels, levels.low - levels.zero)
        high = np.full(channels, levels.high - levels.zero)
        self.tensors["input"] = Tensor("input", length, levels.scale, low, high, int(low[0]), int(high[0]))
        return LevelsForm(("input",), channels, length)

    def identity(self, form: LevelsForm, name: str) -> PendingForm:
        """Return a sum of tensors as a convolution of one tap of weight 1."""
        channels = form.channels
        return PendingForm(
            name=name,
            sources=form.tensors,
            weights=np.ones((channels, 1, 1), np.int64),
            groups=channels,
            stride=1,
            dilation=1,
            pad=0,
            scale=np.repeat([[self.tensors[source].scale] for source in form.tensors], channels, axis=1),
            offset=np.zeros(channels),
            length=form.length,
        )

    def quantize(self, pending: PendingForm, levels: Levels, output: str) -> LevelsForm:
        """Add the pending layer, and the pools after it, with its quantizer."""
        parts = _Accumulation(pending, self.tensors)
        floor = max(levels.low - levels.zero, _level(pending.low, levels))
        ceiling = min(levels.high - levels.zero, _level(pending.high, levels))
        affine = Affine(
            parts.scale / levels.scale,
            parts.offset / levels.scale,
            min(floor, levels.high - levels.zero),
            max(ceiling, levels.low - levels.zero),
        )
        low, high = parts.range()
        requantizer = requantizer_for(affine, low, high)
        out_low, out_high = requantizer.output_range(low, high)
        last = pending.pools[-1] if pending.pools else None
        name = output if last is None else f"{output}:unpooled"
        self._add_conv(parts, name, affine, requantizer, (low, high))
        bounds = (levels.low - levels.zero, levels.high - levels.zero)
        self.tensors[name] = Tensor(name, pending.length, levels.scale, out_low, out_high, *bounds)
        form = LevelsForm((name,), pending.channels, pending.length)
        for position, pool in enumerate(pending.pools):
            form = self.pool(form, pool, output if pool is last else f"{output}:pool{position}")
        return form

    def pool(self, form: LevelsForm, pool: Pool, output: str) -> LevelsForm:
        """Add a max pool of one tensor."""
        source = self.tensors[form.tensors[0]]
        layer = MaxPool(pool.name, source.name, output, pool.kernel, pool.stride, pool.pad)
        low, high = layer.output_range(self.tensors)
        self.layers.append(layer)
        self.tensors[output] = replace(source, name=output, length=pool.length, low=low, high=high)
        return LevelsForm((output,), form.channels, pool.length)

    def finish(self, pending: PendingForm, output: str) -> float:
        """Add the last layer, whose sums are the logits, and return the scale of the integer logits."""
        parts = _Accumulation(pending, self.tensors, signed=True)
        low, high = parts.range()
        requantizer, scale = logits_form(parts.scale, parts.offset, low, high)
        affine = Affine(parts.scale / scale, parts.offset / scale, -_INT32, _INT32)
        self._add_conv(parts, output, affine, requantizer, (low, high))
        out_low, out_high = requantizer.output_range(low, high)
        self.tensors[output] = Tensor(output, pending.length, scale, out_low, out_high, -_INT32, _INT32)
        self._drop_unread()
        return scale

    def _add_conv(
        self,
        parts: _Accumulation,
        output: str,
        affine: Affine,
        requantizer: Thresholds | WideForm,
        acc: tuple[IntArray, IntArray],
    ) -> None:
        pending = parts.pending
        merged: dict[str, tuple[int, IntArray]] = {}  # a tensor that is added twice is read once, with both weights
        for source, group, weights in zip(pending.sources, parts.group_of, parts.weights, strict=True):
            before = merged.get(source)
            merged[source] = (group, weights if before is None else before[1] + weights)
        self.layers.append(
            Conv(
                name=pending.name,
                sources=tuple(merged),
                group_of=tuple(group for group, _ in merged.values()),
                weights=tuple(weights for _, weights in merged.values()),
                groups=pending.groups,
                stride=pending.stride,
                dilation=pending.dilation,
                pad=pending.pad,
                output=output,
                affine=affine,
                requantizer=requantizer,
                acc_low=acc[0],
                acc_high=acc[1],
                computed=np.ones(pending.channels, np.bool_),
            )
        )

    def _drop_unread(self) -> None:
        """Mark what needs computing: channels that change and that a logit depends on."""
        changing = {layer.output: ~self.tensors[layer.output].constant for layer in self.layers}
        self.layers = [layer.with_computed(changing[layer.output]) for layer in self.layers]
        needed = needed_channels(self.layers, self.tensors)
        self.layers = [layer.with_computed(changing[layer.output] & needed[layer.output]) for layer in self.layers]


def _level(bound: float, levels: Levels) -> int:
    """Return the value a real clip bound is rounded to; a bound at infinity is far outside."""
    if np.isinf(bound):
        return -_INT32 if bound < 0 else _INT32
    return int(np.clip(np.rint(bound / levels.scale), -_INT32, _INT32))


class _Accumulation:
    """The sums of a pending layer: sources with a common scale in one accumulator, signs turned, constants folded."""

    def __init__(self, pending: PendingForm, tensors: dict[str, Tensor], signed: bool = False) -> None:
        self.pending = pending
        self._sources = [tensors[name] for name in pending.sources]
        first = self._sources[0]
        self._padded = padded_taps(
            pending.weights.shape[2], pending.stride, pending.dilation, pending.pad, first.length, pending.length
        )
        self.group_of, multiples, base = _group_scales([tensor.scale for tensor in self._sources])
        sign = np.where((pending.scale[0] < 0) & (not signed), -1, 1)
        turned = pending.weights * sign[:, None, None]
        turned[pending.scale[0] == 0] = 0
        self.weights = [turned * multiple for multiple in multiples]
        # A channel's factor behind its tensor's scale is the same for every source.
        factor = pending.scale[0] * sign / first.scale
        self.scale: FloatArray = np.asarray(base)[:, None] * factor[None]
        if len(base) == 1 and multiples[0] == 1:
            self.scale = (pending.scale[0] * sign)[None]
        self.offset = pending.offset.copy()
        for position, tensor in enumerate(self._sources):
            self._fold(position, tensor)

    def _fold(self, position: int, tensor: Tensor) -> None:
        """Move what constant channels add into the offset, where no padding interrupts them; drop dead ones."""
        weights, group = self.weights[position], self.group_of[position]
        behind = source_channels(weights.shape[0], weights.shape[1], self.pending.groups)
        constant, value = tensor.constant[behind], tensor.low[behind]
        still = constant[:, :, None] & (~self._padded | (value == 0)[:, :, None])
        added = np.where(still, weights * value[:, :, None], 0).sum(axis=(1, 2))
        self.offset = self.offset + self.scale[group] * added
        self.weights[position] = np.where(still, 0, weights)

    def range(self) -> tuple[IntArray, IntArray]:
        """Return the proven accumulator range.

        Raises:
            UnsupportedOperationError: If one is beyond 32 bits.
        """
        low, high = accumulator_range(self.weights, self.group_of, self._sources, self.pending.groups, self._padded)
        worst = max(int(high.max(initial=0)), -int(low.min(initial=0)))
        if worst > _INT32:
            raise UnsupportedOperationError(
                f"an accumulator can reach {worst}, beyond 32 bits",
                where=f"node {self.pending.name!r}",
                allowed=f"sums of at most {_INT32}",
                action="train this layer with fewer bits, or split it",
            )
        return low, high


def _group_scales(scales: Sequence[float]) -> tuple[list[int], list[int], list[float]]:
    """Put scales that are small integer multiples of a common one into one group.

    Returns:
        The group of each source, the integer each source's weights are multiplied by, the scale of each group.
    """
    group_of: list[int] = []
    multiples: list[int] = []
    base: list[float] = []
    for scale in scales:
        for group, common in enumerate(base):
            match = next(((p, q) for p, q in _RATIOS if scale * q == common * p), None)
            if match is not None:
                multiple, divisor = match
                multiples = [m * divisor if g == group else m for g, m in zip(group_of, multiples, strict=True)]
                base[group] = common / divisor
                group_of.append(group)
                multiples.append(multiple)
                break
        else:
            group_of.append(len(base))
            multiples.append(1)
            base.append(scale)
    return group_of, multiples, base
