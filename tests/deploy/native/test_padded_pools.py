"""Max pools with padding: the kernels give what the interpreter gives."""

import numpy as np
import pytest

from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.native.model import NativeModel, available_kernels
from tests.deploy.random_networks import GraphWriter, random_frames


def pooled_network(seed, length, kernel, stride, pads):
    writer = GraphWriter(np.random.default_rng(seed), length)
    x = writer.quant("frames", 8, 0.02, signed=True)
    writer.scale[x] = 1.0
    y, _ = writer.activation(writer.norm(writer.conv(x, 6, 3), dead=0), 4, signed=True)
    outputs = (writer.lengths[y] + sum(pads) - kernel) // stride + 1
    z = writer.node("MaxPool", [y], 6, outputs, kernel_shape=[kernel], strides=[stride], pads=list(pads))
    writer.scale[z] = writer.scale[y]
    return writer.model(writer.head(z, 5, 6, 0.2))


@pytest.mark.parametrize("kernels", available_kernels())
@pytest.mark.parametrize(
    ("length", "kernel", "stride", "pads"),
    [(65, 2, 2, (0, 1)), (64, 3, 2, (1, 1)), (64, 64, 64, (8, 0)), (64, 64, 64, (0, 8)), (128, 128, 128, (60, 0))],
)
def test_what_lies_beyond_a_row_takes_no_part_in_a_pool(kernels, length, kernel, stride, pads):
    for seed in range(4):
        program = lower_model(pooled_network(seed, length, kernel, stride, pads))
        frames = random_frames(np.random.default_rng(seed), 8, length)
        integers = program.quantizer.integers(frames)
        found = NativeModel(program, kernels).integer_logits(integers)
        assert np.array_equal(found, program.integer_logits(integers))
