"""C kernels for training on a CPU, built on the user's machine where a compiler is at hand."""
