"""What a search has asked, followed and been told, on disk.

mlruns/searches/<study>/<setting>/<key>.jsonl is appended to, a flushed line for each event, before
anything follows from it. The key names the search: its space, sampler, pruner and objectives, and
the trial of nothing suggested; how many trials it may ask for is not part of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from experiments.files import Arm
from experiments.space import Search
from experiments.study import Setting, Study, Trial, check_search, with_arms
from lit_transformer.config_io import Given, Scalar
from lit_transformer.record import DAMAGE, RecordError, read_lines

REMEDY = "delete the file, and the search begins again with the results that are there"
End = Literal["complete", "pruned", "fail"]
"""Optuna's states of a trial that is over."""


class Suggestion(NamedTuple):
    """One trial of a search, as far as it has come."""

    number: int
    """Optuna's, from 0."""
    values: Mapping[str, Scalar]
    digest: str | None
    """None: there is no such configuration."""
    reason: str
    """Why there is none."""
    points: tuple[float, ...]
    """Of the curve that the pruner follows, one a validation."""
    end: End | None
    """None: not yet told."""
    objectives: tuple[float, ...]
    """In the search's order; none where the trial has no result."""

    @property
    def name(self) -> str:
        """The arm's id."""
        return f"t{self.number}"


def path(root: Path, study: Study, setting: Setting, base: Trial) -> Path:
    """Where the events lie; `base` is the trial of nothing suggested."""
    assert study.search is not None
    # What the pruner follows depends on the validations too, which are no part of a digest.
    followed = base.config.train.valid_every, base.config.train.valid_sentences
    content = [about(study.search), study.version, study.score, base.digest, *followed]
    text = json.dumps(content, sort_keys=True, default=str)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return root / "mlruns" / "searches" / study.name / setting.name / f"{name}.jsonl"


def about(search: Search) -> dict[str, Any]:
    """What makes it another search if it changes."""
    return {
        "sampler": search.sampler.model_dump(),
        "pruner": search.pruner and search.pruner.model_dump(),
        "objectives": list(search.objectives),
        "set": {key: given.value for key, given in search.shared.items()},
        "space": [
            {name: value for name, value in dimension._asdict().items() if name != "origin"}
            for dimension in search.space
        ],
    }


def read_events(file: Path) -> list[dict[str, Any]]:
    """In their order; none where the search has not begun. RecordError where one is damaged."""
    events = list(read_lines(file, event=str))
    asked = told = 0
    for number, event in enumerate(events, start=1):
        try:
            _check_event(event, asked)
        except DAMAGE:
            raise RecordError(f"{file}:{number}: is no event of a search; {REMEDY}") from None
        asked += event["event"] == "asked"
        told += event["event"] == "told"
    if len({event["number"] for event in events if event["event"] == "told"}) < told:
        raise RecordError(f"{file}: a trial has two ends; {REMEDY}")
    return events


def _check_event(event: Mapping[str, Any], asked: int) -> None:
    shape: Mapping[str, Any]
    match event["event"]:
        case "begun":
            return
        case "asked":
            shape = {"number": int, "values": dict, "digest": str | None, "reason": str}
        case "followed":
            shape = {"number": int, "step": int, "value": int | float}
        case "told":
            shape = {"number": int, "end": str, "objectives": list}
        case other:
            raise ValueError(other)
    if any(not isinstance(event[name], kind) for name, kind in shape.items()):
        raise TypeError(event)
    if event["event"] == "told" and event["end"] not in get_args(End):
        raise ValueError(event["end"])
    if event["number"] not in ([asked] if event["event"] == "asked" else range(asked)):
        raise ValueError(event["number"])


def suggestions(events: Sequence[Mapping[str, Any]]) -> list[Suggestion]:
    """By number."""
    found: dict[int, Suggestion] = {}
    for event in events:
        match event["event"]:
            case "asked":
                number, values = event["number"], event["values"]
                about = event["digest"], event["reason"]
                found[number] = Suggestion(number, values, *about, (), None, ())
            case "followed":
                one = found[event["number"]]
                found[one.number] = one._replace(points=(*one.points, float(event["value"])))
            case "told":
                objectives = tuple(map(float, event["objectives"]))
                found[event["number"]] = found[event["number"]]._replace(
                    end=event["end"], objectives=objectives
                )
    return list(found.values())


def asked(
    study: Study, setting: Setting, seed: int, overrides: Mapping[str, Given], root: Path
) -> Study:
    """The study with what its search has suggested so far, best first; none before it began."""
    base = check_search(study, setting, seed, overrides)
    found = suggestions(read_events(path(root, study, setting, base)))
    return with_arms(study, arms(study, best_first(study, found)))


def arms(study: Study, found: Sequence[Suggestion]) -> list[Arm]:
    """The rows of those that can be."""
    assert study.search is not None
    return [study.search.arm(one.name, one.values) for one in found if one.digest is not None]


def best_first(study: Study, found: Sequence[Suggestion]) -> list[Suggestion]:
    """Finished ones by the first objective, those that no other beats in all of them before the
    rest; then pruned ones, those that were followed longest first; then the others."""
    assert study.search is not None
    signs = [1 if name == "score" else -1 for name in study.search.objectives]

    def gains(one: Suggestion) -> list[float]:
        return [sign * value for sign, value in zip(signs, one.objectives, strict=True)]

    finished = [one for one in found if one.end == "complete"]
    reached = [gains(one) for one in finished]
    front = [not any(_beats(other, own) for other in reached) for own in reached]
    ranked = sorted(
        zip(finished, front, reached, strict=True), key=lambda one: (one[1], one[2]), reverse=True
    )
    pruned = [one for one in found if one.end == "pruned"]
    pruned.sort(key=lambda one: (len(one.points), one.points[-1:]), reverse=True)
    rest = [one for one in found if one.end not in ("complete", "pruned")]
    return [*(one for one, _, _ in ranked), *pruned, *rest]


def _beats(other: Sequence[float], own: Sequence[float]) -> bool:
    """Whether the other is nowhere worse and somewhere better; more is better."""
    return all(a >= b for a, b in zip(other, own, strict=True)) and list(other) != list(own)
