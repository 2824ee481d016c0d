"""A program as a table a person can read."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from bacalhaunet.deploy.integer.program import LayerSummary, Program

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


def _row(cost: LayerSummary, total: int) -> list[str]:
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
    costs = [layer.summary(program.tensors) for layer in program.layers]
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
