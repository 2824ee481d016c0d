"""QuantizeLinear pairs read as the quantizers they stand for.

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

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto


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
        step = _broadcast(scale, level.ndim, node)
        bits = math.ceil(math.log2(int(high) - int(low) + 1))
        constants = {
            "weight": (np.clip(level, low, high) * step).astype(np.float32),
            "scale": step.astype(np.float32),
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
