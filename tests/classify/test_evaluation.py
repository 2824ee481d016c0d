import math

import numpy as np
import pytest

from bacalhaunet.classify.evaluation import evaluate, predict
from bacalhaunet.data.evaluation import Tally, wilson_interval
from bacalhaunet.errors import ConfigError, ModelFileError
from bacalhaunet.radio.modulations import NAMES


class FixedEngine:
    """Names the class written into the first sample of a frame."""

    name, target, frame_length = "fixed", "a test", 8

    def __init__(self, labels=NAMES, value=1.0):
        self.labels, self.value = tuple(labels), value

    def logits(self, frames):
        result = np.zeros((len(frames), len(self.labels)), np.float32)
        result[np.arange(len(frames)), frames[:, 0, 0].astype(int)] = self.value
        return result


def frames_saying(classes):
    frames = np.zeros((len(classes), 2, 8), np.float32)
    frames[:, 0, 0] = classes
    return frames


def random_batches(seed=0, sizes=(100, 1, 250)):
    rng = np.random.default_rng(seed)
    return [
        (
            frames_saying(rng.integers(0, 24, size)),
            rng.integers(0, 24, size),
            rng.integers(-10, 16, size).astype(np.float32) * 2,
        )
        for size in sizes
    ]


def test_wilson_interval_solves_its_defining_equation():
    """Both ends are the p at which |observed - p| = z sqrt(p (1-p) / n)."""
    for correct, frames in [(1, 7), (50, 100), (99, 100), (5624, 10000)]:
        for end in wilson_interval(correct, frames):
            distance = abs(correct / frames - end)
            assert distance == pytest.approx(1.959963984540054 * math.sqrt(end * (1 - end) / frames), rel=1e-9)


def test_wilson_interval_stays_inside_zero_and_one():
    assert wilson_interval(0, 3)[0] == 0.0
    assert wilson_interval(3, 3)[1] == 1.0
    assert wilson_interval(0, 3)[1] > 0.5


@pytest.mark.parametrize(("correct", "frames"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_interval_refuses_impossible_counts(correct, frames):
    with pytest.raises(ConfigError, match=f"{correct} correct of {frames}"):
        wilson_interval(correct, frames)


def test_every_figure_is_what_a_plain_count_gives():
    batches = random_batches()
    result = evaluate(FixedEngine(), batches)
    said = np.concatenate([batch[0][:, 0, 0] for batch in batches]).astype(int)
    true = np.concatenate([batch[1] for batch in batches])
    snrs = np.concatenate([batch[2] for batch in batches])
    assert result.frames == 351
    assert result.accuracy == np.mean(said == true)
    assert result.accuracy_by_snr == {int(snr): np.mean((said == true)[snrs == snr]) for snr in np.unique(snrs)}
    assert result.accuracy_by_modulation == {NAMES[k]: np.mean((said == true)[true == k]) for k in np.unique(true)}
    for label in range(24):
        assert result.confusion[label].tolist() == np.bincount(said[true == label], minlength=24).tolist()
    low, high = result.interval
    assert low < result.accuracy < high


def test_the_result_does_not_depend_on_the_batches():
    batches = random_batches(sizes=(300,))
    frames, labels, snrs = batches[0]
    pieces = [(frames[k : k + 7], labels[k : k + 7], snrs[k : k + 7]) for k in range(0, 300, 7)]
    whole, split = evaluate(FixedEngine(), batches), evaluate(FixedEngine(), pieces)
    assert whole.to_dict() == split.to_dict()


def test_confusion_by_snr_adds_up_to_all():
    result = evaluate(FixedEngine(), random_batches())
    assert np.array_equal(sum(result.confusion_at(snr) for snr in result.snrs_db), result.confusion)
    with pytest.raises(ConfigError, match="99"):
        result.confusion_at(99)


def test_json_has_exactly_the_agreed_keys_and_is_finite():
    import json

    document = evaluate(FixedEngine(), random_batches(sizes=(3,))).to_dict()
    assert set(document) == {
        "accuracy",
        "interval",
        "frames",
        "accuracy_by_snr",
        "accuracy_by_modulation",
        "confusion",
    }
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_classes_are_matched_by_name_not_by_number():
    reordered = NAMES[::-1]
    frames = frames_saying([0, 1, 23])
    result = evaluate(FixedEngine(reordered), [(frames, np.array([23, 22, 0]), np.zeros(3, np.float32))], NAMES)
    assert result.accuracy == 1.0


def test_a_network_with_foreign_classes_is_refused():
    with pytest.raises(ModelFileError, match="LoRa"):
        evaluate(FixedEngine((*NAMES[:23], "LoRa")), random_batches(), NAMES)


def test_nan_logits_are_refused_and_counted():
    with pytest.raises(ModelFileError, match="NaN for 2 of 2"):
        predict(FixedEngine(value=np.nan), frames_saying([1, 2]))


def test_no_frames_is_an_error_not_a_division_by_zero():
    with pytest.raises(ConfigError, match="no frame"):
        evaluate(FixedEngine(), [])


def test_a_tally_refuses_labels_that_are_no_class():
    tally = Tally(NAMES)
    with pytest.raises(ConfigError, match="0 to 23"):
        tally.add(np.array([24]), np.array([0]), np.zeros(1, np.float32))
    with pytest.raises(ConfigError, match="2 labels"):
        tally.add(np.array([1, 2]), np.array([0]), np.zeros(1, np.float32))


def test_a_notebook_shows_accuracy_interval_and_shaded_confusions():
    from bacalhaunet.data.evaluation import Evaluation

    shown = Evaluation(np.array([[[3, 1], [0, 4]]]), (10,), ("a<", "b"))._repr_html_()
    assert "87.50 % (52.91 to 97.76) of 8 frames" in shown
    assert "<th>a&lt;</th>" in shown
    assert '0.75)">3</td>' in shown
    assert '1.00)">4</td><td>100.0 %' in shown
