"""An engine whose answers tell which frames it was given."""

import numpy as np


class PowerEngine:
    """Answers "loud" for frames of power above 2, else "quiet"; keeps the frames."""

    name, target, labels, frame_length = "fake", "power", ("quiet", "loud", "never"), 1024

    def __init__(self):
        self.frames, self.batches = [], []

    def logits(self, frames):
        assert frames.dtype == np.float32
        assert frames.shape[1:] == (2, 1024)
        self.frames.append(frames.copy())
        self.batches.append(len(frames))
        power = (frames**2).sum(1).mean(1)
        loud = power > 2
        return np.stack([np.where(loud, 0, 3), np.where(loud, 1, 0), np.full(len(power), -9)], 1).astype(np.float32)

    @property
    def seen(self):
        return np.concatenate(self.frames)
