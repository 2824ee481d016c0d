"""From samples to answers; called, ``bacalhaunet.classify(samples)`` is ``classify.scanning.classify``."""

from bacalhaunet.front_door import Door, make_callable

make_callable(__name__, Door("bacalhaunet.classify.scanning", "classify"))
