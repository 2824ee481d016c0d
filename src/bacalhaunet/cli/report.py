"""``bacalhaunet report``: a web page about a run."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

_DESCRIPTION = """\
A web page about a run: accuracy over SNR, confusion matrices, the cost table, the path of the compression beside the
published points, protocol and intervals. One file with nothing from elsewhere in it: open it in a browser, mail it,
print it."""

_EPILOG = """\
example: what train, prune or compress left, as runs/six-bits/report.html
  bacalhaunet report runs/six-bits
what evaluate found, written elsewhere
  bacalhaunet evaluate lite --data twin.hdf5 -o runs/lite
  bacalhaunet report runs/lite -o page.html
the main job's, written again
  bacalhaunet report runs/reproduce-quick"""


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.description, parser.epilog = _DESCRIPTION, _EPILOG
    parser.add_argument("run", type=Path, metavar="RUN_DIR", help="the folder of a run")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="the HTML file; report.html in the run folder if not given"
    )


def run(arguments: Namespace) -> None:
    """Write the page and print its path."""
    from bacalhaunet.report.page import write_report

    print(write_report(arguments.run, arguments.output))
