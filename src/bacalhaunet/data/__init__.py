"""Data sets and recordings: RadioML files, splits, loaders and recorded signals."""
