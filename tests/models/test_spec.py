import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.errors import SpecError
from bacalhaunet.models.catalog import CATALOG
from bacalhaunet.models.spec import (
    ConvBlock,
    HeadSpec,
    HiddenSpec,
    InputSpec,
    InvertedResidualBlock,
    NetworkSpec,
    SeparableBlock,
)

from .random_specs import network_specs


@given(network_specs())
@settings(max_examples=60, deadline=None)
def test_a_spec_survives_yaml_and_json(spec):
    assert NetworkSpec.from_yaml(spec.to_yaml()) == spec
    assert NetworkSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("name", list(CATALOG))
@pytest.mark.parametrize("bits", [None, 8, 2])
def test_a_catalog_network_survives_a_file(name, bits, tmp_path):
    spec = CATALOG[name].spec.quantized(bits, bits, sum_bits=bits)
    path = tmp_path / "spec.yaml"
    path.write_text(spec.to_yaml())
    assert NetworkSpec.load(path) == spec


@given(network_specs(), st.integers(2, 8), st.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_quantizing_and_going_back_to_float_changes_nothing(spec, weights, activations):
    plain = spec.quantized(None, None)
    assert plain.is_float
    quantized = plain.quantized(weights, activations, input_bits=8, sum_bits=4, shared_sums=True)
    assert not quantized.is_float
    assert quantized.quantized(None, None) == plain
    assert {layer.weight_bits for layer in quantized.layers()} == {weights}


def test_an_unquantized_sum_reaches_the_next_layer_at_32_bits():
    spec = CATALOG["bacalhaunet"].spec.quantized(6, 6)
    wide = [layer.name for layer in spec.layers() if layer.input_bits == 32]
    assert wide == ["blocks.2.depthwise", "blocks.4.depthwise"]
    assert all(layer.input_bits <= 8 for layer in CATALOG["bacalhaunet"].spec.quantized(6, 6, sum_bits=6).layers())


BLOCK = {"kind": "separable", "kernel": 5, "channels": 4}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"blocks": []}, "needs a block"),
        ({"blocks": [{**BLOCK, "kernel": 4}]}, "even"),
        ({"blocks": [{**BLOCK, "kernel": -1}]}, "blocks.0.kernel is -1"),
        ({"blocks": [{**BLOCK, "kernel": True}]}, "kernel is True"),
        ({"blocks": [{**BLOCK, "kernel": 5.0}]}, "5.0"),
        ({"blocks": [{**BLOCK, "stride": 0}]}, "stride is 0"),
        ({"blocks": [{**BLOCK, "channels": 10**9}]}, "channels"),
        ({"blocks": [{**BLOCK, "pointwise_weight_bits": 1}]}, "2 to 8"),
        ({"blocks": [{**BLOCK, "depthwise_activation_bits": 9}]}, "2 to 8"),
        ({"blocks": [{**BLOCK, "sum_bits": 4}]}, "no sum"),
        ({"blocks": [{**BLOCK, "kernal": 4}]}, "did you mean kernel"),
        ({"blocks": [{**BLOCK, "kind": "seperable"}]}, "did you mean separable"),
        ({"blocks": [{"kind": "separable", "kernel": 5}]}, "lacks the field 'channels'"),
        ({"blocks": "separable"}, "a list of blocks"),
        ({"blocks": [7]}, "7"),
        ({"blocks": [{"kind": "conv", "kernel": 3, "channels": 6, "groups": 4}]}, "divisor"),
        ({"blocks": [{"kind": "conv", "kernel": 3, "channels": 6, "pool": 5000}]}, "pool is 5000"),
        ({"blocks": [{"kind": "conv", "kernel": 3, "channels": 6, "activation": "gelu"}]}, "relu, hardswish"),
        ({"frame_length": 0}, "frame_length is 0"),
        ({"classes": "24"}, "'24'"),
        ({"input": {"clip": [3, -2]}}, "lowest < 0 < highest"),
        ({"input": {"clip": [float("nan"), 3]}}, "nan"),
        ({"input": {"clip": 3}}, "null or"),
        ({"input": {"bits": 16}}, "2 to 8"),
        ({"head": {"pool": "min"}}, "max, average, flatten"),
        ({"head": {"hidden": [{"features": 0}]}}, "features is 0"),
        ({"head": []}, "mapping"),
        ({"colour": 1}, "'colour'"),
    ],
)
def test_a_spec_that_cannot_be_built_says_what_and_where(change, words):
    with pytest.raises(SpecError, match=r".") as caught:
        NetworkSpec.from_dict({"blocks": [BLOCK], **change})
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1, 2]", "blocks: [", "null", "7"])
def test_text_that_is_no_spec_is_refused(text):
    with pytest.raises(SpecError):
        NetworkSpec.from_yaml(text)
    with pytest.raises(SpecError):
        NetworkSpec.from_json(text)


def test_yaml_cannot_construct_objects():
    with pytest.raises(SpecError):
        NetworkSpec.from_yaml("!!python/object/apply:os.system ['true']")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(SpecError, match=r"absent\.yaml"):
        NetworkSpec.load(tmp_path / "absent.yaml")


def test_a_shared_quantizer_needs_equal_bits_and_inputs_that_are_never_negative():
    first = SeparableBlock(kernel=3, channels=8, pointwise_activation_bits=5)
    second = SeparableBlock(kernel=3, channels=8, pointwise_activation_bits=4, shared_sum_quantizer=True)
    with pytest.raises(SpecError, match="4 bits for one input of the sum and 5 for the other"):
        NetworkSpec(blocks=(first, second))
    alone = SeparableBlock(kernel=3, channels=2, pointwise_activation_bits=4, shared_sum_quantizer=True)
    with pytest.raises(SpecError, match="never negative"):
        NetworkSpec(blocks=(alone,))


def test_macs_and_weights_follow_the_formula():
    spec = NetworkSpec(
        blocks=(
            ConvBlock(kernel=3, channels=8, stride=2, groups=2, pool=3),
            InvertedResidualBlock(kernel=5, expanded=16, channels=8, squeezed=4),
        ),
        input=InputSpec(clip=None),
        head=HeadSpec(pool="flatten", hidden=(HiddenSpec(features=10),)),
        classes=5,
        frame_length=101,
    )
    rows = [(layer.name, layer.kind, layer.macs, layer.weights) for layer in spec.layers()]
    assert rows == [
        ("blocks.0.convolution", "depthwise", 51 * 24, 24),
        ("blocks.1.expand", "pointwise", 17 * 128, 128),
        ("blocks.1.depthwise", "depthwise", 17 * 80, 80),
        ("blocks.1.squeeze", "dense", 64, 64),
        ("blocks.1.restore", "dense", 64, 64),
        ("blocks.1.project", "pointwise", 17 * 128, 128),
        ("head.hidden.0.linear", "dense", 136 * 10, 1360),
        ("head.dense", "dense", 50, 50),
    ]


def test_to_dict_is_json():
    for entry in CATALOG.values():
        assert json.loads(json.dumps(entry.spec.to_dict())) == entry.spec.to_dict()
