"""What only a GPU can run."""

import pytest
import torch

from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.network import build_network

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def built():
    torch.manual_seed(3)
    return build_network(find_spec("bacalhaunet").quantized(6, 6, sum_bits=6)).train()


def frames(count=64):
    return torch.randn(count, 2, 1024, generator=torch.Generator().manual_seed(1)).cuda()


def test_a_network_as_one_graph_computes_and_learns_what_it_does_on_a_cpu():
    from bacalhaunet.models.gpu.functions import trained_as_one_graph

    on_cpu, on_gpu, given = built(), built(), frames()
    before = {name: buffer.clone() for name, buffer in on_gpu.named_buffers()}
    with trained_as_one_graph(on_gpu, given):
        for name, buffer in on_gpu.named_buffers():
            assert torch.equal(buffer.cpu(), before[name]), name
        logits = on_gpu(given)
        logits.square().mean().backward()
    expected = on_cpu(given.cpu())
    expected.square().mean().backward()
    torch.testing.assert_close(logits.cpu(), expected, rtol=0.02, atol=0.02)
    own, other = on_gpu.blocks[0].pointwise.weight.grad.cpu(), on_cpu.blocks[0].pointwise.weight.grad
    assert float((own - other).norm() / other.norm()) < 0.05


def test_a_replayed_network_gives_its_logits_for_other_frames():
    from bacalhaunet.models.gpu.functions import Replayed

    network = built().eval().cuda()
    replayed = Replayed(network, torch.zeros_like(frames()))
    with torch.no_grad():
        torch.testing.assert_close(replayed(frames()), network(frames()))
