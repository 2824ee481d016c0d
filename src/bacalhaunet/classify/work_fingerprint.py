"""Everything that the answers for a recording depend on, so that only the very same work is gone on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bacalhaunet import __version__
from bacalhaunet.classify.engines import Engine
from bacalhaunet.classify.frame_log import file_fingerprint
from bacalhaunet.classify.recording_frames import BATCH
from bacalhaunet.data.recordings.recording import Recording


def work_fingerprint(engine: Engine, recording: Recording, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fingerprint of classifying a recording, JSON values.

    Args:
        engine: The network.
        recording: The recording; of its metadata, annotations do not count.
        settings: Whatever else the answers depend on, JSON values.
    """
    data = Path(getattr(recording.store, "path", recording.path))
    metadata = {name: part for name, part in (recording.metadata or {}).items() if name != "annotations"}
    network = Path(engine.target)
    return {
        "version": __version__,
        "data": file_fingerprint(data) if data.is_file() else str(data),
        "samples": [len(recording), recording.sample_rate, repr(recording.store)],
        "metadata": hashlib.sha256(json.dumps(metadata, sort_keys=True).encode()).hexdigest(),
        "network": hashlib.sha256(network.read_bytes()).hexdigest() if network.is_file() else engine.target,
        "engine": [engine.name, str(getattr(engine, "kernels", "")), list(engine.labels)],
        "batch": BATCH,
        "settings": dict(settings),
    }
