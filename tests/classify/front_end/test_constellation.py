import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bacalhaunet.classify.front_end.constellation import scaled, turned

PSK = {1: np.array([1.0, 0.6]), 2: np.array([1.0, -1.0]), 4: np.exp(1j * np.pi * (np.arange(4) / 2 + 0.25))}


@given(st.sampled_from(sorted(PSK)), st.floats(-np.pi, np.pi), st.integers(0, 99))
def test_symbols_stand_where_they_stood_whatever_the_carriers_phase(power, phase, seed):
    alphabet = PSK[power]
    sent = np.random.default_rng(seed).choice(alphabet, 200)
    found = turned(sent * np.exp(1j * phase), power)
    nearest = np.abs(found[:, None] - alphabet[None, :]).min(axis=1)
    assert nearest.max() < 1e-9


@given(st.integers(1, 50), st.floats(1e-6, 1e6), st.integers(0, 99))
def test_scaled_points_have_a_root_mean_square_of_one(count, size, seed):
    generator = np.random.default_rng(seed)
    points = size * (generator.standard_normal(count) + 1j * generator.standard_normal(count))
    found = scaled(points)
    assert found.dtype == np.complex64
    assert float(np.sqrt(np.mean(np.abs(found) ** 2))) == pytest.approx(1, rel=1e-5)


def test_silence_and_nothing_stay_what_they_are():
    assert not scaled(np.zeros(5, complex)).any()
    assert len(scaled(np.zeros(0, complex))) == 0
