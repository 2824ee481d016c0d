"""Where samples come from, and the process of its own that moves them from there to the ring as fast as they come.

Sources are ``zmq://HOST:PORT``, ``soapy://driver=...``, or a recording played at its rate. In the process that
analyses, Python's lock would make the receiver wait for the analysis.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np

from bacalhaunet import errors
from bacalhaunet.classify.live.queues import Counter, Intake, SampleRing
from bacalhaunet.errors import BacalhauNetError, ConfigError, MissingExtraError, RecordingError, import_extra

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


def zmq_module() -> Any:
    """Return ``zmq``.

    Raises:
        MissingExtraError: If pyzmq is not installed.
    """
    return import_extra("zmq", "live", "listening to ZMQ", "pyzmq")


def soapy_module() -> Any:
    """Return ``SoapySDR``.

    Raises:
        MissingExtraError: If its Python module is not installed.
    """
    try:
        return importlib.import_module("SoapySDR")
    except ImportError as error:
        raise MissingExtraError(
            "listening to a receiver needs the Python module SoapySDR, which no Python package brings",
            action="install it with the system's packages (Debian: apt install python3-soapysdr and the receiver's "
            "soapysdr-module-NAME; conda: conda install -c conda-forge soapysdr) and make the virtual environment "
            "with --system-site-packages",
        ) from error


SILENCE_S = 0.5
"""After so long without samples those that come are a new stretch."""

_POLL_MS = 100
_MESSAGES_AT_ONCE = 64
_QUEUED_MESSAGES = 4000
_SOAPY_SAMPLES = 1 << 16
_FILE_READS_PER_S = 50

Stopped = Callable[[], bool]


def receive(address: Address, intake: Intake, stopped: Stopped) -> None:
    """Take samples until ``stopped`` says so or the source has ended.

    Raises:
        MissingExtraError: If a package is missing.
        ConfigError: If the source cannot be opened.
        RecordingError: If a recording cannot be read.
    """
    if isinstance(address, ZmqAddress):
        receive_zmq(address, intake, stopped)
    elif isinstance(address, SoapyAddress):
        receive_soapy(address, intake, stopped)
    else:
        play_file(address, intake, stopped)


def receive_zmq(address: ZmqAddress, intake: Intake, stopped: Stopped) -> None:
    """Take messages from GNU Radio's PUB or PUSH sink; libzmq connects again by itself when the sink comes back."""
    zmq = zmq_module()
    context = zmq.Context()
    socket = _socket(zmq, context, address)
    monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
    try:
        try:
            (socket.bind if address.bind else socket.connect)(address.endpoint)
        except zmq.ZMQError as error:
            raise ConfigError(f"the address cannot be used: {error}", where=address.endpoint) from error
        _drain(zmq, socket, monitor, intake, stopped)
    finally:
        socket.disable_monitor()
        monitor.close(0)
        socket.close(0)
        context.term()


def _socket(zmq: Any, context: Any, address: ZmqAddress) -> Any:
    socket = context.socket(zmq.PULL if address.pull else zmq.SUB)
    socket.set(zmq.RCVHWM, _QUEUED_MESSAGES)
    socket.set(zmq.IPV6, int("[" in address.endpoint))
    socket.set(zmq.RECONNECT_IVL, 100)
    socket.set(zmq.RECONNECT_IVL_MAX, 1000)
    socket.set(zmq.HEARTBEAT_IVL, 2000)  # so that a source whose machine went away is missed
    socket.set(zmq.HEARTBEAT_TIMEOUT, 6000)
    if not address.pull:
        socket.set(zmq.SUBSCRIBE, b"")
    return socket


def _drain(zmq: Any, socket: Any, monitor: Any, intake: Intake, stopped: Stopped) -> None:
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(monitor, zmq.POLLIN)
    parse = importlib.import_module("zmq.utils.monitor").parse_monitor_message
    last = time.monotonic()
    while not stopped():
        ready = dict(poller.poll(_POLL_MS))
        if monitor in ready:
            event = parse(monitor.recv_multipart())["event"]
            intake.connected(event == zmq.EVENT_HANDSHAKE_SUCCEEDED)
        if socket not in ready:
            continue
        now = time.monotonic()
        if now - last > SILENCE_S and intake.ring[Counter.WRITTEN]:
            intake.ring[Counter.SEGMENT] = intake.ring[Counter.WRITTEN]
        last = now
        for _ in range(_MESSAGES_AT_ONCE):
            try:
                frame = socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                break
            if not frame.more:  # a sink with a key sends it in a part of its own, before the samples
                intake.message(np.frombuffer(frame.buffer, np.uint8))


