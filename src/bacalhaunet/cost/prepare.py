"""An ONNX graph brought into the form in which qonnx's cost analysis reads all of it.

qonnx's ``inference_cost`` takes the graph as exporters of 2021 wrote it. Later ones, and other frameworks, leave the
batch free, keep scales in Constant nodes, leave ``kernel_shape`` out or write QuantizeLinear pairs; read as they are,
such graphs fail or are charged at 32 bits. Nothing done here changes what the network computes.

Constants are folded in one pass, which reaches the same end as qonnx's ``FoldConstants``, since a graph is in
topological order; that one folds one node, infers all shapes anew and starts over: minutes for fifty layers.

qonnx charges a DequantizeLinear at the 8 bits of its byte even where a Clip leaves 6. Its own pass QCDQToQuant makes
Quant nodes of such chains between layers; those of weights, a constant under a Clip, are turned here. Chains that
neither can turn stay and are charged at the bits of their integer type.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.models.onnx_files import GraphConstants, constants_to_initializers
from bacalhaunet.models.onnx_metadata import frame_length_in

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import GraphProto, ModelProto, NodeProto
    from qonnx.core.modelwrapper import ModelWrapper

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
    _fix_shapes(prepared)
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


def _fix_shapes(model: ModelProto) -> None:
    """Set the batch to 1, a free length to that of the metadata; forget inner shapes, which are inferred again."""
    graph = model.graph
    entries = {entry.key: entry.value for entry in model.metadata_props}
    constants = {tensor.name for tensor in graph.initializer}
    changed = False
    batches: set[int] = set()
    for value in graph.input:
        if value.name in constants:
            continue
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            wanted = 1 if axis == 0 else dimension.dim_value or frame_length_in(entries, "the graph")
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


def preprocess(wrapper: ModelWrapper) -> ModelWrapper:
    """Return a graph with shapes and data types inferred and constants folded, as ``inference_cost`` would make it.

    Data types are inferred before folding, so that a folded weight keeps the bits of its quantizer, and after.
    """
    from qonnx.transformation.general import GiveUniqueParameterTensors, RemoveStaticGraphInputs, RemoveUnusedTensors
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    wrapper = wrapper.transform(InferShapes())
    wrapper = wrapper.transform(GiveUniqueParameterTensors())
    wrapper = wrapper.transform(InferDataTypes(allow_scaledint_dtypes=True))
    _fold_constants(wrapper)
    for transformation in (InferShapes(), RemoveUnusedTensors(), RemoveStaticGraphInputs()):
        wrapper = wrapper.transform(transformation)
    return wrapper.transform(InferDataTypes(allow_scaledint_dtypes=True))


def _fold_constants(wrapper: ModelWrapper) -> None:
    """Replace every node without dynamic inputs, and every Shape of a known shape, by its result, in place."""
    from onnx import numpy_helper
    from qonnx.core.onnx_exec import execute_node

    graph = wrapper.graph
    opset = wrapper.model.opset_import[0].version
    constants = {tensor.name for tensor in graph.initializer}
    # Inputs of a Shape node are dynamic; the executor wants a tensor of the right shape for them.
    context: dict[str, Any] = dict(wrapper.make_empty_exec_context())
    context |= {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    folded = []
    for node in graph.node:
        known_shape = node.op_type == "Shape" and wrapper.get_tensor_shape(node.input[0]) is not None
        if not (known_shape or all(name in constants for name in node.input)):
            continue
        for name in node.input:
            wrapper.get_tensor_shape(name, fix_missing_init_shape=True)
        execute_node(node, context, graph, opset_version=opset)
        for name in node.output:
            wrapper.set_initializer(name, context[name])
            constants.add(name)
        folded.append(node)
    for node in folded:
        graph.node.remove(node)


def quantizers_from_linear(model: ModelProto) -> ModelProto:
    """Return the model with QuantizeLinear, Clip, DequantizeLinear chains as Quant nodes; others as they are."""
    if not any(node.op_type == "DequantizeLinear" for node in model.graph.node):
        return model
    model = _weight_quantizers(model)
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.transformation.qcdq_to_qonnx import QCDQToQuant

    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        wrapper = ModelWrapper(model, make_deepcopy=True).transform(InferShapes())
        converted: ModelProto = wrapper.transform(QCDQToQuant()).model
        return converted


def _weight_quantizers(model: ModelProto) -> ModelProto:
    """Return the model with DequantizeLinear(Clip(constant)) as Quant of the dequantized constant."""
    import onnx
    from onnx import helper, numpy_helper

    turned = onnx.ModelProto()
    turned.CopyFrom(model)
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in turned.graph.initializer}
    makers = {node.output[0]: node for node in turned.graph.node if node.op_type == "Clip"}
    for node in turned.graph.node:
        clip = makers.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        parts = [values.get(name) for name in (*clip.input, *node.input[1:])] if clip is not None else []
        if len(parts) != 5 or any(part is None for part in parts):
            continue
        level, low, high, scale, zero = (np.asarray(part) for part in parts)
        if zero.any() or not (low.size == high.size == 1 and low <= 0 < high):
            continue
        scale = _broadcast(scale, level.ndim, node)
        bits = math.ceil(math.log2(int(high) - int(low) + 1))
        constants = {
            "weight": (np.clip(level, low, high) * scale).astype(np.float32),
            "scale": scale.astype(np.float32),
            "zero": np.zeros((), np.float32),
            "bits": np.asarray(bits, np.float32),
        }
        # The name of the layer is in that of the tensor, for the table.
        names = [f"{node.output[0]}.{part}" for part in constants]
        tensors = [numpy_helper.from_array(value, name) for name, value in zip(names, constants.values(), strict=True)]
        turned.graph.initializer.extend(tensors)
        quant = helper.make_node(
            "Quant",
            names,
            list(node.output),
            domain="qonnx.custom_op.general",
            signed=int(low < 0),
            narrow=int(low == -high),
            rounding_mode="ROUND",
        )
        node.CopyFrom(quant)
    if not any(entry.domain == "qonnx.custom_op.general" for entry in turned.opset_import):
        turned.opset_import.append(helper.make_opsetid("qonnx.custom_op.general", 1))
    return turned


def _broadcast(scale: NDArray[Any], dimensions: int, node: NodeProto) -> NDArray[Any]:
    """Return a scale per channel in the shape in which it multiplies the weights."""
    if scale.size == 1:
        return scale.reshape(())
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    return scale.reshape([-1 if position == axis % dimensions else 1 for position in range(dimensions)])
