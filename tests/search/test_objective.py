import pytest

from bacalhaunet.compression.budget import least_score
from bacalhaunet.cost.of import cost_of
from bacalhaunet.models.spec import HeadSpec, InputSpec, NetworkSpec, SeparableBlock
from bacalhaunet.search.objective import remove_checkpoints, run_candidate
from bacalhaunet.search.space import Candidate
from bacalhaunet.training.run_data import training_data
from tests.search.tiny import tiny_search

CONFIG = tiny_search()
BLOCK = SeparableBlock(
    kernel=5,
    channels=6,
    stride=8,
    depthwise_weight_bits=4,
    depthwise_activation_bits=4,
    pointwise_weight_bits=4,
    pointwise_activation_bits=4,
)
SPEC = NetworkSpec(blocks=(BLOCK,), input=InputSpec(bits=6), head=HeadSpec(weight_bits=4))


@pytest.fixture(scope="module")
def data():
    return training_data(CONFIG.training("", CONFIG.epochs))


def goes_on(epoch, accuracy):
    return False


def test_the_score_is_the_official_one_of_the_model_left_behind(data, tmp_path):
    outcome = run_candidate(Candidate(SPEC, 0.5), CONFIG, data, tmp_path, goes_on)
    assert outcome.score == cost_of(tmp_path / "model.safetensors").score
    dense = cost_of(SPEC).score
    assert 0 < outcome.score < 0.75 * dense
    assert outcome.min_abs_weight > 0
    assert outcome.stopped_after is None


@pytest.mark.parametrize("share", [0.4, 0.99])
def test_pruning_by_score_ends_at_the_score_that_was_expected_or_with_a_weight_in_each_layer(data, tmp_path, share):
    candidate = Candidate(SPEC, share)
    outcome = run_candidate(candidate, tiny_search(prune_by="score"), data, tmp_path, goes_on)
    assert 0 < outcome.score <= max(candidate.expected_score(), least_score(SPEC)) * (1 + 1e-9)


def test_a_trial_is_taken_up_by_a_worker_with_other_threads_in_a_folder_of_another_name(data, tmp_path):
    first = run_candidate(Candidate(SPEC, 0.0), tiny_search(threads=1), data, tmp_path / "here", goes_on)
    (tmp_path / "here").rename(tmp_path / "there")
    for model in (tmp_path / "there").rglob("model.safetensors"):
        model.unlink()
    again = run_candidate(Candidate(SPEC, 0.0), tiny_search(threads=2), data, tmp_path / "there", goes_on)
    assert again == first


def test_no_layer_is_emptied_even_by_the_largest_share(data, tmp_path):
    outcome = run_candidate(Candidate(SPEC, 0.99), CONFIG, data, tmp_path, goes_on)
    layers = cost_of(tmp_path / "model.safetensors").layers
    assert outcome.score > 0
    assert all(layer.weights > 0 for layer in layers)


def test_a_stopped_trial_is_valued_by_what_it_reached_and_what_was_expected_of_it(data, tmp_path):
    seen = []

    def stop(epoch, accuracy):
        seen.append((epoch, accuracy))
        return True

    candidate = Candidate(SPEC, 0.3)
    outcome = run_candidate(candidate, CONFIG, data, tmp_path, stop)
    assert [epoch for epoch, _ in seen] == [1]
    assert (outcome.stopped_after, outcome.accuracy) == (1, seen[0][1])
    assert outcome.score == candidate.expected_score()
    assert not (tmp_path / "model.safetensors").exists()


def test_a_trial_taken_up_again_goes_on_from_its_checkpoint_and_ends_the_same(data, tmp_path):
    class WorkerDiedError(Exception):
        pass

    def dies_in_epoch_2(epoch, accuracy):
        if epoch == 2:
            raise WorkerDiedError
        return False

    epochs = []

    def watch(epoch, accuracy):
        epochs.append(epoch)
        return False

    candidate = Candidate(SPEC, 0.3)
    with pytest.raises(WorkerDiedError):
        run_candidate(candidate, CONFIG, data, tmp_path / "killed", dies_in_epoch_2)
    resumed = run_candidate(candidate, CONFIG, data, tmp_path / "killed", watch)
    assert epochs == [2]
    assert resumed == run_candidate(candidate, CONFIG, data, tmp_path / "whole", goes_on)


def test_only_models_and_curves_of_a_finished_trial_are_kept(data, tmp_path):
    run_candidate(Candidate(SPEC, 0.3), CONFIG, data, tmp_path, goes_on)
    assert list(tmp_path.rglob("*.ckpt"))
    remove_checkpoints(tmp_path)
    assert not list(tmp_path.rglob("*.ckpt"))
    assert (tmp_path / "model.safetensors").is_file()
    assert (tmp_path / "trained" / "curve.json").is_file()
