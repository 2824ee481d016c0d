"""Figure 5 of the report: three pruning iterations over lambda and epsilon, and network slimming beside them."""

from __future__ import annotations

from dataclasses import dataclass

from bacalhaunet.compression.config import REPORT_STEPS, PruneStep
from bacalhaunet.models.saved import load_model
from bacalhaunet.report import published, wording
from bacalhaunet_paper.figures import CostPoint, pruning_grid
from bacalhaunet_paper.jobs import Job, Jobs, Trained, try_train
from bacalhaunet_paper.network_table import Result, network_row, protocol
from bacalhaunet_paper.quantization import quantized_bacalhaunet, six_bit_job

TOLERANCE = 0.01
"""The selected network of an iteration has the lowest score among those this close to the best on validation."""

SCALE_PENALTY = 1e-4
"""Factor of the L1 penalty on BatchNorm scales; Liu et al. used 1e-4 and 1e-5."""

SLIMMED_SHARES = (0.25, 0.5, 0.75)
"""Shares of channels removed."""

REASON = (
    "This score counts weights one by one: bit_ops and bit_mem are multiplied by each layer's share of non-zero "
    "weights, wherever they lie, and indices cost nothing. So a zero anywhere saves as much as one in a removed "
    "channel, and pruning single weights may choose freely, where slimming must give up a channel's large weights "
    "with its small ones. Hardware that stores and computes dense tensors rewards only the channels."
)


@dataclass(frozen=True)
class Explored:
    """One network of the grid.

    Attributes:
        iteration: 1 to 3.
        step: Lambda and epsilon.
        trained: The network; None if epsilon would have removed a whole layer.
        selected: Whether the next iteration starts from it.
    """

    iteration: int
    step: PruneStep
    trained: Trained | None
    selected: bool = False


def prune_job(start: Trained, step: PruneStep, iteration: int) -> Job:
    """Return the job that prunes a network by one step."""
    label = f"prune-{iteration}-lambda-{step.weight_decay:g}-epsilon-{step.min_abs_weight:g}"
    spec = quantized_bacalhaunet(6)
    return Job(label, spec, start.model, step.weight_decay, step.min_abs_weight, kind="tune")


def select(explored: list[Trained]) -> Trained:
    """Return the network of the lowest score among those at most ``TOLERANCE`` behind the best on validation."""
    best = max(trained.validation_accuracy for trained in explored)
    return min((t for t in explored if t.validation_accuracy >= best - TOLERANCE), key=lambda trained: trained.score)


def explore(jobs: Jobs, start: Trained) -> list[Explored]:
    """Go through three iterations, each over the whole grid from the network the one before selected."""
    budget, found = jobs.setting.budget, []
    grid = {PruneStep(decay, least) for decay in budget.weight_decays for least in budget.min_abs_weights}
    for iteration in range(1, len(REPORT_STEPS) + 1):
        ordered = sorted(grid, key=lambda step: (step.min_abs_weight, step.weight_decay))
        tried = [(step, try_train(jobs, prune_job(start, step, iteration))) for step in ordered]
        trained = [network for _, network in tried if network is not None]
        if not trained:
            jobs.stages.say(
                f"iteration {iteration}: every epsilon of the grid removes a whole layer; the path ends here"
            )
            found += [Explored(iteration, step, None) for step, _ in tried]
            break
        start = select(trained)
        found += [Explored(iteration, step, network, network == start) for step, network in tried]
    return found


def published_path(jobs: Jobs, start: Trained) -> list[Trained]:
    """Prune by the report's lambda and epsilon, as far as no epsilon removes a whole layer."""
    path = [start]
    for iteration, step in enumerate(REPORT_STEPS, 1):
        network = try_train(jobs, prune_job(path[-1], step, iteration))
        if network is None:
            break
        path.append(network)
    return path


def slimming(jobs: Jobs) -> dict[str, Trained]:
    """Train with a penalty on BatchNorm scales, remove channels, fine-tune."""
    job = Job("slimming-6-bits", quantized_bacalhaunet(6), scale_penalty=SCALE_PENALTY)
    wide = jobs.train(job)
    found = {"slimming: trained with the penalty": wide}
    for share in SLIMMED_SHARES:
        name = f"slimming-{100 * share:.0f}-percent"
        narrow = jobs.slimmed(name, wide, share)
        spec = load_model(jobs.folder / narrow.model).spec
        tuned = jobs.train(Job(f"{name}-tuned", spec, narrow.model, kind="tune"))
        found[f"slimming: {100 * share:.0f} % of channels removed"] = tuned
    return found


