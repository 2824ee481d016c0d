"""The classes of a data set and of the networks that were trained on it: names, order and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bacalhaunet.errors import ConfigError


@dataclass(frozen=True)
class ClassSet:
    """Names of classes by label, and the group that each belongs to.

    Groups are the coarser answer: classes that are easily taken for each other. Where nothing is known of a class, its
    group is its own name.

    >>> classes = ClassSet(("BPSK", "QPSK", "LoRa"), ("PSK", "PSK", "LoRa"))
    >>> len(classes), classes.index("LoRa"), classes.groups
    (3, 2, ('PSK', 'LoRa'))
    >>> ClassSet(("up", "down")).group_of
    ('up', 'down')

    Attributes:
        names: One or more different names; the position is the label, the number of the class.
        group_of: The group of each class, in the same order; left out, each class is a group of its own.

    Raises:
        ConfigError: If a name is empty or comes twice, or there is not one group a class.
    """

    names: tuple[str, ...]
    group_of: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the names; lists become tuples."""
        names = tuple(map(str, self.names))
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "group_of", tuple(map(str, self.group_of)) or names)
        if not names or not all(names) or len(set(names)) != len(names):
            raise ConfigError(f"the classes are {list(names)}", allowed="one or more names, all different, none empty")
        if len(self.group_of) != len(names):
            raise ConfigError(f"{len(self.group_of)} groups for {len(names)} classes", allowed="one group a class")

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.names)

    @property
    def groups(self) -> tuple[str, ...]:
        """The different groups, in the order of their first class."""
        return tuple(dict.fromkeys(self.group_of))

    def index(self, name: str) -> int:
        """Return the label of a class.

        Raises:
            ConfigError: If no class has that name.
        """
        if name not in self.names:
            raise ConfigError(f"no class is called {name!r}", allowed=", ".join(self.names))
        return self.names.index(name)

    def to_dict(self) -> dict[str, list[str]]:
        """Return the classes as JSON can hold them."""
        return {"names": list(self.names), "group_of": list(self.group_of)}

    @staticmethod
    def from_dict(values: Mapping[str, Sequence[Any]]) -> ClassSet:
        """Return the classes that ``to_dict`` gave."""
        return ClassSet(tuple(values["names"]), tuple(values.get("group_of", ())))
