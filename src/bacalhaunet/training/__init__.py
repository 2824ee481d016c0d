"""Training a network: configuration, task, loop."""
