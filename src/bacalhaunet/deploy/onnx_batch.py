"""A free batch dimension for graphs that were exported with a fixed one, and a fixed one for graphs with a free one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto


def _free_reshape(tensor: TensorProto) -> TensorProto:
    """Return a Reshape target with its leading 1, the batch, worked out from the size or else copied (0)."""
    from onnx import numpy_helper

    shape = numpy_helper.to_array(tensor).copy()
    if shape.ndim == 1 and shape.size > 1 and shape[0] == 1:
        shape[0] = 0 if -1 in shape else -1
    return numpy_helper.from_array(shape, tensor.name)


def free_batch(model: ModelProto) -> ModelProto:
    """Return the model with the first dimension of its input and outputs free.

    Constant Reshape targets that start with the batch of one are freed too. Whether the graph then really treats the
    frames of a batch one by one is for the caller to check, by comparing with batch 1.

    Args:
        model: A model whose initializers are not among its inputs; it is not changed.
    """
    import onnx

    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    for value in [*freed.graph.input, *freed.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        if dimensions:
            dimensions[0].dim_param = "batch"
    del freed.graph.value_info[:]  # they hold the old batch
    targets = {node.input[1] for node in freed.graph.node if node.op_type == "Reshape" and len(node.input) > 1}
    for position, tensor in enumerate(freed.graph.initializer):
        if tensor.name in targets:
            freed.graph.initializer[position].CopyFrom(_free_reshape(tensor))
    for node in freed.graph.node:
        if node.op_type == "Reshape":  # 0 shall mean "as in the input"
            for attribute in node.attribute:
                if attribute.name == "allowzero":
                    attribute.i = 0
        if node.op_type == "Constant" and node.output[0] in targets:
            for attribute in node.attribute:
                if attribute.name == "value":
                    attribute.t.CopyFrom(_free_reshape(attribute.t))
    return freed


def fix_batch(model: ModelProto, size: int = 1) -> ModelProto:
    """Return the model with every free first dimension of its inputs and outputs set to ``size``."""
    import onnx

    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    constants = {tensor.name for tensor in fixed.graph.initializer}
    for value in [*fixed.graph.input, *fixed.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        if value.name not in constants and dimensions and dimensions[0].dim_value != size:
            dimensions[0].dim_value = size
    del fixed.graph.value_info[:]
    return fixed
