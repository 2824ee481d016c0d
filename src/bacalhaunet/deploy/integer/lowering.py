"""Lowering: from a QONNX network to its integer program.

    program = lower_file("network.onnx")

The graph is walked once. Each tensor gets a symbolic form (levels, a pending convolution, constants ...); a quantizer
turns what is pending before it into a layer of the program. What has no integer form is carried as such and named
where an integer is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.cost.prepare import quantizers_from_linear
from bacalhaunet.deploy.integer.builder import Builder, FloatForm, Form, InputForm, LevelsForm, PendingForm
from bacalhaunet.deploy.integer.program import InputQuantizer, Program
from bacalhaunet.errors import ModelFileError, UnsupportedOperationError
from bacalhaunet.models.onnx_files import GraphConstants
from bacalhaunet.models.onnx_metadata import class_names, frame_length_in, labels_in

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


class Walk:
    """The state of one walk over a graph.

    Attributes:
        forms: What each tensor is so far.
        constants: Values that do not depend on the input.
        builder: The program so far.
        quantizer: How samples become integers, once the input's quantizer was met.
    """

    def __init__(self, model: ModelProto) -> None:
        self.constants = GraphConstants(model)
        self.builder = Builder()
        self.forms: dict[str, Form] = {}
        self.quantizer: InputQuantizer | None = None

    def form(self, name: str, node: NodeProto) -> Form:
        """Return what an input of a node is; constants of the graph are not forms."""
        if name not in self.forms:
            raise UnsupportedOperationError(
                f"a {node.op_type} of constants stands where the signal is expected", where=label(node)
            )
        return self.forms[name]

    def is_signal(self, name: str) -> bool:
        """Whether a tensor depends on the input or is made by a quantizer."""
        return name in self.forms

    def pending(self, name: str, node: NodeProto) -> PendingForm:
        """Return an input as a pending layer; levels become a convolution by 1.

        Raises:
            UnsupportedOperationError: If it is neither.
        """
        form = self.form(name, node)
        if isinstance(form, PendingForm):
            return form
        return self.builder.identity(self.levels(name, node), label(node))

    def levels(self, name: str, node: NodeProto) -> LevelsForm:
        """Return an input that must be quantized.

        Raises:
            UnsupportedOperationError: If it is not, with the reason and what would mend it.
        """
        form = self.form(name, node)
        if isinstance(form, LevelsForm):
            return form
        if isinstance(form, FloatForm):
            raise UnsupportedOperationError(
                f"{node.op_type} needs integers, but its input is real: {form.reason}",
                where=f"node {label(node)!r}, fed by node {form.node!r}",
                allowed="inputs that a quantizer made",
                action=form.action,
            )
        if isinstance(form, PendingForm):
            raise UnsupportedOperationError(
                f"{node.op_type} needs integers, but no quantizer follows {form.name!r}",
                where=f"node {label(node)!r}",
                allowed="inputs that a quantizer made",
                action=f"train with an activation quantizer (QuantReLU or QuantIdentity) between {form.name!r} and it",
            )
        what = "the unquantized samples" if isinstance(form, InputForm) else "a constant"
        raise UnsupportedOperationError(
            f"{node.op_type} needs integers, but reads {what}",
            where=f"node {label(node)!r}",
            action="train with a quantizer at the network's input",
        )


def label(node: NodeProto) -> str:
    """Return a node's name, or that of its output."""
    return str(node.name or node.output[0])


Handler = Callable[[Walk, "NodeProto"], Form]


def lower_file(path: str | os.PathLike[str]) -> Program:
    """Read a QONNX file and lower it.

    Raises:
        ModelFileError: If the file is damaged or missing.
        UnsupportedOperationError: If the network has no integer form: names the node, the reason and the remedy.
    """
    from bacalhaunet.models.onnx_files import read_onnx

    return lower_model(read_onnx(path), source=str(path))