def receive_soapy(address: SoapyAddress, intake: Intake, stopped: Stopped) -> None:
    """Take samples from a receiver that SoapySDR knows."""
    soapy = soapy_module()
    try:
        device = soapy.Device(address.device)
        device.setSampleRate(soapy.SOAPY_SDR_RX, address.channel, address.rate)
        device.setFrequency(soapy.SOAPY_SDR_RX, address.channel, address.center)
        if address.gain is not None:
            device.setGain(soapy.SOAPY_SDR_RX, address.channel, address.gain)
        stream = device.setupStream(soapy.SOAPY_SDR_RX, soapy.SOAPY_SDR_CF32, [address.channel])
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"the receiver cannot be opened: {error}",
            where=f"soapy://{address.device}",
            action="'SoapySDRUtil --find' lists the receivers there are",
        ) from error
    device.activateStream(stream)
    try:
        intake.connected(True)
        _read_soapy(soapy, device, stream, intake, stopped)
    finally:
        device.deactivateStream(stream)
        device.closeStream(stream)


def _read_soapy(soapy: Any, device: Any, stream: Any, intake: Intake, stopped: Stopped) -> None:
    buffer = np.empty(_SOAPY_SAMPLES, np.complex64)
    while not stopped():
        count = device.readStream(stream, [buffer], len(buffer), timeoutUs=100_000).ret
        if count > 0:
            for first in range(0, count, max(1, intake.ring.capacity // 4)):
                last = min(first + intake.ring.capacity // 4, count)
                intake.samples(buffer[first:last].view(np.uint8))
        elif count == soapy.SOAPY_SDR_OVERFLOW:
            intake.gap()
        elif count not in (0, soapy.SOAPY_SDR_TIMEOUT):
            raise ConfigError(
                f"the receiver stopped: {soapy.errToStr(count)}", action="check that it is still plugged in"
            )


def play_file(address: FileAddress, intake: Intake, stopped: Stopped) -> None:
    """Play a recording at its rate."""
    from bacalhaunet.data.recordings.recording import open_recording

    recording = open_recording(address.path, address.type)
    if recording.frame_length is not None:
        raise RecordingError("ready frames are no stream of samples", where=address.path, allowed="a recording")
    count = int(np.clip(address.rate / _FILE_READS_PER_S, 1, intake.ring.capacity // 4))
    intake.connected(True)
    begun, played, first = time.monotonic(), 0, 0
    while not stopped():
        samples = recording.read(first, min(first + count, len(recording)))
        time.sleep(max(0.0, begun + (played + len(samples)) / address.rate - time.monotonic()))
        intake.samples(samples.view(np.uint8))
        played, first = played + len(samples), first + len(samples)
        if first >= len(recording):
            if not address.loop:
                return
            first = 0


_PATIENCE_S = 5.0


class Receiver:
    """The receiving process, from the analysing one. Use it as a context manager.

    Args:
        address: The source.
        ring: Where the samples go.
    """

    def __init__(self, address: Address, ring: SampleRing) -> None:
        self.ring = ring
        self._arguments = [str(ring.descriptor), json.dumps(to_json(address))]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Receiver:
        """Start it."""
        # One thread each: it moves samples, and its numerical libraries would only take cores from the analysis.
        alone = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bacalhaunet.classify.live.sources", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(self.ring.descriptor,),
            env={**os.environ, **alone},
            start_new_session=True,  # Ctrl-C is for the process that analyses, which then ends this one
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def check(self) -> bool:
        """Return whether samples may still come.

        Raises:
            BacalhauNetError: If the source could not be opened or failed.
        """
        process = self._process
        assert process is not None
        assert process.stdout is not None
        if process.poll() is None:
            return True
        said = process.stdout.read().decode() if not process.stdout.closed else ""
        if said:
            values = json.loads(said)
            kind = getattr(errors, values.pop("kind"), BacalhauNetError)
            raise kind(values.pop("problem"), **values)
        if process.returncode:
            raise BacalhauNetError(f"the receiving process ended with {process.returncode}")
        return False


def main(descriptor: int, address: Address) -> int:
    """Receive until standard input is closed, or the source ends; an error goes to standard output as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ring = SampleRing(descriptor)
    ended = threading.Event()

    def wait_for_end() -> None:
        while sys.stdin.buffer.read(1):
            pass
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    try:
        receive(address, Intake(ring), ended.is_set)
    except BacalhauNetError as error:
        said = {name: getattr(error, name) for name in ("problem", "where", "allowed", "action")}
        print(json.dumps({"kind": type(error).__name__, **said}), flush=True)
        return 2
    finally:
        ring[Counter.CONNECTED] = 0
        ring[Counter.ENDED] = 1
    return 0


if __name__ == "__main__":
    code = main(int(sys.argv[1]), from_json(json.loads(sys.argv[2])))
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for standard input would keep the interpreter from ending cleanly
