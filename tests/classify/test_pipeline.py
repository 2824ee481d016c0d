"""Classification of recordings: which frames, at what scale, pooled into what answer, in bounded memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.classify.calibration import Calibration
from bacalhaunet.classify.pipeline import Classification
from bacalhaunet.data.recordings import frames as recording_frames
from bacalhaunet.data.recordings.frames import FrameCutter, Framing, load_kernel
from bacalhaunet.data.recordings.recording import open_recording, recording_of
from bacalhaunet.errors import ConfigError, ModelFileError, RecordingError
from tests.classify.fake_engine import PowerEngine


def noise(count, seed=0, power=1.0):
    generator = np.random.default_rng(seed)
    values = generator.standard_normal((count, 2)) * np.sqrt(power / 2)
    return (values[:, 0] + 1j * values[:, 1]).astype(np.complex64)


def classify_array(engine, array, **settings):
    return Classification(engine, recording_of(array), **settings).summary()


def softmax(logits):
    return Calibration().probabilities(logits)


def as_frames(samples):
    return np.stack([samples.real, samples.imag])


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 9000), st.integers(1, 3000), st.integers(1, 7), st.sampled_from(["none", "frame", "block"]))
def test_frames_are_the_recording_from_their_starts_on_and_cover_it(count, step, batch, normalization):
    samples = noise(count)
    cutter = FrameCutter(recording_of(samples), Framing(1024, step, normalization))
    batches = list(cutter.batches(batch))
    assert all(len(one.frames) <= batch for one in batches)
    frames = np.concatenate([one.frames for one in batches])
    starts = np.concatenate([one.starts for one in batches])
    assert len(cutter) == len(frames) == len(starts)
    assert starts[0] == 0
    regular = starts[:-1] if cutter.last_frame == "overlaps" else starts
    assert (np.diff(regular) == step).all()
    if step <= 1024:
        assert starts[-1] + 1024 >= count
    for frame, start in zip(frames, starts, strict=True):
        wanted = as_frames(np.resize(samples[start : start + 1024], 1024))
        ratio = np.abs(frame).sum() / np.abs(wanted).sum()
        assert np.allclose(frame, wanted * ratio, rtol=1e-4, atol=1e-5)
        if normalization == "none":
            assert ratio == pytest.approx(1, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(1024, 9000), st.integers(1, 3000), st.floats(1e-6, 1e6), st.complex_numbers(max_magnitude=3))
def test_block_scale_is_the_standard_deviation_of_the_samples_around_the_frame(count, step, level, offset):
    samples = ((noise(count) + np.complex64(offset)) * np.float32(level)).astype(np.complex64)
    cutter = FrameCutter(recording_of(samples), Framing(1024, step, "block"))
    width = min(2048, count)
    for batch in cutter.batches(3):
        for frame, start in zip(batch.frames, batch.starts, strict=True):
            first = min(max(start - (width - 1024) // 2, 0), count - width)
            block = samples[first : first + width].astype(complex)
            expected = as_frames(samples[start : start + 1024]) / block.std()
            assert np.allclose(frame, expected, rtol=2e-3, atol=2e-3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1024, 9000), st.integers(1, 3000), st.sampled_from(["none", "frame", "block"]), st.floats(1e-20, 1e12)
)
def test_the_compiled_cutter_cuts_as_numpy_does(count, step, normalization, level):
    if load_kernel() is None:
        pytest.skip("needs the package installed with a C compiler")
    samples = (noise(count, count) * np.float32(level)).astype(np.complex64)
    samples[count // 3 : count // 3 + 1100] = 0
    cutter = FrameCutter(recording_of(samples), Framing(1024, step, normalization))
    compiled = cutter.batch(0, len(cutter))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording_frames, "load_kernel", lambda: None)
        plain = cutter.batch(0, len(cutter))
    assert np.array_equal(compiled.silent, plain.silent)
    heard = ~plain.silent
    assert np.allclose(compiled.frames[heard], plain.frames[heard], rtol=1e-4)
    assert np.isfinite(compiled.frames).all()


def test_samples_too_small_to_square_are_silent():
    samples = np.full(3000, 1e-30, np.complex64)
    batch = next(FrameCutter(recording_of(samples), Framing(1024, None, "block")).batches())
    assert batch.silent.all()
    assert np.isfinite(batch.frames).all()


@pytest.mark.parametrize("normalization", ["frame", "block"])
def test_a_carrier_without_modulation_comes_out_at_20_not_at_infinity(normalization):
    samples = np.full(5000, 3 + 4j, np.complex64)
    frames = next(FrameCutter(recording_of(samples), Framing(1024, None, normalization)).batches()).frames
    assert np.allclose(np.hypot(frames[:, 0], frames[:, 1]), 20, rtol=1e-3)


def test_scaling_a_recording_changes_no_answer():
    samples = noise(10_000)
    small, large = PowerEngine(), PowerEngine()
    one, other = classify_array(small, samples), classify_array(large, samples * np.float32(2e4))
    assert np.allclose(small.seen, large.seen, atol=1e-5)
    assert one.probabilities == other.probabilities


def test_ready_frames_in_radiomls_scale_are_used_as_they_are():
    frames = np.stack([as_frames(noise(1024, n, 1 + n / 4)) for n in range(8)])
    engine = PowerEngine()
    assert classify_array(engine, frames).normalization == "none"
    assert np.array_equal(engine.seen, frames)


def test_ready_frames_in_another_scale_are_scaled_one_by_one():
    frames = np.stack([as_frames(noise(1024, n, 100 * (1 + n))) for n in range(8)])
    engine = PowerEngine()
    assert classify_array(engine, frames).normalization == "frame"
    assert np.allclose((engine.seen**2).sum(1).mean(1), 1, atol=0.01)


def test_a_given_scale_is_all_that_is_done():
    samples = noise(3000)
    engine = PowerEngine()
    summary = classify_array(engine, samples, scale=1 / 64)
    assert (summary.normalization, summary.scale) == ("none", 1 / 64)
    assert np.allclose(engine.seen[0], as_frames(samples[:1024]) / 64, rtol=1e-6)


@pytest.mark.parametrize("saved", [False, True])
def test_complex_frames_are_those_of_i_and_q(tmp_path, saved):
    frames = np.stack([as_frames(noise(1024, n, 1 + n / 4)) for n in range(3)])
    array = (frames[:, 0] + 1j * frames[:, 1]).astype(np.complex64)
    np.save(tmp_path / "frames.npy", array)
    recording = open_recording(tmp_path / "frames.npy") if saved else recording_of(array)
    assert recording.frame_length == 1024
    engine = PowerEngine()
    assert Classification(engine, recording).summary().normalization == "none"
    assert np.array_equal(engine.seen, frames)


def test_ready_frames_of_another_length_are_refused():
    with pytest.raises(RecordingError, match=r"(?s)frames have 128 samples.*frames of 1024"):
        Classification(PowerEngine(), recording_of(np.zeros((4, 2, 128), np.float32)))


@pytest.mark.parametrize("settings", [{"hop_length": 0}, {"scale": 0.0}, {"scale": np.nan}, {"normalization": "rms"}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="allowed"):
        Classification(PowerEngine(), recording_of(noise(2000)), **settings)


def test_the_summary_pools_the_frames_probabilities():
    samples = np.concatenate([noise(3072, 1), noise(1024, 2, power=9)])
    summary = classify_array(PowerEngine(), samples, normalization="none")
    p_quiet, p_loud = softmax(np.array([[3, 0, -9], [0, 1, -9]], np.float32))
    independent = 4 / (1 + 3 * 0.5)
    expected = softmax(independent * (3 * np.log(p_quiet) + np.log(p_loud)) / 4)
    assert summary.label == summary.group == "quiet"
    assert summary.confidence == pytest.approx(expected[0], rel=1e-5)
    assert summary.agreement == 0.75
    assert list(summary.probabilities) == ["quiet", "loud", "never"]
    assert sum(summary.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert (summary.frames, summary.samples, summary.last_frame) == (4, 4096, "whole")


def test_silent_frames_get_no_label_and_no_vote():
    samples = np.concatenate([noise(2048), np.zeros(4096, np.complex64)])
    work = Classification(PowerEngine(), recording_of(samples))
    labels = [label for batch in work.batches(2) for label in batch.labels]
    assert labels == ["quiet", "quiet", None, None, None, None]
    assert (work.summary().silent_frames, work.summary().frames) == (4, 6)
    assert work.summary().agreement == 1


def test_a_recording_of_zeros_has_no_label():
    summary = classify_array(PowerEngine(), np.zeros(3000, np.complex64))
    assert (summary.label, summary.confidence, summary.silent_frames) == (None, 0, 3)


@pytest.mark.parametrize("count", [1, 7, 1023])
def test_a_recording_shorter_than_a_frame_is_repeated(count):
    engine = PowerEngine()
    summary = classify_array(engine, noise(count), normalization="none")
    assert (summary.frames, summary.last_frame) == (1, "repeated")
    assert np.array_equal(engine.seen[0], as_frames(np.resize(noise(count), 1024)))


def test_batches_do_not_change_the_answer():
    samples = noise(20_000, power=2)
    whole, parts = (Classification(PowerEngine(), recording_of(samples), hop_length=300) for _ in range(2))
    one = np.concatenate([batch.probabilities for batch in whole.batches()])
    other = np.concatenate([batch.probabilities for batch in parts.batches(7)])
    assert np.array_equal(one, other)
    assert whole.summary().probabilities == pytest.approx(parts.summary().probabilities)


def test_memory_is_bounded_by_the_batch_not_the_recording(tmp_path):
    path = tmp_path / "long.cf32"
    block = noise(2**20)
    with path.open("wb") as file:
        for _ in range(24):
            file.write(block.tobytes())
    engine = PowerEngine()
    engine.logits = lambda frames: np.zeros((len(frames), 3), np.float32)
    tracemalloc.start()
    assert Classification(engine, open_recording(path)).summary().frames == 24 * 1024
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < path.stat().st_size / 2


def test_memory_is_bounded_where_frames_are_far_apart(tmp_path):
    path = tmp_path / "long.cs8"
    path.write_bytes(bytes(2 * 100 * 200_000))
    cutter = FrameCutter(open_recording(path), Framing(hop_length=200_000))
    cutter.batch(0, 2)
    tracemalloc.start()
    assert len(cutter.batch(0, 100).frames) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # one read over all frames takes 160 MB


def test_frames_of_integers_have_full_scale_1_as_those_of_files(tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (2, 2, 1024)).astype(np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    inside, read = recording_of(frames), open_recording(tmp_path / "frames.npy")
    assert np.array_equal(inside.read(0, 2048), read.read(0, 2048))
    with pytest.raises(RecordingError, match="int64"):
        recording_of(frames.astype(np.int64))


def test_a_network_that_gives_nan_is_an_error_not_a_label():
    engine = PowerEngine()
    engine.logits = lambda frames: np.full((len(frames), 3), np.nan, np.float32)
    with pytest.raises(ModelFileError, match="not finite"):
        classify_array(engine, noise(4096))


def test_softmax_of_large_logits_is_finite():
    assert np.allclose(softmax(np.array([[1e4, 0.0], [-1e4, -1e4]], np.float32)), [[1, 0], [0.5, 0.5]])
