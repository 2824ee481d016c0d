r"""What a card says beside its measurements: the runs that made the network, and its coarser answer.

**Recipe.** The runs in order, as plain data. A run is ``command``, ``config`` (every setting), ``model`` (its saved
model, relative to its folder), ``data`` (what its frames were, and how their file is made again) and, where there are,
``spec`` (of a network given as a file), ``starts_from`` and ``teacher`` (numbers of earlier runs).

**Coarser answer.** Classes that a network cannot tell apart where high SNRs begin count as one:

.. math:: \text{merge } i, j \quad\text{if}\quad \frac{c_{ij} + c_{ji}}{c_{ii} + c_{jj} + c_{ij} + c_{ji}} > \frac13

over validation frames of 10 and 12 dB, with `c_{ij}` frames of class i named j: of the frames of either class that are
named one of the two, a coin would name half wrong. An answer that is to hold from 10 dB on must hold there, and
averages up to 30 dB hide classes that are told apart only far above. What is merged with the same class is merged.
The accuracy from 10 dB on with and without it is then that of the test frames. Coarser still are the groups that
every answer names beside its class (``radio.class_set``), the same for every network.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bacalhaunet.data.evaluation import Evaluation, wilson_interval
from bacalhaunet.errors import ConfigError, DatasetError, ModelFileError
from bacalhaunet.models.shipped_networks import shipped_networks
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.outputs import write_text
from bacalhaunet.radio.modulations import classes_named

PROFILES = ("twin", "field")


def described(config: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return what a card says of the frames of a run: the profile, and of a file its name, seed and frames of a cell.

    Args:
        config: Every setting of the run.
        folder: Its folder; a relative path is looked for from here and from the folders above it.

    Raises:
        DatasetError: If the file is missing: what it held cannot be told.
        ConfigError: If it was made with the seed of the test or validation frames.
    """
    data = config["data"]
    if data.get("file") is None:
        return {"profile": data["profile"]}
    import h5py

    from bacalhaunet.data.generated import TEST_SEED, VALIDATION_SEED
    from bacalhaunet.data.radioml import RadioMLFile
    from bacalhaunet.training.history import seen_from

    path = seen_from(Path(data["file"]), folder)
    if not path.is_file():
        raise DatasetError("the file a run was trained on is missing", where=str(path), action="make it again")
    with h5py.File(path, "r") as file:
        found = {name: value.item() if hasattr(value, "item") else value for name, value in file.attrs.items()}
    with RadioMLFile(path) as frames:
        facts = {"profile": found.get("profile", "file"), "file": path.name, "frames_per_cell": frames.frames_per_cell}
    if "seed" not in found:
        return facts
    if found["seed"] in (TEST_SEED, VALIDATION_SEED):
        raise ConfigError(
            f"the network was trained on frames of seed {found['seed']}",
            where=str(path),
            allowed="a seed that neither test nor validation frames have",
        )
    return {**facts, "seed": found["seed"], "settings": json.loads(str(found.get("settings", "{}")))}


def in_words(data: Mapping[str, Any]) -> str:
    """Say what ``described`` found."""
    if "file" not in data:
        return f"frames of the {data['profile']} profile, none twice"
    what = f"{data['file']}, {data['frames_per_cell']:,} frames of each modulation at each SNR"
    return what + (f" of the {data['profile']} profile, seed {data['seed']}" if "seed" in data else "")


def command(data: Mapping[str, Any]) -> str | None:
    """Return the shell command that makes a generated file again, if it is not there; None for another file."""
    if "seed" not in data or data.get("settings"):
        return None
    words = ["--frames-per-cell", str(data["frames_per_cell"]), "--seed", str(data["seed"])]
    made = shlex.join(["bacalhaunet", "twin", "make", data["file"], *words, "--profile", data["profile"]])
    return f"[ -f {shlex.quote(data['file'])} ] || {made}"


Run = dict[str, Any]

_CONFIG, _SAVED, _SPEC = "config.yaml", ".safetensors", (".yaml", ".yml", ".json")


def recipe_of(model: Path) -> list[Run]:
    """Return the runs that made a saved model, its own last, from the folders they left.

    Raises:
        ModelFileError: If the folder of a run is missing.
    """
    found: list[Run] = []
    _add(model, found, {})
    return found


def _add(model: Path, found: list[Run], numbers: dict[str, int]) -> int:
    """Add the runs behind a saved model and return the number of its own, counted from 0."""
    key = str(model.resolve())
    if key in numbers:
        return numbers[key]
    folder = model.parent if (model.parent / _CONFIG).is_file() else model.parent.parent
    if not (folder / _CONFIG).is_file():
        raise ModelFileError(
            "the folder of the run that made this network is missing",
            where=str(model),
            allowed="a model in the folder of its run, which has a config.yaml",
            action="name the model where 'bacalhaunet train', 'prune' or 'compress' left it",
        )
    from bacalhaunet.training.history import seen_from  # not for those who only write a recipe, without torch

    config: dict[str, Any] = yaml.safe_load((folder / _CONFIG).read_text(encoding="utf-8"))
    own = str(model.relative_to(folder))
    run: Run = {"command": _command(config), "config": config, "model": own, "data": described(config, folder)}
    before = _behind(str(config["network"]), folder, found, numbers)
    if before is not None:
        run["starts_from"] = before
    elif Path(str(config["network"])).suffix in _SPEC:
        run["spec"] = NetworkSpec.load(seen_from(Path(config["network"]), folder)).to_dict()
    teacher = (config.get("distillation") or {}).get("teacher")
    if teacher is not None:
        run["teacher"] = _behind(str(teacher), folder, found, numbers)
    found.append(run)
    numbers[key] = len(found) - 1
    return numbers[key]


