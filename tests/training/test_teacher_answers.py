from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")

from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import load_model, save_model
from bacalhaunet.radio.modulations import NAMES
from bacalhaunet.training.config import DataConfig, DistillationConfig, TrainConfig
from bacalhaunet.training.distillation import BLOCK, DistillationLoss, KeptAnswers, configured_loss
from bacalhaunet.training.run import train
from bacalhaunet.training.run_data import training_data
from tests.data.radioml_files import write

SPEC = separable_network((5, 5), (8, 4), (4, 4))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """60 frames a cell of two classes: 51 of each for training, more than one block in all."""
    return write(tmp_path_factory.mktemp("radioml") / "small.hdf5", count=60, labels=(3, 4))


@pytest.fixture
def teacher(tmp_path):
    return saved(tmp_path / "teacher.safetensors", 1)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/bacalhaunet/answers"


def saved(path, seed):
    torch.manual_seed(seed)
    save_model(path, build_network(SPEC), SPEC, NAMES)
    return path


def config(file, **changes):
    data = DataConfig(file=file, snr_min_db=-20)
    return TrainConfig(data=data, batch_size=64, epochs=1, threads=1, accelerator="cpu", **changes)


def batches_of(file):
    return training_data(config(file)).source


class Counted(torch.nn.Module):
    """A network that counts the frames it is asked."""

    def __init__(self, network):
        super().__init__()
        self.network, self.asked = network, 0

    def forward(self, frames):
        self.asked += len(frames)
        return self.network(frames)


def counted(path):
    loaded = load_model(path)
    return replace(loaded, network=Counted(loaded.network))


def test_the_kept_answers_are_the_teachers(file, teacher):
    source, network = batches_of(file), load_model(teacher).network.eval()
    kept = KeptAnswers(load_model(teacher), source)
    kept.ask()
    for number in (0, 3):
        batch = source.batch(number)
        with torch.inference_mode():
            torch.testing.assert_close(kept.of(batch.rows), network(batch.frames), rtol=2e-3, atol=2e-3)


def test_each_frame_is_asked_once_however_often_a_run_is_interrupted(file, teacher):
    source, network = batches_of(file), counted(teacher)
    total = len(source.frames)
    assert total > BLOCK

    class Killed(BaseException):
        """What ends the first call."""

    def give_up(*_):
        if network.network.asked >= BLOCK:
            raise Killed
        return original(*_)

    original = source.frames.store.read
    source.frames.store.read = give_up
    with pytest.raises(Killed):
        KeptAnswers(network, source).ask()
    source.frames.store.read = original
    assert network.network.asked == BLOCK
    KeptAnswers(network, source).ask()
    KeptAnswers(network, source).ask()
    assert network.network.asked == total


def test_another_teacher_or_another_file_has_answers_of_its_own(file, teacher, tmp_path):
    other_file = write(tmp_path / "other.hdf5", count=60, labels=(3, 4))
    other_teacher = saved(tmp_path / "other.safetensors", 2)
    paths = {
        KeptAnswers(load_model(who), batches_of(what)).path
        for who in (teacher, other_teacher)
        for what in (file, other_file)
    }
    assert len(paths) == 4


def test_the_loss_is_the_same_with_kept_answers(file, teacher):
    source, network = batches_of(file), load_model(teacher).network
    kept = KeptAnswers(load_model(teacher), source)
    kept.ask()
    batch = source.batch(1)
    logits = torch.randn(len(batch.labels), 24)
    with_kept = DistillationLoss(network, 0.7, 2.0, kept)(logits, batch)
    assert float(with_kept) == pytest.approx(float(DistillationLoss(network, 0.7, 2.0)(logits, batch)), rel=1e-3)
    unnumbered = batch._replace(rows=None)  # frames of no file are asked anew
    assert float(DistillationLoss(network, 0.7, 2.0, kept)(logits, unnumbered)) == pytest.approx(
        float(DistillationLoss(network, 0.7, 2.0)(logits, unnumbered))
    )


def test_a_run_that_sees_only_part_of_the_file_asks_as_it_goes(file, teacher, own_cache):
    source = batches_of(file)
    asked = configured_loss(DistillationConfig(str(teacher)), 24, source, len(source.frames) - 1)
    assert asked.kept is None
    assert not own_cache.exists()
    assert configured_loss(DistillationConfig(str(teacher)), 24, source, len(source.frames)).kept is not None


def test_a_training_with_a_teacher_leaves_and_uses_its_answers(file, teacher, tmp_path, own_cache):
    spec = tmp_path / "student.yaml"
    spec.write_text(SPEC.to_yaml())
    run = config(file, network=str(spec), distillation=DistillationConfig(str(teacher)))
    frames = len(batches_of(file).frames)
    run = replace(run, epochs=2)  # an epoch leaves the last frames out
    train(run, tmp_path / "first")
    [path] = own_cache.iterdir()
    assert path.stat().st_size > 2 * 24 * frames
    before = path.read_bytes()
    train(run, tmp_path / "second")
    assert path.read_bytes() == before
    assert list(own_cache.iterdir()) == [path]
    first, second = (load_model(tmp_path / name / "model.safetensors").network for name in ("first", "second"))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)
