"""Integer programs as text, and the check of those that come from a file."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.deploy.integer.check import check_program
from bacalhaunet.deploy.integer.interpreter import logits
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.integer.program import Conv
from bacalhaunet.deploy.integer.stored import from_text, to_text
from tests.deploy.random_networks import random_frames, random_network


def differences(a, b, where="program"):
    """Where two programs are not equal, type and value."""
    if dataclasses.is_dataclass(a):
        parts = [(f.name, getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a)]
    elif isinstance(a, tuple):
        parts = [(str(place), *pair) for place, pair in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, dict):
        parts = [(key, a[key], b[key]) for key in a]
    elif isinstance(a, np.ndarray):
        return [] if a.dtype == b.dtype and np.array_equal(a, b) else [where]
    else:
        return [] if a == b else [where]
    return [found for name, one, other in parts for found in differences(one, other, f"{where}.{name}")]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_program_read_back_is_the_same_in_every_number_and_passes_the_check(seed):
    program = lower_model(random_network(seed))
    back = from_text(to_text(program))
    assert differences(program, back) == []
    check_program(back)
    frames = random_frames(np.random.default_rng(seed), 2, program.frame_length)
    assert np.array_equal(logits(program, frames), logits(back, frames))


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"format":1,"program":{}}', '{"format":1,"program":{"class":"Path"}}', "{" * 9999]
)
def test_what_is_no_program_is_refused(text):
    with pytest.raises(ValueError, match="not the text of an integer program"):
        from_text(text)


def test_a_text_of_another_format_is_refused():
    document = json.loads(to_text(lower_model(random_network(1))))
    with pytest.raises(ValueError, match="another format"):
        from_text(json.dumps({**document, "format": 2}))


def test_an_array_is_never_unpacked_beyond_its_shape():
    document = json.loads(to_text(lower_model(random_network(1))))
    name, tensor = next(iter(document["program"]["tensors"]["map"].items()))
    tensor["low"]["shape"] = [1]
    with pytest.raises(ValueError, match="bytes for an array"):
        from_text(json.dumps(document))
    tensor["low"]["shape"] = [1 << 40]
    with pytest.raises(ValueError, match="an array of shape"):
        from_text(json.dumps(document))
    assert name


def _values(node, path=()):
    """The paths to every number, text and shape of a document."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(value, dict | list):
            yield from _values(value, (*path, key))
        else:
            yield (*path, key)


def _set(document, path, value):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 50), data=st.data())
def test_a_changed_program_is_refused_or_runs(seed, data):
    document = json.loads(to_text(lower_model(random_network(seed))))
    path = data.draw(st.sampled_from([path for path in _values(document) if path[-1] not in ("array", "name")]))
    value = data.draw(st.sampled_from([None, -1, 0, 1, 3, 7, 10**6, 2**70, -0.5, float("nan"), "", "input", True]))
    _set(document, path, value)
    try:
        program = from_text(json.dumps(document))
        check_program(program)
    except ValueError:
        return
    length = program.frame_length
    found = logits(program, random_frames(np.random.default_rng(0), 2, length))
    assert found.shape == (2, program.classes)


def _changed(program, **parts):
    """The program with parts of its first convolution changed."""
    place = next(number for number, layer in enumerate(program.layers) if isinstance(layer, Conv))
    layers = list(program.layers)
    layers[place] = dataclasses.replace(layers[place], **parts)
    return dataclasses.replace(program, layers=tuple(layers))


def test_ranges_that_the_weights_do_not_prove_are_refused():
    program = lower_model(random_network(11))
    layer = next(layer for layer in program.layers if isinstance(layer, Conv))
    with pytest.raises(ValueError, match="accumulators"):
        check_program(_changed(program, acc_high=layer.acc_high + 1))
    with pytest.raises(ValueError, match="reads what is not written yet"):
        check_program(_changed(program, sources=(program.output,) * len(layer.sources)))
    nothing = [
        dataclasses.replace(one, computed=np.zeros_like(one.computed)) if isinstance(one, Conv) else one
        for one in program.layers
    ]
    with pytest.raises(ValueError, match="is not computed"):
        check_program(dataclasses.replace(program, layers=tuple(nothing)))
