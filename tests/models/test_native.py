"""The training kernels against torch, on random shapes."""

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bacalhaunet.models import fake_quant
from bacalhaunet.models import network as network_module
from bacalhaunet.models.blocks import SeparableBlock
from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.layers import compute_plainly, on_one_row
from bacalhaunet.models.native import build, functions, separable
from bacalhaunet.models.native.functions import largest
from bacalhaunet.models.network import (
    build_network,
    fused_separable,
)
from bacalhaunet.models.spec import NetworkSpec

pytestmark = pytest.mark.skipif(build.kernels() is None, reason="needs a C compiler with OpenMP")

CHANNELS = st.sampled_from((1, 2, 3, 8, 12, 24, 32, 48))


def signal(batch, channels, length, seed):
    generator = torch.Generator().manual_seed(seed)
    return on_one_row(torch.randn((batch, channels, length), generator=generator)).requires_grad_()


def agree(native, plain, *inputs):
    """Compare values and the gradients of a fixed weighting of them."""
    first = native(*inputs)
    weighting = torch.randn(first.shape, generator=torch.Generator().manual_seed(5))
    ours = torch.autograd.grad((first * weighting).sum(), inputs)
    second = plain(*inputs)
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)
    theirs = torch.autograd.grad((second * weighting).sum(), inputs)
    for mine, expected in zip(ours, theirs, strict=True):
        scale = float(expected.abs().max()) + 1e-6
        torch.testing.assert_close(mine / scale, expected / scale, rtol=0, atol=2e-4)


