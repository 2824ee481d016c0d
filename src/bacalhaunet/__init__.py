"""Tell what a radio signal is, with networks that fit anywhere.

    import bacalhaunet as bn

    bn.scan("capture.sigmf-meta")             # the signals of a recording, found, measured and named
    bn.classify(samples, sample_rate=1e6)     # one signal in an array
    classifier = bn.open("lite")              # or a file: predict, predict_proba, classes_
    network = bn.load("accurate")             # a torch module
    data = bn.datasets.RadioML("file.hdf5")   # or Twin, Field, Arrays, Recordings
    run = bn.train("bacalhaunet", data, bits=6, epochs=10)
    small = bn.compress(run.network, data, target_score=0.016)
    bn.cost(small).score
    bn.export(small, "small.onnx")
    bn.compile(small, "firmware", target="c")

``scan``, ``classify``, ``open`` and their answers run in the core install, without torch; the others say in one line
which extra they need. Importing this package imports nothing else.

Data flows left to right through the subpackages and imports point left only:
``radio`` -> ``data`` -> ``models`` -> ``cost`` -> ``training`` -> ``compression`` -> ``search`` -> ``deploy``
-> ``classify`` -> ``report`` -> ``api`` -> ``cli``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bacalhaunet.front_door import Door, names_on_first_use

if TYPE_CHECKING:
    from bacalhaunet.api import compress, export, load, train
    from bacalhaunet.classify.classifier import open_classifier as open
    from bacalhaunet.classify.scanning import classify, scan
    from bacalhaunet.cost.of import cost_of as cost
    from bacalhaunet.data import datasets
    from bacalhaunet.deploy.emitters import compile_network as compile

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "classify",
    "compile",
    "compress",
    "cost",
    "datasets",
    "export",
    "load",
    "open",
    "scan",
    "train",
]

_API = "bacalhaunet.api"
_DOORS = {
    "scan": Door("bacalhaunet.classify.scanning", "scan"),
    "classify": Door("bacalhaunet.classify", None),
    "open": Door("bacalhaunet.classify.classifier", "open_classifier"),
    "datasets": Door("bacalhaunet.data.datasets", None),
    "compile": Door("bacalhaunet.deploy.emitters", "compile_network"),
    "cost": Door("bacalhaunet.cost", None, "train"),
    **{name: Door(_API, name, "train") for name in ("load", "train", "compress", "export")},
}
__getattr__ = names_on_first_use(__name__, _DOORS)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
