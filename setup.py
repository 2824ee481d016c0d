"""The native kernels, compiled where there is a C compiler; without one the package installs and runs without them."""

from pathlib import Path

from setuptools import Extension, setup

OPTIONS = ["-O3", "-g0", "-std=gnu11", "-fno-math-errno", "-ffp-contract=off"]
KERNELS = Path("src/bacalhaunet/deploy/native/kernels")
HEADERS = ("engine.h", "vector_kernels.h", "vector_sums.h", "vector_blocks.h", "vector_layers.h")
SOURCES = ("extension.c", "engine.c", "portable.c", "avx2.c", "avx512.c", "neon.c")

setup(
    ext_modules=[
        Extension(
            "bacalhaunet.deploy.native._engine",
            sources=[str(KERNELS / name) for name in SOURCES],
            depends=[str(KERNELS / name) for name in HEADERS],
            # Each file asks for its own instruction set and is empty on other processors: one set of options for all.
            extra_compile_args=OPTIONS,
            libraries=["m"],
            py_limited_api=True,
            optional=True,
        ),
        Extension(
            "bacalhaunet.classify._cut",
            sources=["src/bacalhaunet/classify/kernels/cut.c"],
            extra_compile_args=OPTIONS,
            libraries=["m"],
            py_limited_api=True,
            optional=True,
        ),
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
