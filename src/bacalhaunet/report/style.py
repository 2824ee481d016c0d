"""The look of every figure: quiet axes, direct labels, colours that people with any colour vision tell apart.

Colours are roles. In a web page a role is a CSS variable, so that one SVG serves a light and a dark page; as a file
of its own the SVG carries the light page's colours.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from bacalhaunet.errors import ConfigError
from bacalhaunet.outputs import whole_file, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, ON_SERIES = "#1b1f24", "#5f6770", "#e3e6e9", "#fdfefe"
"""Colours of the light page: text, secondary text and axes, grid lines, text on a filled area of the first series."""

SERIES: tuple[str, ...] = ("#0072b2", "#d55e00", "#008a64", "#b4588c", "#7a5cc9", "#8a6d00", "#3a7f93")
"""Series colours of the light page, after Okabe and Ito, "Color Universal Design" (2008), darkened for thin lines."""

ROLES: dict[str, str] = {INK: "--ink", MUTED: "--muted", GRID: "--grid", ON_SERIES: "--on-series"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}
"""CSS variable of each colour."""

SETTINGS: dict[str, object] = {
    "svg.fonttype": "none",
    "text.parse_math": False,  # a "$" in a name is a "$"
    "font.family": "DejaVu Sans",
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
"""Matplotlib settings of every figure."""


def series(index: int) -> str:
    """Return the colour of a series; they repeat after the last."""
    return SERIES[index % len(SERIES)]


@contextmanager
def new_figure(width: float, height: float, *, grid: bool = True) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty figure and its axes in this style, without touching the program's own matplotlib settings.

    Args:
        width: Width in inches; 7.4 fills the report's column.
        height: Height in inches.
        grid: Whether horizontal grid lines help to read values.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        if grid:
            axes.grid(axis="y")
        yield figure, axes


def to_svg(figure: Figure, name: str, description: str, *, halo: bool = False) -> str:
    """Return a figure as SVG text for a web page.

    Args:
        figure: The figure.
        name: Prefix of every id, unique in the page.
        description: What the figure shows, for those who cannot see it.
        halo: Whether labels keep a rim in the colour of the page, where they may cross lines.
    """
    text = _raw_svg(figure, name)
    for colour, variable in ROLES.items():
        text = text.replace(colour, f"var({variable}, {colour})")
    # matplotlib wrote the short form "font:" in some releases and the long form in others.
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--font, sans-serif)", text)
    text = re.sub(r"font: (?:(\d+) )?([\d.]+)px [^;\"]*", _font, text)
    label = escape(description, {'"': "&quot;"}).replace("\\", "/")  # a backslash would be a group of the pattern below
    head = f'<svg class="figure{" halo" if halo else ""}" role="img" aria-label="{label}" '
    # The width follows the page; the view box keeps the shape.
    return re.sub(r'<svg (.*?)width="[^"]*"(.*?)height="[^"]*"', rf"{head}\1\2", text, count=1, flags=re.S)


def to_svg_file(figure: Figure, name: str) -> str:
    """Return a figure as the text of an SVG file of its own, on white, with text as outlines of the font used."""
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "path", "savefig.facecolor": "#ffffff"}):
        return _raw_svg(figure, name, whole=True)


PICTURE_ENDINGS = (".svg", ".png", ".pdf")


def check_picture(path: Path) -> Path:
    """Return a path that a picture can be written to.

    Raises:
        ConfigError: If it ends in something that is no kind of picture.
    """
    if path.suffix.lower() not in PICTURE_ENDINGS:
        raise ConfigError(f"a picture cannot end in {path.suffix!r}", where=str(path), allowed=".svg, .png or .pdf")
    return path


def save_figure(figure: Figure, path: Path, name: str) -> Path:
    """Write a figure on white as the kind of picture that the path ends in, and return the path.

    Raises:
        ConfigError: If the path ends in something else, or cannot be written.
    """
    if check_picture(path).suffix.lower() == ".svg":
        write_text(path, to_svg_file(figure, name))
        return path
    with whole_file(path) as partial:
        figure.savefig(partial, format=path.suffix[1:].lower(), dpi=150, facecolor="#ffffff")
    return path


def _font(match: re.Match[str]) -> str:
    weight = f"font-weight: {match[1]}; " if match[1] else ""
    return f"{weight}font-size: {match[2]}px; font-family: var(--font, sans-serif)"


def _raw_svg(figure: Figure, name: str, *, whole: bool = False) -> str:
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": name}), io.StringIO() as stream:
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
        text = stream.getvalue()
    if whole:
        return text
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    return text.replace("url(#", f"url(#{name}-").replace('href="#', f'href="#{name}-')


def spread(positions: Sequence[float], gap: float) -> list[float]:
    """Return the positions moved as little as needed to be at least ``gap`` apart, in the given order.

    Labels beside the ends of curves that meet stay readable this way.
    """
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed: list[tuple[float, int]] = []  # (centre, number of labels) of groups that touch
    for index in order:
        placed.append((positions[index], 1))
        while len(placed) > 1:
            (below, n), (above, m) = placed[-2:]
            if above - below >= gap * (n + m) / 2:
                break
            placed[-2:] = [((below * n + above * m) / (n + m), n + m)]
    result = [0.0] * len(positions)
    rank = 0
    for centre, members in placed:
        for member in range(members):
            result[order[rank]] = centre + gap * (member - (members - 1) / 2)
            rank += 1
    return result


@contextmanager
def panels(
    width: float, height: float, titles: Sequence[str], *, grid: bool = True
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure with one panel for each title, without touching the program's own matplotlib settings.

    Args:
        width: Width in inches.
        height: Height in inches.
        titles: Headings of the panels from left to right.
        grid: Whether horizontal grid lines help to read values.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        made = list(figure.subplots(1, len(titles), squeeze=False)[0])
        for axes, title in zip(made, titles, strict=True):
            axes.set_title(title, loc="left", color=INK, pad=10, fontsize=10)
            if grid:
                axes.grid(axis="y")
        yield figure, made
