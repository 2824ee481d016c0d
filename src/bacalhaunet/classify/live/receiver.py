"""The receiver: a process of its own that does nothing but move samples from the source to the ring.

In the process that analyses, Python's lock would make it wait for the analysis.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from types import TracebackType

from bacalhaunet import errors
from bacalhaunet.classify.live.ring import Counter, SampleRing
from bacalhaunet.classify.live.sources import Address, from_json, to_json
from bacalhaunet.errors import BacalhauNetError

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
            [sys.executable, "-P", "-m", "bacalhaunet.classify.live.receiver", *self._arguments],
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
    from bacalhaunet.classify.live.ring import Intake
    from bacalhaunet.classify.live.sources import receive

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
