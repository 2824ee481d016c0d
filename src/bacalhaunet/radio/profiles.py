"""The frame sources by name: ``twin`` (the data set as it is) and ``field`` (signals as they are on the air)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor

from bacalhaunet.errors import ConfigError


class FrameSource(Protocol):
    """Anything that makes frames by name: a frame is the same whenever it is asked for."""

    @property
    def modulations(self) -> tuple[str, ...]:
        """Class names by label."""

    @property
    def device(self) -> torch.device:
        """Where the frames are made."""

    def frames(self, modulation: Tensor, snr_db: Tensor, index: Tensor, *, seed: int) -> Tensor:
        """Frames float32 (B, 2, 1024) of labels, SNR labels and frame numbers, each (B,)."""


# Name: (module, class of the source, class of its config); imported when asked for.
_PROFILES: dict[str, tuple[str, str, str, str]] = {
    "twin": ("bacalhaunet.radio.twin", "Twin", "bacalhaunet.radio.twin_config", "TwinConfig"),
    "field": ("bacalhaunet.radio.field", "Field", "bacalhaunet.radio.field_config", "FieldConfig"),
}

PROFILES: tuple[str, ...] = tuple(_PROFILES)
"""Names of the profiles, the default first."""


def make_source(profile: str = "twin", *, device: str | torch.device = "cpu", **settings: Any) -> FrameSource:
    """The frame source of ``profile``.

    Args:
        profile: One of ``PROFILES``.
        device: Where its frames are made.
        settings: Fields of the profile's config that differ from the default; mappings for nested configs.

    Raises:
        ConfigError: If there is no such profile or setting, or a value is out of range.
    """
    if profile not in _PROFILES:
        raise ConfigError(f"no profile is called {profile!r}", allowed=", ".join(PROFILES))
    source_module, source_name, config_module, config_name = _PROFILES[profile]
    source: Callable[..., FrameSource] = getattr(import_module(source_module), source_name)
    config = getattr(import_module(config_module), config_name)
    return source(_configured(config(), settings, profile), device=device)


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
