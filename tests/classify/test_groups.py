"""The groups take in every class once, and their probabilities are the sums of their classes'."""

import pytest

from bacalhaunet.classify.groups import GROUPS, group_numbers, group_of, group_probabilities
from bacalhaunet.radio.modulations import NAMES


def test_every_class_is_in_one_group():
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(NAMES)


def test_a_class_of_no_group_is_its_own():
    assert group_of("noise") == "noise"
    assert group_of("64QAM") == group_of("32APSK") == "QAM/APSK"


def test_the_most_probable_group_need_not_be_that_of_the_most_probable_class():
    sums = group_probabilities({"FM": 0.4, "64QAM": 0.35, "256QAM": 0.25, "BPSK": 0.0})
    assert list(sums) == ["QAM/APSK", "FM", "PSK"]
    assert sums["QAM/APSK"] == pytest.approx(0.6)


def test_group_numbers_follow_the_classes():
    assert group_numbers(["QPSK", "FM", "BPSK"]) == (("PSK", "FM"), (0, 1, 0))
