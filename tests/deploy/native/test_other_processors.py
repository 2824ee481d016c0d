"""Kernels of processors this one is not compute the program too: AVX-512 by SIMDe, NEON under QEMU."""

import platform
from pathlib import Path

import numpy as np
import onnx
import pytest

from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.native.model import available_kernels
from tests.deploy.native.standalone import HERE, assert_equal, build, need
from tests.deploy.native.test_engine import network_of_a_sum, network_of_blocks
from tests.deploy.random_networks import random_frames, random_network
from tests.deploy.reference_networks import reference_network

SIMDE = Path("/usr/include/simde/x86/avx512.h")
SEEDS = range(5)


def emulated_avx512():
    need("gcc")
    if not SIMDE.exists():
        pytest.skip("needs SIMDe (libsimde-dev)")
    header = f'-DENGINE_EMULATED="{HERE / "emulated_avx512.h"}"'
    sources = ("engine.c", "portable.c", "avx512.c")
    return "avx512", [build("gcc", "-fno-inline", "-mavx2", "-mfma", header, sources=sources)]


def emulated_neon():
    need("aarch64-linux-gnu-gcc", "qemu-aarch64")
    binary = build("aarch64-linux-gnu-gcc", "-static", sources=("engine.c", "portable.c", "neon.c"))
    return "neon", ["qemu-aarch64", binary]


PROCESSORS = {"avx512": emulated_avx512, "neon": emulated_neon}
if "avx512" in available_kernels():  # tested as this processor's own
    del PROCESSORS["avx512"]


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_activation_equals_the_interpreter_s(processor, seed, tmp_path):
    kernels, command = PROCESSORS[processor]()
    program = lower_model(random_network(seed, wide=True))
    rng = np.random.default_rng(seed)
    quantizer = program.quantizer
    frames = random_frames(rng, 2, program.frame_length)
    assert_equal(program, kernels, command, tmp_path, frames)
    low, high = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    integers = rng.integers(low, high + 1, (2, 2, program.frame_length))
    assert_equal(program, kernels, command, tmp_path, integers)


X86 = {"x86_64", "AMD64"}


@pytest.mark.skipif(platform.machine() not in X86, reason="kernels of x86-64 processors")
@pytest.mark.parametrize("kernels", ["avx512", "avx2"])
def test_clang_compiles_the_kernels_and_they_are_exact(kernels, tmp_path):
    need("clang")
    binary = build("clang", "-Wall", "-Werror", sources=("engine.c", "portable.c", "avx2.c", "avx512.c"))
    if kernels not in available_kernels():
        return  # compiled, which is half of it; this processor cannot run them
    rng = np.random.default_rng(17)
    program = lower_model(random_network(17, wide=True))
    assert_equal(program, kernels, [binary], tmp_path, random_frames(rng, 2, program.frame_length))
    program = network_of_a_sum(100, 6, 0.0613, 0.0871)
    assert_equal(program, kernels, [binary], tmp_path, rng.integers(-128, 128, (4, 2, 100)))


@pytest.mark.parametrize("processor", PROCESSORS)
def test_sums_of_one_scale_are_exact(processor, tmp_path):
    kernels, command = PROCESSORS[processor]()
    program = network_of_a_sum(100, 6, 0.0613, 0.0871)
    assert_equal(program, kernels, command, tmp_path, np.random.default_rng(1).integers(-128, 128, (4, 2, 100)))


@pytest.mark.parametrize("processor", PROCESSORS)
def test_weights_in_blocks_of_four_are_exact(processor, tmp_path):
    kernels, command = PROCESSORS[processor]()
    program = network_of_blocks(128, 0.7)
    assert_equal(program, kernels, command, tmp_path, np.random.default_rng(1).integers(-128, 128, (4, 2, 128)))


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_submitted_network_is_bit_identical(processor, tmp_path):
    kernels, command = PROCESSORS[processor]()
    program = lower_model(onnx.load(reference_network("bacalhaunet_w6a6_pruned")))
    rng = np.random.default_rng(2)
    assert_equal(program, kernels, command, tmp_path, rng.integers(-128, 128, (3, 2, 1024)))
    assert_equal(program, kernels, command, tmp_path, rng.standard_normal((2, 2, 1024)).astype(np.float32))
