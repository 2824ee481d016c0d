"""An ONNX graph brought into the form in which qonnx's cost analysis reads all of it.

qonnx's ``inference_cost`` takes the graph as exporters of 2021 wrote it. Later ones, and other frameworks, leave the
batch free, keep scales in Constant nodes, leave ``kernel_shape`` out or write QuantizeLinear pairs; read as they are,
such graphs fail or are charged at 32 bits. Nothing done here changes what the network computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bacalhaunet.models.onnx_constants import GraphConstants, constants_to_initializers

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

_DEFAULT_LENGTH = 1024
_PARAMETER_OPERATORS = ("Quant", "BipolarQuant", "Trunc")


def prepare(model: ModelProto) -> ModelProto:
    """Return a copy of a model that qonnx can cost: batch 1, constants as initializers, no local functions.

    Args:
        model: A model whose quantizer nodes carry qonnx's domain.
    """
    import onnx
    from onnx import inliner

    prepared = onnx.ModelProto()
    prepared.CopyFrom(inliner.inline_local_functions(model) if len(model.functions) else model)
    _order_opsets(prepared)
    constants_to_initializers(prepared.graph)  # a scale in a Constant node would be read as float
    _copy_through_identities(prepared.graph)
    _fold_quantizer_parameters(prepared)
    _fix_shapes(prepared.graph)
    _state_kernel_shapes(prepared.graph)
    return prepared


def _order_opsets(model: ModelProto) -> None:
    """Put the standard operator set first, where qonnx's constant folding looks for it, and add those not declared."""
    from onnx import helper

    entries = {("" if entry.domain == "ai.onnx" else entry.domain): entry.version for entry in model.opset_import}
    for node in model.graph.node:
        entries.setdefault("" if node.domain == "ai.onnx" else node.domain, 1)
    standard = entries.pop("", 13)
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("", standard))
    model.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in entries.items())


def _copy_through_identities(graph: GraphProto) -> None:
    """Replace each Identity of an initializer by a copy of it, in place.

    Exporters write one for every tensor that equals another, and qonnx folds one node a pass over the whole graph:
    a network of 50 layers would take minutes.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        source = constants.get(node.input[0]) if node.op_type == "Identity" and node.domain in ("", "ai.onnx") else None
        if source is None:
            kept.append(node)
            continue
        copy = graph.initializer.add()
        copy.CopyFrom(source)
        copy.name = node.output[0]
        constants[copy.name] = copy
    del graph.node[:]
    graph.node.extend(kept)


def _fold_quantizer_parameters(model: ModelProto) -> None:
    """Work out scales, zero points and bit widths that the graph computes from constants (Ceil of a bias width)."""
    from onnx import numpy_helper

    constants = GraphConstants(model)
    present = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in _PARAMETER_OPERATORS:
            continue
        for position, name in enumerate(node.input):
            value = constants.value(name) if position and name not in present else None
            if value is not None:
                folded = f"{name}_folded"
                node.input[position] = folded
                if folded not in present:
                    present.add(folded)
                    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), folded))


def _fix_shapes(graph: GraphProto) -> None:
    """Set the batch to 1 and a free length to 1024; forget intermediate shapes, which are inferred again."""
    constants = {tensor.name for tensor in graph.initializer}
    changed = False
    batches: set[int] = set()
    for value in graph.input:
        if value.name in constants:
            continue
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            wanted = 1 if axis == 0 else dimension.dim_value or _DEFAULT_LENGTH
            if dimension.dim_value != wanted:
                batches |= {dimension.dim_value} if axis == 0 else set()
                dimension.dim_value = wanted
                changed = True
    if changed:
        known = _custom_outputs(graph)
        kept = [value for value in graph.value_info if value.name in known]
        for value in [*kept, *graph.output]:
            for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
                if axis == 0 and dimension.dim_value in (0, *batches):
                    dimension.dim_value = 1
        del graph.value_info[:]
        graph.value_info.extend(kept)


def _custom_outputs(graph: GraphProto) -> set[str]:
    """Outputs of operators that shape inference cannot know: the stored shape is all there is."""
    return {
        name
        for node in graph.node
        if node.domain not in ("", "ai.onnx") and not node.domain.startswith("qonnx.")
        for name in node.output
    }


def _state_kernel_shapes(graph: GraphProto) -> None:
    """Write the optional ``kernel_shape`` of convolutions, which qonnx requires, from the weights."""
    from onnx import helper

    shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    shapes |= {
        value.name: [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        for value in graph.value_info
    }
    for node in graph.node:  # in order: a quantizer keeps the shape of its input
        if node.op_type in _PARAMETER_OPERATORS and node.input[0] in shapes:
            shapes[node.output[0]] = shapes[node.input[0]]
        stated = any(attribute.name == "kernel_shape" for attribute in node.attribute)
        if node.op_type == "Conv" and not stated and len(shapes.get(node.input[1], [])) > 2:
            node.attribute.append(helper.make_attribute("kernel_shape", shapes[node.input[1]][2:]))