def _command(config: Mapping[str, Any]) -> str:
    if "steps" in config:
        return "prune"
    return "compress" if "target_score" in config else "train"


def _behind(network: str, folder: Path, found: list[Run], numbers: dict[str, int]) -> int | None:
    """Add the runs behind a saved model or a shipped network; None for a name of the catalog or a specification."""
    if Path(network).suffix == _SAVED:
        from bacalhaunet.training.history import seen_from

        return _add(seen_from(Path(network), folder), found, numbers)
    shipped = shipped_networks().get(network)
    if shipped is None:
        return None
    places: list[int] = []
    for run in shipped.card["training"]["recipe"]:
        moved = {key: places[run[key]] for key in ("starts_from", "teacher") if run.get(key) is not None}
        whole = {**run, **moved}
        if whole not in found:  # a network that is start and teacher, or teacher of several runs, is made once
            found.append(whole)
        places.append(found.index(whole))
    numbers[str(shipped.model.resolve())] = places[-1]
    return places[-1]


def write_recipe(recipe: Sequence[Run], folder: Path) -> Path:
    """Write the settings of each run as YAML, and ``run.sh``, which makes them one after another.

    Args:
        recipe: The runs, as a card has them.
        folder: Gets ``1-train.yaml`` and so on, specifications, ``run.sh``; the runs will go into ``1``, ``2``, ...

    Returns:
        ``run.sh``.
    """
    lines = ["#!/bin/sh", "# Each command goes on where it was interrupted.", "set -e", 'cd "$(dirname "$0")"']
    for number, run in enumerate(recipe, 1):
        config = dict(run["config"])
        if run.get("starts_from") is not None:
            config["network"] = _model(recipe, run["starts_from"])
        elif "spec" in run:
            config["network"] = f"{number}-spec.yaml"
            write_text(folder / config["network"], yaml.safe_dump(run["spec"], sort_keys=False))
        if run.get("teacher") is not None:
            config["distillation"] = {**config["distillation"], "teacher": _model(recipe, run["teacher"])}
        remake = command(run["data"])
        if remake is not None:
            config["data"] = {**config["data"], "file": run["data"]["file"]}
            if remake not in lines:
                lines.append(remake)
        name = f"{number}-{run['command']}.yaml"
        write_text(folder / name, yaml.safe_dump(config, sort_keys=False))
        lines.append(shlex.join(["bacalhaunet", run["command"], "--config", name, "--output", str(number)]))
    path = folder / "run.sh"
    write_text(path, "\n".join([*lines, f"# the network: {_model(recipe, len(recipe) - 1)}", ""]))
    return path


def _model(recipe: Sequence[Run], number: int) -> str:
    return f"{number + 1}/{recipe[number]['model']}"


FROM_DB = 10
"""Smallest SNR label that counts as high."""

LOWEST_DB = (10, 12)
"""SNR labels at which classes must be told apart; two of them, so that there are frames enough."""

SHARE = 1 / 3
"""Share of wrong names among the frames of two classes that are named one of the two, above which they are merged."""


def confused(validation: Evaluation) -> list[tuple[str, ...]]:
    """Return the groups of two and more classes that cannot be told apart, from validation frames."""
    table = validation.counts[[snr in LOWEST_DB for snr in validation.snrs_db]].sum(axis=0)
    right = np.diag(table)
    group = list(range(len(table)))
    for i in range(len(table)):
        for j in range(i):
            wrong = table[i, j] + table[j, i]
            if wrong > SHARE * (right[i] + right[j] + wrong):
                group = [group[i] if number == group[j] else number for number in group]
    names = [tuple(n for n, g in zip(validation.names, group, strict=True) if g == number) for number in set(group)]
    return sorted(members for members in names if len(members) > 1)


def high_snr_part(test: Evaluation, groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the accuracy from 10 dB on: of all classes, and with some of them merged.

    Args:
        test: Test frames.
        groups: Classes that count as one.
    """
    table = _high(test).sum(axis=0)
    frames, right = int(table.sum()), int(np.trace(table))
    merged = right
    for members in groups:
        places = [test.names.index(name) for name in members]
        block = table[np.ix_(places, places)]
        merged += int(block.sum() - np.trace(block))
    return {
        "from_db": FROM_DB,
        "frames": frames,
        "accuracy": right / frames,
        "interval": list(wilson_interval(right, frames)),
        "merged": [list(members) for members in groups],
        "merged_accuracy": merged / frames,
        "merged_interval": list(wilson_interval(merged, frames)),
    }


def group_counts(card: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many test frames of a card from 10 dB on are named with the right group, and how many there are."""
    table = np.sum([rows for snr, rows in card["confusion"].items() if int(snr) >= FROM_DB], axis=0)
    groups = np.array(classes_named(card["labels"]).group_of)
    same = groups[:, None] == groups
    return int(table[same].sum()), int(table.sum())


def _high(evaluation: Evaluation) -> Any:
    return evaluation.counts[[snr >= FROM_DB for snr in evaluation.snrs_db]]
