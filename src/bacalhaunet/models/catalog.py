"""Networks by name: the published ones, each with the figures it was published with, and our own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bacalhaunet.errors import SpecError
from bacalhaunet.models.resolve import unknown_network
from bacalhaunet.models.spec import (
    Block,
    ConvBlock,
    HeadSpec,
    HiddenSpec,
    InputSpec,
    InvertedResidualBlock,
    NetworkSpec,
    SeparableBlock,
)

_REPORT = "BacalhauNet report, ITU AI/ML in 5G challenge 2021 (PS-007)"


@dataclass(frozen=True)
class PaperFigures:
    """What was published for a network.

    Attributes:
        accuracy: Mean over the 24 modulations and 26 SNRs of the test split of RadioML 2018.01A, 0 to 1.
        score: The challenge's inference cost score.
        representation: The number format the two belong to.
        source: Where they are published.
        note: What limits the comparison; empty if nothing does.
    """

    accuracy: float | None
    score: float
    representation: str
    source: str
    note: str = ""


@dataclass(frozen=True)
class CatalogEntry:
    """A network by name.

    Attributes:
        name: The name commands take.
        summary: What it is, in one line.
        spec: The network in float32; ``spec.quantized`` gives the others.
        figures: Published figures; the first belong to ``spec``. Our own networks have none.
    """

    name: str
    summary: str
    spec: NetworkSpec
    figures: tuple[PaperFigures, ...]


def separable_network(
    kernels: tuple[int, ...],
    strides: tuple[int, ...],
    channels: tuple[int, ...],
    classes: int = 24,
    frame_length: int = 1024,
) -> NetworkSpec:
    """Return a float BacalhauNet: one separable block for each kernel, global max pooling, one dense layer.

    Args:
        kernels: Taps of each depthwise convolution.
        strides: Step of each.
        channels: Channels out of each block.
        classes: Number of classes.
        frame_length: Samples of a frame.

    Raises:
        SpecError: If the three have different lengths or a value cannot be built.
    """
    if not len(kernels) == len(strides) == len(channels):
        raise SpecError(
            f"{len(kernels)} kernels, {len(strides)} strides and {len(channels)} channels", allowed="as many of each"
        )
    blocks = tuple(
        SeparableBlock(kernel=k, stride=s, channels=c) for k, s, c in zip(kernels, strides, channels, strict=True)
    )
    return NetworkSpec(blocks=blocks, classes=classes, frame_length=frame_length)


# Kernels, strides, channels, accuracy and float score of figure 4a, from the lowest score up.
_FIGURE_4A = (
    ((21, 9, 17, 13), (2, 1, 2, 1), (24, 24, 30, 36), 0.561, 0.764),
    ((21, 17, 13, 9), (2, 1, 2, 1), (24, 24, 30, 36), 0.566, 0.791),
    ((21, 9, 17, 13), (1, 2, 1, 2), (24, 24, 30, 36), 0.569, 0.976),
    ((21, 17, 13, 9), (1, 2, 1, 2), (24, 24, 30, 36), 0.576, 0.988),
    ((21, 9, 17, 13), (2, 1, 2, 1), (32, 32, 32, 32), 0.574, 1.016),
    ((21, 9, 17, 13), (2, 1, 2, 1), (24, 24, 48, 48), 0.573, 1.099),
    ((21, 17, 13, 9), (2, 1, 2, 1), (24, 24, 48, 48), 0.570, 1.113),
    ((21, 9, 17, 13), (2, 1, 2, 1), (24, 36, 36, 48), 0.570, 1.129),
    ((27, 9, 21, 15), (2, 1, 2, 1), (24, 24, 48, 48), 0.578, 1.137),
    ((21, 17, 13, 9), (2, 1, 2, 1), (24, 36, 36, 48), 0.578, 1.143),
    ((27, 21, 15, 9), (2, 1, 2, 1), (24, 24, 48, 48), 0.583, 1.158),
    ((27, 9, 21, 15), (2, 1, 2, 1), (24, 36, 36, 48), 0.577, 1.171),
    ((33, 25, 17, 9), (2, 1, 2, 1), (24, 24, 48, 48), 0.566, 1.203),
)


def _bacalhaunet() -> CatalogEntry:
    table_3 = (
        ("float32", 0.5909, 1.4155),
        ("8 bits", 0.5906, 0.1461),
        ("7 bits", 0.5835, 0.1002),
        ("6 bits", 0.5867, 0.0781),
        ("5 bits", 0.5589, 0.0562),
    )
    figures = [PaperFigures(a, s, r, f"{_REPORT}, table 3") for r, a, s in table_3]
    figures.append(PaperFigures(0.562410, 0.016211, "6 bits, pruned three times", f"{_REPORT}; challenge result"))
    spec = separable_network((27, 21, 15, 9, 9), (2, 1, 2, 1, 2), (24, 24, 48, 48, 48))
    return CatalogEntry("bacalhaunet", "BacalhauNet, the winner of the 2021 challenge (table 2)", spec, tuple(figures))


def _prototype() -> CatalogEntry:
    spec = separable_network((27, 21, 15, 9), (2, 1, 2, 1), (24, 24, 48, 48))
    figures = (PaperFigures(0.583, 1.158, "float32", f"{_REPORT}, table 1 and figure 4a"),)
    return CatalogEntry("prototype", "the four-block prototype of BacalhauNet (table 1)", spec, figures)


def _first_experiment() -> CatalogEntry:
    figures = (PaperFigures(0.18, 0.03, "float32", f"{_REPORT}, initial experiments", "accuracy after 5 epochs"),)
    spec = separable_network((5,), (2,), (24,))
    return CatalogEntry("first-experiment", "one depthwise separable convolution, kernel 5, stride 2", spec, figures)


def _figure_4a() -> list[CatalogEntry]:
    entries = []
    for number, (kernels, strides, channels, accuracy, score) in enumerate(_FIGURE_4A, start=1):
        shape = "; ".join(",".join(map(str, values)) for values in (kernels, strides, channels))
        entries.append(
            CatalogEntry(
                f"figure4a-{number:02d}",
                f"figure 4a: kernels; strides; channels {shape}",
                separable_network(kernels, strides, channels),
                (PaperFigures(accuracy, score, "float32", f"{_REPORT}, figure 4a"),),
            )
        )
    return entries


def _vgg10() -> CatalogEntry:
    blocks = tuple(ConvBlock(kernel=3, channels=64, pool=2) for _ in range(7))
    hidden = (HiddenSpec(features=128), HiddenSpec(features=128))
    # The baseline has no clipping: its input quantizer saturates at -2 and 2.
    spec = NetworkSpec(blocks=blocks, input=InputSpec(clip=None), head=HeadSpec(pool="flatten", hidden=hidden))
    source = "ITU AI/ML in 5G challenge 2021 (PS-007), 8-bit VGG10 baseline of AMD (Xilinx) Research"
    figures = (PaperFigures(0.5947, 1.0, "8 bits", source),)
    return CatalogEntry("vgg10", "the challenge's baseline: seven convolutions, three dense layers", spec, figures)


# Kernel, expanded, channels, gate, activation, stride: table 2 of "Searching for MobileNetV3".
_MOBILENET = (
    (3, 16, 16, True, "relu", 2),
    (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1),
    (5, 96, 40, True, "hardswish", 2),
    (5, 240, 40, True, "hardswish", 1),
    (5, 240, 40, True, "hardswish", 1),
    (5, 120, 48, True, "hardswish", 1),
    (5, 144, 48, True, "hardswish", 1),
    (5, 288, 96, True, "hardswish", 2),
    (5, 576, 96, True, "hardswish", 1),
    (5, 576, 96, True, "hardswish", 1),
)


def _multiple_of_8(channels: float) -> int:
    """Round as MobileNet's authors do: to a multiple of 8, never down by more than a tenth."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _mobilenet() -> CatalogEntry:
    """MobileNetV3-Small with each k x k kernel made k long, 2 channels in and 24 classes out: score 30.42."""
    blocks: list[Block] = [ConvBlock(kernel=3, channels=16, stride=2, activation="hardswish")]
    for kernel, expanded, channels, gated, activation, stride in _MOBILENET:
        squeezed = _multiple_of_8(expanded / 4) if gated else None
        blocks.append(
            InvertedResidualBlock(
                kernel=kernel,
                expanded=expanded,
                channels=channels,
                stride=stride,
                squeezed=squeezed,
                activation=activation,
            )
        )
    blocks.append(ConvBlock(kernel=1, channels=576, activation="hardswish"))
    head = HeadSpec(pool="average", hidden=(HiddenSpec(features=1024, activation="hardswish"),))
    spec = NetworkSpec(blocks=tuple(blocks), head=head)
    source = f"{_REPORT}, initial experiments"
    figures = (
        PaperFigures(0.613, 30.42, "float32", source),
        PaperFigures(0.602, 7.25, "8 bits", source, "which results stay unquantized is not published"),
    )
    return CatalogEntry("mobilenetv3-small-1d", "MobileNetV3-Small adapted to one dimension", spec, figures)


