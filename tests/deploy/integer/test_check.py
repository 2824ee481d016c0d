"""Programs from a file: what passes the check gives in every engine what the interpreter gives."""

import base64
import dataclasses
import json
import random
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.deploy.integer.check import check_program
from bacalhaunet.deploy.integer.layers import Conv
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.integer.requantizers import Thresholds, WideForm
from bacalhaunet.deploy.integer.stored import from_text, to_text
from bacalhaunet.deploy.native.model import NativeModel, available_kernels
from bacalhaunet.errors import UnsupportedOperationError
from tests.deploy.random_networks import random_frames, random_network

KERNELS = available_kernels()
VALUES = [None, -1, 0, 1, 3, 7, 255, 10**6, 2**31, 2**70, -0.5, 1e-3, float("nan"), float("inf"), "", "input", True]
_LEFT_OUT = ("name", "source", "class")
NUMBERS = [0, 17, 2**31 - 1, -(2**31), 2**40, 2**62]


def places(node, path=()):
    """The paths to every number, text and array of a document, names left out."""
    if isinstance(node, dict) and "array" in node:
        return [path]
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    if isinstance(node, dict | list):
        return [found for key, one in items if key not in _LEFT_OUT for found in places(one, (*path, key))]
    return [path]


def changed(value, draw):
    """Another value in place of one; of an array, one number or all of them."""
    if not isinstance(value, dict):
        near = [value + 1, value - 1, -value, 2 * value] if isinstance(value, int | float) else []
        return draw.choice([*near, *VALUES])
    kind = {"<f8": "<f8", "|b1": "|b1"}.get(value["type"], "<i8")
    array = np.frombuffer(zlib.decompress(base64.b64decode(value["array"])), value["type"]).astype(kind)
    if array.size:
        place = draw.randrange(array.size)
        old = array[place]
        new = not old if kind == "|b1" else draw.choice([old + 1, old - 1, -old, 2 * old, *NUMBERS])
        array[slice(None) if draw.random() < 0.15 else place] = new
    data = base64.b64encode(zlib.compress(array.tobytes())).decode()
    return {"array": data, "type": kind, "shape": value["shape"]}


def change(program, draw):
    document = json.loads(to_text(program))
    for _ in range(draw.choice([1, 1, 2])):
        *path, last = draw.choice(places(document["program"]))
        node = document["program"]
        for key in path:
            node = node[key]
        node[last] = changed(node[last], draw)
    return json.dumps(document)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 60), changes=st.integers(0, 2**32 - 1))
def test_a_changed_program_is_refused_or_computes_the_same_in_every_engine(seed, changes):
    try:
        program = from_text(change(lower_model(random_network(seed)), random.Random(changes)))
        check_program(program)
    except ValueError:
        return
    frames = random_frames(np.random.default_rng(seed), 3, program.frame_length)
    integers = program.quantizer.integers(frames)
    expected = program.integer_logits(integers)
    for kernels in KERNELS:
        try:
            model = NativeModel(program, kernels)
        except UnsupportedOperationError:
            continue
        assert np.array_equal(model.integer_logits(integers), expected)
        assert np.array_equal(model.integer_logits(frames), expected)


def replaced(program, place, **parts):
    """A program with parts of one layer changed."""
    layers = list(program.layers)
    layers[place] = dataclasses.replace(layers[place], **parts)
    return dataclasses.replace(program, layers=tuple(layers))


def first(program, kind):
    """Where the first layer with such a requantizer at work is, before the last, and that layer."""
    for place, layer in enumerate(program.layers[:-1]):
        if isinstance(layer, Conv) and isinstance(layer.requantizer, kind) and layer.computed.any():
            return place, layer
    raise LookupError(kind)


def small(seed):
    return lower_model(random_network(seed))


@pytest.fixture(scope="module")
def program():
    """A network with both kinds of requantizer at work."""
    for found in map(small, range(100)):
        convolutions = [layer for layer in found.layers[:-1] if isinstance(layer, Conv)]
        if {type(one.requantizer) for one in convolutions if one.computed.any()} == {Thresholds, WideForm}:
            return found
    raise LookupError("no such network")


def refused(program, message=None):
    with pytest.raises(ValueError, match=message):
        check_program(program)


def test_ranges_that_the_weights_do_not_prove_are_refused(program):
    place, layer = first(program, Thresholds)
    refused(replaced(program, place, acc_high=layer.acc_high + 1), "accumulators")


def test_weights_whose_sums_of_bytes_leave_32_bits_are_refused(program):
    place, layer = first(program, Thresholds)
    refused(replaced(program, place, weights=tuple(w * 0 + 2**24 for w in layer.weights)), "sums beyond 32 bits")


def test_tensors_that_are_not_written_before_they_are_read_are_refused(program):
    place, layer = first(program, Thresholds)
    refused(replaced(program, place, sources=(program.output,) * len(layer.sources)), "reads what is not written yet")


def test_channels_that_a_logit_depends_on_must_be_computed(program):
    place, layer = first(program, Thresholds)
    refused(replaced(program, place, computed=np.zeros_like(layer.computed)), "not what is needed")


@pytest.mark.parametrize("kind", [Thresholds, WideForm])
def test_values_beyond_the_range_of_their_tensor_are_refused(program, kind):
    _, layer = first(program, kind)
    tensor = program.tensors[layer.output]
    narrower = dataclasses.replace(tensor, high=np.maximum(tensor.low, tensor.high - 1))
    refused(dataclasses.replace(program, tensors={**program.tensors, layer.output: narrower}), "beyond their range")


def test_a_linear_form_that_is_not_its_thresholds_is_refused(program):
    place, layer = first(program, Thresholds)
    linear = layer.requantizer.linear
    for parts in ({"offset": linear.offset + (1 << linear.shift)}, {"shift": linear.shift + 1}):
        form = dataclasses.replace(layer.requantizer, linear=dataclasses.replace(linear, **parts))
        refused(replaced(program, place, requantizer=form), "linear form")


def test_a_long_form_without_a_bound_or_beyond_64_bits_is_refused(program):
    place, layer = first(program, WideForm)
    form = layer.requantizer
    refused(replaced(program, place, requantizer=dataclasses.replace(form, low=None, high=None)), "levels or shift")
    huge = dataclasses.replace(form, multiplier=form.multiplier * 0 + 2**62)
    refused(replaced(program, place, requantizer=huge), "beyond 64 bits")


def test_logits_that_are_rounded_to_levels_are_refused():
    program = next(p for p in map(small, range(9)) if isinstance(p.layers[-2], Conv))
    refused(dataclasses.replace(program, layers=program.layers[:-1]), "logits")


def test_more_memory_than_an_engine_can_address_is_refused(program):
    tensor = program.tensors[program.input]
    spare = {f"spare{n}": dataclasses.replace(tensor, name=f"spare{n}", length=1 << 24) for n in range(3)}
    refused(dataclasses.replace(program, tensors={**program.tensors, **spare}), "room for")


@pytest.mark.parametrize(
    ("field", "value"),
    [("zero", 0.0), ("low", True), ("high", 300), ("scale", 0.0), ("scale", float("nan")), ("clip_high", -1e9),
     ("clip_low", float("nan")), ("clip_low", "x")],
)  # fmt: skip
def test_an_input_quantizer_that_kernels_cannot_run_is_refused(program, field, value):
    quantizer = dataclasses.replace(program.quantizer, clip_low=-1.0, clip_high=1.0)
    check_program(dataclasses.replace(program, quantizer=quantizer))
    refused(dataclasses.replace(program, quantizer=dataclasses.replace(quantizer, **{field: value})))
