"""The cost of one inference as the 2021 ITU challenge counts it, layer by layer."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

BASELINE_BIT_OPS = 807_699_904
"""bit_ops of the challenge's 8-bit VGG10 baseline."""

BASELINE_BIT_MEM = 1_244_936
"""bit_mem of the challenge's 8-bit VGG10 baseline."""

FLOAT_BITS = 32
"""What the metric charges for a tensor that no quantizer made."""


def score(bit_ops: float, bit_mem: float) -> float:
    """Return the challenge's inference cost score.

        score = 1/2 bit_ops / 807699904 + 1/2 bit_mem / 1244936

    1 is the 8-bit VGG10 baseline; lower is better. Source: ITU AI/ML in 5G challenge 2021, PS-007.
    """
    return 0.5 * bit_ops / BASELINE_BIT_OPS + 0.5 * bit_mem / BASELINE_BIT_MEM


@dataclass(frozen=True)
class LayerCost:
    """What one convolution or dense layer costs.

        bit_ops = macs * density * input_bits * weight_bits
        bit_mem = weights * density * weight_bits

    Attributes:
        name: The layer's name.
        kind: ``"depthwise"``, ``"pointwise"``, ``"convolution"`` or ``"dense"``.
        macs: Multiply-accumulates of one frame, zero weights included.
        weights: Number of weights, zeros included.
        nonzero_weights: Number of weights that are not zero after quantization.
        input_bits: Bits of its input; 32 where no quantizer made it.
        weight_bits: Bits of its weights; 32 where no quantizer made them.
    """

    name: str
    kind: str
    macs: int
    weights: int
    nonzero_weights: int
    input_bits: int
    weight_bits: int

    @property
    def density(self) -> float:
        """Share of the weights that are not zero, 0 to 1."""
        return self.nonzero_weights / self.weights if self.weights else 1.0

    @property
    def counted_macs(self) -> int:
        """Multiply-accumulates with a weight that is not zero."""
        # Every weight of a layer is used equally often, so this is a whole number.
        return self.macs * self.nonzero_weights // self.weights if self.weights else self.macs

    @property
    def bit_ops(self) -> int:
        """Bit operations of one frame."""
        return self.counted_macs * self.input_bits * self.weight_bits

    @property
    def bit_mem(self) -> int:
        """Bits of the weights that are not zero."""
        return self.nonzero_weights * self.weight_bits

    @property
    def score(self) -> float:
        """The layer's part of the score."""
        return score(self.bit_ops, self.bit_mem)


@dataclass(frozen=True)
class Finding:
    """A place where bits are wasted.

    Attributes:
        layers: Names of the layers concerned.
        text: What it is, what it costs and what to do, in words.
        bit_ops: Bit operations charged to it.
    """

    layers: tuple[str, ...]
    text: str
    bit_ops: int


@dataclass(frozen=True)
class CostReport:
    """The cost of a network.

    Attributes:
        layers: Its layers in the order they are computed.
        unsupported: Operations the metric does not know and charges nothing for.
        findings: Where bits are wasted.
    """

    layers: tuple[LayerCost, ...]
    unsupported: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def bit_ops(self) -> int:
        """Bit operations of one frame."""
        return sum(layer.bit_ops for layer in self.layers)

    @property
    def bit_mem(self) -> int:
        """Bits of all weights that are not zero."""
        return sum(layer.bit_mem for layer in self.layers)

    @property
    def score(self) -> float:
        """The challenge's score; 1 is the baseline."""
        return score(self.bit_ops, self.bit_mem)

    def share(self, layer: LayerCost) -> float:
        """Return a layer's share of the score, 0 to 1."""
        return layer.score / self.score if self.score else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return what ``bacalhaunet cost --json`` prints."""
        return {
            "bit_ops": self.bit_ops,
            "bit_mem": self.bit_mem,
            "score": self.score,
            "unsupported": list(self.unsupported),
            "layers": [self._layer_dict(layer) for layer in self.layers],
            "findings": [finding.text for finding in self.findings],
        }

    def _layer_dict(self, layer: LayerCost) -> dict[str, Any]:
        return {
            "name": layer.name,
            "kind": layer.kind,
            "macs": layer.macs,
            "counted_macs": layer.counted_macs,
            "density": layer.density,
            "input_bits": layer.input_bits,
            "weight_bits": layer.weight_bits,
            "bit_ops": layer.bit_ops,
            "bit_mem": layer.bit_mem,
            "share": self.share(layer),
        }

    def _repr_html_(self) -> str:
        """Return the layers as a table and the findings below it, as notebooks show the report."""
        heads = ("layer", "kind", "MACs", "density", "input bits", "weight bits", "bit_ops", "bit_mem", "share")
        rows = [
            (
                html.escape(layer.name),
                layer.kind,
                f"{layer.macs:,}",
                f"{100 * layer.density:.1f} %",
                str(layer.input_bits),
                str(layer.weight_bits),
                f"{layer.bit_ops:,}",
                f"{layer.bit_mem:,}",
                f"{100 * self.share(layer):.1f} %",
            )
            for layer in self.layers
        ]
        macs = sum(layer.macs for layer in self.layers)
        rows.append(("all", "", f"{macs:,}", "", "", "", f"{self.bit_ops:,}", f"{self.bit_mem:,}", "100.0 %"))
        notes = [finding.text for finding in self.findings]
        notes += [f"unknown to the metric: {', '.join(self.unsupported)}"] if self.unsupported else []
        return (
            f"<p>score <b>{self.score:.6f}</b> (1 is the 8-bit VGG10 baseline)</p><table><thead><tr>"
            + "".join(f"<th>{head}</th>" for head in heads)
            + "</tr></thead><tbody>"
            + "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
            + "</tbody></table>"
            + ("<ul>" + "".join(f"<li>{html.escape(note)}</li>" for note in notes) + "</ul>" if notes else "")
        )
