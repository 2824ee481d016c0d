from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from bacalhaunet.report.shipping.pages import CURVE_PICTURE, PAGE, SNR_PICTURE, cards, mark, written

DOCS = Path(__file__).parents[2] / "docs"
AGAIN = "make it again: python -m bacalhaunet.report.shipping.pages docs"


def test_the_page_says_what_the_cards_say():
    page = (DOCS / PAGE).read_text(encoding="utf-8")
    assert written(page, cards()) == page, AGAIN


def test_the_pictures_were_drawn_from_the_cards():
    if cards():
        for picture in (SNR_PICTURE, CURVE_PICTURE):
            assert mark(cards()) in (DOCS / picture).read_text(encoding="utf-8"), AGAIN
