"""Integer programs as text."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.deploy.integer.check import check_program
from bacalhaunet.deploy.integer.lowering import lower_model
from bacalhaunet.deploy.integer.requantizers import Thresholds
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
    assert np.array_equal(program.logits(frames), back.logits(frames))


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


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("group_of", [9], "accumulators"),
        ("group_of", [2**40], "accumulators"),
        ("groups", 0, "not the text of an integer program"),
        ("affine", {"class": "Path"}, "not the text of an integer program"),
    ],
)
def test_what_is_left_out_is_not_worked_out_from_nonsense(field, value, message):
    document = json.loads(to_text(lower_model(random_network(1))))
    next(layer for layer in document["program"]["layers"] if layer["class"] == "Conv")[field] = value
    with pytest.raises(ValueError, match=message):
        from_text(json.dumps(document))


def test_sums_and_levels_beyond_what_a_search_could_end_on_are_refused():
    program = lower_model(random_network(1))
    place = next(
        n for n, layer in enumerate(program.layers) if isinstance(getattr(layer, "requantizer", 0), Thresholds)
    )
    layer = program.layers[place]

    def text(**parts):
        layers = [*program.layers]
        layers[place] = dataclasses.replace(layer, **parts)
        return to_text(dataclasses.replace(program, layers=tuple(layers)))

    with pytest.raises(ValueError, match="accumulators beyond 32 bits"):
        from_text(text(weights=tuple(np.full_like(w, 2**61) for w in layer.weights)))
    with pytest.raises(ValueError, match="levels"):
        from_text(text(affine=dataclasses.replace(layer.affine, ceiling=2**30)))
