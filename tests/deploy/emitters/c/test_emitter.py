"""The emitted C computes the program: every activation, every logit, on two compilers and on a Cortex-M4."""

import re
import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.deploy.emitters import write_program
from bacalhaunet.deploy.emitters.c.emitter import rename
from bacalhaunet.deploy.emitters.c.tables import build_tables
from bacalhaunet.deploy.emitters.streaming import ring_lengths
from bacalhaunet.deploy.integer.layers import Conv
from bacalhaunet.deploy.integer.lowering import lower_file, lower_model
from bacalhaunet.errors import ConfigError
from bacalhaunet.models.shipped_networks import shipped_networks
from tests.deploy.emitters.c.compiled import HERE, WARNINGS, CompiledModel, need, run
from tests.deploy.random_networks import GraphWriter, random_frames, random_network
from tests.deploy.reference_networks import reference_network

QEMU = ["qemu-system-arm", "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
SEMIHOSTING = ["-semihosting-config", "enable=on,target=native", "-kernel"]
BOARD = HERE.parents[3] / "examples" / "microcontroller"
CORTEX_M4 = ["-std=c99", "-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"]


def submitted():
    return lower_model(onnx.load(reference_network("bacalhaunet_w6a6_pruned")), source="bacalhaunet_w6a6_pruned.onnx")


def assert_equal(program, model, integers):
    """Compare class, logits and every stored activation of frames with the interpreter."""
    values = program.run(integers)
    for number, frame in enumerate(integers):
        best, logits, tensors = model.classify(frame)
        expected = values[program.output][number, :, 0]
        np.testing.assert_array_equal(logits, expected)
        assert best == expected.argmax()
        for table in model.tables.tensors[1:]:
            np.testing.assert_array_equal(tensors[table.name], values[table.name][number][table.stored])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), compiler=st.sampled_from(["gcc", "clang"]))
def test_every_activation_equals_the_interpreter_s(seed, compiler):
    need(compiler)
    program = lower_model(random_network(seed))
    integers = program.quantizer.integers(random_frames(np.random.default_rng(seed), 5, program.frame_length))
    with tempfile.TemporaryDirectory() as folder:
        assert_equal(program, CompiledModel(program, Path(folder), compiler), integers)


def test_weights_below_minus_128_are_stored_whole(tmp_path):
    """A sum of scales 1 and 2 that is not quantized doubles the weights of one of its tensors."""
    need("gcc")
    rng = np.random.default_rng(0)
    writer = GraphWriter(rng, 64)
    x = writer.quant("frames", 8, 0.02, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 8, 3, bits=8, sparsity=0.0), dead=0.0), 4, scale=0.25)
    y, _ = writer.activation(writer.norm(writer.conv(x, 8, 1, bits=8, sparsity=0.0), dead=0.0), 4, scale=0.5)
    weights = writer.constant((rng.integers(-127, 60, (8, 8, 1)) * 0.0078125).astype(np.float32), "weights")
    writer.channels[weights], writer.lengths[weights] = 8, 0
    weights = writer.quant(weights, 8, 0.0078125, signed=True)
    z = writer.node("Conv", [writer.add(x, y), weights], 8, 64, kernel_shape=[1])
    writer.scale[z] = 2.0
    z, _ = writer.activation(writer.norm(z, dead=0.0), 6)
    program = lower_model(writer.model(writer.head(writer.pool(z, 64, 1), 5, 4, 0.0)))
    lowest = min(int(w.min()) for layer in program.layers if isinstance(layer, Conv) for w in layer.weights)
    assert lowest < -128
    integers = program.quantizer.integers(random_frames(rng, 5, program.frame_length))
    assert_equal(program, CompiledModel(program, tmp_path, "gcc"), integers)


def test_rings_beyond_64_kib_have_longer_offsets(tmp_path):
    need("gcc")
    rng = np.random.default_rng(1)
    writer = GraphWriter(rng, 512)
    x = writer.quant("frames", 8, 0.02, signed=True)
    writer.scale[x] = 1.0
    x, _ = writer.activation(writer.norm(writer.conv(x, 150, 3, sparsity=0.5), dead=0.0), 6)
    for _ in range(6):
        x, _ = writer.activation(writer.norm(writer.conv(x, 150, 9, dilation=16, groups=150), dead=0.0), 6)
        x, _ = writer.activation(writer.norm(writer.conv(x, 150, 1, sparsity=0.9), dead=0.0), 6)
    program = lower_model(writer.model(writer.head(writer.pool(x, writer.lengths[x], 1), 5, 6, 0.0)))
    assert build_tables(program).memory > 65536
    integers = program.quantizer.integers(random_frames(rng, 2, program.frame_length))
    assert_equal(program, CompiledModel(program, tmp_path, "gcc"), integers)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_the_submitted_network_is_bit_identical(tmp_path, compiler):
    need(compiler)
    program = submitted()
    rng = np.random.default_rng(3)
    integers = rng.integers(-128, 128, (20, 2, 1024))
    integers[10:] = np.rint(rng.normal(0, 40, (10, 2, 1024))).clip(-128, 127)
    assert_equal(program, CompiledModel(program, tmp_path, compiler, ("-O2",)), integers)


