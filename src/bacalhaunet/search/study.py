"""Where a study lies, how it is made, joined and read, and its lock, which ends with the process that holds it."""

from __future__ import annotations

import hashlib
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
import yaml

from bacalhaunet.errors import ConfigError, MissingExtraError, how_to_install
from bacalhaunet.models.resolve import resolve_network
from bacalhaunet.radio.modulations import FRAME_LENGTH
from bacalhaunet.resume import file_lock
from bacalhaunet.search.settings import SearchConfig
from bacalhaunet.search.space import Candidate, values_of


@contextmanager
def study_lock(url: str, name: str) -> Iterator[None]:
    """Hold the lock of a study; wait for it as long as another worker has it.

    For SQLite it is a lock of the operating system on a file beside the database, for PostgreSQL an advisory lock of
    a connection of its own. Both are released by the system when the process is killed.

    Args:
        url: The storage.
        name: The study.
    """
    parsed = sqlalchemy.engine.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with file_lock(Path(f"{parsed.database}.lock")):
            yield
        return
    key = int.from_bytes(hashlib.sha256(f"bacalhaunet {name}".encode()).digest()[:8], "big", signed=True)
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})


DATABASE = "study.db"
SETTINGS = "settings"
"""User attribute of a study: the settings its workers share."""

EXPECTED_SCORE, SPEC, STOPPED_AFTER, MIN_ABS_WEIGHT = "expected_score", "spec", "stopped_after", "min_abs_weight"
"""User attributes of a trial: the score known before training, its network, and what came of it."""

GRACE_BEATS = 4
"""Signs of life that must be missing before a worker is given up."""

_OPENINGS = 5
"""Times a database is opened before 'already exists' is an error."""


@dataclass(frozen=True)
class StudyPlace:
    """A database and a name in it.

    Attributes:
        url: SQLAlchemy's URL of the database; it may hold a password, so it is never printed.
        name: The study's name.
    """

    url: str
    name: str

    @property
    def shown(self) -> str:
        """The database without its password, and the name."""
        return f"{sqlalchemy.engine.make_url(self.url).render_as_string(hide_password=True)}, study {self.name}"


def study_place(folder: Path, storage: str | None = None, name: str | None = None) -> StudyPlace:
    """Return where a study lies: a SQLite file in ``folder``, or the database ``storage``.

    Args:
        folder: Folder of the search; its name is the study's unless ``name`` is given.
        storage: ``postgresql://user@host/database`` or ``sqlite:///file``; None for the file in ``folder``.
        name: The study's name.

    Raises:
        ConfigError: If ``storage`` is not such a URL.
    """
    name = name or folder.resolve().name
    if storage is None:
        return StudyPlace(f"sqlite:///{(folder / DATABASE).resolve()}", name)
    allowed = "postgresql://user@host/database or sqlite:///file.db"
    try:
        url = sqlalchemy.engine.make_url(storage)
    except sqlalchemy.exc.ArgumentError as error:
        raise ConfigError("the storage is not a URL", allowed=allowed) from error
    if url.get_backend_name() in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    elif url.get_backend_name() != "sqlite" or not url.database:
        raise ConfigError(f"the storage is of kind {url.get_backend_name()!r}", allowed=allowed)
    return StudyPlace(url.render_as_string(hide_password=False), name)


def open_study(place: StudyPlace, config: SearchConfig, classes: int, frame_length: int = FRAME_LENGTH) -> Any:
    """Make a study with its first trials, or join it; return Optuna's Study.

    Raises:
        ConfigError: If the database cannot be reached, or the study was begun with other settings.
        MissingExtraError: If the driver of PostgreSQL is not installed.
    """
    with database_errors(place), study_lock(place.url, place.name):
        storage = _storage(place, config.heartbeat_seconds)
        study = optuna.create_study(
            storage=storage, study_name=place.name, directions=["maximize", "minimize"], load_if_exists=True
        )
        agreed = study.user_attrs.get(SETTINGS)
        if agreed is None:  # new, or its maker was killed before this line was reached
            _enqueue_starts(study, config, classes, frame_length)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                study.set_metric_names(["validation accuracy", "score"])  # the dashboard's axes
            study.set_user_attr(SETTINGS, config.agreed())
        elif agreed != config.agreed():
            raise ConfigError(
                f"the study was begun with other settings: {_difference(agreed, config.agreed())}",
                where=place.shown,
                allowed="the same settings, to join it",
                action="choose another --study or --output",
            )
    return study


