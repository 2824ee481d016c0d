"""Writes a program as C99: the template sources under the model's name, its tables, a self-test and a README."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bacalhaunet.deploy.c.readme import readme
from bacalhaunet.deploy.c.tables import SIGNED_ZERO, LayerTable, ProgramTables, build_tables
from bacalhaunet.deploy.integer.interpreter import integer_logits
from bacalhaunet.deploy.integer.program import IntArray, Program
from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import write_text

_TEMPLATES = ("model.h", "model.c", "model_selftest.c")
_WIDTH = 116
_BYTES = {"int8_t": 1, "uint8_t": 1, "int16_t": 2, "uint16_t": 2, "int32_t": 4, "uint32_t": 4}
_POINTERS = ("counts", "channels", "taps", "weights", "start", "multiplier", "upper", "lower", "offset", "offset_low",
             "shift")  # fmt: skip
_SCALARS = ("kind", "requantizer", "output", "groups", "split", "outputs", "kernel", "stride", "dilation", "pad",
            "low", "high")  # fmt: skip


@dataclass(frozen=True)
class Emission:
    """What was written.

    Attributes:
        files: The files, all in one folder.
        state_bytes: Memory of a running classifier, its logits included.
        table_bytes: Constant tables.
    """

    files: tuple[Path, ...]
    state_bytes: int
    table_bytes: int


def emit_c(
    program: Program, folder: str | Path, *, name: str = "model", vectors: int = 2, seed: int = 2018
) -> Emission:
    """Write a program as C.

    Args:
        program: What to write.
        folder: Where to; it is made if absent, files of the same names are replaced.
        name: Prefix of files, functions and macros.
        vectors: Frames of the self-test.
        seed: Of the self-test's frames.

    Raises:
        ConfigError: If the name is not one C allows.
        UnsupportedOperationError: If a layer does not fit the template.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise ConfigError(f"the name {name!r}", allowed="small letters, digits and _, a letter first")
    tables = build_tables(program)
    types = _types(program, tables)
    target = Path(folder)
    texts = {f"{name}_sizes.h": _sizes(program, tables, types), f"{name}_tables.h": _tables(program, tables)}
    texts |= {file.replace("model", name): _template(file) for file in _TEMPLATES}
    texts[f"{name}_vectors.h"] = _vectors(program, vectors, seed)
    state, constant = state_bytes(program, tables), table_bytes(tables, types)
    texts["README.md"] = readme(program, tables, name, state, constant)
    for file, text in texts.items():
        write_text(target / file, text if file == "README.md" else rename(text, name))
    return Emission(tuple(target / file for file in texts), state, constant)


def rename(text: str, name: str) -> str:
    """Give the template's identifiers and file names the model's name."""
    text = re.sub(r"\bmodel(?=[_.])", name, text)
    return re.sub(r"\bMODEL_", f"{name.upper()}_", text)


def _template(file: str) -> str:
    return (files("bacalhaunet.deploy.c") / "templates" / file).read_text(encoding="utf-8")


def _types(program: Program, tables: ProgramTables) -> dict[str, str]:
    """Choose the narrowest types for places in memory, indices and weights."""
    indices = [v for layer in tables.layers for kind, v in layer.arrays.values() if kind == "model_index"]
    weights = [v for layer in tables.layers for kind, v in layer.arrays.values() if kind == "model_weight"]
    largest = max((int(v.max(initial=0)) for v in indices), default=0)
    heaviest = max((max(int(v.max(initial=0)), -int(v.min(initial=0)) - 1) for v in weights), default=0)
    return {
        "model_place": "uint16_t" if tables.memory < 65536 else "uint32_t",
        "model_index": "uint8_t" if largest < 256 else "uint16_t",
        "model_weight": "int8_t" if heaviest < 128 else "int16_t",
        "model_sample": "int8_t" if program.tensors[program.input].format_low < 0 else "uint8_t",
    }


