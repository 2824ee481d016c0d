"""Whether an exported network computes what the trained one computes, and if not, where and why.

A quantizer turns the rounding error of a sum, about 1e-7, into a whole step where a value lies half-way between two
levels. Two exact implementations therefore differ on rare frames. Such a frame is followed to the first quantizer at
which the two part; it is accepted only if every value that differs there lies on a rounding boundary in both and
differs by one step. Anything else is an error. No difference is accepted because it is small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bacalhaunet.deploy.onnx_lowering import lower_quant
from bacalhaunet.deploy.onnx_session import make_session
from bacalhaunet.errors import ParityError
from bacalhaunet.models.onnx_constants import GraphConstants

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto
    from torch import nn

RELATIVE = 2e-5
"""Largest difference of logits between two float32 implementations without a tie, relative to the largest logit."""

TIE_STEPS = 2e-4
"""How far from a rounding boundary, in quantizer steps, float32 sums of a few hundred terms can put a tie."""


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
        reason = _explain(network, model, frames[index : index + 1])
        if reason.tie is None:
            raise ParityError(
                f"the export differs from torch by {difference[index]:.3g} in a logit of frame {index}: {reason.text}",
                where=where,
                allowed=f"{bound[index]:.2g}, or a value on a rounding boundary of a quantizer",
                action="export with the versions of constraints.txt; if it stays, report the network's spec",
            )
        ties.append(f"frame {index}: {reason.tie}")
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


def onnx_outputs(model: ModelProto, frames: NDArray[np.float32], tensors: tuple[str, ...]) -> list[NDArray[Any]]:
    """Return the logits and the named inner tensors that onnxruntime computes."""
    import onnx

    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    outputs = [value.name for value in watched.graph.output]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in outputs)
    lowered = lower_quant(watched)
    session = make_session(lowered.SerializeToString())
    entry = session.get_inputs()[0]
    batch = entry.shape[0] if isinstance(entry.shape[0], int) else len(frames)
    runs = [
        session.run([outputs[0], *tensors], {entry.name: frames[k : k + batch]}) for k in range(0, len(frames), batch)
    ]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


@dataclass(frozen=True)
class _Reason:
    """Why a frame differs: the tie, or else what else."""

    tie: str | None
    text: str = ""


@dataclass(frozen=True)
class _Quantizer:
    """One quantizer of an activation in one forward pass."""

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    step: NDArray[np.float32]


def _torch_quantizers(network: nn.Module, frame: NDArray[np.float32]) -> list[_Quantizer]:
    """Run a frame and record every activation quantizer in the order of execution."""
    seen: list[_Quantizer] = []

    def record(_module: Any, inputs: Any, output: Any) -> None:
        before, after, step = (np.asarray(value.detach().numpy()) for value in (inputs[0], output[0], output[1]))
        seen.append(_Quantizer(before, after, step))

    proxies = [getattr(module, "fused_activation_quant_proxy", None) for module in network.modules()]
    handles = [proxy.tensor_quant.register_forward_hook(record) for proxy in proxies if proxy is not None]
    try:
        torch_logits(network, frame)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _onnx_quantizers(model: ModelProto, frame: NDArray[np.float32]) -> list[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Return name, input and output of every quantizer of an activation, in the order of the graph."""
    constants = GraphConstants(model)
    producers = {name: node for node in model.graph.node for name in node.output}
    pairs: list[tuple[str, str, str]] = []
    for node in model.graph.node:
        if node.op_type == "Quant" and constants.value(node.input[0]) is None:
            pairs.append((node.name or node.output[0], node.input[0], node.output[0]))
        elif node.op_type == "DequantizeLinear":
            source = producers.get(node.input[0])
            while source is not None and source.op_type == "Clip":
                source = producers.get(source.input[0])
            if source is not None and source.op_type == "QuantizeLinear":
                pairs.append((node.name or node.output[0], source.input[0], node.output[0]))
    inner = [tensor for _, before, after in pairs for tensor in (before, after)]
    wanted = tuple(dict.fromkeys(name for name in inner if name != model.graph.input[0].name))
    values = dict(zip(wanted, onnx_outputs(model, frame, wanted)[1:], strict=True))
    values[model.graph.input[0].name] = frame
    return [(name, values[before], values[after]) for name, before, after in pairs]


def _explain(network: nn.Module, model: ModelProto, frame: NDArray[np.float32]) -> _Reason:
    """Find the first quantizer at which torch and the export part, and judge whether it is a tie."""
    trained, exported = _torch_quantizers(network, frame), _onnx_quantizers(model, frame)
    if len(trained) != len(exported):
        return _Reason(None, f"{len(trained)} quantizers in torch, {len(exported)} in the export")
    for quantizer, (name, before, after) in zip(trained, exported, strict=True):
        step = float(np.max(quantizer.step))
        ours, theirs = quantizer.after.reshape(after.shape) / step, after / step
        apart = np.abs(ours - theirs) > 0.5
        if not apart.any():
            continue
        values = np.stack([quantizer.before.reshape(after.shape)[apart], before.reshape(after.shape)[apart]]) / step
        to_boundary = np.abs(values - np.floor(values) - 0.5).max()
        steps = np.abs(ours - theirs)[apart].max()
        text = (
            f"{int(apart.sum())} values at {name}, {to_boundary:.2g} steps from a rounding boundary, {steps:.0f} apart"
        )
        return _Reason(text if to_boundary <= TIE_STEPS and steps < 1.5 else None, text)
    return _Reason(None, "all quantizers agree, so the layers after the last one differ")
