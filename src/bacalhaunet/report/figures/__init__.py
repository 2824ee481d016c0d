"""Figures, one module each. Every one returns SVG text that follows the colours of the page around it."""
