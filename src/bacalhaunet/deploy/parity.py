"""Whether an exported network computes what the trained one computes, and if not, where and why.

A quantizer turns the rounding error of a sum, about 1e-7, into a whole level where a value lies half-way between two.
Two exact implementations therefore differ on rare frames. Such a frame is followed to the first quantizer at which the
two part; it is a tie, and accepted, only if every value that differs there lies on a rounding boundary in both and
differs by one level. Anything else is an error. No difference is accepted because it is small.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.deploy.onnx_lowering import lower_quant, make_session
from bacalhaunet.errors import ParityError
from bacalhaunet.models.onnx_files import GraphConstants

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import nn

TIE_LEVELS = 2e-4
"""How far from a rounding boundary, in levels, float32 sums of a few hundred terms can put a tie."""


@dataclass(frozen=True)
class Quantizer:
    """One quantizer of an activation in one forward pass.

    Attributes:
        name: The node or module.
        before: Its input.
        after: Its output.
        scale: Its scale, a scalar.
    """

    name: str
    before: NDArray[Any]
    after: NDArray[Any]
    scale: float


@dataclass(frozen=True)
class Difference:
    """Where two passes part.

    Attributes:
        is_tie: Whether every differing value lies on a rounding boundary in both and differs by one level.
        text: Where and how far, in words.
    """

    is_tie: bool
    text: str


Outputs = Callable[["ModelProto", "NDArray[np.float32]", tuple[str, ...]], "list[NDArray[Any]]"]
"""Computes the logits and the named inner tensors of a graph."""


def onnx_outputs(model: ModelProto, frames: NDArray[np.float32], tensors: tuple[str, ...]) -> list[NDArray[Any]]:
    """Return the logits and the named inner tensors that onnxruntime computes."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = [value.name for value in watched.graph.output]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in outputs)
    session = make_session(lower_quant(watched).SerializeToString())
    entry = session.get_inputs()[0]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else len(frames)
    runs = [
        session.run([outputs[0], *tensors], {entry.name: frames[k : k + batch]}) for k in range(0, len(frames), batch)
    ]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def qonnx_outputs(model: ModelProto, frames: NDArray[np.float32], tensors: tuple[str, ...]) -> list[NDArray[Any]]:
    """Return the same as qonnx's executor computes it, node by node: the definition of Quant, and slow."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.general import RemoveStaticGraphInputs
    from qonnx.transformation.infer_shapes import InferShapes

    from bacalhaunet.deploy.onnx_lowering import fix_batch

    entry, exit_ = model.graph.input[0].name, model.graph.output[0].name
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # qonnx warns of shapes that shape inference leaves open
        wrapper = ModelWrapper(fix_batch(model)).transform(RemoveStaticGraphInputs()).transform(InferShapes())
        for frame in frames:
            context = execute_onnx(wrapper, {entry: frame[None]}, return_full_exec_context=bool(tensors))
            rows.append([np.array(context[name]) for name in (exit_, *tensors)])
    return [np.concatenate(parts) for parts in zip(*rows, strict=True)]


def torch_quantizers(network: nn.Module, frame: NDArray[np.float32]) -> list[Quantizer]:
    """Run one frame in torch and return its activation quantizers in the order of execution."""
    import torch

    from bacalhaunet.models.layers import Quantizer as QuantizerModule

    seen: list[Quantizer] = []

    def watch(name: str) -> Callable[[Any, Any, Any], None]:
        def record(module: Any, inputs: Any, output: Any) -> None:
            before, after = inputs[0].detach().numpy(), output.detach().numpy()
            seen.append(Quantizer(name, before, after, float(module.scale)))

        return record

    modules = [(name, module) for name, module in network.named_modules() if isinstance(module, QuantizerModule)]
    handles = [module.register_forward_hook(watch(name)) for name, module in modules]
    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            network(torch.from_numpy(frame))
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    return seen


def onnx_quantizers(model: ModelProto, frame: NDArray[np.float32], outputs: Outputs = onnx_outputs) -> list[Quantizer]:
    """Run one frame of a QONNX or QCDQ graph and return its activation quantizers in the order of the graph."""
    found = _quantizer_nodes(model)
    entry = model.graph.input[0].name
    wanted = tuple(dict.fromkeys(name for _, *ends, _ in found for name in ends if name != entry))
    values = dict(zip(wanted, outputs(model, frame, wanted)[1:], strict=True))
    values[entry] = frame
    return [Quantizer(name, values[before], values[after], scale) for name, before, after, scale in found]


def _quantizer_nodes(model: ModelProto) -> list[tuple[str, str, str, float]]:
    """Return name, input, output and scale of every quantizer of an activation."""
    constants = GraphConstants(model)
    makers = {name: node for node in model.graph.node for name in node.output}
    found = []
    for node in model.graph.node:
        source: Any = None
        if node.op_type == "Quant":
            source = node
        elif node.op_type == "DequantizeLinear":
            source = makers.get(node.input[0])
            while source is not None and source.op_type == "Clip":
                source = makers.get(source.input[0])
            source = source if source is not None and source.op_type == "QuantizeLinear" else None
        if source is not None and constants.value(source.input[0]) is None:
            scales = constants.value(source.input[1])
            scale = float(np.max(scales.astype(np.float64))) if scales is not None else float("nan")
            found.append((node.name or node.output[0], source.input[0], node.output[0], scale))
    return found


def first_difference(expected: Sequence[Quantizer], found: Sequence[Quantizer]) -> Difference:
    """Find the first quantizer at which two passes of one frame part, and judge whether it is a tie."""
    if len(expected) != len(found):
        return Difference(False, f"{len(expected)} quantizers on one side, {len(found)} on the other")
    for one, other in zip(expected, found, strict=True):
        shape = other.after.shape
        levels = one.after.reshape(shape) / one.scale, other.after / one.scale
        apart = np.abs(levels[0] - levels[1]) > 0.5
        if not apart.any():
            continue
        values = np.stack([one.before.reshape(shape)[apart], other.before.reshape(shape)[apart]]) / one.scale
        away = float(np.abs(values - np.floor(values) - 0.5).max())
        most = float(np.abs(levels[0] - levels[1])[apart].max())
        text = f"{int(apart.sum())} values at {other.name}, {away:.2g} levels off a rounding boundary, {most:.0f} apart"
        return Difference(away <= TIE_LEVELS and most < 1.5, text)
    return Difference(False, "all quantizers agree, so the layers after the last one differ")


RELATIVE = 2e-5
"""Largest difference of logits between two float32 implementations without a tie, relative to the largest logit."""


@dataclass(frozen=True)
class Parity:
    """The outcome of a comparison.

    Attributes:
        frames: Frames compared.
        same_class: Frames of which both name the same class.
        max_difference: Largest difference of a logit over the frames without a tie.
        ties: Frames that differ by a tie, each with the quantizer it happened at.
    """

    frames: int
    same_class: int
    max_difference: float
    ties: tuple[str, ...]


def probe_frames(length: int, count: int = 24, seed: int = 2018) -> NDArray[np.float32]:
    """Return test inputs, float32 (count, 2, length): noise from quiet to far beyond clipping, tones and symbols."""
    rng = np.random.default_rng(seed)
    level = np.geomspace(0.05, 4.0, count).astype(np.float32)[:, None, None]
    noise = rng.standard_normal((count, 2, length))
    phase = 2 * np.pi * (rng.uniform(0, 0.5, (count, 1)) * np.arange(length) + rng.uniform(0, 1, (count, 1)))
    tone = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    symbols = np.repeat(rng.choice([-1.0, 1.0], (count, 2, -(-length // 8))), 8, axis=2)[:, :, :length]
    kind = np.arange(count)[:, None, None] % 3
    signal = np.where(kind == 0, noise, np.where(kind == 1, tone + 0.1 * noise, symbols + 0.1 * noise))
    return np.asarray(level * signal, np.float32)


def check_parity(network: nn.Module, model: ModelProto, frames: NDArray[np.float32], where: str) -> Parity:
    """Compare a network in torch with its export in onnxruntime.

    Args:
        network: The network as trained; it is evaluated in evaluation mode and left in the mode it was in.
        model: Its export, QONNX, QCDQ or float, of any batch.
        frames: float32 (n, 2, length).
        where: The file, for messages.

    Raises:
        ParityError: If a frame differs for another reason than a tie.
    """
    expected = torch_logits(network, frames)
    found = onnx_outputs(model, frames, ())[0]
    if expected.shape != found.shape:
        raise ParityError(f"the export gives {found.shape[1:]} logits, the network {expected.shape[1:]}", where=where)
    difference = np.abs(expected - found).max(axis=1)
    bound = RELATIVE * np.maximum(np.abs(expected).max(axis=1), 1e-3)
    ties = []
    for index in np.flatnonzero(~(difference <= bound)):
        frame = frames[index : index + 1]
        reason = first_difference(torch_quantizers(network, frame), onnx_quantizers(model, frame))
        if not reason.is_tie:
            raise ParityError(
                f"the export differs from torch by {difference[index]:.3g} in a logit of frame {index}: {reason.text}",
                where=where,
                allowed=f"{bound[index]:.2g}, or a value on a rounding boundary of a quantizer",
                action="export with the versions of constraints.txt; if it stays, report the network's spec",
            )
        ties.append(f"frame {index}: {reason.text}")
    plain = difference[difference <= bound]
    same = int((expected.argmax(axis=1) == found.argmax(axis=1)).sum())
    return Parity(len(frames), same, float(plain.max(initial=0.0)), tuple(ties))


def torch_logits(network: nn.Module, frames: NDArray[np.float32], batch: int = 32) -> NDArray[np.float32]:
    """Return a network's logits, float32 (n, classes), computed in evaluation mode."""
    import torch

    training = network.training
    network.eval()
    try:
        with torch.no_grad():
            parts = [network(torch.from_numpy(frames[k : k + batch])) for k in range(0, len(frames), batch)]
    finally:
        network.train(training)
    return np.asarray(torch.cat(parts).numpy(), np.float32)
