"""Probabilities become honest, labels stay, and what was fitted travels in the network's file."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bacalhaunet.classify import calibration as kept
from bacalhaunet.classify.answers import Pool
from bacalhaunet.classify.calibration import (
    Calibration,
    calibration_entry,
    calibration_of,
    entropy,
    read_calibration,
    write_calibration,
)
from bacalhaunet.classify.calibration_data import recorded_signals
from bacalhaunet.classify.calibration_fit import (
    Signals,
    expected_calibration_error,
    fit_correlation,
    fit_temperature,
    log_softmax,
    negative_log_likelihood,
)
from bacalhaunet.data.dataset import Frames
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.models.onnx_metadata import with_entry
from bacalhaunet.radio.class_set import ClassSet
from tests.models.test_onnx_metadata import PLAIN


def honest(count, seed=0, classes=6, spread=3.0):
    """Logits whose softmax is the truth, and labels drawn from it."""
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((count, classes)) * spread
    draws = generator.random((count, 1))
    labels = (np.exp(log_softmax(logits)).cumsum(axis=1) < draws).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("factor", [0.4, 1.0, 2.5])
def test_the_temperature_undoes_a_factor_of_the_logits(factor):
    logits, labels = honest(20_000)
    fitted = fit_temperature(logits * factor, labels, rising=False)
    assert fitted.temperature == pytest.approx(factor, rel=0.03)
    assert fitted.rise == 0


def test_a_temperature_that_rises_with_the_entropy_fits_what_one_cannot():
    clear, clear_labels = honest(10_000, 1, spread=8.0)
    noisy = np.random.default_rng(2).standard_normal((10_000, 6)) * 1.2
    logits = np.concatenate([clear, noisy])
    labels = np.concatenate([clear_labels, np.random.default_rng(3).integers(0, 6, 10_000)])
    one, rising = (fit_temperature(logits, labels, rising=how) for how in (False, True))
    assert rising.rise > 0.3
    error = {
        name: expected_calibration_error(np.exp(log_softmax(fitted.scaled(logits))), labels)
        for name, fitted in (("one", one), ("rising", rising))
    }
    assert error["rising"] < 0.6 * error["one"]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.lists(st.floats(-60, 60, width=32), min_size=5, max_size=5), min_size=1, max_size=8),
    st.floats(0.05, 20),
    st.floats(-2, 6),
)
def test_no_frames_label_changes_and_probabilities_are_probabilities(rows, temperature, rise):
    logits = np.array(rows, np.float32)
    probabilities = Calibration(temperature, rise).probabilities(logits)
    assert probabilities.dtype == np.float32
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    best = logits.argmax(axis=1)[:, None]
    assert np.take_along_axis(probabilities, best, 1)[:, 0] == pytest.approx(probabilities.max(axis=1))


def test_entropy_is_0_for_a_sure_answer_and_1_for_none():
    assert entropy(np.array([[50.0, 0, 0, 0]])) == pytest.approx([0], abs=1e-6)
    assert entropy(np.zeros((2, 7))) == pytest.approx([1, 1])


def test_the_calibration_error_is_that_of_a_table_made_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 1, 0])
    expected = 2 / 5 * abs(0.5 - 0.95) + 3 / 5 * abs(2 / 3 - 0.6)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)
    assert negative_log_likelihood(np.log(probabilities), labels) == pytest.approx(
        -np.log([0.95, 0.05, 0.6, 0.6, 0.4]).mean()
    )


def test_honest_probabilities_have_a_small_error_and_doubled_logits_a_large_one():
    logits, labels = honest(50_000)
    assert expected_calibration_error(np.exp(log_softmax(logits)), labels) < 0.01
    assert expected_calibration_error(np.exp(log_softmax(2 * logits)), labels) > 0.05


@pytest.mark.parametrize(("shared", "low", "high"), [(0.0, 0.0, 0.1), (1.0, 0.9, 1.0)])
def test_the_correlation_is_0_for_independent_frames_and_1_for_copies(shared, low, high):
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 4, 600)
    # Gaussian evidence: logits of a class of mean m have variance 2 m if they are honest.
    mean = 1.0
    own = generator.standard_normal((600, 32, 4))
    common = generator.standard_normal((600, 1, 4))
    logits = mean * np.eye(4)[labels][:, None, :] + np.sqrt(mean) * ((1 - shared) * own + shared * common)
    fitted = fit_correlation(Signals(logits, labels), Calibration())
    assert low <= fitted.correlation <= high


def test_independent_frames_are_between_1_and_their_number():
    assert Calibration(correlation=0).independent_frames(17) == 17
    assert Calibration(correlation=1).independent_frames(17) == 1
    assert Calibration(correlation=0.5).independent_frames(10**6) == pytest.approx(2, rel=1e-5)
    assert Calibration(correlation=0.3).independent_frames(1) == 1


def test_a_pool_of_frames_is_the_answer_that_was_calibrated():
    logits, _ = honest(32, classes=3)
    calibration = Calibration(1.3, 0.4, 0.25)
    pool = Pool(ClassSet(("a", "b", "c")), calibration)
    for part in np.split(logits.astype(np.float32), 4):
        pool.add(calibration.probabilities(part), np.zeros(8, bool))
    log_probabilities, _ = Signals(logits[None], np.zeros(1, np.int64)).pooled(32, calibration)
    answer = pool.answer()
    assert [answer.probabilities[name] for name in "abc"] == pytest.approx(np.exp(log_probabilities[0]), rel=1e-4)


def test_overlapping_frames_say_no_more_than_those_that_fit_side_by_side():
    row = np.array([[0.6, 0.4]], np.float32)
    once, often = (Pool(ClassSet(("a", "b")), Calibration(), overlap) for overlap in (1.0, 0.125))
    once.add(np.repeat(row, 4, 0), np.zeros(4, bool))
    often.add(np.repeat(row, 32, 0), np.zeros(32, bool))
    assert once.answer().confidence == pytest.approx(often.answer().confidence, rel=1e-6)


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"temperature": np.nan}, {"correlation": 1.1}, {"rise": 99}])
def test_values_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="allowed"):
        Calibration(**settings)


def test_no_frame_and_logits_that_are_not_finite_are_refused():
    for logits in (np.zeros((0, 3)), np.array([[np.nan, 1, 2]])):
        with pytest.raises(ConfigError, match="finite logits"):
            fit_temperature(logits, np.zeros(len(logits), np.int64))


FITTED = Calibration(1.25, 0.5, 0.31, {"frames": 1000, "data": "twin.hdf5"})


def test_a_network_without_a_calibration_and_a_name_have_the_plain_one(tmp_path):
    (tmp_path / "network.onnx").write_bytes(PLAIN)
    for target in (str(tmp_path / "network.onnx"), "no-such-network", str(tmp_path / "absent.safetensors")):
        assert read_calibration(target) == Calibration()
        assert calibration_entry(target) == {}


def test_an_onnx_file_carries_its_calibration(tmp_path):
    (tmp_path / "network.onnx").write_bytes(PLAIN)
    write_calibration(tmp_path / "network.onnx", FITTED, tmp_path / "other.onnx")
    found = read_calibration(str(tmp_path / "other.onnx"))
    assert (found, found.measured) == (FITTED, FITTED.measured)
    assert json.loads(calibration_entry(str(tmp_path / "other.onnx"))["calibration"]) == FITTED.to_dict()


def test_a_saved_model_carries_its_calibration_and_stays_the_same_model(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    from bacalhaunet.models.catalog import find_spec
    from bacalhaunet.models.network import build_network
    from bacalhaunet.models.saved import load_model, save_model

    spec = find_spec("bacalhaunet")
    path = tmp_path / "model.safetensors"
    save_model(path, build_network(spec), spec, [str(k) for k in range(spec.classes)], {"accuracy": 0.5})
    before = load_model(path)
    write_calibration(path, FITTED, path)
    after = load_model(path)
    assert read_calibration(str(path)) == read_calibration(str(tmp_path)) == FITTED  # the file, the folder of the run
    assert calibration_entry(after.network.metrics) == calibration_entry(str(tmp_path)) != {}
    assert after.metrics["accuracy"] == 0.5
    for name, value in before.network.state_dict().items():
        assert torch.equal(value, after.network.state_dict()[name])


def test_a_shipped_networks_card_says_its_calibration(monkeypatch, tmp_path):
    class Shipped:
        card, onnx = {"calibration": FITTED.to_dict()}, tmp_path / "absent.onnx"

    monkeypatch.setattr(kept, "shipped_networks", lambda: {"accurate": Shipped})
    assert read_calibration("accurate") == FITTED


@pytest.mark.parametrize(
    "value", [3, {}, {"temperature": "hot"}, {"temperature": 1, "rise": 0, "correlation": 7}, None]
)
def test_a_damaged_calibration_is_named(value):
    with pytest.raises(ModelFileError, match="somewhere"):
        calibration_of(value, "somewhere")


def test_a_damaged_entry_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "network.onnx").write_bytes(with_entry(PLAIN, "calibration", "{"))
    with pytest.raises(ModelFileError, match=r"network\.onnx"):
        read_calibration(str(tmp_path / "network.onnx"))


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"both \.onnx"):
        write_calibration(tmp_path / "a.onnx", FITTED, tmp_path / "a.safetensors")


def test_recorded_frames_of_one_signal_are_kept_together():
    rows = np.concatenate([np.arange(0, 40), np.arange(50, 90), np.arange(100, 230)])
    signals = rows // 50
    frames = Frames(None, rows, ClassSet(("a", "b")), 8, signals % 2, signals=signals)
    logits = np.stack([rows, rows], axis=1).astype(np.float32)
    found = recorded_signals(logits, signals % 2, frames)
    assert found.logits.shape[1:] == (16, 2)  # eleven of them; of 32 frames there would be four
    assert all((np.diff(one[:, 0]) == 1).all() for one in found.logits)
    assert found.labels.tolist() == [int(one[0, 0]) // 50 % 2 for one in found.logits]
    assert recorded_signals(logits[:9], signals[:9] % 2, frames.take(slice(9))) is None
