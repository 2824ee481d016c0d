"""Random specifications that can be built, small enough to run."""

from hypothesis import strategies as st

from bacalhaunet.models.spec import (
    ConvBlock,
    HeadSpec,
    HiddenSpec,
    InputSpec,
    InvertedResidualBlock,
    NetworkSpec,
    SeparableBlock,
)

BITS = st.none() | st.integers(2, 8)


@st.composite
def separable(draw, stream):
    """Draw a separable block that can follow ``stream``."""
    options = {
        "kernel": draw(st.sampled_from((1, 3, 5, 9))),
        "stride": draw(st.integers(1, 3)),
        "dilation": draw(st.integers(1, 3)),
        "depth_multiplier": draw(st.integers(1, 2)),
        "channels": draw(st.sampled_from((stream.channels, 3, 8))),
        "residual": draw(st.booleans()),
        "depthwise_weight_bits": draw(BITS),
        "depthwise_activation_bits": draw(BITS),
        "pointwise_weight_bits": draw(BITS),
        "pointwise_activation_bits": draw(BITS),
    }
    if SeparableBlock(**options).has_sum(stream):
        options["sum_bits"] = draw(BITS)
        if stream.bits is not None and not stream.signed and draw(st.booleans()):
            options.update(shared_sum_quantizer=True, pointwise_activation_bits=stream.bits)
    return SeparableBlock(**options)


@st.composite
def convolutional(draw, stream):
    """Draw a convolution block that can follow ``stream``."""
    groups = draw(st.sampled_from([g for g in (1, 2, 4) if stream.channels % g == 0]))
    return ConvBlock(
        kernel=draw(st.sampled_from((1, 3, 5))),
        channels=draw(st.sampled_from((4, 8))),
        stride=draw(st.integers(1, 2)),
        groups=groups,
        pool=draw(st.integers(1, min(2, -(-stream.length // 2)))),
        activation=draw(st.sampled_from(("relu", "hardswish"))),
        weight_bits=draw(BITS),
        activation_bits=draw(BITS),
    )


@st.composite
def inverted(draw, stream):
    """Draw an inverted residual block that can follow ``stream``."""
    squeezed = draw(st.sampled_from((None, 2)))
    return InvertedResidualBlock(
        kernel=draw(st.sampled_from((3, 5))),
        expanded=draw(st.sampled_from((stream.channels, 6))),
        channels=draw(st.sampled_from((stream.channels, 4))),
        stride=draw(st.integers(1, 2)),
        squeezed=squeezed,
        activation=draw(st.sampled_from(("relu", "hardswish"))),
        weight_bits=draw(BITS),
        activation_bits=draw(BITS),
        gate_bits=None if squeezed is None else draw(BITS),
        output_bits=draw(BITS),
    )


@st.composite
def network_specs(draw, kinds=(separable, convolutional, inverted)):
    """Draw a network of one to four blocks."""
    spec_input = InputSpec(channels=2, clip=draw(st.sampled_from((None, (-2.0, 3.0)))), bits=draw(BITS))
    length = draw(st.integers(40, 70))
    blocks = []
    stream = NetworkSpec(blocks=(ConvBlock(1, 1),), input=spec_input, frame_length=length).input_stream
    for _ in range(draw(st.integers(1, 4))):
        blocks.append(draw(draw(st.sampled_from(kinds))(stream)))
        stream = blocks[-1].out(stream)
    head = HeadSpec(
        pool=draw(st.sampled_from(("max", "average", "flatten"))),
        pooled_bits=draw(BITS),
        hidden=tuple(HiddenSpec(features=5, weight_bits=draw(BITS)) for _ in range(draw(st.integers(0, 1)))),
        weight_bits=draw(BITS),
    )
    return NetworkSpec(blocks=tuple(blocks), input=spec_input, head=head, classes=4, frame_length=length)