def read_study(place: StudyPlace) -> Any:
    """Return the study that lies at ``place``.

    Raises:
        ConfigError: If there is none, or the database cannot be reached.
        MissingExtraError: If the driver of PostgreSQL is not installed.
    """
    url = sqlalchemy.engine.make_url(place.url)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        raise ConfigError(
            "there is no study here", where=str(url.database), action="name the --output folder of 'search run'"
        )
    # Under the lock: a reader that opens a file while a worker makes its tables would make them too, and stop it.
    alone: AbstractContextManager[None] = nullcontext()
    if url.get_backend_name() == "sqlite" and os.access(Path(str(url.database)).parent, os.W_OK):
        alone = study_lock(place.url, place.name)
    with database_errors(place), alone:
        storage = _storage(place, None)
        try:
            return optuna.load_study(storage=storage, study_name=place.name)
        except KeyError as error:
            names = ", ".join(optuna.get_all_study_names(storage)) or "none"
            raise ConfigError(
                f"no study is called {place.name!r}", allowed=names, action="give its name with --study"
            ) from error


def settings_of(study: Any) -> dict[str, Any]:
    """Return the settings that the workers of a study share, as plain values; none if it was begun without."""
    return dict(yaml.safe_load(study.user_attrs.get(SETTINGS, "")) or {})


def _storage(place: StudyPlace, heartbeat_seconds: int | None) -> Any:
    """Open the database, and make its tables where it is new."""
    for left in reversed(range(_OPENINGS)):
        try:
            return _connect(place, heartbeat_seconds)
        except sqlalchemy.exc.SQLAlchemyError as error:
            # Another process was making the tables of a new database at the same moment; now they are there.
            if "already exists" not in str(error) or not left:
                raise
            time.sleep(0.5)
    raise AssertionError("the last opening returns or raises")


def _connect(place: StudyPlace, heartbeat_seconds: int | None) -> Any:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sqlite = place.url.startswith("sqlite")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.storages.RDBStorage(
            place.url,
            engine_kwargs={"connect_args": {"timeout": 100}} if sqlite else {"pool_pre_ping": True},
            heartbeat_interval=heartbeat_seconds,
            grace_period=heartbeat_seconds and GRACE_BEATS * heartbeat_seconds,
        )


@contextmanager
def database_errors(place: StudyPlace) -> Iterator[None]:
    """Turn what a database raises at the first touch into errors that say what to do."""
    try:
        yield
    except ImportError as error:
        if "psycopg" not in str(error):
            raise
        raise MissingExtraError(f"PostgreSQL needs its driver: {how_to_install('postgres')}") from error
    except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        cause = str(error.__cause__ or error).splitlines()[0]
        raise ConfigError(f"the database cannot be used: {cause}", where=place.shown) from error


def _enqueue_starts(study: Any, config: SearchConfig, classes: int, frame_length: int) -> None:
    """Queue the networks to try first, no more than there are trials."""
    known = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(deepcopy=False)]
    for name in config.starts:
        values = start_values(name, config, classes, frame_length)
        if values is not None and values not in known and len(known) < config.trials:
            study.enqueue_trial(values, user_attrs={"start": name})
            known.append(values)


def start_values(
    name: str, config: SearchConfig, classes: int, frame_length: int = FRAME_LENGTH
) -> dict[str, int | float] | None:
    """Return the values that choose a start, pruned as little as the space allows; None if outside the space.

    Raises:
        SpecError: If no network has that name.
    """
    spec = resolve_network(name, ("catalog", "spec"), "a network to start from").spec()
    spec = replace(spec, classes=classes, frame_length=frame_length)
    if spec.is_float:
        bits, source = config.start_bits, min(8, config.space.input_bits.high)
        spec = spec.quantized(bits, bits, input_bits=source, sum_bits=bits, shared_sums=config.space.shared_sums)
    return values_of(Candidate(spec, config.space.prune_share.low), config.space)


def _difference(agreed: str, own: str) -> str:
    theirs = set(agreed.splitlines())
    lines = [line.strip() for line in own.splitlines() if line not in theirs]
    return "; ".join(lines[:3]) or "some are missing here"
