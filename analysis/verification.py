"""`ablate verify`: a report's every value against what its evidence gives, by the same code.

The evidence is checked first (`recomputing.py`), then the table is built from it as a report
builds it from the tracker, and every value of the JSON compared with the table's, digit by digit.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from analysis import evidence, latex, rebuilding, recomputing, rendering
from analysis.evidence import SUFFIX, Evidence, EvidenceError
from analysis.recomputing import Check, How
from analysis.sections import Section
from analysis.sources import PATHS as PATHS
from analysis.sources import Unpacked
from analysis.tables import Table
from experiments.store import StoreError
from lit_transformer.config import NUMERICS, RunConfig
from lit_transformer.config_io import ConfigError, Given, flatten
from lit_transformer.data.cache import CorpusError
from lit_transformer.record import DAMAGE

LARGEST = 2**28
"""Bytes of a report's file."""
NOTHING = "nothing"

Place = tuple[str | int, ...]
"""Keys and places that lead to a value of the JSON."""


class Difference(NamedTuple):
    """A value that does not follow from the evidence, named in words."""

    where: str
    stated: str
    recomputed: str


class Outcome(NamedTuple):
    """What was compared, and what differs."""

    title: str
    evidence: Path
    values: int
    """Of the report's JSON."""
    files: list[str]
    """Beside it, compared as well."""
    scores: Mapping[How, int]
    """How many scores of trials were recomputed, by what from."""
    differences: list[Difference]


class _Number(str):
    """A number of a JSON text as it is written."""


def verify(report: Path, named: Path | None, given: Mapping[str, Given], cache: Path) -> Outcome:
    """Recompute a report. `named` is its evidence; None: the file beside it.

    `given`: keys that lead to the corpus's files; `cache`: where its texts may be. EvidenceError
    where a file is missing or damaged, CorpusError where the texts are others.
    """
    text = _read(report)
    values = sum(1 for _ in _leaves(_parsed(report, text), ()))
    path = named or beside(report)
    found = evidence.read(path)
    refuse_other_numerics(found, path)
    with TemporaryDirectory(prefix="ablate-verify-") as folder:
        try:
            source = Unpacked(found, Path(folder), given, cache)
            checked = list(recomputing.checks(source))
            table, _, sections = rebuilding.rebuild(source)
        except EvidenceError as error:
            raise EvidenceError(f"{path}: {error}") from None
        except (ConfigError, CorpusError, StoreError):
            raise
        except DAMAGE as error:
            reason = f"{type(error).__name__}: {error}"
            raise EvidenceError(f"{path}: does not hold together: {reason}") from None
    differences = [_difference(check) for check in checked if not check.holds]
    differences += differences_of(report, text, table, sections)
    files = _beside(report, table, sections)
    differences += [one for some in files.values() for one in some]
    return Outcome(
        title=f"{table.heading.study} in {table.heading.setting}",
        evidence=path,
        values=values,
        files=[*files],
        scores=_scores(checked),
        differences=differences,
    )


def beside(report: Path) -> Path:
    """The evidence of a report: of its own name, else that of the folder's report."""
    own = report.with_name(f"{report.stem}{SUFFIX}")
    return own if own.exists() else report.with_name(f"report{SUFFIX}")


def refuse_other_numerics(found: Evidence, path: Path) -> None:
    """EvidenceError for evidence of other arithmetic, whose digests are others."""
    if found.numerics != NUMERICS:
        commits = sorted({str(run.row.get("commit") or "")[:12] for run in found.runs} - {""})
        of = f" of commit {', '.join(commits)}" if commits else ""
        raise EvidenceError(
            f"{path}: made by code of NUMERICS {found.numerics}, and this is {NUMERICS}, which "
            f"computes other digests: verify it with the code{of}"
        )


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise EvidenceError(f"{path}: larger than {LARGEST:,} bytes; is it a report's file?")
        return content.decode("utf-8")
    except OSError as error:
        raise EvidenceError(f"{path}: {error.strerror}; give a report's JSON file") from None
    except UnicodeDecodeError:
        raise EvidenceError(f"{path}: not UTF-8; give a report's JSON file") from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_float=_Number, parse_int=_Number, parse_constant=_Number)
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{path}: not JSON: {error}; give a report's JSON file") from None
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise EvidenceError(f"{path}: no report: it has no rows; give a report's JSON file")
    return found


