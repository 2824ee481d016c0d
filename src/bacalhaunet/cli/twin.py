"""``bacalhaunet twin``: make a file of generated frames, show what they look like."""

from __future__ import annotations

import dataclasses
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.cli.parser import CommandParser
from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.profiles import PROFILES

_EPILOG = """\
examples: 'bacalhaunet twin make twin.hdf5 --frames-per-cell 64 --seed 1' writes 39,936 frames;
'bacalhaunet twin show twin.png' draws all classes at +30 dB."""

_MAKE_EPILOG = (
    "example: 'bacalhaunet twin make twin.hdf5 --frames-per-cell 64 --seed 1' writes 24 x 26 x 64 frames; 4096 a "
    "cell make the original's 2,555,904 frames and 20 GB. Interrupted, the same command goes on where it stopped. The "
    "bytes depend on the seed and the settings only, not on the workers. '--twin.roll_off 0.35' and the like change "
    "the model; --config reads such settings from a YAML file; --field.classes chooses other classes."
)

_SHOW_EPILOG = (
    "example: 'bacalhaunet twin show twin.png' draws the 24 classes at +30 dB; '--snr-db 0 --profile field' as a "
    "receiver meets them at 0 dB. The ending chooses PNG, SVG or PDF."
)


def build(parser: ArgumentParser) -> None:
    """Add the subcommands."""
    parser.epilog = _EPILOG
    commands = parser.add_subcommands(required=True, dest="action")
    make = CommandParser(description="Write a file in RadioML 2018.01A's layout.", epilog=_MAKE_EPILOG)
    make.add_argument("output", type=str, help="the HDF5 file to make")
    make.add_argument("--config", action="config", help="a YAML file with any of these settings")
    make.add_argument("--frames-per-cell", type=int, default=64, help="frames of each modulation at each SNR")
    make.add_argument("--workers", type=int | None, default=None, help="processes (default: one a core)")
    _add_profile_settings(make)
    commands.add_subcommand("make", make, help="write a file in RadioML 2018.01A's layout")
    show = CommandParser(
        description="Draw every class: constellation, spectrum and waveform in one picture.", epilog=_SHOW_EPILOG
    )
    show.add_argument("output", type=str, help="the picture to write: .png, .svg or .pdf")
    show.add_argument("--snr-db", type=float, default=30.0, help="SNR label in dB")
    _add_profile_settings(show)
    commands.add_subcommand("show", show, help="draw every class: constellation, spectrum and waveform in one picture")


def _add_profile_settings(parser: ArgumentParser) -> None:
    """Add ``--profile``, ``--seed``, and ``--twin.X`` and the like for every parameter of every profile."""
    summaries = "; ".join(f"{name}: {profile.summary}" for name, profile in PROFILES.items())
    parser.add_argument("--profile", choices=tuple(PROFILES), default="twin", help=summaries)
    parser.add_argument("--seed", type=int, default=0, help="names the frames")
    for name, profile in PROFILES.items():
        parser.add_class_arguments(profile.config, name)


def run(arguments: Namespace) -> None:
    """Make the file or draw the picture."""
    {"make": _make, "show": _show}[arguments.action](arguments[arguments.action])


def _make(arguments: Namespace) -> None:
    """Write the file, with progress on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bacalhaunet.data.generate import Generation, generate_file

    generation = Generation(arguments.frames_per_cell, arguments.seed, arguments.profile, _profile_settings(arguments))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    cells = 0
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cells", total=None)

        def show(done: int, total: int) -> None:
            nonlocal cells
            cells = total
            bar.update(task, completed=done, total=total)

        path = generate_file(arguments.output, generation, workers=arguments.workers, progress=show)
    frames, gigabytes = cells * arguments.frames_per_cell, path.stat().st_size / 1e9
    console.print(f"{path}: {frames} frames, {gigabytes:.3f} GB, profile {arguments.profile}")


def _show(arguments: Namespace) -> None:
    """Draw and write."""
    from bacalhaunet.radio.profiles import make_source
    from bacalhaunet.report.source_picture import draw_source

    source = make_source(arguments.profile, **_profile_settings(arguments))
    draw_source(arguments.output, source, snr_db=arguments.snr_db, seed=arguments.seed, title=arguments.profile)


def _profile_settings(arguments: Namespace) -> dict[str, Any]:
    """Return the settings of the chosen profile that differ from its defaults.

    Raises:
        ConfigError: If settings of another profile were changed.
    """
    changed = {name: changed_settings(arguments[name], profile.config()) for name, profile in PROFILES.items()}
    for other, settings in changed.items():
        if settings and other != arguments.profile:
            raise ConfigError(
                f"--{other}.{next(iter(settings))} does not belong to the profile {arguments.profile}",
                action=f"add '--profile {other}' or leave it out",
            )
    return changed[arguments.profile]


def changed_settings(values: Namespace, default: Any) -> dict[str, Any]:
    """Return the settings that differ from those of a config, at any depth."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(default):
        value, usual = values[field.name], getattr(default, field.name)
        if dataclasses.is_dataclass(usual) and isinstance(value, Namespace):
            if nested := changed_settings(value, usual):
                changed[field.name] = nested
        elif _tuples(value) != _tuples(usual):
            changed[field.name] = _tuples(value)
    return changed


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
