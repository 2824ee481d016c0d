"""Orthogonal factors of many small matrices at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of the iteration. Source: Jordan et al., "Muon", 2024."""

ITERATIONS = 5

SQUARES = 64
"""Longest side of a matrix that is filled up to a square."""


def orthogonal_factors(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Return about ``U V^T`` of each matrix ``U S V^T``, by Newton and Schulz's iteration.

        X <- G / |G|,   then five times   X <- a X + (b A + c A^2) X  with  A = X X^T

    Singular values end between about 0.7 and 1.2. Matrices of nearly the same shape are filled up with zeros, which the
    iteration keeps, and go through it together: a network has a dozen small ones, and one by one they would cost a GPU
    as much as the rest of a step. Larger ones go together with those of the same shape.

    Args:
        matrices: Each (rows, columns).

    Returns:
        Tensors of the same shapes, in the same order.
    """
    found: list[Tensor] = list(matrices)
    together: dict[tuple[int, int], list[int]] = {}
    for number, matrix in enumerate(matrices):
        together.setdefault(_filled(*sorted(matrix.shape)), []).append(number)
    for shape, numbers in together.items():
        for number, factor in zip(numbers, _iterated([matrices[n] for n in numbers], shape), strict=True):
            rows, columns = matrices[number].shape
            found[number] = factor[:rows, :columns] if rows <= columns else factor[:columns, :rows].t()
    return found


def _filled(short: int, long: int) -> tuple[int, int]:
    """Return the next square of a power of two for small matrices, whose number is what costs; large ones stay."""
    side = 1 << (long - 1).bit_length()
    return (side, side) if side <= SQUARES else (short, long)


def _iterated(matrices: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
    """Return the factors of matrices, turned where they have more rows than columns, filled up to one shape."""
    turned = [matrix if matrix.shape[0] <= matrix.shape[1] else matrix.t() for matrix in matrices]
    filled = [functional.pad(m, (0, shape[1] - m.shape[1], 0, shape[0] - m.shape[0])) for m in turned]
    x: Tensor = torch.stack(filled)
    x = x / x.flatten(1).norm(dim=1).clamp_min(1e-7)[:, None, None]
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        square = x @ x.transpose(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return x
