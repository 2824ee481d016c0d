"""Training on a GPU: layers as a few large matrix products and as few passes over memory as there can be."""
