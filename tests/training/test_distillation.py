import hashlib

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bacalhaunet.data.batches import Batch
from bacalhaunet.errors import BacalhauNetError, ConfigError
from bacalhaunet.models.catalog import separable_network
from bacalhaunet.models.network import build_network
from bacalhaunet.models.saved import save_model
from bacalhaunet.training.config import DistillationConfig, TrainConfig
from bacalhaunet.training.distillation import DistillationLoss, configured_loss
from bacalhaunet.training.fit import BEST_CHECKPOINT, fit
from bacalhaunet.training.run_data import ResumableBatches
from bacalhaunet.training.task import cross_entropy

from .shared_run import BATCH, CLASSES, batches

SPEC = separable_network((5, 5), (2, 1), (8, 8), classes=CLASSES, frame_length=64)


def made(seed, bits=None):
    torch.manual_seed(seed)
    return build_network(SPEC.quantized(bits, bits, sum_bits=bits))


def digest(network):
    found = hashlib.sha256()
    for name, value in network.state_dict().items():
        found.update(name.encode() + value.numpy().tobytes())
    return found.hexdigest()


def given_batch(number=0):
    return batches(1).batch(number)


@settings(max_examples=20, deadline=None)
@given(bits=st.sampled_from([None, 2, 4, 8]), seed=st.integers(0, 9), weight=st.floats(0, 1), hot=st.floats(0.5, 8))
def test_the_teacher_is_untouched_and_gets_no_gradient(bits, seed, weight, hot):
    teacher, student = made(seed, bits).train(), made(seed + 1, 4).train()
    before = digest(teacher)
    loss = DistillationLoss(teacher, weight, hot)
    for number in range(2):
        batch = given_batch(number)
        loss(student(batch.frames), batch).backward()
    assert digest(teacher) == before
    assert not teacher.training
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert student.head.dense.weight.grad is not None


def test_without_the_teachers_share_it_is_cross_entropy_and_with_all_of_it_a_divergence():
    batch, teacher = given_batch(), made(1)
    logits = made(2)(batch.frames)
    assert torch.equal(DistillationLoss(teacher, 0.0, 2.0)(logits, batch), cross_entropy(logits, batch))
    soft = functional.softmax(teacher.eval()(batch.frames) / 2, dim=1)
    own = functional.softmax(logits / 2, dim=1)
    expected = 4 * (soft * (soft / own).log()).sum(1).mean()
    torch.testing.assert_close(DistillationLoss(teacher, 1.0, 2.0)(logits, batch), expected)


def test_a_student_that_answers_as_the_teacher_has_no_divergence():
    batch, teacher = given_batch(), made(1).eval()
    assert abs(float(DistillationLoss(teacher, 1.0, 3.0)(teacher(batch.frames), batch))) < 1e-5


@pytest.fixture
def saved_teacher(tmp_path):
    path = tmp_path / "teacher.safetensors"
    save_model(path, made(1), spec=SPEC, classes=[str(n) for n in range(CLASSES)])
    return path


def test_a_run_with_a_teacher_leaves_its_file_and_keeps_it_out_of_checkpoints(tmp_path, saved_teacher):
    before = saved_teacher.read_bytes()
    config = TrainConfig(
        epochs=1,
        batch_size=BATCH,
        threads=1,
        accelerator="cpu",
        distillation=DistillationConfig(str(saved_teacher), 0.7, 3.0),
    )
    student = made(5, 4)
    names = {f"network.{name}" for name in student.state_dict()}
    fit(student, ResumableBatches(batches(1), 3), [given_batch(50)], config, tmp_path, classes=CLASSES)
    assert saved_teacher.read_bytes() == before
    assert set(torch.load(tmp_path / BEST_CHECKPOINT, weights_only=True)["state_dict"]) == names


def test_a_teacher_of_other_classes_and_one_that_is_not_there_are_errors(saved_teacher):
    with pytest.raises(ConfigError, match="4 classes"):
        configured_loss(DistillationConfig(str(saved_teacher)), 24)
    with pytest.raises(BacalhauNetError):
        configured_loss(DistillationConfig("nobody"), CLASSES)


def test_without_a_teacher_the_loss_is_the_cross_entropy():
    assert configured_loss(None, 24) is cross_entropy


@pytest.mark.parametrize(("weight", "temperature"), [(-0.1, 2.0), (1.1, 2.0), (0.5, 0.0), (0.5, float("nan"))])
def test_a_share_or_temperature_out_of_range_is_an_error(weight, temperature):
    with pytest.raises(ConfigError):
        DistillationConfig("t.safetensors", weight, temperature)


def test_only_epochs_from_the_given_one_on_are_kept(tmp_path):
    config = TrainConfig(epochs=3, batch_size=BATCH, threads=1, accelerator="cpu")
    validation = [Batch(*given_batch(60))]
    result = fit(
        made(5),
        ResumableBatches(batches(1), 2),
        validation,
        config,
        tmp_path,
        classes=CLASSES,
        keep_from_epoch=3,
    )
    assert result.validation_accuracy == result.curve[2].validation_accuracy
    assert torch.load(tmp_path / BEST_CHECKPOINT, weights_only=True)["epoch"] == 2
