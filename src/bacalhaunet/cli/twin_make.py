"""``bacalhaunet twin make``: a file of generated frames in RadioML 2018.01A's layout."""

from __future__ import annotations

import dataclasses
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from bacalhaunet.errors import ConfigError
from bacalhaunet.radio.profiles import PROFILES

_EPILOG = (
    "example: 'bacalhaunet twin make twin.hdf5 --frames-per-cell 64 --seed 1' writes 24 x 26 x 64 frames; 4096 a "
    "cell make the original's 2,555,904 frames and 20 GB. Interrupted, the same command goes on where it stopped. The "
    "bytes depend on the seed and the settings only, not on the workers. '--twin.roll_off 0.35' and the like change "
    "the model; --config reads such settings from a YAML file."
)


def build(parser: ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("output", type=str, help="the HDF5 file to make")
    parser.add_argument("--config", action="config", help="a YAML file with any of these settings")
    parser.add_argument("--frames-per-cell", type=int, default=64, help="frames of each modulation at each SNR")
    parser.add_argument("--seed", type=int, default=0, help="names the frames")
    parser.add_argument("--workers", type=int | None, default=None, help="processes (default: one a core)")
    add_profile_settings(parser)


def add_profile_settings(parser: ArgumentParser) -> None:
    """Add ``--profile``, and ``--twin.X`` and the like for every parameter of every profile."""
    summaries = "; ".join(f"{name}: {profile.summary}" for name, profile in PROFILES.items())
    parser.add_argument("--profile", choices=tuple(PROFILES), default="twin", help=summaries)
    for name, profile in PROFILES.items():
        parser.add_class_arguments(profile.config, name)


def profile_settings(arguments: Namespace) -> dict[str, Any]:
    """The settings of the chosen profile that differ from its defaults.

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


def changed_settings(given: Namespace, default: Any) -> dict[str, Any]:
    """The settings that differ from those of a config, at any depth."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(default):
        value, usual = given[field.name], getattr(default, field.name)
        if dataclasses.is_dataclass(usual) and isinstance(value, Namespace):
            if nested := changed_settings(value, usual):
                changed[field.name] = nested
        elif _tuples(value) != _tuples(usual):
            changed[field.name] = _tuples(value)
    return changed


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def run(arguments: Namespace) -> None:
    """Write the file, with progress on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bacalhaunet.data.generate import Generation, generate_file

    generation = Generation(arguments.frames_per_cell, arguments.seed, arguments.profile, profile_settings(arguments))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("cells", total=None)
        path = generate_file(
            arguments.output,
            generation,
            workers=arguments.workers,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    frames = 24 * 26 * arguments.frames_per_cell
    console.print(f"{path}: {frames} frames, {path.stat().st_size / 1e9:.3f} GB, profile {arguments.profile}")
