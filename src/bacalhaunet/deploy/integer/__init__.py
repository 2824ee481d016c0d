"""Networks as exact integer programs: the representation, the lowering from QONNX and the reference interpreter."""
