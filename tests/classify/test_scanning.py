"""The front door to recordings: what ``scan``, ``classify`` and ``open_classifier`` give, and in which form."""

import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from bacalhaunet.classify.classifier import Classifier, open_classifier
from bacalhaunet.classify.scanning import classify, scan
from bacalhaunet.data.recordings.recording import open_recording
from bacalhaunet.data.recordings.sigmf_writer import write_sigmf
from bacalhaunet.errors import ConfigError, MissingExtraError, ModelFileError
from tests.classify.fake_engine import PowerEngine
from tests.classify.front_end.captures import linear_signal

pytest.importorskip("scipy", reason="needs scipy")

RATE = 1e6


@pytest.fixture
def samples():
    generator = np.random.default_rng(3)
    both = generator.standard_normal((60_000, 2)) @ [0.1, 0.1j]
    for start, center, period in ((10_000, 0.3, 6.0), (20_000, -0.2, 10.0)):
        turn = np.exp(2j * np.pi * center * np.arange(40_000))
        both[start : start + 40_000] += linear_signal("QPSK", 40_000, period, 0.35, generator) * turn
    return both.astype(np.complex64)


@pytest.fixture
def classifier():
    return Classifier(PowerEngine())


def test_an_array_and_its_file_give_the_same_signals(samples, classifier, tmp_path):
    inside = scan(samples, RATE, network=classifier)
    read = scan(write_sigmf(tmp_path / "capture", samples, RATE), network=classifier)
    assert len(inside) == 2
    assert inside.to_dict()["signals"] == read.to_dict()["signals"]
    assert scan(read.recording, network=classifier).to_dict() == read.to_dict()
    assert [one.center for one in inside] == pytest.approx([0.3 * RATE, -0.2 * RATE], abs=100)


def test_a_type_and_a_sample_rate_are_those_of_a_file_that_does_not_say_them(samples, classifier, tmp_path):
    path = tmp_path / "capture.bin"
    path.write_bytes(samples.tobytes())
    assert scan(path, RATE, "cf32", classifier)[0].center == scan(samples, RATE, network=classifier)[0].center


def test_without_a_sample_rate_frequencies_are_in_cycles_a_sample(samples, classifier):
    result = scan(samples, network=classifier)
    assert [one.center for one in result] == pytest.approx([0.3, -0.2], abs=1e-4)
    assert {one.time for one in result} == {None}
    assert result.summary["frequency_unit"] == "cycles/sample"


def test_an_array_becomes_a_recording_with_annotations(samples, classifier, tmp_path):
    sigmf = pytest.importorskip("sigmf")
    result = scan(samples, RATE, network=classifier)
    path = result.to_sigmf(tmp_path / "labelled.sigmf-meta")
    assert np.array_equal(open_recording(path).read(0, len(samples)), samples)
    notes = sigmf.sigmffile.fromfile(str(path)).get_annotations()
    assert [note["core:label"] for note in notes] == [one.label for one in result]
    with pytest.raises(ConfigError, match="sample rate"):
        scan(samples, network=classifier).to_sigmf(tmp_path / "another.sigmf-meta")


def test_annotations_of_a_file_go_beside_it(samples, classifier, tmp_path):
    path = write_sigmf(tmp_path / "capture", samples, RATE)
    result = scan(path, network=classifier)
    assert result.to_sigmf(tmp_path / "labelled.sigmf-meta").is_file()
    assert not (tmp_path / "labelled.sigmf-data").exists()


def test_a_table_of_pandas_has_a_row_a_signal(samples, classifier, monkeypatch):
    result = scan(samples, RATE, network=classifier)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pip install pandas"):
        result.to_pandas()
    # pandas itself is in no extra: what it is given is what counts
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows, columns: (rows, columns)))
    rows, columns = result.to_pandas()
    assert [dict(zip(columns, row, strict=True))["center"] for row in rows] == [one.center for one in result]


def test_a_notebook_shows_the_signals_and_escapes_their_names(samples, tmp_path):
    class Named(PowerEngine):
        labels = ("<quiet>", "<loud>", "never")

    html = scan(samples, RATE, network=Classifier(Named()))._repr_html_()
    assert "&lt;quiet&gt;" in html
    assert "<quiet>" not in html
    assert "no signal" in scan(np.zeros(20_000, complex), network=Classifier(Named()))._repr_html_()


def test_the_picture_is_a_figure(samples, classifier):
    figure = pytest.importorskip("matplotlib.figure", reason="needs matplotlib")
    assert isinstance(scan(samples, RATE, network=classifier).plot(), figure.Figure)


def test_ready_frames_are_no_capture(classifier):
    with pytest.raises(ConfigError, match="ready frames"):
        scan(np.zeros((2, 2, 1024), np.float32), network=classifier)


def test_classify_warns_of_a_capture_and_of_nothing_else(samples, classifier):
    with pytest.warns(UserWarning, match="looks like a capture"):
        classify(samples, RATE, network=classifier)
    centred = linear_signal("QPSK", 40_000, 8.0, 0.35, np.random.default_rng(1)).astype(np.complex64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert classify(samples, network=classifier).label is not None
        assert classify(centred, RATE, network=classifier).sample_rate == RATE
        assert classify(np.ones((2, 2, 1024), np.float32), RATE, network=classifier).frames == 2


def test_predictions_are_the_most_probable_classes(classifier):
    frames = np.random.default_rng(1).standard_normal((6, 2, 1024)).astype(np.float32)
    frames[::2] *= 3
    shares = classifier.predict_proba(frames)
    assert (shares.shape, shares.dtype) == ((6, 3), np.float32)
    assert np.allclose(shares.sum(axis=1), 1)
    assert list(classifier.predict(frames)) == ["loud", "quiet"] * 3
    assert list(classifier.classes_) == ["quiet", "loud", "never"]


def test_a_frame_is_answered_whatever_the_other_frames_are(classifier):
    frames = np.random.default_rng(1).standard_normal((4, 2, 1024)).astype(np.float32)
    together = classifier.predict_proba(frames)
    assert np.array_equal(together, np.concatenate([classifier.predict_proba(frame[None]) for frame in frames]))


def test_complex_frames_are_those_of_i_and_q(classifier):
    frames = np.random.default_rng(1).standard_normal((4, 2, 1024)).astype(np.float32)
    assert np.array_equal(classifier.predict_proba(frames[:, 0] + 1j * frames[:, 1]), classifier.predict_proba(frames))


@pytest.mark.parametrize("shape", [(2, 1024), (3, 2, 512), (3, 1024, 2)])
def test_frames_of_another_shape_are_refused(classifier, shape):
    with pytest.raises(ConfigError, match="1024"):
        classifier.predict(np.zeros(shape, np.float32))


def test_no_frames_have_no_answers(classifier):
    assert classifier.predict(np.zeros((0, 2, 1024), np.float32)).shape == (0,)


def test_an_architecture_without_weights_is_refused():
    with pytest.raises(ModelFileError, match="no trained weights"):
        open_classifier("bacalhaunet")
