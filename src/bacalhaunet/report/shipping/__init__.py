"""Trained networks made ready for the package: measured once on the full test split, exported, with a card."""
