"""Signals: the 24 modulations, their waveforms, the channel and the twin of RadioML 2018.01A."""
