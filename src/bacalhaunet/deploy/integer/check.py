"""Whether a program that was read from a file is one: kernels run from its tables, so nothing in it is taken on trust.

Tensors are written before they are read, their values lie in their ranges, and every layer is what it claims to be
(``Layer.check``). What passes gives in every engine what ``Program.run`` gives. That this is what the file's graph
computes is not checked.
"""

from __future__ import annotations

import numpy as np

from bacalhaunet.deploy.integer.claims import positive, require, whole
from bacalhaunet.deploy.integer.layers import LAYERS
from bacalhaunet.deploy.integer.program import InputQuantizer, Program, Tensor, needed_channels

_INT32 = 2**31
_MOST_LENGTH = 1 << 24
_MOST_ROOM = 1 << 26
"""Offsets in an engine's memory are numbers of 32 bits; what it takes is less than 32 times the room counted here."""
_LINE = 192
"""Bytes that a row may take more than its values."""


def check_program(program: Program) -> None:
    """Check a program of unknown origin.

    Raises:
        ValueError: If a part of it does not fit the others.
    """
    try:
        with np.errstate(all="ignore"):  # numbers may be anything yet
            _check(program)
    except (AttributeError, KeyError, TypeError, IndexError, ArithmeticError, AssertionError) as error:
        raise ValueError(f"not an integer program: {type(error).__name__}: {error}") from error


def _check(program: Program) -> None:
    last = program.layers[-1]
    for name, tensor in program.tensors.items():
        require(tensor.name == name, f"tensor {name!r} is called {tensor.name!r}")
        _check_tensor(tensor, last=name == last.output)
    _check_input(program.quantizer, program.tensors[program.input])
    written = {program.input}
    for layer in program.layers:
        require(isinstance(layer, LAYERS), f"a {type(layer).__name__} where a layer should be")
        sources, output = layer.sources, program.tensors[layer.output]
        require(sources and set(sources) <= written, f"{layer.name}: reads what is not written yet")
        require(layer.output not in written, f"{layer.name}: writes {layer.output!r} again")
        require(len(set(sources)) == len(sources), f"{layer.name}: reads a tensor twice")
        layer.check(program.tensors, last=layer is last)
        low, high = layer.output_range(program.tensors)
        inside = (output.low <= low).all() and (high <= output.high).all()
        require(inside, f"{layer.name}: values beyond their range")
        written.add(layer.output)
    _check_end(program)
    _check_room(program)


def _check_tensor(tensor: Tensor, *, last: bool) -> None:
    low, high = tensor.low, tensor.high
    require(whole(tensor.length, 1, _MOST_LENGTH), f"{tensor.name}: length {tensor.length}")
    require(low.ndim == 1 and low.shape == high.shape and len(low), f"{tensor.name}: shapes of its range")
    require(low.dtype == high.dtype == np.int64, f"{tensor.name}: types of its range")
    require((low <= high).all(), f"{tensor.name}: an empty range")
    lowest, highest = (-_INT32, _INT32 - 1) if last else (-128, 255)
    format_ = whole(tensor.format_low, lowest, 0) and whole(tensor.format_high, 0, highest)
    require(format_ and (last or tensor.format_high - tensor.format_low < 256), f"{tensor.name}: its format")
    inside = tensor.format_low <= low.min() and high.max() <= tensor.format_high
    require(inside, f"{tensor.name}: a range beyond its format")
    require(positive(tensor.scale), f"{tensor.name}: scale {tensor.scale}")


def _check_input(quantizer: InputQuantizer, tensor: Tensor) -> None:
    integers = all(whole(one, -_INT32, _INT32) for one in (quantizer.zero, quantizer.low, quantizer.high))
    require(integers and quantizer.low <= quantizer.high, "the levels of the input quantizer")
    single = float(np.float32(quantizer.scale))
    clips = quantizer.clip_low, quantizer.clip_high
    real = all(isinstance(one, float) for one in clips)
    require(positive(single) and real and clips[0] <= clips[1], "the scale or clip of the input quantizer")
    low, high = quantizer.low - quantizer.zero, quantizer.high - quantizer.zero
    require((tensor.format_low, tensor.format_high) == (low, high), "the format of the input")
    require(tensor.channels == 2 and (tensor.low == low).all() and (tensor.high == high).all(), "the input's range")


def _check_end(program: Program) -> None:
    last = program.layers[-1]
    require(program.tensors[last.output].length == 1, "the last layer gives no logits")
    require(positive(program.logit_scale), f"the scale of the logits, {program.logit_scale}")
    named = len(program.labels) == program.classes and all(isinstance(one, str) for one in program.labels)
    require(named, f"{len(program.labels)} labels")
    needed = needed_channels(program.layers, program.tensors)
    for layer in program.layers:
        changing = ~program.tensors[layer.output].constant & needed[layer.output]
        require(layer.computes(changing), f"{layer.name}: what is computed is not what is needed")


def _check_room(program: Program) -> None:
    room = sum(tensor.channels * (tensor.length + _LINE) for tensor in program.tensors.values())
    room += sum(layer.room(program.tensors) for layer in program.layers)
    require(room < _MOST_ROOM, f"an engine would need room for {room} values")
