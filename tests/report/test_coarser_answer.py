import numpy as np

from bacalhaunet.data.evaluation import Evaluation
from bacalhaunet.report.card import confused, group_counts, high_snr_part


def evaluation(*tables, snrs=(8, 10, 30)):
    return Evaluation(np.array(tables, np.int64), snrs, ("A", "B", "C", "D"))


NOISE = [[5, 5, 5, 5]] * 4
CLEAR = (20 * np.eye(4, dtype=int)).tolist()
MIXED = [[6, 8, 0, 6], [0, 11, 9, 0], [0, 5, 15, 0], [0, 0, 0, 20]]
"""Of A and B 8 of 25 are named wrongly, too few to merge them; of B and C 14 of 40 are, of A and D 6 of 32."""
LOST = [[6, 10, 4, 0], [0, 11, 9, 0], [0, 5, 15, 0], [0, 0, 0, 20]]
"""Of A and B 10 of 27, of B and C 14 of 40, of A and C 4 of 25: A goes with C by way of B."""


def test_classes_confused_at_high_snr_are_merged_and_their_neighbours_with_them():
    assert confused(evaluation(NOISE, MIXED, CLEAR)) == [("B", "C")]
    assert confused(evaluation(NOISE, LOST, CLEAR)) == [("A", "B", "C")]


def test_what_happens_below_10_db_and_far_above_does_not_merge_classes():
    assert confused(evaluation(NOISE, CLEAR, NOISE)) == []


def test_10_and_12_db_count_together():
    both = evaluation(LOST, CLEAR, CLEAR, snrs=(10, 12, 30))
    assert confused(both) == []  # 10 wrong of 27 + 40, 14 of 40 + 40
    assert confused(evaluation(LOST, LOST, CLEAR, snrs=(10, 12, 30))) == [("A", "B", "C")]


def test_a_merged_class_is_right_where_any_of_its_members_is_named():
    found = high_snr_part(evaluation(NOISE, MIXED, CLEAR), [("A", "B")])
    assert (found["frames"], found["merged"]) == (160, [["A", "B"]])
    assert found["accuracy"] == (6 + 11 + 15 + 20 + 80) / 160
    assert found["merged_accuracy"] == found["accuracy"] + 8 / 160
    assert found["merged_interval"][0] < found["merged_accuracy"] < found["merged_interval"][1]


def test_without_groups_both_accuracies_are_equal():
    found = high_snr_part(evaluation(NOISE, MIXED, CLEAR), [])
    assert found["accuracy"] == found["merged_accuracy"]


def test_a_group_is_right_where_any_class_of_it_is_named_from_10_db_on():
    labels = ["QPSK", "8PSK", "16QAM", "FM"]
    card = {"labels": labels, "confusion": {"8": NOISE, "10": MIXED, "30": CLEAR}}
    assert group_counts(card) == (6 + 8 + 11 + 15 + 20 + 80, 160)  # QPSK as 8PSK is a PSK, 8PSK as 16QAM is not