def state_bytes(program: Program, tables: ProgramTables) -> int:
    """Return sizeof(model_state)."""
    memory = -(-tables.memory // 4) * 4
    return memory + 4 * (len(tables.tensors) + 1 + len(tables.layers) + program.classes)


def table_bytes(tables: ProgramTables, types: dict[str, str]) -> int:
    """Return the bytes of all constant arrays, and of the layers' and tensors' descriptions on a 32-bit target."""
    arrays = sum(v.size * _BYTES[types.get(kind, kind)] for layer in tables.layers for kind, v in layer.arrays.values())
    sources = max(len(layer.sources) for layer in tables.layers)
    struct = -(-(6 + 2 * sources + 14) // 4) * 4 + 4 * len(_POINTERS)
    tensor = 12 if types["model_place"] == "uint16_t" else 16
    return arrays + struct * len(tables.layers) + tensor * len(tables.tensors)


def _sizes(program: Program, tables: ProgramTables, types: dict[str, str]) -> str:
    quantizer = program.quantizer
    numbers = {
        "FRAME_LENGTH": program.frame_length,
        "CLASSES": program.classes,
        "MEMORY_BYTES": tables.memory,
        "TENSORS": len(tables.tensors),
        "LAYERS": len(tables.layers),
        "MAX_SOURCES": max(len(layer.sources) for layer in tables.layers),
        "MAX_GROUPS": max(int(layer.scalars["groups"]) for layer in tables.layers),
        "MAX_KERNEL": max(
            (int(x.scalars["kernel"]) for x in tables.layers if "POOL" not in str(x.scalars["kind"])), default=1
        ),
    }
    lines = ["/* Sizes and types of this network. Generated by bacalhaunet. */", "#ifndef MODEL_SIZES_H"]
    lines += ["#define MODEL_SIZES_H", "", "#include <stdint.h>", ""]
    lines += [f"#define MODEL_{key} {value}" for key, value in numbers.items()]
    clip = ""
    if np.isfinite(quantizer.clip_low) or np.isfinite(quantizer.clip_high):
        clip = f", after x is clipped to {quantizer.clip_low:g} .. {quantizer.clip_high:g}"
    lines += [
        "",
        f"/* sample = clip(round(x / {quantizer.scale:.9g}), {quantizer.low - quantizer.zero}, "
        f"{quantizer.high - quantizer.zero}){clip}; halves are rounded to even. */",
        f"#define MODEL_SAMPLE_LOW ({quantizer.low - quantizer.zero})",
        f"#define MODEL_SAMPLE_HIGH {quantizer.high - quantizer.zero}",
        "",
    ]
    lines += [f"typedef {kind} {name};" for name, kind in types.items()]
    lines += [f"/* A logit of 1 stands for {program.logit_scale:.9g}. */", "", "#endif"]
    return "\n".join(lines) + "\n"


def _array(declaration: str, values: IntArray | list[str]) -> str:
    """Return one C array, wrapped."""
    lines, line = [], "   "
    for value in values:
        if len(line) + len(str(value)) + 2 > _WIDTH:
            lines.append(line)
            line = "   "
        line += f" {value},"
    return f"{declaration} = {{\n" + "\n".join([*lines, line]) + "\n};\n"


def _tables(program: Program, tables: ProgramTables) -> str:
    parts = ["/* The network as tables. Generated by bacalhaunet; included by model.c only. */\n"]
    zeros = max(1, *(len(table.stored) for table in tables.tensors))
    parts.append(_array(f"static const uint8_t model_zeros[{zeros}]", np.zeros(1, np.int64)))
    parts.append(_array(f"static const uint8_t model_zeros_signed[{zeros}]", np.full(zeros, SIGNED_ZERO)))
    inputs = tables.tensors[0].stored if len(tables.tensors[0].stored) else np.zeros(1, np.int64)
    parts.append(
        _array(
            f"static const uint8_t model_inputs[{max(len(inputs), 1)}]",
            inputs if len(inputs) else np.zeros(1, np.int64),
        )
    )
    rows = [f"{{{t.length}, {len(t.stored)}, {t.columns}, {t.offset}, {t.zero}}}" for t in tables.tensors]
    parts.append(_array(f"static const model_tensor model_tensors[{len(rows)}]", rows))
    descriptions = []
    for number, layer in enumerate(tables.layers):
        parts.append(f"/* {layer.name} */\n")
        for key, (kind, values) in layer.arrays.items():
            if values.size:
                parts.append(_array(f"static const {kind} model_l{number}_{key}[{values.size}]", values))
        descriptions.append(_layer(number, layer))
    parts.append("static const model_layer model_layers[MODEL_LAYERS] = {\n" + "".join(descriptions) + "};\n")
    names = ", ".join('"' + label.replace("\\", "\\\\").replace('"', '\\"') + '"' for label in program.labels)
    parts.append(f"const char *const model_labels[MODEL_CLASSES] = {{{names}}};\n")
    return "\n".join(parts)


def _layer(number: int, layer: LayerTable) -> str:
    fields = [f".{key} = {layer.scalars[key]}" for key in _SCALARS if key in layer.scalars]
    fields.append(f".sources = {len(layer.sources)}")
    fields.append(".source = {" + ", ".join(map(str, layer.sources)) + "}")
    fields.append(".group = {" + ", ".join(map(str, layer.groups)) + "}")
    fields += [
        f".{key} = model_l{number}_{key}" for key in _POINTERS if key in layer.arrays and layer.arrays[key][1].size
    ]
    return "    {" + ", ".join(fields) + "},\n"


def selftest_frames(program: Program, count: int, seed: int) -> NDArray[np.int64]:
    """Return frames for the self-test: a tone in noise, full-scale noise, and so on by turns."""
    rng = np.random.default_rng(seed)
    tensor = program.tensors[program.input]
    low, high = tensor.format_low, tensor.format_high
    times = np.arange(program.frame_length)
    frames = np.empty((count, tensor.channels, program.frame_length), np.int64)
    for number in range(count):
        if number % 2:
            frames[number] = rng.integers(low, high + 1, frames.shape[1:])
            continue
        phase = 2 * np.pi * (times * rng.uniform(0.01, 0.2) + rng.random())
        tone = np.stack([np.cos(phase), np.sin(phase)])
        middle, span = (low + high) / 2, (high - low) / 2
        frames[number] = np.clip(np.rint(middle + span * (0.6 * tone + rng.normal(0, 0.15, tone.shape))), low, high)
    return frames


def _vectors(program: Program, count: int, seed: int) -> str:
    frames = selftest_frames(program, count, seed)
    expected = integer_logits(program, frames)
    head = "/* Frames and their integer logits for the self-test. Generated by bacalhaunet. */\n"
    body = [_array("{", channel).replace("{ = {", "{").replace("};\n", "},\n") for frame in frames for channel in frame]
    pairs = ["{\n" + "".join(body[n : n + 2]) + "},\n" for n in range(0, len(body), 2)]
    rows = ["{" + ", ".join(map(str, row)) + "}" for row in expected]
    return (
        f"{head}#define MODEL_VECTORS {count}\n\n"
        "static const model_sample model_frames[MODEL_VECTORS][2][MODEL_FRAME_LENGTH] = {\n"
        + "".join(pairs)
        + "};\n\n"
        + _array("static const int32_t model_expected[MODEL_VECTORS][MODEL_CLASSES]", rows)
    )
