"""Readers and writers of recorded signals: SigMF, raw samples, WAV and .npy."""
