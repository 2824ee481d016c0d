"""A layer carries all there is to know of an operation; what has no code for one says so by name."""

from dataclasses import replace

import numpy as np
import pytest

from bacalhaunet.deploy.emitters import write_program
from bacalhaunet.deploy.integer.layers import MaxPool
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.native.plan import check_bytes
from bacalhaunet.errors import UnsupportedOperationError
from tests.deploy.random_networks import GraphWriter


class MinPool:
    """An operation nobody has thought of: one class, all but its arithmetic borrowed."""

    def __init__(self, pool):
        self._pool = pool

    def __getattr__(self, name):
        return getattr(self._pool, name)

    def run(self, inputs, length):
        return -self._pool.run([-inputs[0]], length)


@pytest.fixture
def program():
    writer = GraphWriter(np.random.default_rng(1), 64)
    x = writer.quant("frames", 8, 0.05, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 6, 3)), 6)
    return lower_model(writer.model(writer.head(writer.pool(x, 4, 4), 5, 6, 0.0)))


@pytest.fixture
def changed(program):
    """The program with minima where it had maxima."""
    layers = [MinPool(layer) if isinstance(layer, MaxPool) else layer for layer in program.layers]
    return replace(program, layers=tuple(layers))


def test_a_program_runs_a_new_operation_without_another_line(program, changed):
    integers = np.random.default_rng(2).integers(-128, 128, (3, 2, 64))
    pool = next(layer for layer in program.layers if isinstance(layer, MaxPool))
    before, after = program.run(integers), changed.run(integers)
    windows = before[pool.source].reshape(3, 6, -1, 4)
    np.testing.assert_array_equal(before[pool.output], windows.max(axis=3))
    np.testing.assert_array_equal(after[pool.output], windows.min(axis=3))
    assert not np.array_equal(before[program.output], after[program.output])


def test_emitters_and_engines_refuse_an_operation_they_have_no_code_for(changed, tmp_path):
    with pytest.raises(UnsupportedOperationError, match="MinPool"):
        write_program(changed, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    with pytest.raises(UnsupportedOperationError, match="MinPool"):
        check_bytes(changed)
