from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from bacalhaunet_paper.network_pages import CURVE_PICTURE, PAGE, SNR_PICTURE, cards, mark, pictures, section, written

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "make it again: python -m bacalhaunet_paper.network_pages cards docs"


def test_the_page_says_what_the_cards_say():
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert written(page, cards()) == page, AGAIN


def test_the_pictures_were_drawn_from_the_cards():
    if cards():
        for picture in (SNR_PICTURE, CURVE_PICTURE):
            assert mark(cards()) in (DOCS / picture).read_text(encoding="utf-8"), AGAIN


def card(name, accuracy, profile="twin"):
    curve = [[1000, accuracy / 2], [2_000_000, accuracy]]
    return {
        "name": name,
        "summary": "made up",
        "accuracy": accuracy,
        "interval": [accuracy - 0.01, accuracy + 0.01],
        "score": 0.0123,
        "profile": profile,
        "frames": 255_840,
        "frames_per_cell": 410,
        "test_seed": 7,
        "weights": 2000,
        "nonzero_weights": 1000,
        "bytes": {"weights": 750},
        "accuracy_by_snr": {"-20": 0.04, "30": accuracy},
        "interval_by_snr": {"-20": [0.03, 0.05], "30": [accuracy - 0.01, accuracy + 0.01]},
        "training": {"frames_seen": 2_000_000, "curve": curve},
    }


def test_the_section_has_every_figure_of_every_network_and_its_protocol():
    text = section([card("one", 0.6), card("other", 0.9, "field")])
    assert "| `one` | 60.00 | 59.00–61.00 | 0.0123 | 1,000 of 2,000 | 750 | 2.0 million | made up |" in text
    assert text.index("`one`: accuracy on the test split of the twin") < text.index(
        "`other`: accuracy on the test split of"
    )
    assert "255,840 frames" in text


def test_a_picture_is_stale_once_a_figure_it_shows_changes():
    before, after = mark([card("one", 0.6)]), mark([card("one", 0.61)])
    assert before != after
    drawn = pictures([card("one", 0.6), card("other", 0.9, "field")])
    assert all(mark([card("one", 0.6), card("other", 0.9, "field")]) in svg for svg in drawn.values())
