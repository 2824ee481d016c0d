import pytest

torch = pytest.importorskip("torch")

from bacalhaunet.compression.path import drawn_frames, estimate_norms, mean_loss, validation_accuracy
from bacalhaunet.data.batches import Batch
from bacalhaunet.training.task import cross_entropy
from tests.training.shared_run import batches

from .small_pruning import start

FOUR = [batches(3).batch(number) for number in range(4)]


def test_accuracy_and_loss_do_not_depend_on_how_frames_are_split_into_batches():
    network, whole = start().eval(), drawn_frames(FOUR, 10**9)
    assert [len(batch.labels) for batch in whole] == [32] * 4
    logits = torch.cat([network(batch.frames) for batch in whole])
    labels = torch.cat([batch.labels for batch in whole])
    assert validation_accuracy(network, whole, range(24)) == float((logits.argmax(1) == labels).double().mean())
    joined = type(FOUR[0])(torch.cat([b.frames for b in whole]), labels, torch.zeros(len(labels)))
    assert mean_loss(network, whole) == pytest.approx(float(cross_entropy(logits, joined)), rel=1e-5)


def test_frames_are_drawn_from_all_batches_and_are_the_same_again():
    parts = drawn_frames(FOUR, 40)
    assert sum(len(batch.labels) for batch in parts) == 40
    assert len(parts) == 4
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(parts, drawn_frames(FOUR, 40), strict=True))
    labels = torch.arange(24).repeat_interleave(20).split(100)  # sorted by modulation, as in a file
    one_of_each = [Batch(torch.zeros(len(part), 2, 4), part, torch.zeros(len(part))) for part in labels]
    found = torch.cat([batch.labels for batch in drawn_frames(one_of_each, 240)])
    assert len(found.unique()) == 24


def test_measuring_leaves_the_mode():
    network = start().train()
    validation_accuracy(network, FOUR, range(24))
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
