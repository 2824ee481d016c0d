"""Random specifications that are small, valid and varied."""

from hypothesis import strategies as st

from bacalhaunet.models.spec import HeadSpec, InputSpec, NetworkSpec, SeparableBlock

bits = st.one_of(st.none(), st.integers(2, 8))
few_bits = st.integers(2, 8)


@st.composite
def separable_specs(draw, quantized=True):
    """Up to three separable blocks, every number of bits drawn by itself."""
    some = few_bits if quantized else st.none()
    channels, blocks = 2, []
    for _ in range(draw(st.integers(1, 3))):
        stride = draw(st.sampled_from([1, 2, 3]))
        out = draw(st.sampled_from([channels, 3, 5]))
        summed = stride == 1 and out == channels
        blocks.append(
            SeparableBlock(
                kernel=draw(st.sampled_from([1, 3, 7])),
                channels=out,
                stride=stride,
                dilation=draw(st.sampled_from([1, 2])),
                depthwise_weight_bits=draw(some),
                depthwise_activation_bits=draw(some),
                pointwise_weight_bits=draw(some),
                pointwise_activation_bits=draw(some),
                sum_bits=draw(bits if quantized else st.none()) if summed else None,
            )
        )
        channels = out
    return NetworkSpec(
        blocks=tuple(blocks),
        input=InputSpec(bits=draw(bits if quantized else st.none())),
        head=HeadSpec(pool=draw(st.sampled_from(["max", "flatten"])), weight_bits=draw(some)),
        frame_length=draw(st.sampled_from([16, 33, 64])),
    )
