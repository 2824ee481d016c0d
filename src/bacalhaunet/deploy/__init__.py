"""Networks for other machines: QONNX, QCDQ, integer programs, C and the native engine."""