def _wide() -> CatalogEntry:
    """BacalhauNet with eight filters for each of I and Q, a third more channels and one block more.

    The published network hears I and Q through one filter each; with eight, the same frames teach far more.
    """
    shapes = ((27, 32, 2, 8), (21, 32, 1, 1), (15, 64, 2, 1), (9, 64, 1, 1), (9, 64, 2, 1), (9, 64, 1, 1))
    blocks: list[Block] = [
        SeparableBlock(kernel=kernel, channels=channels, stride=stride, depth_multiplier=filters)
        for kernel, channels, stride, filters in shapes
    ]
    summary = "six separable blocks, eight filters for each of I and Q in the first; ours"
    return CatalogEntry("wide", summary, NetworkSpec(blocks=tuple(blocks), input=InputSpec(clip=(-2.0, 3.0))), ())


def _build() -> Mapping[str, CatalogEntry]:
    published = [_bacalhaunet(), _prototype(), _first_experiment(), *_figure_4a(), _vgg10(), _mobilenet()]
    entries = [*published, _wide()]
    return MappingProxyType({entry.name: entry for entry in entries})


CATALOG: Mapping[str, CatalogEntry] = _build()
"""The published networks by name, in a fixed order, then our own."""


def find_spec(name: str) -> NetworkSpec:
    """Return the float specification of a catalog network.

    Raises:
        SpecError: If no network of the catalog has that name; the message lists all networks and close names.
    """
    if name in CATALOG:
        return CATALOG[name].spec
    raise unknown_network(name)
