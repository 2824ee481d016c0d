import pytest

torch = pytest.importorskip("torch")

from bacalhaunet.compression.measure import (  # noqa: E402
    estimate_norms,
    first_batches,
    mean_loss,
    validation_accuracy,
)
from bacalhaunet.training.task import cross_entropy  # noqa: E402
from tests.training.shared_run import batches  # noqa: E402

from .small_pruning import start  # noqa: E402

FOUR = [batches(3).batch(number) for number in range(4)]


def test_accuracy_and_loss_do_not_depend_on_how_frames_are_split_into_batches():
    network, whole = start().eval(), first_batches(FOUR, 10**9)
    parts = [*first_batches(FOUR, 40)]
    assert [len(batch.labels) for batch in parts] == [32, 8]
    logits = torch.cat([network(batch.frames) for batch in whole])
    labels = torch.cat([batch.labels for batch in whole])
    assert validation_accuracy(network, whole) == float((logits.argmax(1) == labels).double().mean())
    joined = type(FOUR[0])(torch.cat([b.frames for b in whole]), labels, torch.zeros(len(labels)))
    assert mean_loss(network, whole) == pytest.approx(float(cross_entropy(logits, joined)), rel=1e-5)


def test_measuring_leaves_the_mode():
    network = start().train()
    validation_accuracy(network, FOUR)
    assert network.training


def test_estimated_statistics_are_the_mean_over_the_batches_and_weights_stay():
    network = start()
    first, before = network.blocks[0].depthwise_norm, network.blocks[0].depthwise.weight.detach().clone()
    seen = []
    handle = network.blocks[0].depthwise.register_forward_hook(lambda _m, _i, out: seen.append(out.detach()))
    estimate_norms(network, FOUR)
    handle.remove()
    expected = torch.stack([out.mean((0, 2, 3)) for out in seen]).mean(0)
    torch.testing.assert_close(first.running_mean, expected, rtol=1e-4, atol=1e-5)
    assert first.momentum == 0.1
    assert torch.equal(network.blocks[0].depthwise.weight, before)
