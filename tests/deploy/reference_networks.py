"""The networks of others that lie beside the checkout; tests that use them skip without them."""

from pathlib import Path

import pytest

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"


def reference_network(name):
    path = REFERENCE / "networks" / f"{name}.onnx"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    return path
