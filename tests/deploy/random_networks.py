"""Random QONNX networks of the family, written node by node: any shape, stride, bit width, sparsity and scale."""

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from bacalhaunet.deploy.onnx_lowering import free_batch, lower_quant


class GraphWriter:
    """Appends layers to an ONNX graph; every method returns the name of its output."""

    def __init__(self, rng, length, channels=2):
        self.rng, self.nodes, self.initializers = rng, [], []
        self.length, self.channels, self.scale = length, {"frames": channels}, {}
        self.lengths = {"frames": length}
        self.count = 0

    def constant(self, value, stem="c"):
        self.count += 1
        name = f"{stem}{self.count}"
        self.initializers.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, op, inputs, channels, length, domain="", **attributes):
        self.count += 1
        output = f"{op}_{self.count}_out"
        self.nodes.append(
            helper.make_node(op, inputs, [output], name=f"{op}_{self.count}", domain=domain, **attributes)
        )
        self.channels[output], self.lengths[output] = channels, length
        return output

    def quant(self, x, bits, scale, signed=False, narrow=False):
        inputs = [x, self.constant(scale, "scale"), self.constant(0, "zero"), self.constant(bits, "bits")]
        return self.node(
            "Quant", inputs, self.channels[x], self.lengths[x], "qonnx.custom_op.general",
            signed=int(signed), narrow=int(narrow), rounding_mode="ROUND",
        )  # fmt: skip

    def weights(self, shape, bits, sparsity, per_channel, empty_rows):
        """Quantized weights of some sparsity, some rows empty."""
        high = 2 ** (bits - 1) - 1
        integers = self.rng.integers(-high, high + 1, shape)
        integers[self.rng.random(shape) < sparsity] = 0
        integers[self.rng.random(shape[0]) < empty_rows] = 0
        scale = self.rng.uniform(0.01, 0.2, (shape[0],) + (1,) * (len(shape) - 1) if per_channel else ())
        real = (integers * scale).astype(np.float32)
        name = self.constant(real, "weights")
        self.channels[name], self.lengths[name] = shape[0], 0
        return self.quant(name, bits, scale.astype(np.float32), signed=True, narrow=True), integers * scale

    def conv(self, x, outputs, kernel, *, stride=1, dilation=1, groups=1, bits=6, sparsity=0.5, per_channel=False,
             empty_rows=0.1, pad=None, bias=False):  # fmt: skip
        inputs = self.channels[x] // groups
        weights, real = self.weights((outputs, inputs, kernel), bits, sparsity, per_channel, empty_rows)
        pad = (dilation * (kernel - 1)) // 2 if pad is None else pad
        pad += self.lengths[x] + 2 * pad < dilation * (kernel - 1) + 1  # at least one output
        length = (self.lengths[x] + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        extra = [self.constant(self.rng.normal(0, 1, outputs), "bias")] if bias else []
        y = self.node(
            "Conv", [x, weights, *extra], outputs, length, kernel_shape=[kernel], strides=[stride], pads=[pad, pad],
            dilations=[dilation], group=groups,
        )  # fmt: skip
        self.scale[y] = np.sqrt((real**2).sum(axis=(1, 2)).mean() + 1e-6) * self.scale.get(x, 1.0)
        return y

    def norm(self, x, extreme=False, dead=0.1):
        """BatchNorm that brings the sums to a scale of about 1, with both signs and some dead channels."""
        channels = self.channels[x]
        deviation = self.scale.get(x, 1.0) * self.rng.uniform(0.6, 1.6, channels)
        gamma = self.rng.choice([-1, 1], channels) * self.rng.uniform(0.4, 1.6, channels)
        gamma = gamma * (10.0 ** self.rng.uniform(-3, 3, channels) if extreme else 1)
        gamma[self.rng.random(channels) < dead] = 0
        beta = self.rng.normal(0.4, 0.5, channels)
        mean = self.rng.normal(0, 0.3, channels) * deviation
        parameters = [self.constant(v) for v in (gamma, beta, mean, deviation**2)]
        y = self.node("BatchNormalization", [x, *parameters], channels, self.lengths[x], epsilon=1e-5)
        self.scale[y] = 1.0
        return y

    def relu(self, x):
        return self._same("Relu", [x], x)

    def _same(self, op, inputs, like, **attributes):
        y = self.node(op, inputs, self.channels[like], self.lengths[like], **attributes)
        self.scale[y] = self.scale.get(like, 1.0)
        return y

    def activation(self, x, bits, signed=False, scale=None):
        """ReLU and quantizer, or a signed quantizer alone."""
        step = scale or float(np.float32(3.0 / 2**bits * self.rng.uniform(0.5, 1.5)))
        y = self.quant(x if signed else self.relu(x), bits, step, signed=signed)
        self.scale[y] = step * 2 ** (bits - 1) * 0.6
        return y, step

    def add(self, a, b):
        y = self._same("Add", [a, b], a)
        self.scale[y] = self.scale[a] + self.scale[b]
        return y

    def pool(self, x, kernel, stride):
        length = (self.lengths[x] - kernel) // stride + 1
        y = self.node("MaxPool", [x], self.channels[x], length, kernel_shape=[kernel], strides=[stride], pads=[0, 0])
        self.scale[y] = self.scale[x]
        return y

    def head(self, x, classes, bits, sparsity, per_channel=False, bias="scaled"):
        x = self.node("Flatten", [x], self.channels[x] * self.lengths[x], 1, axis=1)
        weights, _ = self.weights((classes, self.channels[x]), bits, sparsity, per_channel, 0.0)
        return self.node("Gemm", [x, weights, self.constant(self.rng.normal(0, 1, classes))], classes, 1, transB=1)

    def model(self, output):
        graph = helper.make_graph(
            self.nodes,
            "random",
            [helper.make_tensor_value_info("frames", TensorProto.FLOAT, ["batch", 2, self.length])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", self.channels[output]])],
            self.initializers,
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def random_network(seed, *, length=None, classes=None, wide=False):
    """A random network of depthwise, pointwise and full convolutions, sums and pools; same seed, same network."""
    rng = np.random.default_rng(seed)
    dead = float(rng.choice([0.0, 0.05, 0.3]))
    writer = GraphWriter(rng, length or int(rng.choice([16, 33, 64, 100, 128])))
    bits = lambda: int(rng.integers(2, 9))  # noqa: E731
    sparsity = lambda: float(rng.choice([0.0, 0.4, 0.7, 1.0], p=[0.35, 0.33, 0.3, 0.02]))  # noqa: E731
    x = writer.quant(
        "frames", bits() if rng.random() < 0.5 else 8, float(np.float32(rng.uniform(0.01, 0.1))), signed=True
    )
    writer.scale[x] = 1.0
    step = None
    for _ in range(int(rng.integers(1, 4))):
        channels = writer.channels[x]
        kernel, stride, dilation = (
            int(rng.integers(1, 10)),
            int(rng.integers(1, 5 if wide else 4)),
            int(rng.integers(1, 3)),
        )
        common = {"per_channel": bool(rng.random() < 0.3), "bias": bool(rng.random() < 0.3), "empty_rows": dead}
        dense = rng.random() < 0.3
        if dense:
            y = writer.conv(x, int(rng.integers(3, 14)), kernel, stride=stride, dilation=dilation, bits=bits(),
                            sparsity=sparsity(), **common)  # fmt: skip
        else:
            y = writer.conv(x, channels, kernel, stride=stride, dilation=dilation, groups=channels, bits=bits(),
                            sparsity=sparsity(), **common)  # fmt: skip
            y, _ = writer.activation(writer.norm(y, rng.random() < 0.2, dead), bits(), signed=bool(rng.random() < 0.2))
            y = writer.conv(y, int(rng.integers(3, 14)), 1, bits=bits(), sparsity=sparsity(), **common)
        y = writer.norm(y, rng.random() < 0.2, dead)
        if rng.random() < 0.2 and writer.lengths[y] >= 4:
            y = writer.pool(y, 2, 2)
        width = bits()
        shared = step if step is not None and rng.random() < 0.5 else None
        before, before_step = x, step
        x, step = writer.activation(y, width, signed=bool(rng.random() < 0.2), scale=shared)
        alike = writer.channels[x] == writer.channels[before] and writer.lengths[x] == writer.lengths[before]
        if alike and before_step is not None:
            x = writer.add(x, before)
            if rng.random() < 0.5:
                x, step = writer.activation(x, bits(), signed=False)
    x = _tail(writer, rng, x, bits)
    output = writer.head(x, classes or int(rng.integers(2, 25)), bits(), sparsity(), bool(rng.random() < 0.3))
    model = writer.model(output)
    checker.check_model(lower_quant(model))
    return infer_shapes(model)


def _tail(writer, rng, x, bits):
    """A global max pool, perhaps a second quantizer; or a short flattened tail with a hidden dense layer."""
    summed = x.startswith("Add")
    if rng.random() < 0.7:
        x = writer.pool(x, writer.lengths[x], 1)
    if summed or rng.random() < 0.5:  # the largest of an unquantized sum needs a quantizer
        step = float(np.float32(rng.uniform(0.02, 0.1)))
        x = writer.quant(x, bits(), step, signed=True)
    return x


def reference(model, frames, names=()):
    """Logits, and the tensors named, by onnxruntime, quantizers computed as they were trained."""
    lowered = free_batch(lower_quant(model))
    extra = [name for name in names if name in {output for node in lowered.graph.node for output in node.output}]
    lowered.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in extra)
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    options.log_severity_level = 4
    # Without its optimizations a fused convolution cannot round differently from layer to layer.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(lowered.SerializeToString(), options, providers=["CPUExecutionProvider"])
    logits, *tensors = session.run(None, {session.get_inputs()[0].name: frames})
    return logits, dict(zip(extra, tensors, strict=True))


def random_frames(rng, count, length):
    """Noise at several levels, and full-scale frames."""
    frames = rng.standard_normal((count, 2, length)) * rng.choice([0.1, 1.0, 3.0], (count, 1, 1))
    frames[::5] = np.sign(frames[::5]) * 20
    return frames.astype(np.float32)
