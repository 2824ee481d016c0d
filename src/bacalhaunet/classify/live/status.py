"""How a session stands: what was counted, and what that means for the time since the last look."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

SourceState = Literal["waiting", "receiving", "silent", "ended"]


@dataclass(frozen=True)
class Totals:
    """Counted since the beginning.

    Attributes:
        time: When, on ``time.monotonic``'s clock.
        received: Samples that came out of the source.
        searched: Samples in which signals were looked for.
        found: Samples of the signals that the search found, each signal's counted.
        classified: Those of them that were classified.
        dropped: Samples that came and were lost before they were searched.
        lost: Samples that the source sent and that never came, where it numbers them.
        gaps: Gaps of unknown length that the source reported.
        replaced: Samples that were not finite.
        malformed: Messages that are no whole number of samples.
        restarts: Times that the source came anew.
        failures: Blocks that could not be worked on.
        connected: The source is there.
        ended: The source has ended.
    """

    time: float
    received: int = 0
    searched: int = 0
    found: int = 0
    classified: int = 0
    dropped: int = 0
    lost: int = 0
    gaps: int = 0
    replaced: int = 0
    malformed: int = 0
    restarts: int = 0
    failures: int = 0
    connected: bool = False
    ended: bool = False


@dataclass(frozen=True)
class Status:
    """How things stand.

    Attributes:
        source: ``waiting`` for the first samples, ``receiving``, ``silent``, or ``ended``.
        rate: Samples a second that came since the last look.
        searched: Share of the samples of the last five seconds in which signals were looked for.
        coverage: Share of the samples of the signals found in that time that were classified; None without signals.
        latency_s: Median time, in those seconds, from the arrival of a block's first sample to its answer; None
            without answers.
        latency_max_s: The longest such time.
        totals: Counted since the beginning.
    """

    source: SourceState
    rate: float
    searched: float
    coverage: float | None
    latency_s: float | None
    latency_max_s: float | None
    totals: Totals

    def to_dict(self) -> dict[str, Any]:
        """Return what is printed."""
        own = {key: value for key, value in asdict(self).items() if key != "totals"}
        hidden = ("time", "searched", "found", "classified", "connected", "ended")
        return own | {key: value for key, value in asdict(self.totals).items() if key not in hidden}
