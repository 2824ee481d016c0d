"""Small ONNX networks written by hand, in the dialects other people's exporters use."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

DOMAIN = "qonnx.custom_op.general"


class Builder:
    """Collects nodes and constants of a graph that starts at ``frames`` and ends at ``logits``."""

    def __init__(self, *, domain=DOMAIN, opset=13, constants_as="initializer", seed=0):
        self.domain, self.opset, self.constants_as = domain, opset, constants_as
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers, self.macs = [], [], []
        self.count = 0

    def name(self, stem):
        self.count += 1
        return f"{stem}_{self.count}"

    def constant(self, value, name=None):
        name = name or self.name("c")
        tensor = numpy_helper.from_array(np.asarray(value), name)
        if self.constants_as == "node" and np.asarray(value).ndim == 0:
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.initializers.append(tensor)
        return name

    def op(self, op_type, *inputs, domain="", output=None, **attributes):
        output = output or self.name(op_type.lower())
        self.nodes.append(helper.make_node(op_type, list(inputs), [output], domain=domain, **attributes))
        return output

    def quant(self, x, bits, scale=0.05, *, signed=1, narrow=0, zero=0.0, width=None):
        parameters = [
            self.constant(np.float32(scale)),
            self.constant(np.float32(zero)),
            width or self.constant(np.float32(bits)),
        ]
        return self.op("Quant", x, *parameters, domain=self.domain, signed=signed, narrow=narrow, rounding_mode="ROUND")

    def weights(self, shape, density=0.7, name=None):
        """Weights of which this share is not zero at a scale of 0.05, and none is rounded to zero."""
        magnitude = self.rng.uniform(0.1, 1.0, shape) * self.rng.choice([-1, 1], shape)
        return self.constant((magnitude * (self.rng.random(shape) < density)).astype(np.float32), name)

    def conv(self, x, shape, bits=4, *, name=None, state_kernel=True, bias=False, **attributes):
        weight = self.weights(shape, name=f"{name}.weight" if name else None)
        quantized = self.quant(weight, bits, narrow=1) if bits else weight
        inputs = [x, quantized, *([self.constant(np.zeros(shape[0], np.float32))] if bias else [])]
        kernel = {"kernel_shape": list(shape[2:])} if state_kernel else {}
        return self.op("Conv", *inputs, **kernel, **attributes)

    def model(self, *, batch=1, initializers_as_inputs=False, ir_version=8, shape=(2, 64), classes=24):
        graph = helper.make_graph(
            self.nodes,
            "small",
            [helper.make_tensor_value_info("frames", TensorProto.FLOAT, [batch, *shape])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes])],
            self.initializers,
        )
        if initializers_as_inputs:
            graph.input.extend(
                helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                for tensor in self.initializers
            )
        domains = {node.domain for node in self.nodes} - {""}
        opsets = [helper.make_opsetid(domain, 1) for domain in sorted(domains)]
        return helper.make_model(
            graph, opset_imports=[*opsets, helper.make_opsetid("", self.opset)], ir_version=ir_version
        )


def small_network(*, pool="MaxPool", sum_bits=4, state_kernel=True, input_bits=8, **options):
    """Return a builder holding: input quantizer, conv a, pointwise b, sum, depthwise c, pool, dense d (24 classes)."""
    b = Builder(**options)
    x = b.quant("frames", input_bits) if input_bits else "frames"
    a = b.conv(x, (6, 2, 5), pads=[2, 2], strides=[2], name="a", state_kernel=state_kernel, bias=True)
    a = b.quant(b.op("Relu", a), 4, signed=0)
    y = b.conv(a, (6, 6, 1), name="b", state_kernel=state_kernel)
    y = b.quant(b.op("Relu", y), 4, signed=0)
    y = b.op("Add", a, y)
    if sum_bits:
        y = b.quant(y, sum_bits, signed=0)
    y = b.conv(y, (6, 1, 3), pads=[1, 1], group=6, name="c", state_kernel=state_kernel)
    y = b.quant(b.op("Relu", y), 4, signed=0)
    y = b.op("MaxPool", y, kernel_shape=[32]) if pool == "MaxPool" else b.op(pool, y)
    y = b.op("Flatten", y, axis=1)
    weight = b.quant(b.weights((24, 6), name="d.weight"), 4, narrow=1)
    b.op("Gemm", y, weight, b.constant(np.zeros(24, np.float32)), output="logits", transB=1)
    return b
