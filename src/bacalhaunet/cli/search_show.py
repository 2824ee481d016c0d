"""``bacalhaunet search show``: the front of a study as a table and a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.errors import ConfigError

if TYPE_CHECKING:
    from bacalhaunet.search.front import Result

EXAMPLE = """\
example: the table on the terminal and a picture beside the study
  bacalhaunet search show runs/search
of a study in a database
  bacalhaunet search show runs/lite --storage postgresql://user@host/db --study lite --picture front.svg"""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = EXAMPLE
    add_study(parser)
    parser.add_argument("--picture", type=Path, help="SVG or PNG file (default: front.svg in the folder of the study)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_study(parser: ArgumentParser) -> None:
    """Add the arguments that name a study."""
    parser.add_argument("folder", type=Path, metavar="STUDY", help="folder of the search")
    parser.add_argument("--storage", type=str, help="URL of its database (default: the SQLite file in the folder)")
    parser.add_argument("--study", type=str, help="name of the study (default: the folder's name)")


def run(arguments: Namespace) -> None:
    """Show."""
    from bacalhaunet.search.front import front, results
    from bacalhaunet.search.study import read_study, study_place

    picture = arguments.picture or arguments.folder / "front.svg"
    if picture.suffix not in (".svg", ".png"):
        raise ConfigError(f"the picture is {str(picture)!r}", allowed="a name ending in .svg or .png")
    found = results(read_study(study_place(arguments.folder, arguments.storage, arguments.study)))
    best = front(found)
    _draw(best, [result for result in found if result not in best], picture)
    if arguments.json:
        whole = {"trials": [r.to_dict() for r in found], "front": [r.number for r in best], "picture": str(picture)}
        print(json.dumps(whole, indent=1))
        return
    print("\n".join(_table(found, best)))
    print(f"picture: {picture}", file=sys.stderr)


def _draw(best: list[Result], others: list[Result], picture: Path) -> None:
    from bacalhaunet.report.score_plane import PlanePoint, search_front_figure
    from bacalhaunet.report.style import save_figure

    labelled = {best[0].number, best[-1].number} if best else set()
    points = [PlanePoint(f"trial {r.number}" * (r.number in labelled), r.score, r.accuracy) for r in best]
    figure = search_front_figure(points, [PlanePoint("", r.score, r.accuracy) for r in others])
    save_figure(figure, picture, "front")


def _table(found: list[Result], best: list[Result]) -> list[str]:
    stopped = sum(result.stopped_after is not None for result in found)
    lines = [
        f"{len(found)} trials with a result, {stopped} of them stopped early; the front, by validation accuracy:",
        f"{'trial':>6}  {'accuracy':>8}  {'score':>8}  {'blocks':>6}  begun as",
    ]
    for r in best:
        accuracy = f"{100 * r.accuracy:.2f} %"
        lines.append(f"{r.number:>6}  {accuracy:>8}  {r.score:>8.5f}  {len(r.spec.blocks):>6}  {r.start or '-'}")
    return lines
