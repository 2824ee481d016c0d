"""Answers pooled over frames: the label, its group, and what a network's file says of them."""

import json

import numpy as np
import pytest

from bacalhaunet.classify.answers import Pool
from bacalhaunet.classify.classifier import network_classes
from bacalhaunet.models.onnx_metadata import with_entry
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.modulations import classes_named
from tests.classify.fake_engine import PowerEngine


def pooled(classes, *rows):
    pool = Pool(classes)
    pool.add(np.array(rows, np.float32))
    return pool.answer()


def test_the_most_probable_group_need_not_be_that_of_the_most_probable_class():
    answer = pooled(classes_named(["FM", "64QAM", "256QAM", "BPSK"]), [0.4, 0.35, 0.25, 0.0])
    assert (answer.label, answer.group) == ("FM", "QAM/APSK")
    assert answer.confidence == pytest.approx(0.4)
    assert answer.group_confidence == pytest.approx(0.6)


def test_groups_of_ones_own_are_those_of_the_answer():
    answer = pooled(ClassSet(("a", "b", "c"), ("vowel", "other", "other")), [0.4, 0.35, 0.25])
    assert (answer.label, answer.group) == ("a", "other")


def test_silent_frames_are_counted_and_not_pooled():
    pool = Pool(ClassSet(("a", "b")))
    pool.add(np.array([[0.9, 0.1], [0.1, 0.9], [0.2, 0.8]], np.float32), np.array([False, True, True]))
    assert (pool.answer().label, pool.heard, pool.silent) == ("a", 1, 2)
    pool.clear()
    assert (pool.answer().label, pool.heard, pool.silent) == (None, 0, 0)


def test_a_networks_classes_are_those_of_its_file(tmp_path):
    engine = PowerEngine()
    assert network_classes(engine).group_of == ("quiet", "loud", "never")
    content = next(iter(shipped_networks().values())).onnx.read_bytes()
    for name, value in (("labels", list(engine.labels)), ("groups", ["some", "some", "none"])):
        content = with_entry(content, name, json.dumps(value))
    engine.target = str(tmp_path / "network.onnx")
    (tmp_path / "network.onnx").write_bytes(content)
    assert network_classes(engine).group_of == ("some", "some", "none")
    engine.labels = ("quiet", "loud", "sometimes")  # the engine was opened from another file
    assert network_classes(engine).group_of == engine.labels