def test_vgg10_runs_from_the_same_template(tmp_path):
    need("gcc")
    program = lower_model(onnx.load(reference_network("vgg10_w8a8_baseline")))
    integers = np.random.default_rng(4).integers(-128, 128, (1, 2, 1024))
    assert_equal(program, CompiledModel(program, tmp_path, "gcc", ("-O2",)), integers)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_self_test_passes_under_sanitizers(seed):
    need("gcc")
    with tempfile.TemporaryDirectory() as folder:
        write_program(lower_model(random_network(seed)), folder, name="net")
        run("gcc", *WARNINGS, "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "net.c",
            "net_selftest.c", "-o", "selftest", cwd=folder)  # fmt: skip
        assert "all values equal" in run("./selftest", cwd=folder)


def test_the_self_test_notices_a_changed_weight(tmp_path):
    need("gcc")
    write_program(submitted(), tmp_path, name="net")
    tables = tmp_path / "net_tables.h"
    text = tables.read_text()
    start = text.index("{", text.index("_l12_weights[")) + 1
    first = re.match(r"\s*(-?\d+)", text[start:])
    tables.write_text(text[:start] + f" {int(first[1]) ^ 1}" + text[start + first.end() :])
    run("gcc", "-O1", "net.c", "net_selftest.c", "-o", "selftest", cwd=tmp_path)
    with pytest.raises(AssertionError, match="FAILED"):
        run("./selftest", cwd=tmp_path)


def shipped():
    return lower_file(shipped_networks()["lite"].onnx)


@pytest.mark.parametrize("program", [submitted, shipped])
def test_a_cortex_m4_computes_the_same_within_20_kb_of_flash_and_4_kb_of_memory(tmp_path, program):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    emission = write_program(program(), tmp_path, name="net")
    run("arm-none-eabi-gcc", *CORTEX_M4, *WARNINGS, "-Os", "-c", "net.c", cwd=tmp_path)
    text, data, bss = map(int, run("arm-none-eabi-size", "net.o", cwd=tmp_path).splitlines()[1].split()[:3])
    assert text + data < 20_000
    assert emission.figures["bytes of RAM"] + bss < 4096
    assert text - emission.figures["bytes of tables"] < 2300  # what the README says of the code, labels included
    run("arm-none-eabi-gcc", *CORTEX_M4, "-O2", "--specs=rdimon.specs", "-nostartfiles", "-T", BOARD / "board.ld",
        BOARD / "startup.c", "net.c", "net_selftest.c", "-o", "selftest.elf", cwd=tmp_path)  # fmt: skip
    assert "all values equal" in run(*QEMU, *SEMIHOSTING, "selftest.elf", cwd=tmp_path)


def test_the_instructions_of_a_frame_are_counted_on_a_cortex_m4(tmp_path):
    need("arm-none-eabi-gcc", "qemu-system-arm")
    write_program(submitted(), tmp_path, name="net")
    (tmp_path / "count.c").write_text(rename((HERE / "count.c").read_text(), "net"))
    run("arm-none-eabi-gcc", *CORTEX_M4, "-O2", "--specs=rdimon.specs", "-nostartfiles", "-I.", "-T",
        BOARD / "board.ld", BOARD / "startup.c", "net.c", "count.c", "-o", "count.elf", cwd=tmp_path)  # fmt: skip
    counted = run(*QEMU, "-icount", "shift=0,align=off,sleep=off", *SEMIHOSTING, "count.elf", cwd=tmp_path)
    instructions = int(re.search(r"(\d+) instructions", counted)[1])
    assert 1_000_000 < instructions < 14_000_000


def test_no_floating_point_no_heap_no_library_call_is_left_in_the_object(tmp_path):
    need("arm-none-eabi-gcc")
    write_program(submitted(), tmp_path, name="net")
    run("arm-none-eabi-gcc", *CORTEX_M4, "-O2", "-c", "net.c", cwd=tmp_path)
    undefined = set(re.findall(r" U (\w+)", run("arm-none-eabi-nm", "net.o", cwd=tmp_path)))
    assert undefined <= {"memset", "memcpy"}


def test_a_state_s_size_is_what_the_readme_says(tmp_path):
    need("gcc")
    program = submitted()
    emission = write_program(program, tmp_path, name="net")
    (tmp_path / "size.c").write_text('#include <stdio.h>\n#include "net.h"\nint main(void)\n'
                                     '{ printf("%u", (unsigned)sizeof(net_state)); return 0; }\n')  # fmt: skip
    run("gcc", "size.c", "-o", "size", cwd=tmp_path)
    assert int(run("./size", cwd=tmp_path)) == emission.figures["bytes of RAM"]
    assert f"| {emission.figures['bytes of RAM']:,} |" in (tmp_path / "README.md").read_text()


def test_rings_are_short_and_the_residual_s_ring_waits_for_the_other_branch():
    program = submitted()
    rings = ring_lengths(program)
    first = program.layers[0]
    assert rings[program.input] == first.kernel
    assert rings[program.layers[1].output] > program.layers[2].kernel  # it is read again by the sum
    assert max(rings.values()) < 40


@pytest.mark.parametrize("name", ["", "Net", "1net", "net-1", "a" * 60])
def test_a_name_that_c_does_not_allow_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="the name"):
        write_program(submitted(), tmp_path, name=name)
