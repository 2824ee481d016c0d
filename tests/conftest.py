"""Settings for all tests."""

import os

# One thread a process: tests run in several processes, and threads of one that wait for each other's slow all of them.
# Set before torch is imported anywhere; subprocesses inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
