"""How fast does a quantized network train on this CPU, beside the same network in plain Brevitas 1-D layers?

    python benchmarks/bench_qat_training.py [--network bacalhaunet] [--bits 6] [--batch 256] [--seconds 40]

A step is forward, backward and Adam. The rivals take turns; figures are frames/s of the median step. The plain rival
is Brevitas' own QuantConv1d, QuantReLU and QuantLinear over (batch, channels, length), as its documentation builds a
network, with its default activation scales replaced by the same learned ones (its default, a percentile over the first
300 steps, is slower still). Before timing, loss and gradients of all are compared on the same weights.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import nn

from bacalhaunet.models.catalog import find_spec
from bacalhaunet.models.layers import compute_plainly
from bacalhaunet.models.native.build import kernels
from bacalhaunet.models.network import build_network


class PlainNetwork(nn.Module):
    """The same modules, all through Brevitas, on 1-D signals."""

    def __init__(self, spec):
        super().__init__()
        self.network = build_network(spec)
        compute_plainly(self.network)

    def forward(self, frames):
        """Return logits without the step to two dimensions."""
        signal = self.network.input(frames)
        for block in self.network.blocks:
            signal = block(signal)
        return self.network.head(signal)


def train_step(network, optimizer, frames, labels):
    """Return the loss of one step."""
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(network(frames), labels)
    loss.backward()
    optimizer.step()
    return loss.detach()


def rivals(network, bits, seed=0):
    """Return the rivals by name, all with the same weights."""
    spec = find_spec(network).quantized(bits, bits, sum_bits=bits)
    torch.manual_seed(seed)
    plain = PlainNetwork(spec)
    state = plain.network.state_dict()
    found = {"plain Brevitas, 1-D": plain}
    for name, is_plain in (("Brevitas, fast layout", True), ("bacalhaunet", False)):
        found[name] = build_network(spec)
        found[name].load_state_dict(state)
        compute_plainly(found[name], is_plain)
    found["bacalhaunet, float"] = build_network(find_spec(network))
    return found


def compare(networks, frames, labels):
    """Print how far loss and gradients are from the plain rival's."""
    reference = None
    for name, network in networks.items():
        if "float" in name:
            continue
        network.zero_grad()
        loss = nn.functional.cross_entropy(network(frames), labels)
        loss.backward()
        values = torch.cat([p.grad.flatten() for p in network.parameters()])
        if reference is None:
            reference = (loss.detach(), values)
        far = float((values - reference[1]).norm() / reference[1].norm())
        print(f"{name}: loss differs by {float(abs(loss - reference[0])):.1e}, gradients by {far:.1e} of their norm")


def main():
    """Compare, time, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default="bacalhaunet")
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args()
    networks = rivals(options.network, options.bits)
    generator = torch.Generator().manual_seed(1)
    frames = torch.randn((options.batch, 2, 1024), generator=generator)
    labels = torch.randint(0, 24, (options.batch,), generator=generator)
    found = "compiled kernels" if kernels() else "no compiler: torch alone"
    print(f"{options.network}, {options.bits} bits, batch {options.batch}, {torch.get_num_threads()} threads, {found}")
    compare(networks, frames[:64], labels[:64])
    optimizers = {name: torch.optim.Adam(network.parameters(), 0.001) for name, network in networks.items()}
    times = {name: [] for name in networks}
    begin = time.perf_counter()
    while time.perf_counter() - begin < options.seconds or min(map(len, times.values())) < 3:
        for name, network in networks.items():
            start = time.perf_counter()
            train_step(network, optimizers[name], frames, labels)
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    slowest = medians["plain Brevitas, 1-D"]
    for name, seconds in medians.items():
        print(f"{name:24s} {options.batch / seconds:8.0f} frames/s  {slowest / seconds:5.1f} times plain")


if __name__ == "__main__":
    main()
