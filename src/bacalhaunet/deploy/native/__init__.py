"""The native engine: prebuilt kernels chosen by shape and processor, the model only tables."""
