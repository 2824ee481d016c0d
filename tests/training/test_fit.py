import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bacalhaunet.training.checkpoints import BestWeights
from bacalhaunet.training.config import TrainConfig
from bacalhaunet.training.fit import fit
from bacalhaunet.training.run_data import ResumableBatches

from .small_run import CLASSES, PER_EPOCH, NoisyLevels, network, run


def _run_apart(*arguments: object) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("small_run.py")
    return subprocess.run([sys.executable, script, *map(str, arguments)], capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"), checkpoint_every=4)


# Killed in the middle of the second epoch, with the last checkpoint inside it (4) or in the first epoch's end (10).
@pytest.mark.parametrize("checkpoint_every", [4, 10])
def test_a_run_killed_in_the_middle_of_an_epoch_resumes_to_the_same_weights_and_curve(
    tmp_path, uninterrupted, checkpoint_every
):
    killed = _run_apart(tmp_path, checkpoint_every, 17)
    assert killed.returncode == -9
    assert (tmp_path / "last.ckpt").is_file()
    assert not list(tmp_path.glob("*.part*"))
    resumed = run(tmp_path, checkpoint_every)
    assert resumed == uninterrupted


def test_a_finished_run_started_again_gives_the_same_result(tmp_path, uninterrupted):
    assert run(tmp_path, 4) == uninterrupted
    assert run(tmp_path, 4) == uninterrupted


def test_the_best_so_far_is_not_forgotten_when_the_folder_is_moved(tmp_path):
    first, second = (BestWeights(tmp_path / folder / "best.ckpt") for folder in ("before", "after"))
    path = str(tmp_path / "before" / "best.ckpt")
    first.best_model_score, first.best_model_path, first.kth_best_model_path = torch.tensor(0.5), path, path
    first.best_k_models = {path: torch.tensor(0.5)}
    second.load_state_dict(first.state_dict())
    moved = str(tmp_path / "after" / "best.ckpt")
    assert (second.best_model_score, second.best_model_path, second.kth_best_model_path) == (0.5, moved, moved)
    assert second.best_k_models == {moved: torch.tensor(0.5)}


def test_batches_go_on_after_the_last_one_handed_out_not_the_last_one_made():
    first = ResumableBatches(NoisyLevels(), PER_EPOCH, ahead=3)
    iterator = iter(first)
    seen = [next(iterator) for _ in range(4)]
    second = ResumableBatches(NoisyLevels(), PER_EPOCH)
    second.load_state_dict(first.state_dict())
    rest = list(second)
    assert len(seen) + len(rest) == PER_EPOCH
    assert torch.equal(rest[0].frames, NoisyLevels().batch(4).frames)


def test_a_network_given_in_evaluation_mode_is_trained_in_training_mode(tmp_path):
    trained = network().eval()
    before = trained[2].running_mean.clone()
    fit(
        trained,
        ResumableBatches(NoisyLevels(), 2),
        [NoisyLevels().batch(9)],
        TrainConfig(epochs=1, batch_size=32),
        tmp_path,
        classes=CLASSES,
    )
    assert not torch.equal(trained[2].running_mean, before)


def test_each_epoch_brings_new_batches():
    batches = ResumableBatches(NoisyLevels(), 3)
    epochs = [list(batches), list(batches)]
    assert [len(epoch) for epoch in epochs] == [3, 3]
    assert torch.equal(epochs[1][0].frames, NoisyLevels().batch(3).frames)
