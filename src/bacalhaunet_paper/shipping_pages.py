"""What the documents say of the shipped networks: a table and two pictures, made from the cards alone.

Make them again with ``python -m bacalhaunet_paper.shipping_pages docs``. A test holds them to the cards.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bacalhaunet.models.shipped_networks import by_accuracy, shipped_networks
from bacalhaunet.outputs import write_text
from bacalhaunet.report import published, wording
from bacalhaunet.report.figures.accuracy import SnrCurve, accuracy_over_snr_figure
from bacalhaunet.report.figures.style import to_svg_file
from bacalhaunet.report.merged import group_counts
from bacalhaunet.report.wording import table
from bacalhaunet_paper.learning_curves import Curve, learning_curves

Card = Mapping[str, Any]

PAGE = "networks.md"
SNR_PICTURE, CURVE_PICTURE = "images/shipped/accuracy-over-snr.svg", "images/shipped/learning-curves.svg"

BEGIN, END = "<!-- made from the cards: begin -->", "<!-- made from the cards: end -->"

_COLUMNS = (
    "name",
    "accuracy, %",
    "95 % interval",
    "score",
    "weights not zero",
    "bytes packed",
    "frames trained",
    "what",
)

_HIGH_COLUMNS = ("from 10 dB on", "all classes, %", "confused ones merged, %", "groups, %", "merged")


def cards() -> list[Card]:
    """Return the cards of the shipped networks in the order of lists."""
    return [network.card for network in by_accuracy(shipped_networks())]


def section(found: Sequence[Card]) -> str:
    """Return the Markdown between the two marks."""
    if not found:
        return "None yet."
    lines = table(_COLUMNS, [_row(card) for card in found])
    for profile in dict.fromkeys(card["profile"] for card in found):
        [first, *_] = [card for card in found if card["profile"] == profile]
        names = ", ".join(f"`{card['name']}`" for card in found if card["profile"] == profile)
        lines += [
            f"{names}: accuracy on the test split of the {profile} profile, {first['frames']:,} frames, "
            f"{first['frames_per_cell']} of each modulation at each of the 26 SNRs from -20 to +30 dB, seed "
            f"{first['test_seed']}, gone through once for each network; the interval is Wilson's.",
            "",
        ]
    lines += [
        "The same test frames from 10 dB on. *Confused ones merged*: classes that the network cannot tell apart where "
        "these SNRs begin, the last column, count as one: of the frames of two of them at 10 and 12 dB that are named "
        "one of the two, more than a third have the wrong name. *Groups*: the coarser answer beside each class, ASK, "
        "PSK, QAM/APSK, AM, SSB, FM or GMSK.",
        "",
        *table(_HIGH_COLUMNS, [_high_row(card) for card in found if "high_snr" in card]),
        f"![Accuracy over SNR of the shipped networks]({SNR_PICTURE})",
        "",
        f"![Validation accuracy of the shipped networks over frames trained]({CURVE_PICTURE})",
    ]
    return "\n".join(lines)


def pictures(found: Sequence[Card]) -> dict[str, str]:
    """Return the SVG of each picture by its path; each names the cards it was made from."""
    curves = [
        SnrCurve(
            card["name"] + ("" if card["profile"] == "twin" else f" (on {card['profile']})"),
            {int(snr): value for snr, value in card["accuracy_by_snr"].items()},
            {int(snr): (bounds[0], bounds[1]) for snr, bounds in card["interval_by_snr"].items()},
        )
        for card in found
    ]
    paper = [SnrCurve("VGG10, published", published.accuracy_by_snr("VGG10"))]
    trained = [Curve(card["name"], card["training"]["curve"]) for card in found]
    return {
        SNR_PICTURE: _marked(to_svg_file(accuracy_over_snr_figure(curves, paper), "snr"), found),
        CURVE_PICTURE: _marked(to_svg_file(learning_curves(trained), "curves"), found),
    }


def mark(found: Sequence[Card]) -> str:
    """Return the comment that a picture made from these cards carries."""
    drawn = [[card["name"], card["accuracy_by_snr"], card["training"]["curve"]] for card in found]
    return f"<!-- cards {hashlib.sha256(json.dumps(drawn).encode()).hexdigest()} -->"


def written(page: str, found: Sequence[Card]) -> str:
    """Return a page with the part between the marks made again."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{section(found)}\n\n{END}{rest.split(END)[1]}"


def _row(card: Card) -> list[str]:
    return [
        f"`{card['name']}`",
        f"{100 * card['accuracy']:.2f}",
        wording.short_interval((card["interval"][0], card["interval"][1])),
        wording.score(card["score"]),
        f"{card['nonzero_weights']:,} of {card['weights']:,}",
        f"{card['bytes']['weights']:,}",
        f"{card['training']['frames_seen'] / 1e6:.1f} million",
        card["summary"],
    ]


def _high_row(card: Card) -> list[str]:
    high = card["high_snr"]
    right, frames = group_counts(card)
    merged = ", ".join("/".join(members) for members in high["merged"])
    shares = (high["accuracy"], high["merged_accuracy"], right / frames)
    return [f"`{card['name']}`", *(f"{100 * share:.1f}" for share in shares), merged]


def _marked(svg: str, found: Sequence[Card]) -> str:
    return f"{svg.rstrip()}\n{mark(found)}\n"


def main(arguments: list[str]) -> None:
    """Write the section of the page and the pictures into the documents' folder, the first argument."""
    folder, found = Path(arguments[0]), cards()
    page = folder / PAGE
    write_text(page, written(page.read_text(encoding="utf-8"), found))
    for path, svg in pictures(found).items() if found else ():
        write_text(folder / path, svg)
    print(f"{page}: {len(found)} networks")


if __name__ == "__main__":
    main(sys.argv[1:])
