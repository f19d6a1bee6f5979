"""What a sweep until decided has found: its record on disk, and the sentences about it.

mlruns/sequential/<study>/<setting>/<key>.json is written before the first trial and after each
look, whole and renamed; the key names the rows. It holds the design, so that a sweep that goes on
cannot be given another one, and the verdicts, so that a later report says the same.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from analysis.sequential import FAMILY_ERROR, Design, Verdict
from experiments.study import Trial
from experiments.sweep import Root
from lit_transformer.config_io import ConfigError
from lit_transformer.record import (
    DAMAGE,
    Record,
    RecordError,
    read_object,
    read_own,
    write_bytes,
)

FORMAT = 1
"""Raised when a key of the file is renamed or removed."""
SHAPE: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("study", "setting", "measure", "base"), str),
    **dict.fromkeys(("version", "comparisons", "most_seeds"), int),
    "margin": (int, float, type(None)),
    "given": dict,
    "rows": list,
}
REMEDY = "delete it, and the same sweep writes it again from its trials"


class Decision(NamedTuple):
    """How a row stands against base."""

    arm: str
    verdict: Verdict
    seeds: int
    """Of its last look; 0: none yet."""
    difference: float | None
    """Mean less base's, at that look; `low` and `high` are its interval there."""
    low: float | None
    high: float | None
    reason: str
    """Why there is no verdict; empty where there is one."""


@dataclass(frozen=True)
class Decisions:
    """A sweep until decided, as far as it has come."""

    study: str
    version: int
    setting: str
    measure: str
    base: str
    design: Design
    given: Mapping[str, tuple[str, ...]]
    """Of each arm, base among them, the digests of seeds 1, 2, ... as far as they were given."""
    rows: tuple[Decision, ...]


def path(root: Path, decided: Decisions) -> Path:
    """Where the record lies; the digests of seed 1 say whose it is."""
    first = "\n".join(sorted(digests[0] for digests in decided.given.values()))
    name = hashlib.sha256(first.encode()).hexdigest()[:16]
    return _folder(root, decided.study, decided.setting) / f"{name}.json"


def refuse_another(root: Path, decided: Decisions) -> None:
    """ConfigError where these rows have been looked at in another design: its levels hold for what
    was fixed before the first score, and no longer once a number of seeds is chosen by the scores.
    """
    place = path(root, decided)
    before = _read(place)
    if before is None or before.design == decided.design:
        return
    raise ConfigError(
        f"--until decided: these rows were begun with {options(before)}; levels are fixed before "
        f"the first score. Give the same again, or delete {place} to begin another sweep "
        "on scores that are known, whose error rate nobody knows"
    )


def write(root: Path, decided: Decisions) -> None:
    text = json.dumps(as_object(decided), indent=1, ensure_ascii=False, allow_nan=False)
    write_bytes(path(root, decided), text.encode())


def read(root: Path, study: str, setting: str, trials: Sequence[Trial]) -> list[Decisions]:
    """The records that some of these trials belong to, the one of just these rows last.

    RecordError where one is damaged.
    """
    digests, arms = {trial.digest for trial in trials}, {trial.arm for trial in trials}
    places = sorted(_folder(root, study, setting).glob("*.json"))
    found = [one for place in places if (one := _read(place)) is not None]
    theirs = [one for one in found if any(digests & {*own} for own in one.given.values())]
    return sorted(theirs, key=lambda one: {*one.given} == arms)


def parse(content: Mapping[str, Any]) -> Decisions:
    """`as_object` read back. Some of `record.DAMAGE` where it is no such object."""
    if any(not isinstance(content[name], kind) for name, kind in SHAPE.items()):
        raise TypeError("a value of another type")
    if (
        content["comparisons"] < 1
        or content["most_seeds"] < 1
        or not all(content["given"].values())
    ):
        raise ValueError("no comparison, or an arm without a seed")
    if content["comparisons"] != len(content["given"]) - 1:
        raise ValueError("comparisons: another number than rows beside base")
    rows = tuple(_decision(row) for row in content["rows"])
    if strange := {content["base"], *(row.arm for row in rows)} - {*content["given"]}:
        raise ValueError(f"{strange} was given no seed")
    if content["margin"] is None and any(row.verdict == "same" for row in rows):
        raise ValueError("the same, within no margin")
    return Decisions(
        **{name: content[name] for name in ("study", "version", "setting", "measure", "base")},
        design=Design(content["comparisons"], content["most_seeds"], content["margin"]),
        given={arm: tuple(map(_digest, own)) for arm, own in content["given"].items()},
        rows=rows,
    )


def asked(found: Sequence[Decisions], trials: Sequence[Trial], root: Path) -> list[Trial]:
    """The trials without those of these rows that were neither asked for nor run."""
    rows = {arm for one in found for arm in one.given}
    given = {digest for one in found for own in one.given.values() for digest in own}
    return [
        trial
        for trial in trials
        if trial.arm not in rows
        or trial.digest in given
        or Record(Root(root).trial(trial.digest)).state().kind != "waiting"
    ]