@given(
    st.integers(1, 5),
    CHANNELS,
    st.integers(1, 70),
    st.sampled_from((1, 3, 5, 9, 21)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_depthwise_equals_torch(batch, channels, length, kernel, stride, dilation, seed):
    padding = dilation * (kernel - 1) // 2
    weight = torch.randn((channels, 1, kernel), generator=torch.Generator().manual_seed(seed)).requires_grad_()
    agree(
        lambda x, w: functions.depthwise(x, w, stride, padding, dilation),
        lambda x, w: functional.conv1d(x[:, :, 0], w, None, stride, padding, dilation, channels).unsqueeze(2),
        signal(batch, channels, length, seed),
        weight,
    )


@given(st.integers(1, 5), CHANNELS, CHANNELS, st.integers(1, 200), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_pointwise_equals_torch(batch, inputs, outputs, length, seed):
    weight = torch.randn((outputs, inputs, 1), generator=torch.Generator().manual_seed(seed)).requires_grad_()
    agree(
        functions.pointwise,
        lambda x, w: functional.conv2d(x, w.unsqueeze(2)),
        signal(batch, inputs, length, seed),
        weight,
    )


@given(st.integers(2, 6), CHANNELS, st.integers(2, 150), st.sampled_from((None, 2, 4, 8)), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_norm_and_activation_equal_torch_and_move_the_running_statistics(batch, channels, length, bits, seed):
    norms = [torch.nn.BatchNorm2d(channels).train() for _ in range(2)]
    gamma, beta = torch.rand(channels) + 0.5, torch.rand(channels) - 0.5
    for norm in norms:
        norm.load_state_dict({**norm.state_dict(), "weight": gamma, "bias": beta})
    high = 0 if bits is None else 2**bits - 1
    scale = None if bits is None else torch.tensor(2.5 / high, requires_grad=True)
    x = (signal(batch, channels, length, seed).detach() * 2 + 3).requires_grad_()

    def plain(values, *step):
        out = functional.relu(norms[1](values))
        return fake_quant.quantize(out, step[0], 0, high) if step else out

    def native(values, *step):
        return functions.norm_activation(values, norms[0], step[0] if step else None, high)

    first, second = (f(x, *([scale] if scale is not None else [])) for f in (native, plain))
    # A value on the border between two levels may fall on either side.
    differing = (first - second).abs() > 1e-4
    assert float(differing.float().mean()) < 0.002
    for name, value in norms[1].state_dict().items():
        torch.testing.assert_close(norms[0].state_dict()[name], value, rtol=1e-5, atol=1e-5)
    weighting = torch.randn(first.shape, generator=torch.Generator().manual_seed(5))
    ours = torch.autograd.grad((first * weighting).sum(), [x, norms[0].weight, norms[0].bias])
    theirs = torch.autograd.grad((second * weighting).sum(), [x, norms[1].weight, norms[1].bias])
    if not bool(differing.any()):
        for mine, expected in zip(ours, theirs, strict=True):
            spread = float(expected.abs().max()) + 1e-3
            assert float((mine - expected).abs().max()) < 2e-3 * spread


@given(st.integers(1, 5), CHANNELS, st.integers(1, 99), st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_norm_and_activation_with_running_statistics_equal_torch(batch, channels, length, seed):
    norm, x = torch.nn.BatchNorm1d(channels).eval(), signal(batch, channels, length, seed).detach()
    generator = torch.Generator().manual_seed(seed)
    state = {
        n: torch.rand(channels, generator=generator) + 0.5 for n in ("weight", "bias", "running_mean", "running_var")
    }
    norm.load_state_dict({**norm.state_dict(), **state})
    with torch.no_grad():
        expected = functional.relu(norm(x[:, :, 0])).unsqueeze(2)
        torch.testing.assert_close(functions.known_norm_activation(x, norm), expected, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 4), CHANNELS, st.integers(1, 99), st.booleans(), st.integers(2, 8), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_quantizers_equal_the_torch_function(batch, channels, length, signed, bits, seed):
    low = -(2 ** (bits - 1)) if signed else 0
    high = low + 2**bits - 1
    scale = torch.tensor(1.7 / high, requires_grad=True)
    agree(
        lambda x, s: functions.quantize(x, s, low, high),
        lambda x, s: fake_quant.quantize(x, s, low, high),
        signal(batch, channels, length, seed),
        scale,
    )


@given(st.integers(1, 5), CHANNELS, st.integers(1, 90), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_the_largest_over_time_equals_torch(batch, channels, length, seed):
    agree(largest, lambda x: functional.max_pool2d(x, (1, length)), signal(batch, channels, length, seed))


def test_values_that_are_not_numbers_stay_visible():
    x = signal(2, 8, 10, 0).detach()
    x[0, 3, 0, 4] = float("nan")
    assert bool(functions.quantize(x, torch.tensor(0.1), 0, 15).isnan().any())
    assert bool(largest(x).isnan().any())
    assert bool(functions.norm_activation(x, torch.nn.BatchNorm2d(8), torch.tensor(0.1), 15).isnan().any())


@pytest.mark.parametrize("bits", [None, 6, 3])
def test_a_network_has_the_same_loss_and_gradients_through_brevitas(bits):
    spec = find_spec("figure4a-05").quantized(bits, bits, sum_bits=bits)
    torch.manual_seed(4)
    first = build_network(spec)
    second = build_network(spec)
    second.load_state_dict(first.state_dict())
    compute_plainly(second)
    frames, labels = torch.randn(12, 2, 1024), torch.arange(12)
    losses, found = [], []
    for network in (first, second):
        loss = functional.cross_entropy(network(frames), labels)
        loss.backward()
        losses.append(float(loss.detach()))
        found.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    # Sums in another order move a few of 900,000 activations over the border between two levels.
    assert losses[0] == pytest.approx(losses[1], rel=2e-5 if bits is None else 1e-2)
    cosine = float(functional.cosine_similarity(found[0], found[1], dim=0))
    assert cosine > (0.99999 if bits is None else 0.97)


def test_two_steps_from_one_state_are_equal_to_the_bit():
    spec = find_spec("first-experiment").quantized(4, 4)
    torch.manual_seed(4)
    network = build_network(spec)
    frames = torch.randn(9, 2, 1024)
    found = []
    for _ in range(2):
        network.zero_grad()
        network(frames).square().sum().backward()
        found.append([p.grad.clone() for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_without_a_compiler_torch_computes(monkeypatch):
    build.kernels.cache_clear()
    monkeypatch.setenv(build.SWITCH, "0")
    try:
        assert build.kernels() is None
        network = build_network(find_spec("first-experiment").quantized(4, 4))
        network(torch.randn(3, 2, 1024)).sum().backward()
        assert network.blocks[0].depthwise.weight.grad is not None
    finally:
        monkeypatch.undo()
        build.kernels.cache_clear()


def test_a_compiler_that_fails_is_as_none(monkeypatch, tmp_path):
    build.kernels.cache_clear()
    monkeypatch.setenv("CC", "/bin/false")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        assert build.kernels() is None
        assert list((tmp_path / "bacalhaunet").iterdir()) == []
    finally:
        monkeypatch.undo()
        build.kernels.cache_clear()


def block_gradients(monkeypatch, spec, *, fused):
    """Loss, gradients and state after one step of a network, its blocks computed as one or part by part."""
    if not fused:
        monkeypatch.setattr(network_module, "fused_separable", lambda *given: None)
    torch.manual_seed(4)
    network = build_network(spec)
    frames = torch.randn((6, 2, spec.frame_length), generator=torch.Generator().manual_seed(1))
    frames.requires_grad_()
    loss = functional.cross_entropy(network(frames), torch.arange(6) % spec.classes)
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters()} | {"frames": frames.grad}
    monkeypatch.undo()
    return float(loss.detach()), gradients, network.state_dict()


@given(
    st.lists(
        st.tuples(
            st.sampled_from((2, 4, 8, 16, 24, 32, 40)),
            st.sampled_from((1, 3, 9, 12, 21)),
            st.integers(1, 3),
            st.integers(1, 2),
        ),
        min_size=1,
        max_size=3,
    ),
    st.sampled_from((None, 3, 6)),
    st.booleans(),
    st.booleans(),
    st.sampled_from((64, 100, 257)),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_block_computed_as_one_equals_its_parts(blocks, bits, sums, shared, length):
    spec = NetworkSpec(
        blocks=tuple(
            SeparableBlock(kernel=kernel | 1, stride=stride, channels=channels, dilation=dilation)
            for channels, kernel, stride, dilation in blocks
        ),
        frame_length=length,
    )
    if bits is not None:
        spec = spec.quantized(bits, bits, sum_bits=bits if sums else None, shared_sums=shared)
    with pytest.MonkeyPatch.context() as patch:
        loss, gradients, state = block_gradients(patch, spec, fused=True)
        expected_loss, expected, expected_state = block_gradients(patch, spec, fused=False)
    assert loss == pytest.approx(expected_loss, rel=1e-4 if bits is None else 1e-2)
    for name, value in expected_state.items():
        torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-4, msg=name)
    assert [name for name, value in gradients.items() if value is None] == [
        name for name, value in expected.items() if value is None
    ]
    whole = {name: value for name, value in expected.items() if value is not None}
    largest = max(float(value.norm()) for value in whole.values())
    for name, value in whole.items():
        # A value on the border between two levels may fall on either side; float networks have no such borders.
        size = float(value.norm()) + 0.01 if bits is None else largest
        assert float((gradients[name] - value).norm()) < (1e-3 if bits is None else 0.2) * size, name


@pytest.mark.parametrize("bits", [None, 5])
@pytest.mark.parametrize("width", build.widths())
def test_vectors_of_every_width_compute_the_same(width, bits, monkeypatch):
    shapes = ((9, 32, 2, 8), (5, 32, 1, 1), (3, 48, 3, 1), (7, 48, 1, 1))
    spec = NetworkSpec(
        blocks=tuple(
            SeparableBlock(kernel=kernel, channels=channels, stride=stride, depth_multiplier=filters)
            for kernel, channels, stride, filters in shapes
        ),
        frame_length=200,
    )
    spec = spec if bits is None else spec.quantized(bits, bits, sum_bits=bits, shared_sums=True)
    monkeypatch.setattr(separable, "widths", lambda: (width,))
    loss, gradients, _ = block_gradients(pytest.MonkeyPatch(), spec, fused=True)
    expected_loss, expected, _ = block_gradients(monkeypatch, spec, fused=False)
    assert loss == pytest.approx(expected_loss, rel=1e-4 if bits is None else 1e-2)
    largest = max(float(value.norm()) for value in expected.values() if value is not None)
    for name, value in expected.items():
        if value is not None:
            assert float((gradients[name] - value).norm()) < (1e-3 if bits is None else 0.2) * largest, name


@pytest.mark.parametrize("bits", [None, 5])
def test_blocks_are_computed_as_one_where_they_can_be(bits, monkeypatch):
    asked = []
    monkeypatch.setattr(
        network_module,
        "fused_separable",
        lambda *given: asked.append(fused_separable(*given)) or asked[-1],
    )
    network = build_network(find_spec("bacalhaunet").quantized(bits, bits, sum_bits=bits))
    network(torch.randn(2, 2, 1024))
    assert len(asked) == 5
    assert all(out is not None for out in asked)
