import numpy as np

from bacalhaunet.classify.evaluation import Evaluation
from bacalhaunet.report.shipping.merged import confused, group_counts, high_snr_part


def evaluation(*tables, snrs=(8, 10, 30)):
    return Evaluation(np.array(tables, np.int64), snrs, ("A", "B", "C", "D"))


NOISE = [[5, 5, 5, 5]] * 4
CLEAR = (20 * np.eye(4, dtype=int)).tolist()
MIXED = [[14, 6, 0, 0], [0, 17, 3, 0], [0, 3, 17, 0], [0, 0, 0, 20]]
"""A with B and B with C by 15 %: all three are one group."""


def test_classes_confused_at_high_snr_are_merged_and_their_neighbours_with_them():
    assert confused(evaluation(NOISE, MIXED, MIXED)) == [("A", "B", "C")]
    assert confused(evaluation(NOISE, CLEAR, CLEAR)) == []  # what happens below 10 dB says nothing


def test_a_merged_class_is_right_where_any_of_its_members_is_named():
    found = high_snr_part(evaluation(NOISE, MIXED, CLEAR), [("A", "B")])
    assert (found["frames"], found["merged"]) == (160, [["A", "B"]])
    assert found["accuracy"] == (14 + 17 + 17 + 20 + 80) / 160
    assert found["merged_accuracy"] == found["accuracy"] + 6 / 160
    assert found["merged_interval"][0] < found["merged_accuracy"] < found["merged_interval"][1]


def test_without_groups_both_accuracies_are_equal():
    found = high_snr_part(evaluation(NOISE, MIXED, CLEAR), [])
    assert found["accuracy"] == found["merged_accuracy"]


def test_a_group_is_right_where_any_class_of_it_is_named_from_10_db_on():
    labels = ["QPSK", "8PSK", "16QAM", "FM"]
    card = {"labels": labels, "confusion": {"8": NOISE, "10": MIXED, "30": CLEAR}}
    assert group_counts(card) == (20 + 17 + 17 + 20 + 80, 160)  # QPSK as 8PSK is a PSK, 8PSK as 16QAM is not
