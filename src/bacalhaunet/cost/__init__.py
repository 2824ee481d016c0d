"""The inference cost score of the 2021 challenge; called, ``bacalhaunet.cost(network)`` is ``cost.of.cost_of``."""

from bacalhaunet.front_door import Door, make_callable

make_callable(__name__, Door("bacalhaunet.cost.of", "cost_of", "train"))
