"""A recording's classification in the report: the answer in words, the likeliest first, nothing lost."""

from __future__ import annotations

from bacalhaunet.report.page import flat_items, view_classification

SUMMARY = {
    "label": "8PSK",
    "confidence": 0.9,
    "agreement": 0.75,
    "probabilities": {"QPSK": 0.1, "8PSK": 0.9},
    "frames": 64,
    "sample_rate": 1e6,
}


def test_the_answer_says_label_confidence_and_agreement():
    view = view_classification(SUMMARY)
    assert view.answer.replace("\u202f", " ") == (
        "The recording is named 8PSK, with a confidence of 90.0 %; 75.0 % of its frames say so one by one."
    )
    assert view.bars == (("8PSK", 0.9), ("QPSK", 0.1))
    assert view.facts == (("frames", "64"), ("sample rate", "1e+06"))


def test_the_whole_document_of_the_command_gives_the_same_view():
    assert view_classification({"frames": [{"label": "8PSK"}], "summary": SUMMARY}) == view_classification(SUMMARY)


def test_silence_is_not_a_modulation():
    assert view_classification({"label": None, "confidence": 0.0}).answer.startswith("No modulation was named")


def test_unknown_fields_and_shapes_are_shown_as_facts():
    view = view_classification({"summary": "all noise"})
    assert view.facts == (("summary", "all noise"),)
    assert view_classification({"probabilities": [0.5, 0.5]}).facts == (("probabilities", "0.5, 0.5"),)
    assert view_classification({"confidence": "high", "label": "FM"}).answer == "The recording is named FM."


def test_nothing_gives_nothing():
    assert view_classification({}) is None


def test_a_long_list_is_cut_and_says_so():
    assert flat_items({"frames": list(range(30))}, longest=3) == [("frames", "0, 1, 2 and 27 more")]
