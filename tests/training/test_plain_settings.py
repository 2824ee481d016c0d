from dataclasses import dataclass
from pathlib import Path

import yaml

from bacalhaunet.training.config import plain


@dataclass(frozen=True)
class Inner:
    file: Path | None
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    named: dict[str, tuple[Path, ...]]


def test_settings_become_what_yaml_can_hold():
    settings = Outer(Inner(Path("a/b"), (1, 2)), {"x": (Path("c"),)})
    expected = {"inner": {"file": "a/b", "steps": [1, 2]}, "named": {"x": ["c"]}}
    assert plain(settings) == expected
    assert yaml.safe_load(yaml.safe_dump(plain(settings))) == expected
