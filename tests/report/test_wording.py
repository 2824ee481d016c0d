"""Numbers as words: rounded rightly, and a dash where there is none."""

from __future__ import annotations

import pytest

from bacalhaunet.report import wording


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (wording.percent(0.56241), "56.24\u202f%"),
        (wording.percent(1.0, 0), "100\u202f%"),
        (wording.interval((0.5, 0.50504)), "50.00 to 50.50\u202f%"),
        (wording.short_interval((0.5, 0.50504)), "50.00–50.50"),
        (wording.score(0.016211), "0.016211"),
        (wording.score(0.0735), "0.0735"),
        (wording.score(1.4155), "1.4155"),
        (wording.score(0), "0"),
        (wording.count(19242864), "19\u202f242\u202f864"),
        (wording.setting(1e-4), "1e-4"),
        (wording.setting(5e-5), "5e-5"),
        (wording.setting(0.15), "0.15"),
        (wording.setting(0), "0"),
        (wording.duration(12.4), "12\u202fs"),
        (wording.duration(61), "1\u202fmin"),
        (wording.duration(3599), "1\u202fh 0\u202fmin"),
        (wording.duration(3725), "1\u202fh 2\u202fmin"),
    ],
)
def test_a_number_reads_as_expected(text, expected):
    assert text == expected


def test_a_missing_number_is_a_dash():
    functions = (wording.percent, wording.score, wording.count, wording.setting, wording.duration, wording.interval)
    assert {function(None) for function in functions} == {wording.MISSING}
