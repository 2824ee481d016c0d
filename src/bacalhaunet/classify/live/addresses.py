"""Where samples come from: ``zmq://HOST:PORT``, ``soapy://driver=...``, or a recording played at its rate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from bacalhaunet.errors import ConfigError

_ALLOWED = "zmq://HOST:PORT, soapy://driver=NAME or the path of a recording"


@dataclass(frozen=True)
class ZmqAddress:
    """A ZMQ sink of GNU Radio.

    Attributes:
        endpoint: As ZMQ takes it, ``tcp://HOST:PORT``.
        pull: The sink pushes (PUSH); otherwise it publishes (PUB).
        bind: The sink connects to us; otherwise we connect to it.
    """

    endpoint: str
    pull: bool = False
    bind: bool = False


@dataclass(frozen=True)
class SoapyAddress:
    """A receiver that SoapySDR knows.

    Attributes:
        device: SoapySDR's arguments, ``driver=rtlsdr,serial=1``.
        rate: Samples a second.
        center: Centre frequency in Hz.
        gain: In dB; None leaves it to the receiver's own control, where it has one.
        channel: Number of its channel.
    """

    device: str
    rate: float
    center: float
    gain: float | None = None
    channel: int = 0


@dataclass(frozen=True)
class FileAddress:
    """A recording, played as a receiver would give it.

    Attributes:
        path: Any file that ``classify`` reads.
        rate: Samples a second.
        type: Sample type, where the name does not say it.
        loop: Begin again at its end.
    """

    path: str
    rate: float
    type: str | None = None
    loop: bool = False


Address: TypeAlias = ZmqAddress | SoapyAddress | FileAddress
_KINDS: dict[str, type[Address]] = {"zmq": ZmqAddress, "soapy": SoapyAddress, "file": FileAddress}


def zmq_address(source: str, pull: bool, bind: bool) -> ZmqAddress:
    """Return the address in ``zmq://HOST:PORT``.

    Raises:
        ConfigError: If host or port are missing or wrong.
    """
    place = source.removeprefix("zmq://").rstrip("/")
    host, colon, port = place.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(
            "the address has no host and port", where=source, allowed="zmq://HOST:PORT, as zmq://127.0.0.1:5555"
        )
    return ZmqAddress(f"tcp://{host}:{port}", pull, bind)


def check_scheme(source: str) -> None:
    """Raise a ConfigError if a source has a scheme that is not known."""
    scheme, separator, _ = source.partition("://")
    if separator and scheme not in ("zmq", "soapy"):
        raise ConfigError(f"no source begins with {scheme}://", where=source, allowed=_ALLOWED)


def to_json(address: Address) -> dict[str, Any]:
    """Return an address as a JSON object."""
    kind = next(name for name, class_ in _KINDS.items() if type(address) is class_)
    return {"kind": kind, **asdict(address)}


def from_json(values: dict[str, Any]) -> Address:
    """Return the address of a JSON object."""
    return _KINDS[values["kind"]](**{key: value for key, value in values.items() if key != "kind"})
