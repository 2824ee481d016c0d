"""The progress of a command: a line with the time left, and where a stopped run is kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.frame_log import FrameLog, work_fingerprint
from bacalhaunet.data.recordings.recording import Recording
from bacalhaunet.errors import BacalhauNetError


class _Rate(ProgressColumn):
    """Done of how many, and how many a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        rate = f", {speed:,.0f}/s" if speed else ""
        return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f} {task.fields['unit']}{rate}")


@contextmanager
def progress_line(what: str, unit: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a line on standard error, if that is a terminal, and give what advances it."""
    columns = (TextColumn("{task.description}"), BarColumn(), _Rate(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total, unit=unit)
        yield lambda count: progress.advance(task, count)


@contextmanager
def kept_progress(
    output: str | None, engine: Engine, recording: Recording, settings: Mapping[str, Any]
) -> Iterator[FrameLog | None]:
    """Give the log of an output, None without one. It is left when the block is interrupted, else deleted."""
    if output is None:
        yield None
        return
    with FrameLog(Path(output), work_fingerprint(engine, recording, settings)) as log:
        if log.replaced:
            print("note: what a stopped run left was of other settings or files, and is begun anew", file=sys.stderr)
        elif log.resumed:
            print("note: going on where a stopped run ended", file=sys.stderr)
        try:
            yield log
        except BacalhauNetError:  # the same work would end in the same error
            log.done()
            raise
        log.done()
