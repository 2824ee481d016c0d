"""A program as a table a person can read.

What a program's layers cost: operations, bytes, channels that need no work.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from bacalhaunet.deploy.integer.program import Conv, Program, Thresholds


@dataclass(frozen=True)
class LayerCost:
    """One layer in numbers.

    Attributes:
        name: The ONNX node.
        kind: ``depthwise 27/2`` (kernel / stride), ``pointwise``, ``full 3``, ``dense``, ``sum``, ``max pool``.
        shape: Channels and length of the output.
        taps: Non-zero weights of the channels that are computed.
        macs: Multiplications a frame.
        requantized: Outputs that are rounded a frame.
        computed: Channels computed.
        constant: Channels that never change, dead ones included.
        unread: Other channels that no logit depends on.
        accumulator: Proven range.
        form: Requantization in words.
        levels: Range of the output.
    """

    name: str
    kind: str
    shape: tuple[int, int]
    taps: int
    macs: int
    requantized: int
    computed: int
    constant: int
    unread: int
    accumulator: tuple[int, int]
    form: str
    levels: tuple[int, int]


def describe(program: Program) -> list[LayerCost]:
    """Return the cost of every layer of a program."""
    return [
        _conv(program, layer) if isinstance(layer, Conv) else _pool(program, layer.name, layer.output)
        for layer in program.layers
    ]


def _pool(program: Program, name: str, output: str) -> LayerCost:
    tensor = program.tensors[output]
    constant = int(tensor.constant.sum())
    levels = (int(tensor.low.min()), int(tensor.high.max()))
    shape = (tensor.channels, tensor.length)
    return LayerCost(name, "max pool", shape, 0, 0, 0, tensor.channels - constant, constant, 0, (0, 0), "-", levels)


def _conv(program: Program, layer: Conv) -> LayerCost:
    tensor = program.tensors[layer.output]
    taps = sum(int(np.count_nonzero(weights[layer.computed])) for weights in layer.weights)
    constant, computed = int(tensor.constant.sum()), int(layer.computed.sum())
    used = layer.computed if layer.computed.any() else np.ones_like(layer.computed)
    return LayerCost(
        name=layer.name,
        kind=layer_kind(program, layer),
        shape=(tensor.channels, tensor.length),
        taps=taps,
        macs=taps * tensor.length,
        requantized=computed * tensor.length,
        computed=computed,
        constant=constant,
        unread=tensor.channels - constant - computed,
        accumulator=(int(layer.acc_low[:, used].min()), int(layer.acc_high[:, used].max())),
        form=_form(layer),
        levels=(int(tensor.low.min()), int(tensor.high.max())),
    )


def layer_kind(program: Program, layer: Conv) -> str:
    """Return what sort of layer it is, in words."""
    sums = f" of {len(layer.sources)}" if len(layer.sources) > 1 else ""
    geometry = f" {layer.kernel}" + (f"/{layer.stride}" if layer.stride > 1 else "")
    geometry += f" dilated {layer.dilation}" if layer.dilation > 1 else ""
    source = program.tensors[layer.sources[0]]
    if layer.depthwise and layer.kernel == 1 and layer.stride == 1:
        return f"sum{sums}" if sums else "rescale"
    if layer.depthwise:
        return f"depthwise{geometry}{sums}"
    if program.tensors[layer.output].length == 1 and layer.kernel == source.length:
        return f"dense{sums}"
    return (f"pointwise{sums}" if layer.kernel == 1 and layer.groups == 1 else f"full{geometry}{sums}").strip()


def _form(layer: Conv) -> str:
    form = layer.requantizer
    if not isinstance(form, Thresholds):
        if form.low is None and form.shift == 0:
            return "acc + b"
        terms = " + ".join(f"acc{g or ''} M{g or ''}" for g in range(layer.accumulators))
        return f"({terms} + b) >> {form.shift}"
    used = layer.computed
    shifts = form.linear.shift[used & form.linear.exact]
    if not used.any() or not len(shifts):
        return f"{form.values.shape[1]} thresholds" if used.any() else "-"
    span = f"{shifts.min()}..{shifts.max()}" if shifts.min() < shifts.max() else f"{shifts.min()}"
    wide = int((used & form.linear.exact & ~form.linear.narrow).sum())
    searched = int((used & ~form.linear.exact).sum())
    notes = ([f"{wide} long"] if wide else []) + ([f"{searched} by thresholds"] if searched else [])
    return f"(acc M + b) >> {span}" + (f" ({', '.join(notes)})" if notes else "")


_COLUMNS = (
    ("layer", "left"),
    ("kind", "left"),
    ("output", "right"),
    ("taps", "right"),
    ("MACs", "right"),
    ("share", "right"),
    ("rounded", "right"),
    ("computed", "right"),
    ("const", "right"),
    ("unread", "right"),
    ("accumulator", "right"),
    ("bits", "right"),
    ("requantization", "left"),
    ("levels", "right"),
)


def _row(cost: LayerCost, total: int) -> list[str]:
    low, high = cost.accumulator
    bits = max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    return [
        cost.name,
        cost.kind,
        f"{cost.shape[0]} x {cost.shape[1]}",
        f"{cost.taps:,}",
        f"{cost.macs:,}",
        f"{100 * cost.macs / max(total, 1):.1f} %",
        f"{cost.requantized:,}",
        str(cost.computed),
        str(cost.constant),
        str(cost.unread),
        f"{low:,} .. {high:,}" if cost.macs else "-",
        str(bits) if cost.macs else "-",
        cost.form,
        f"{cost.levels[0]} .. {cost.levels[1]}",
    ]


def show(program: Program, console: Console) -> None:
    """Print every layer's range, form and cost, and the totals."""
    costs = describe(program)
    total = sum(cost.macs for cost in costs)
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for name, justify in _COLUMNS:
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for cost in costs:
        table.add_row(*_row(cost, total))
    quantizer = program.quantizer
    clip = f", clipped to {quantizer.clip_low:g} .. {quantizer.clip_high:g}" if quantizer.clip_high < 1e30 else ""
    console.print(
        f"{program.source}: 2 x {program.frame_length} samples to {program.classes} logits; "
        f"samples are integers {quantizer.low} .. {quantizer.high} of {quantizer.scale:.6g}{clip}",
        highlight=False,
    )
    console.print(table, highlight=False)
    taps, rounded = sum(cost.taps for cost in costs), sum(cost.requantized for cost in costs)
    console.print(
        f"{taps:,} taps, {total:,} multiply-accumulates and {rounded:,} requantizations a frame; "
        f"an integer logit of 1 is {program.logit_scale:.6g}",
        highlight=False,
    )