def figure_5(jobs: Jobs) -> tuple[Result, str]:
    """Explore the grid, go the report's path too, slim, and measure what was selected on test frames."""
    start = jobs.train(six_bit_job())
    explored = explore(jobs, start)
    path = [start, *(entry.trained for entry in explored if entry.selected and entry.trained)]
    report, slim = published_path(jobs, start), slimming(jobs)
    shown = {"6 bits, not pruned": start}
    settings = [entry.step for entry in explored if entry.selected]
    for number, (network, step) in enumerate(zip(path[1:], settings, strict=True), 1):
        shown[f"selected, iteration {number}: {_setting(step)}"] = network
    for number, (network, step) in enumerate(zip(report[1:], REPORT_STEPS, strict=False), 1):
        shown[f"the report's settings, iteration {number}: {_setting(step)}"] = network
    shown |= slim
    measured = jobs.measure("figure5", shown)
    papers = {
        name: (p.accuracy, p.score) for name, p in zip(_paper_rows(shown), published.pruning_steps(), strict=False)
    }
    rows = [network_row(name, net, measured[name], papers.get(name, (None, None))) for name, net in shown.items()]
    facts = protocol(jobs) | {
        "selection": f"lowest score within {100 * TOLERANCE:g} point of the iteration's best, on validation",
        "slimming": f"penalty {SCALE_PENALTY:g} × sum of absolute BatchNorm scales; channels of the smallest removed",
    }
    extra = {"explored": [_plain(entry) for entry in explored]}
    result = Result(
        "figure5", "Figure 5: pruning", facts, rows, [*_findings(path, slim), REASON], extra, [_grid(explored)]
    )
    return result, _picture(result.name, explored, path, report, list(slim.values()))


def _paper_rows(shown: dict[str, Trained]) -> list[str]:
    """Return the rows the report's path stands beside: the unpruned network and those of its settings."""
    return [name for name in shown if name.startswith(("6 bits", "the report's"))]


def _picture(
    name: str, explored: list[Explored], path: list[Trained], report: list[Trained], slim: list[Trained]
) -> str:
    neighbours = [
        [_point(e.trained) for e in explored if e.trained and e.iteration == number and not e.selected]
        for number in range(1, len(REPORT_STEPS) + 1)
    ]
    paper = [CostPoint(step.label, step.score, step.accuracy) for step in published.pruning_steps()]
    ours = ([_point(t) for t in path], [_point(t) for t in report], [_point(t) for t in slim])
    return pruning_grid(name, neighbours, *ours, paper)


def _findings(path: list[Trained], slim: dict[str, Trained]) -> list[str]:
    low, start = path[-1], path[0]
    found = [
        f"Selected path: score {wording.score(start.score)} to {wording.score(low.score)}, "
        f"{100 * (low.validation_accuracy - start.validation_accuracy):+.2f} points on validation; "
        f"{100 * low.density:.1f} % of the weights are left. Fine-tuning also adds frames, so a budget of few frames "
        "gains accuracy while pruning."
    ]
    for name, trained in slim.items():
        rival = min(path, key=lambda other: abs(other.score - trained.score))
        ahead = 100 * (rival.validation_accuracy - trained.validation_accuracy)
        found.append(
            f"{name}: {100 * trained.validation_accuracy:.2f} % at {wording.score(trained.score)} on validation; the "
            f"nearest of the path has {ahead:+.2f} points at {wording.score(rival.score)}."
        )
    return found


def _grid(explored: list[Explored]) -> tuple[str, list[str], list[list[str]]]:
    rows = []
    for entry in explored:
        step, network = entry.step, entry.trained
        cells = [str(entry.iteration), wording.setting(step.weight_decay), wording.setting(step.min_abs_weight)]
        if network is None:
            rows.append([*cells, wording.MISSING, wording.MISSING, wording.MISSING, "ε removes a whole layer"])
            continue
        cells += [
            f"{100 * network.validation_accuracy:.2f}",
            wording.score(network.score),
            f"{100 * network.density:.1f}",
        ]
        rows.append([*cells, "selected" if entry.selected else ""])
    return "Explored", ["iteration", "λ", "ε", "validation, %", "score", "weights left, %", ""], rows


def _plain(entry: Explored) -> dict[str, object]:
    trained = None if entry.trained is None else vars(entry.trained)
    return {"iteration": entry.iteration, **vars(entry.step), "selected": entry.selected, "trained": trained}


def _point(trained: Trained) -> CostPoint:
    return CostPoint("", trained.score, trained.validation_accuracy)


def _setting(step: PruneStep) -> str:
    return f"λ {wording.setting(step.weight_decay)}, ε {wording.setting(step.min_abs_weight)}"
