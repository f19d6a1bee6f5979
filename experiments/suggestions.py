"""What a search has asked, followed and been told, on disk.

mlruns/searches/<study>/<setting>/<key>.jsonl is appended to, a flushed line for each event, before
anything follows from it. The key names the search: its space, sampler, pruner and objectives, and
the trial of nothing suggested; how many trials or how much time it has is not part of it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from experiments.files import Arm
from experiments.searched import End, Searched, Suggestion, best_first
from experiments.space import Search
from experiments.study import Setting, Study, Trial, check_search
from lit_transformer.config_io import Given
from lit_transformer.record import DAMAGE, RecordError, read_lines

REMEDY = "delete the file, and the search begins again with the results that are there"


def path(root: Path, study: Study, setting: Setting, base: Trial) -> Path:
    """Where the events lie; `base` is the trial of nothing suggested."""
    assert study.search is not None
    # What the pruner follows depends on the validations too, which are no part of a digest.
    followed = base.config.train.valid_every, base.config.train.valid_sentences
    content = [about(study.search), study.version, study.score, base.digest, *followed]
    text = json.dumps(content, sort_keys=True, default=str)
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    return folder(root) / study.name / setting.name / f"{name}.jsonl"


def folder(root: Path) -> Path:
    """Of every search's events."""
    return root / "mlruns" / "searches"


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
        case "spent":
            if not isinstance(event["seconds"], int | float):
                raise TypeError(event)
            return
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


def spent_s(events: Sequence[Mapping[str, Any]]) -> float:
    """For how long its processes have been at the search, as far as they have said."""
    return float(sum(event["seconds"] for event in events if event["event"] == "spent"))


def searched(study: Study, base: Trial, events: Sequence[Mapping[str, Any]]) -> Searched:
    """The study's search after these events; `base`: the trial of nothing suggested."""
    search = study.search
    assert search is not None
    return Searched(
        json.loads(json.dumps(about(search))),  # as evidence has it: lists, no tuples
        search.row,
        base.seed,
        {"trials": search.trials, "seconds": search.time_s},
        spent_s(events),
        tuple(suggestions(events)),
    )


def every(root: Path) -> list[tuple[str, Searched]]:
    """Every search of a root by name: study/setting, the row that is tuned, and its key where
    there are several of one name."""
    found = []
    for file in sorted(folder(root).glob("*/*/*.jsonl")):
        events = read_events(file)
        if events:
            one = _recorded(events, file)
            words = file.parent.parent.name, file.parent.name, *filter(None, [one.row])
            found.append(("/".join(words), file.stem, one))
    names = [name for name, _, _ in found]
    return [(name if names.count(name) == 1 else f"{name}/{key}", one) for name, key, one in found]


def _recorded(events: Sequence[Mapping[str, Any]], file: Path) -> Searched:
    """What a record tells by itself, without the study's file."""
    try:
        begun = events[0]
        about, row = {**begun["search"]}, begun["search"].get("row", "")
        limits = {"trials": about["trials"], "seconds": None}
        _ = [*about["objectives"]], [dimension["key"] for dimension in about["space"]]
        return Searched(
            about, row, begun.get("seed", 1), limits, spent_s(events), tuple(suggestions(events))
        )
    except DAMAGE:
        raise RecordError(f"{file}:1: does not tell what is searched; {REMEDY}") from None


def asked(
    study: Study, setting: Setting, seed: int, overrides: Mapping[str, Given], root: Path
) -> Study:
    """The study with what its search has suggested so far, best first; none before it began."""
    base = check_search(study, setting, seed, overrides)
    found = searched(study, base, read_events(path(root, study, setting, base)))
    return replace(study, arms=arms(study, best_first(found)), searched=(found,))


def arms(study: Study, found: Sequence[Suggestion]) -> tuple[Arm, ...]:
    """The rows of those that can be."""
    search = study.search
    assert search is not None
    return tuple(
        search.arm(search.name(one.number), one.values) for one in found if one.digest is not None
    )
