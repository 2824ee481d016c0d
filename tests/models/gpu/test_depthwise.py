import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from bacalhaunet.models.gpu.depthwise import depthwise


@given(
    channels=st.integers(1, 5),
    filters=st.sampled_from([1, 2, 3, 8]),
    kernel=st.sampled_from([1, 3, 9, 21, 45]),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    length=st.integers(20, 150),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_banded_products_are_the_convolution_in_value_and_gradient(
    channels, filters, kernel, stride, dilation, length, seed
):
    drawn = torch.Generator().manual_seed(seed)
    padding = dilation * (kernel - 1) // 2
    signal = torch.randn(4, channels, 1, length, generator=drawn, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(channels * filters, 1, kernel, generator=drawn, dtype=torch.float64, requires_grad=True)
    ours = depthwise(signal, weight, stride, padding, dilation)
    theirs = functional.conv1d(signal.squeeze(2), weight, None, stride, padding, dilation, channels).unsqueeze(2)
    torch.testing.assert_close(ours, theirs)
    towards = torch.randn(theirs.shape, generator=drawn, dtype=torch.float64)
    for own, other in zip(
        torch.autograd.grad(ours, (signal, weight), towards),
        torch.autograd.grad(theirs, (signal, weight), towards),
        strict=True,
    ):
        torch.testing.assert_close(own, other)


def test_frames_need_no_gradient():
    weight = torch.ones(2, 1, 3, requires_grad=True)
    depthwise(torch.ones(1, 2, 1, 8), weight, 1, 1, 1).sum().backward()
    assert weight.grad.flatten().tolist() == [7, 8, 7] * 2