def lower_model(model: ModelProto, *, source: str = "model") -> Program:
    """Lower a QONNX model of any dialect to its integer program.

    Args:
        model: Standard operators and QONNX quantizers; see docs/compile.md for which.
        source: What to call it in messages.

    Raises:
        ModelFileError: If its input is not one of frames or its output not one of logits.
        UnsupportedOperationError: If the network has no integer form: names the node, the reason and the remedy.
    """
    from bacalhaunet.deploy.integer.handlers import HANDLERS

    model = quantizers_from_linear(model)
    if not any(node.op_type in ("Quant", "IntQuant", "BipolarQuant") for node in model.graph.node):
        raise UnsupportedOperationError(
            "a float network has no integer form: nothing in it is quantized",
            where=source,
            allowed="networks with quantized input, weights and activations; 'bacalhaunet models' shows their bits",
            action="train it with --bits.weight 6, or take another",
        )
    walk = Walk(model)
    name, form = _input(model, source)
    walk.forms[name] = form
    for node in model.graph.node:
        used = [value for value in node.input if value]
        if not any(walk.is_signal(value) for value in used) and node.op_type not in ("Quant", "IntQuant"):
            continue  # constants are worked out when asked for
        handler = HANDLERS.get(node.op_type)
        if handler is None:
            raise UnsupportedOperationError(
                f"the operation {node.op_type} has no integer form",
                where=f"{source}, node {label(node)!r}",
                allowed=", ".join(sorted(HANDLERS)),
                action="build the network from these, with a quantizer after each layer",
            )
        walk.forms[node.output[0]] = handler(walk, node)
    return _finish(walk, model, source)


def _input(model: ModelProto, source: str) -> tuple[str, InputForm]:
    """Find the input of frames, which may have a height of 1."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    sizes = [d.dim_value for d in inputs[0].type.tensor_type.shape.dim] if len(inputs) == 1 else []
    wide = [size for size in sizes[1:] if size != 1]
    if len(wide) != 2:
        raise ModelFileError(
            f"{len(inputs)} inputs, the first of shape {sizes}",
            where=source,
            allowed="one input of frames (batch, 2, length)",
        )
    length = wide[1] or frame_length_in(_entries(model), source)
    return inputs[0].name, InputForm(channels=wide[0] or 2, length=length)


def _entries(model: ModelProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def _finish(walk: Walk, model: ModelProto, source: str) -> Program:
    outputs = [value.name for value in model.graph.output]
    if len(outputs) != 1 or outputs[0] not in walk.forms:
        raise ModelFileError(f"{len(outputs)} outputs", where=source, allowed="one output of logits")
    node = next(node for node in reversed(model.graph.node) if outputs[0] in node.output)
    pending = walk.pending(outputs[0], node)
    if pending.clipped or pending.pools or pending.pooled_length != 1:
        raise UnsupportedOperationError(
            "the network's output is not one sum a class",
            where=f"{source}, node {label(node)!r}",
            allowed="a dense or convolutional layer as the last one, its output (batch, classes)",
        )
    scale, classes = walk.builder.finish(pending, "logits"), pending.channels
    assert walk.quantizer is not None
    return Program(
        quantizer=walk.quantizer,
        input="input",
        layers=tuple(walk.builder.layers),
        tensors=walk.builder.tensors,
        logit_scale=scale,
        labels=labels_in(_entries(model), classes, source) or class_names(classes),
        source=source,
    )


def as_scalar(values: np.ndarray | None, what: str, node: NodeProto) -> float:
    """Return a constant of one element.

    Raises:
        UnsupportedOperationError: If it is not constant or has several values.
    """
    if values is None or np.size(values) != 1:
        found = "computed from the input" if values is None else f"of shape {np.shape(values)}"
        raise UnsupportedOperationError(
            f"the {what} of a {node.op_type} is {found}",
            where=f"node {label(node)!r}",
            allowed="one constant number",
            action="train this quantizer per tensor, with fixed parameters at export",
        )
    return float(np.reshape(values, ())[()])
