"""The frame sources by name: ``twin`` (the data set as it is) and ``field`` (signals as they are on the air)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from bacalhaunet.errors import ConfigError, MissingExtraError, how_to_install
from bacalhaunet.radio.class_set import ClassSet
from bacalhaunet.radio.field.config import FieldConfig
from bacalhaunet.radio.twin_config import TwinConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class FrameSource(Protocol):
    """Anything that makes frames by name: a frame is the same whenever it is asked for."""

    @property
    def classes(self) -> ClassSet:
        """The classes by label."""

    @property
    def device(self) -> torch.device:
        """Where the frames are made."""

    def frames(self, modulation: Tensor, snr_db: Tensor, index: Tensor, *, seed: int) -> Tensor:
        """Frames float32 (B, 2, 1024) of labels, SNR labels and frame numbers, each (B,)."""


@dataclasses.dataclass(frozen=True)
class Profile:
    """A frame source on offer.

    Attributes:
        source: Module and class of the source; it is made as ``source(config, device=...)``.
        config: The class of its config, a frozen dataclass.
        summary: What its frames are, in a few words.
    """

    source: str
    config: type[Any]
    summary: str


PROFILES: dict[str, Profile] = {
    "twin": Profile("bacalhaunet.radio.twin:Twin", TwinConfig, "as RadioML 2018.01A is"),
    "field": Profile("bacalhaunet.radio.field.source:Field", FieldConfig, "signals as they are on the air"),
}
"""The profiles by name, the default first."""


def make_source(profile: str = "twin", *, device: str | torch.device = "cpu", **settings: Any) -> FrameSource:
    """The frame source of ``profile``.

    Args:
        profile: One of ``PROFILES``.
        device: Where its frames are made.
        settings: Fields of the profile's config that differ from the default; mappings for nested configs.

    Raises:
        ConfigError: If there is no such profile or setting, or a value is out of range.
        MissingExtraError: If torch is not installed.

    >>> make_source("field", classes=("QPSK", "GMSK"), digital={"rolloff": (0.2, 0.2)}).classes.groups
    ('PSK', 'GMSK')
    """
    if profile not in PROFILES:
        raise ConfigError(f"no profile is called {profile!r}", allowed=", ".join(PROFILES))
    module, name = PROFILES[profile].source.split(":")
    config = _configured(PROFILES[profile].config(), settings, profile)
    try:
        kind = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"making frames needs the package {error.name}: {how_to_install('train')}") from error
    source: FrameSource = kind(config, device=device)
    return source


def _configured(config: Any, settings: Mapping[str, Any], where: str) -> Any:
    """A copy of a config with other values; a mapping changes parts of a nested config."""
    names = [field.name for field in dataclasses.fields(config)]
    changes = {}
    for name, value in settings.items():
        if name not in names:
            raise ConfigError(f"{name!r} is no setting", where=where, allowed=", ".join(names))
        nested = getattr(config, name)
        changes[name] = _configured(nested, value, f"{where}.{name}") if isinstance(value, Mapping) else value
    return dataclasses.replace(config, **changes)
