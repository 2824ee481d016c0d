"""Thresholds, fixed-point forms and ranges against their definitions, by brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.deploy.integer.requantizer_search import find_linear, low_bits, rounding_form
from bacalhaunet.deploy.integer.requantizers import Affine


def random_affine(rng, channels, accumulators=1):
    bits = int(rng.integers(1, 9))
    scale = 10.0 ** rng.uniform(-4, 1, (accumulators, channels))
    scale[:, rng.random(channels) < 0.1] = 0
    if rng.random() < 0.3:
        scale = 2.0 ** np.rint(np.log2(np.maximum(scale, 1e-6)))  # powers of two: exact ties
    floor = int(rng.choice([0, -(2 ** (bits - 1))]))
    return Affine(scale, np.round(rng.normal(0, 20, channels) * 4) / 4, floor, floor + 2**bits - 1)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_thresholds_and_their_linear_form_equal_the_rounded_function_on_every_accumulator(seed):
    rng = np.random.default_rng(seed)
    affine = random_affine(rng, 7)
    low = -rng.integers(0, 3000, 7)
    high = low + rng.integers(0, 5000, 7)
    thresholds = affine.thresholds(low, high)
    linear = find_linear(affine, thresholds, low, high)
    for channel in range(7):
        acc = np.arange(low[channel], high[channel] + 1)
        one = Affine(affine.scale[:, [channel]], affine.offset[[channel]], affine.floor, affine.ceiling)
        expected = one.level(acc[None, None])[0]
        counted = affine.floor + (acc[:, None] >= thresholds[channel]).sum(axis=1)
        np.testing.assert_array_equal(counted, expected)
        if linear.exact[channel]:
            product = acc * linear.multiplier[channel] + linear.offset[channel]
            found = np.clip(product >> linear.shift[channel], affine.floor, affine.ceiling)
            np.testing.assert_array_equal(found, expected)
            assert not linear.narrow[channel] or np.abs(product).max() < 2**31


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_long_form_is_the_rounded_function_except_within_its_error_of_a_tie(seed):
    rng = np.random.default_rng(seed)
    affine = random_affine(rng, 5, 2)
    low, high = -rng.integers(1, 20000, (2, 5)), rng.integers(1, 20000, (2, 5))
    form = rounding_form(affine, low, high)
    acc = rng.integers(low[..., None], high[..., None] + 1, (2, 5, 400))
    real = (affine.scale[:, :, None] * acc).sum(axis=0) + affine.offset[:, None]
    away = np.abs(real - np.floor(real) - 0.5) > form.error
    np.testing.assert_array_equal(form.apply(acc, low, high)[away], affine.level(acc)[away])
    assert form.error < 0.01


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), bits=st.integers(1, 20))
def test_a_long_product_in_two_parts_stays_within_32_bits(seed, bits):
    rng = np.random.default_rng(seed)
    worst = int(2**bits - 1)
    low = low_bits(worst)
    limit = 2 ** (29 - 2 * max(0, worst.bit_length() - 15))
    acc, multiplier = rng.integers(-worst, worst + 1, 100), rng.integers(-limit, limit + 1, 100)
    lower = ((multiplier + (1 << (low - 1))) & ((1 << low) - 1)) - (1 << (low - 1))
    upper = (multiplier - lower) >> low
    np.testing.assert_array_equal((acc * upper << low) + acc * lower, acc * multiplier)
    assert np.abs(acc * lower).max() < 2**30
    assert np.abs(acc * upper).max() < 2**31
