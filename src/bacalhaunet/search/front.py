"""The results of a study: the trials that ended, the front among them, the best for a purpose."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from bacalhaunet.errors import ConfigError
from bacalhaunet.models.spec import NetworkSpec
from bacalhaunet.search.study import MIN_ABS_WEIGHT, SPEC, STOPPED_AFTER


@dataclass(frozen=True)
class Result:
    """A trial that ended.

    Attributes:
        number: Its number in the study.
        accuracy: Validation accuracy, 0 to 1.
        score: The challenge's score.
        spec: The network.
        min_abs_weight: Weights below it were pruned; 0 for none.
        start: The name it began the search under; empty for a trial the sampler chose.
        stopped_after: Epochs after which it was stopped early; None if it was not.
    """

    number: int
    accuracy: float
    score: float
    spec: NetworkSpec
    min_abs_weight: float = 0.0
    start: str = ""
    stopped_after: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return what ``search show --json`` prints of a trial."""
        return {
            "trial": self.number,
            "accuracy": self.accuracy,
            "score": self.score,
            "min_abs_weight": self.min_abs_weight,
            "start": self.start,
            "stopped_after": self.stopped_after,
        }


def results(study: Any) -> list[Result]:
    """Return the trials of a study that have both objectives, in the order of their numbers."""
    return [_result(trial) for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])]


def _result(trial: FrozenTrial) -> Result:
    accuracy, score = trial.values
    attributes = trial.user_attrs
    return Result(
        number=trial.number,
        accuracy=accuracy,
        score=score,
        spec=NetworkSpec.from_json(attributes[SPEC]),
        min_abs_weight=float(attributes.get(MIN_ABS_WEIGHT, 0.0)),
        start=str(attributes.get("start", "")),
        stopped_after=attributes.get(STOPPED_AFTER),
    )


def front(found: Iterable[Result]) -> list[Result]:
    """Return the trials no other beats in accuracy and score, from the lowest score up.

    Trials stopped early are left out: what they would have reached is not known.
    """
    best: list[Result] = []
    whole = (result for result in found if result.stopped_after is None)
    for result in sorted(whole, key=lambda r: (r.score, -r.accuracy, r.number)):
        if not best or result.accuracy > best[-1].accuracy:
            best.append(result)
    return best


def best_result(
    found: Sequence[Result], *, min_accuracy: float | None = None, max_score: float | None = None
) -> Result:
    """Return the cheapest trial of at least an accuracy, or the most accurate of at most a score.

    Args:
        found: Trials.
        min_accuracy: Least validation accuracy, 0 to 1.
        max_score: Largest score. With neither, the most accurate trial is returned.

    Raises:
        ConfigError: If both are given, or no trial is as good.
    """
    if min_accuracy is not None and max_score is not None:
        raise ConfigError("--min-accuracy and --max-score are both given", allowed="one of them")
    candidates = front(found)
    if min_accuracy is not None:
        allowed = [r for r in candidates if r.accuracy >= min_accuracy]
    else:
        allowed = [r for r in candidates if max_score is None or r.score <= max_score][::-1]
    if allowed:
        return allowed[0]
    if not candidates:
        raise ConfigError("no trial of the study has ended", action="run 'bacalhaunet search run' first")
    low, high = candidates[0], candidates[-1]
    raise ConfigError(
        "no trial of the study is as good as that",
        allowed=f"on its front are {low.accuracy:.4f} at {low.score:.4g} to {high.accuracy:.4f} at {high.score:.4g}",
        action="ask for less, or search on with more --trials",
    )
