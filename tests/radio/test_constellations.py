"""Constellations: number of points, scale, symmetry, rings."""

import numpy as np
import pytest

from bacalhaunet.radio.constellations import BUILDERS, RINGS, constellation
from bacalhaunet.radio.modulations import by_name


@pytest.mark.parametrize("name", BUILDERS)
def test_order_and_mean_amplitude(name):
    points = constellation(name)
    assert len(points) == by_name(name).order
    assert len(np.unique(points.round(9))) == len(points)
    assert np.abs(points).mean() == pytest.approx(1.0)


@pytest.mark.parametrize("name", [name for name in BUILDERS if "ASK" not in name and name != "OOK"])
def test_all_but_ask_have_no_mean(name):
    assert abs(constellation(name).mean()) < 1e-12


def test_ask_is_unipolar_and_evenly_spaced():
    for name in ("OOK", "4ASK", "8ASK"):
        points = constellation(name)
        assert np.all(points.imag == 0)
        assert points.real[0] == 0
        assert np.ptp(np.diff(points.real)) < 1e-12


def test_oqpsk_lies_on_the_axes_and_qpsk_between_them():
    assert np.allclose(np.abs(constellation("OQPSK").real * constellation("OQPSK").imag), 0)
    assert np.allclose(np.abs(constellation("QPSK").real), np.abs(constellation("QPSK").imag))


@pytest.mark.parametrize(("name", "side", "cut"), [("32QAM", 6, 1), ("128QAM", 12, 2)])
def test_cross_qam_is_a_square_without_its_corners(name, side, cut):
    points = constellation(name)
    step = np.diff(np.unique(points.real.round(9)))
    assert len(step) == side - 1
    grid = np.round((points / step[0] - (0.5 + 0.5j)).real).astype(int) + side // 2
    assert np.bincount(grid)[0] == side - 2 * cut


@pytest.mark.parametrize("name", RINGS)
def test_apsk_rings_have_their_points_and_ratios(name):
    counts, radii = RINGS[name]
    amplitude = np.sort(np.abs(constellation(name)))
    edges = np.cumsum(counts)[:-1]
    rings = [ring.mean() for ring in np.split(amplitude, edges)]
    assert np.allclose(np.array(rings) / rings[0], radii)


def test_other_rings_can_be_asked_for():
    points = constellation("16APSK", ((4, 12), (1.0, 3.15)))
    assert np.abs(points).max() / np.abs(points).min() == pytest.approx(3.15)
