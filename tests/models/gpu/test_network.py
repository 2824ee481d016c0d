"""The layers for GPUs run anywhere: here, in double precision on a CPU, against the plain ones."""

from dataclasses import replace

import pytest
import torch

from bacalhaunet.models import layers, network
from bacalhaunet.models import layers as weighted_layers
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.gpu.passes import as_signal
from bacalhaunet.models.layers import compute_plainly
from bacalhaunet.models.network import build_network

SPECS = {
    "float": find_spec("prototype"),
    "wide": find_spec("wide"),
    "six": find_spec("bacalhaunet").quantized(6, 6, sum_bits=6),
    "learned": replace(
        find_spec("bacalhaunet").quantized(5, 5, sum_bits=5, shared_sums=True), learned_weight_steps=True
    ),
    "vgg": find_spec("vgg10").quantized(8, 8),
}


def built(name):
    torch.manual_seed(3)
    return build_network(SPECS[name]).double().train()


def frames():
    return torch.randn(6, 2, 1024, generator=torch.Generator().manual_seed(1)).double()


@pytest.fixture
def as_on_gpu(monkeypatch):
    def applies_to(signal):
        return signal.dim() == 4 and signal.shape[2] == 1

    monkeypatch.setattr(layers, "gpu_applies_to", applies_to)
    monkeypatch.setattr(weighted_layers, "gpu_applies_to", applies_to)
    monkeypatch.setattr(network, "on_one_row", lambda f: as_signal(f.transpose(0, 1).contiguous()))


def computed(net):
    logits = net(frames())
    torch.nn.functional.cross_entropy(logits, torch.arange(6)).backward()
    gradients = {name: weight.grad for name, weight in net.named_parameters() if weight.grad is not None}
    with torch.no_grad():
        return logits.detach(), gradients, net.eval()(frames())


@pytest.mark.parametrize("name", SPECS)
def test_a_network_computes_and_learns_the_same(name, request):
    plain = built(name)
    compute_plainly(plain)
    logits, gradients, evaluated = computed(plain)
    request.getfixturevalue("as_on_gpu")
    ours = built(name)
    own_logits, own_gradients, own_evaluated = computed(ours)
    torch.testing.assert_close(own_logits, logits)
    torch.testing.assert_close(own_evaluated, evaluated)
    assert own_gradients.keys() == gradients.keys()
    for parameter, gradient in gradients.items():
        # A largest step that comes twice may send its gradient to either.
        assert float((own_gradients[parameter] - gradient).norm()) <= 0.06 * float(gradient.norm()) + 1e-9, parameter
    for (buffer, own), other in zip(ours.named_buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(own, other, msg=buffer)
