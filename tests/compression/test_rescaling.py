import pytest
import torch

from bacalhaunet.compression.importance import normalized_layers, rescale_weights
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.layers import learn_weight_steps
from bacalhaunet.models.network import build_network


def trained(name: str, *, quantized: bool = False, learned: bool = False) -> torch.nn.Module:
    torch.manual_seed(7)
    spec = find_spec(name)
    network = build_network(spec.quantized(6, 6, sum_bits=6) if quantized else spec)
    if learned:
        learn_weight_steps(network)
    network.train()
    for seed in range(3):  # running statistics that are not those of a new network
        network(torch.randn(4, 2, 1024, generator=torch.Generator().manual_seed(seed)))
    return network.eval()


@pytest.mark.parametrize(("quantized", "learned"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("name", ["first-experiment", "prototype", "mobilenetv3-small-1d"])
def test_any_scale_of_weights_gives_the_same_function(name, quantized, learned):
    network = trained(name, quantized=quantized, learned=learned)
    frames = torch.randn(6, 2, 1024, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        before = network(frames)
        rescale_weights(network, 2.0)
        after = network(frames)
    # Where a value lies between two levels of a quantizer, rounding may change it by one.
    difference = (after - before).abs() / before.abs().max()
    assert float(difference.quantile(0.9)) < (0.05 if quantized else 2e-3)


def test_each_layer_gets_the_root_mean_square_in_its_old_proportions_and_keeps_its_zeros():
    network = trained("prototype")
    with torch.no_grad():
        network.blocks[1].pointwise.weight[::2] = 0
    head = network.head.dense.weight.detach().clone()
    layers = [layer for layer, _ in normalized_layers(network)]
    assert len(layers) == 2 * len(network.blocks)
    before = [layer.weight.detach().clone() for layer in layers]
    rescale_weights(network, 0.3)
    for layer, weight in zip(layers, before, strict=True):
        kept = layer.weight[layer.weight != 0]
        assert float(kept.square().mean().sqrt()) == pytest.approx(0.3, rel=1e-4)
        assert torch.equal(layer.weight == 0, weight == 0)
        assert torch.allclose(layer.weight / layer.weight.norm(), weight / weight.norm(), rtol=1e-4, atol=1e-6)
    assert bool((network.blocks[1].pointwise.weight[::2] == 0).all())
    assert torch.equal(network.head.dense.weight, head)