def differences_of(
    report: Path, text: str, table: Table, sections: Sequence[Section]
) -> list[Difference]:
    """Each value of a report's text that is not the table's; if all are, its first other line."""
    stated = _parsed(report, text)
    own = rendering.as_text(_without_later_keys(rendering.as_object(table, sections), stated))
    expected = _parsed(report, own)
    ours, theirs = dict(_leaves(expected, ())), dict(_leaves(stated, ()))
    places = [*ours, *(place for place in theirs if place not in ours)]
    found = [
        Difference(_named(place, expected), theirs.get(place, NOTHING), ours.get(place, NOTHING))
        for place in places
        if ours.get(place) != theirs.get(place)
    ]
    return found or ([] if text == own else [_first_line("the JSON's text", text, own)])


def _without_later_keys(expected: dict[str, Any], stated: Mapping[str, Any]) -> dict[str, object]:
    """Without keys at their defaults that the stated rows do not have: the report is older."""
    defaults = flatten(RunConfig())
    for row, theirs in zip(expected["rows"], stated["rows"], strict=False):
        known = theirs.get("settings") if isinstance(theirs, dict) else None
        if isinstance(known, dict):
            row["settings"] = {
                key: value
                for key, value in row["settings"].items()
                if key in known or key not in defaults or value != defaults[key]
            }
    return expected


def _leaves(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    """Every value with its place, as it is written; an empty list or object is a value too."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*place, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*place, number))
    else:
        yield place, str(value) if isinstance(value, _Number) else json.dumps(value)


def _named(place: Place, expected: Mapping[str, Any]) -> str:
    """`row A1, valid.bleu, seed 2` for rows.1.ours.valid.bleu.values.1."""
    match place:
        case ("rows", int(number), *rest) if number < len(expected["rows"]):
            row = expected["rows"][number]
            return ", ".join([f"row {row['arm']}", *_in_row(row, rest)])
        case _:
            return ".".join(map(str, place))


def _in_row(row: Mapping[str, Any], rest: list[str | int]) -> list[str]:
    match rest:
        case ["ours", str(metric), "values" | "seeds" as kind, int(number)]:
            seeds = row["ours"].get(metric, {}).get("seeds", [])
            seed = seeds[number] if number < len(seeds) else number
            return [metric, f"seed {seed}" if kind == "values" else f"the seed {seed} itself"]
        case ["ours", str(metric), "interval", int(end)]:
            return [metric, f"interval's {'upper' if end else 'lower'} end"]
        case ["ours", str(metric), *fields]:
            return [metric, *map(str, fields)]
        case ["difference", str(metric)]:
            return [metric, "difference to base"]
        case ["trials", int(number), *fields] if number < len(row["trials"]):
            return [f"seed {row['trials'][number]['seed']}", *map(str, fields)]
        case _:
            return [".".join(map(str, rest))]


def _beside(report: Path, table: Table, sections: Sequence[Section]) -> dict[str, list[Difference]]:
    """The files of the same name that are there, and where each is not the table's."""
    texts = {
        ".md": rendering.markdown(table, None, sections),
        ".csv": rendering.csv_text(table),
        ".tex": latex.document(table, sections),
    }
    found = {}
    for suffix, own in texts.items():
        path = report.with_suffix(suffix)
        if path.exists():
            text = _read(path)
            found[path.name] = [] if text == own else [_first_line(path.name, text, own)]
    return found


def _first_line(what: str, text: str, own: str) -> Difference:
    """The first line that differs."""
    theirs, ours = text.split("\n"), own.split("\n")
    pairs = zip([*theirs, NOTHING], [*ours, NOTHING], strict=False)
    number = next((n for n, (a, b) in enumerate(pairs) if a != b), 0)
    a, b = ([*some, NOTHING][min(number, len(some))] for some in (theirs, ours))
    return Difference(f"{what}, line {number + 1}", a.strip(), b.strip())


def _difference(check: Check) -> Difference:
    return Difference(f"evidence, {check.where}", str(check.stated), str(check.recomputed))


def _scores(checked: list[Check]) -> dict[How, int]:
    """Of parts and models, and points of curves; copies and configurations are no scores."""
    others = ("copy", "configuration")
    return dict(
        Counter(c.how for c in checked if isinstance(c.stated, float) and c.how not in others)
    )
