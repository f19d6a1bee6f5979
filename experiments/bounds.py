"""What a search takes at most, and what its pruner may save of that."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from experiments.plan_display import duration
from experiments.planning import Outlook
from experiments.searched import Suggestion
from experiments.space import Search, probes
from experiments.study import Trial
from experiments.sweep import planned_flops
from lit_transformer.config import TrainConfig
from lit_transformer.config_io import ConfigError, Scalar
from lit_transformer.forecast import total


class Bound(NamedTuple):
    """The suggestions that a search has left, each as long as the costliest of its space."""

    arm: str
    """What they are called in the plan."""
    left: int | None
    """None: as many as its time allows."""
    seconds: float | None
    """Of its limit of time, what is left; None: it has none."""
    values: dict[str, Scalar]
    """Of the costliest suggestion, where it is not the base itself."""
    first: float | None
    """Part of a trial that a pruner lets pass at the least; None: there is no pruner."""
    so_far: float | None
    """Part of their updates that the trials which are over have had; None: none is over."""

    @property
    def least(self) -> float:
        """Part of the bound that is left if all but one end as early as they can."""
        if self.first is None or not self.left:
            return 1.0
        return (1 + (self.left - 1) * self.first) / self.left


def costliest(
    search: Search, base: Trial, with_values: Callable[[Mapping[str, Scalar]], Trial]
) -> dict[str, Scalar]:
    """Values that take most operations, a key at a time; those that take no more are left out,
    except where the condition of one that does needs them."""
    found, most = dict[str, Scalar](), planned_flops(base)
    for dimension, values in probes(search):
        own = {dimension.key: values[dimension.key]} if dimension.holds(found) else values
        tried = _held(search, {**found, **own})
        with suppress(ConfigError):  # some do not go with others
            flops = planned_flops(with_values(tried))
            if flops > most:
                found, most = tried, flops
    return found


def _held(search: Search, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Those of the values whose conditions hold beside the others."""
    held = dict[str, Scalar]()
    for dimension in search.space:
        if dimension.key in values and dimension.holds(held):
            held[dimension.key] = values[dimension.key]
    return held


def validation_share(train: TrainConfig) -> float:
    """Part of a trial's updates before its first validation."""
    return min(train.valid_every / train.steps, 1.0)


def updates_share(found: Sequence[Suggestion], share: float) -> float | None:
    """Part of their updates that those which are over have had; `share`: between validations."""
    over = [
        1.0 if one.end == "complete" else min(share * len(one.points), 1.0)
        for one in found
        if one.end in ("complete", "pruned")
    ]
    return sum(over) / len(over) if over else None


def lines(bounds: Sequence[Bound], outlook: Outlook) -> list[str]:
    """What is to be said of each."""
    return [line for bound in bounds for line in _lines(bound, outlook)]


def as_objects(bounds: Sequence[Bound], outlook: Outlook) -> list[dict[str, Any]]:
    """As JSON has them."""
    return [
        {**bound._asdict(), "least": bound.least, "trial_seconds": _seconds(bound, outlook)}
        for bound in bounds
    ]


def _seconds(bound: Bound, outlook: Outlook) -> float:
    """Of all that is left, one after the other, if nothing is pruned."""
    own = [one for one in outlook.to_run if one.item.trial.arm == bound.arm]
    return total(one.forecast.total_s for one in own if one.forecast).likely


def _lines(bound: Bound, outlook: Outlook) -> list[str]:
    seconds = _seconds(bound, outlook)
    values = ", ".join(f"{key}={value}" for key, value in bound.values.items())
    size = f"as large as the space has them ({values})" if values else "of the base's size"
    if bound.left is None:
        told = [f"{bound.arm}: {size}, {duration(seconds)} each"]
    else:
        told = [
            f"{bound.arm}: {bound.left} at most, {size}, none of them pruned: "
            f"{duration(seconds)} of trials"
        ]
    if bound.seconds is not None:
        told.append(
            f"{bound.arm}: none later than {duration(bound.seconds)} from its start; those under "
            "way then are finished"
        )
    if bound.first is not None and bound.left:
        told.append(
            f"{bound.arm}: the pruner leaves {duration(bound.least * seconds)} at the least, if "
            f"all but one end at their first validation, at {bound.first:.0%} of their updates"
        )
        if bound.so_far is not None:
            told.append(
                f"{bound.arm}: those that are over had {bound.so_far:.0%} of their updates on "
                f"average; at that rate the rest takes {duration(bound.so_far * seconds)}"
            )
    return told