def as_object(decided: Decisions) -> dict[str, Any]:
    """The record as one JSON object; see docs/until-decided.md."""
    design = decided.design
    return {
        "format": FORMAT,
        "study": decided.study,
        "version": decided.version,
        "setting": decided.setting,
        "measure": decided.measure,
        "base": decided.base,
        "family_error": FAMILY_ERROR,
        "comparisons": design.comparisons,
        "most_seeds": design.most_seeds,
        "margin": design.margin,
        "looks": [
            {"seeds": seeds, "level": level}
            for seeds, level in zip(design.looks, design.levels, strict=True)
        ],
        "given": {arm: list(digests) for arm, digests in decided.given.items()},
        "rows": [row._asdict() for row in decided.rows],
    }


def options(decided: Decisions) -> str:
    """The options of the command that goes on with it."""
    design = decided.design
    margin = f"{design.margin or 0:g}"
    return f"--until decided --most-seeds {design.most_seeds} --margin {margin}"


def options_of(found: Sequence[Decisions], trials: Iterable[Trial]) -> str:
    """The options of the one that is of just these rows; empty: none is."""
    arms = {trial.arm for trial in trials}
    return next((options(one) for one in found if arms == {*one.given}), "")


def levels(design: Design) -> str:
    """`looks at 3 and 5 seeds, at levels 0.0004 and 0.0013 for each row (0.05 in all)`."""
    return (
        f"looks at {listed(design.looks)} seeds, at levels "
        f"{listed(f'{level:.2g}' for level in design.levels)} for each row "
        f"({FAMILY_ERROR:g} over all rows and looks)"
    )


def listed(words: Iterable[object]) -> str:
    """`3`, `3 and 5`, `3, 5 and 8`."""
    *most, last = map(str, words)
    return f"{', '.join(most)} and {last}" if most else last


def interval(decision: Decision) -> str:
    """`-2.31 (-3.90 to -0.72)`; empty before the first look."""
    if decision.difference is None:
        return ""
    if decision.low is None or decision.high is None:
        return f"{decision.difference:+.2f}"
    return f"{decision.difference:+.2f} ({decision.low:+.2f} to {decision.high:+.2f})"


def word(decision: Decision, design: Design) -> str:
    """As a table prints it."""
    match decision.verdict:
        case "same":
            return f"the same ±{design.margin:g}"
        case "undecided":
            return "cannot tell"
        case "open":
            return "not decided"
        case "better" | "worse":
            return decision.verdict


def meaning(decision: Decision, design: Design) -> str:
    """What a verdict rests on."""
    found = filter(None, [interval(decision), _seeds(decision), decision.reason])
    return f"{outcome(decision.verdict, design)}: {', '.join(found)}"


def outcome(verdict: Verdict, design: Design) -> str:
    match verdict:
        case "same":
            return f"the same within {design.margin:g}"
        case "undecided":
            return f"cannot tell within {design.most_seeds} seeds"
        case "open":
            return "not decided yet"
        case "better" | "worse":
            return verdict


def sentences(decided: Decisions) -> list[str]:
    """What a table of these rows must say."""
    design, name = decided.design, decided.measure.rpartition(".")[2].upper()
    told = [
        f"Seeds were given sequentially, until decided: {name} of {design.comparisons} "
        f"{'row' if design.comparisons == 1 else 'rows'} against {decided.base}, "
        f"{levels(design)}. Deviations, intervals and tests elsewhere take the numbers of seeds "
        "as fixed beforehand, and are not corrected for it."
    ]
    for verdict in get_args(Verdict):
        rows = [row for row in decided.rows if row.verdict == verdict]
        if rows:
            words = outcome(verdict, design)
            named = "; ".join(_told(row) for row in rows)
            told.append(f"{words[0].upper()}{words[1:]}: {named}.")
    return told


def _told(row: Decision) -> str:
    return f"{row.arm} {', '.join(filter(None, [interval(row), _seeds(row), row.reason]))}".strip()


def _seeds(row: Decision) -> str:
    return f"{row.seeds} seeds" if row.seeds else ""


def _folder(root: Path, study: str, setting: str) -> Path:
    return root / "mlruns" / "sequential" / study / setting


def _read(place: Path) -> Decisions | None:
    try:
        content = read_own(place)
        return None if content is None else parse(read_object(content, str(place), {}))
    except (RecordError, *DAMAGE):
        raise RecordError(f"{place}: is damaged; {REMEDY}") from None


def _digest(digest: object) -> str:
    if not isinstance(digest, str):
        raise TypeError(digest)
    return digest


def _decision(row: Mapping[str, Any]) -> Decision:
    if row["verdict"] not in get_args(Verdict):
        raise ValueError(row["verdict"])
    difference, low, high = (
        None if row[name] is None else float(row[name]) for name in ("difference", "low", "high")
    )
    return Decision(
        arm=str(row["arm"]),
        verdict=cast(Verdict, row["verdict"]),
        seeds=int(row["seeds"]),
        difference=difference,
        low=low,
        high=high,
        reason=str(row["reason"]),
    )
