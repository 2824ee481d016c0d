"""Entries of ONNX files and the digest of their graphs, without the package onnx."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.errors import ModelFileError
from bacalhaunet.models.onnx_metadata import class_entries, graph_digest, read_classes, read_entries, with_entry
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import RADIOML


def written(number, kind, value):
    return bytes([number << 3 | kind]) + (bytes([len(value)]) + value if kind == 2 else value)


GRAPH = written(7, 2, b"\x0a\x05graph")
PLAIN = written(1, 0, b"\x08") + written(2, 2, b"maker") + GRAPH + written(14, 2, b"\x0a\x01k\x12\x01v")


def test_an_entry_of_an_onnx_file_is_set_and_everything_else_stays():
    one = with_entry(PLAIN, "calibration", "x" * 300)
    assert one.startswith(PLAIN)
    assert read_entries(one) == {"k": "v", "calibration": "x" * 300}
    assert read_entries(with_entry(one, "calibration", "y")) == {"k": "v", "calibration": "y"}
    assert with_entry(with_entry(PLAIN, "k", "2"), "k", "v") == PLAIN


def test_the_package_onnx_reads_the_entry():
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    model = onnx.ModelProto(ir_version=8, producer_name="me", metadata_props=[{"key": "a", "value": "b"}])
    again = onnx.ModelProto.FromString(with_entry(model.SerializeToString(), "ü", "1,5 dB"))
    assert {one.key: one.value for one in again.metadata_props} == {"a": "b", "ü": "1,5 dB"}
    assert again.producer_name == "me"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_have_entries_or_none_and_are_never_a_crash(content):
    assert isinstance(read_entries(content), dict)
    try:
        changed = with_entry(content, "a", "b")
    except ModelFileError:
        return
    assert read_entries(changed)["a"] == "b"


def test_the_digest_is_that_of_the_graph_and_of_nothing_else():
    digest = hashlib.sha256(GRAPH).hexdigest()
    assert graph_digest(PLAIN) == digest
    assert graph_digest(with_entry(PLAIN, "calibration", "x")) == digest
    assert graph_digest(PLAIN.replace(b"graph", b"grapH")) not in (None, digest)


@pytest.mark.parametrize("model", [b"", written(1, 0, b"\x08"), PLAIN + GRAPH, PLAIN[:-1], b"no model"])
def test_bytes_without_exactly_one_graph_have_no_digest(model):
    assert graph_digest(model) is None


def test_classes_come_back_with_groups_that_their_names_do_not_tell():
    own = ClassSet(("up", "down", "QPSK"), ("sweep", "sweep", "mine"))
    assert set(class_entries(own)) == {"labels", "groups"}
    assert read_classes(class_entries(own), "a file") == own
    assert set(class_entries(RADIOML)) == {"labels"}
    assert read_classes(class_entries(RADIOML), "a file") == RADIOML
    assert read_classes({}, "a file") is None


def test_damaged_classes_are_refused():
    for entries in ({"labels": "up"}, {"labels": '["a"]', "groups": '["x", "y"]'}, {"labels": '["a", "a"]'}):
        with pytest.raises(ModelFileError):
            read_classes(entries, "a file")
