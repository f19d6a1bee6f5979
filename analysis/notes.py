"""What a table must say besides its numbers: what was scored, what is missing, what cannot be
compared. Plain sentences; the writers add the markup."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from analysis import verdicts
from analysis.columns import DIVERGED, PUBLISHED, WITHHELD, changes, short, spanning, value
from analysis.decisions import sentences
from analysis.tables import BASE, PAPER_KEYS, Table
from experiments.space import TUNED
from experiments.tuning import BEST
from lit_transformer.config_io import Scalar

NAMED = 12
"""Trials or runs named one by one before a note counts the rest."""


PIECES = frozenset(("data.tokenizer", "data.vocabulary_size"))
"""Keys that change what a word-piece is."""
OTHER_BLEU = "the paper's BLEU is tokenised, with compounds split, and ours is sacreBLEU"


class Note(NamedTuple):
    """A footnote; `code` is printed behind it as it stands, a signature or a command."""

    mark: str
    text: str
    code: str


def notes(table: Table, spanned: bool) -> list[Note]:
    """Every note that the table needs, the most general first.

    `spanned`: the writer prints row (E)'s words in the row itself.
    """
    found = [Note("", _scored(table), "")]
    found += [Note("", text, "") for one in table.sequential for text in sentences(one)]
    found += [Note("", text, "") for text in verdicts.how(table)]
    found += [
        Note("", f"{', '.join(scorers)} signature:", signature)
        for signature, scorers in _by_signature(table).items()
    ]
    if table.paper_source:
        found.append(Note(PUBLISHED, _published(table), ""))
    if table.origin:
        found.append(Note("", f"{table.origin[0].upper()}{table.origin[1:]}.", ""))
    found += _searched(table)
    found += _row_notes(table, spanned)
    found += _withheld(table)
    found += _diverged(table)
    return [*found, *_missing(table), *_unused(table), *_commits(table)]


def summary(table: Table) -> str:
    """`20 rows, seeds 1 and 2: 38 of 40 trials finished`."""
    diverged = f", {len(table.diverged)} diverged" if table.diverged else ""
    return (
        f"{count(len(table.rows), 'row')}, {_seeds(table)}: "
        f"{table.finished} of {count(table.trials, 'trial')} finished{diverged}"
    )


def departures(table: Table) -> list[tuple[str, str, str]]:
    """Keys in which this setting's base is not the paper's: (key, paper's value, ours)."""
    return [(key, value(a), value(b)) for key, (a, b) in table.departures.items()]


def _by_signature(table: Table) -> dict[str, list[str]]:
    """The scorers that the rows have, together where their signatures are the same."""
    held = {name.rpartition(".")[2] for row in table.rows for name in row.measures}
    found: dict[str, list[str]] = {}
    for scorer, signature in sorted(table.signatures.items()):
        if scorer in held:
            found.setdefault(signature, []).append(scorer)
    return found


def _scored(table: Table) -> str:
    text = (
        f"Scores are those of {scored_words(table)}; "
        "perplexity is per word-piece, without label smoothing."
    )
    if any(row.changed & PIECES for row in table.rows):
        text += f" Rows of other word-pieces than {table.base_name}'s do not compare by it."
    if table.task == "parsing":
        text += (
            " F1: EVALB's labelled brackets under COLLINS.prm, outputs that are no tree repaired; "
            "strict: such an output has found nothing; EVALB's: it is left out."
        )
    if len(table.seeds) == 1:
        return f"{text} One seed ({table.seeds[0]}): there is no interval."
    seeds = "each row's own seeds" if table.sequential else _seeds(table)
    return f"{text} Ours: mean ± standard deviation over {seeds}; one seed alone has none."


def _published(table: Table) -> str:
    text = f"Published figures: {table.paper_source}."
    if not table.departures:
        return f"{text} BLEU is not comparable with ours: {OTHER_BLEU}."
    reasons = "; ".join([*other_base(table.departures), OTHER_BLEU])
    return f"{text} Not comparable with ours: {reasons}. Compare the differences."


def scored_words(table: Table) -> str:
    """What the table is read for: `the last step, not averaged, on the valid part`."""
    part, _, averaged = table.scored.partition(".")
    return (
        f"{'the averaged model' if averaged else 'the last step, not averaged'}, on the {part} part"
    )


def other_base(departures: Mapping[str, tuple[Scalar, Scalar]]) -> list[str]:
    """Why a setting whose base departs from the paper's so gives other numbers."""

    def values(keys: Sequence[str]) -> str:
        return ", ".join(f"{short(key)} {value(departures[key][1])}" for key in keys)

    data = [key for key in departures if key.startswith("data.")]
    sizes = [key for key in departures if key in PAPER_KEYS]
    others = len(departures) - len(data) - len(sizes)
    reasons = []
    if data:
        reasons.append(f"other data ({values(data)})")
    if sizes:
        reasons.append(f"other sizes (base: {values(sizes)})")
    if others:
        reasons.append(f"{count(others, 'other key')} of the base model set otherwise")
    return reasons


def _searched(table: Table) -> list[Note]:
    """What must be said of rows that were suggested by the scores of others."""
    if any(row.group == TUNED for row in table.rows):
        text = f"Rows with {BEST} are at their best; "
        if any(row.arm == f"{table.base.arm}{BEST}" for row in table.rows):
            text += f"what they differ by is from {table.base.arm} at its best."
        else:
            text += f"{table.base.arm} has no best here, so they are compared with nothing."
        return [Note("", text, "")]
    if not table.is_search:
        if table.base.arm == BASE or len(table.rows) < 2:
            return []
        text = f"There is no row {BASE} here: rows are compared with {table.base.arm}, the first."
        return [Note("", text, "")]
    text = (
        f"The rows are a search's suggestions, best first; differences are from {table.base_name}, "
        "the best. What is best of many is better than it would be again: train it with other "
        "seeds before it is compared."
    )
    found = [Note("", text, "")]
    if table.pruned:
        arms = _some([arm for arm, _ in table.pruned])
        text = f"Pruned, without a score and with its curve kept: {arms}."
        found.append(Note("", text, ""))
    return found


def _row_notes(table: Table, spanned: bool) -> list[Note]:
    found = []
    for row in table.rows:
        words = changes(table, row, hidden=True)
        if spanned and spanning(table, row):
            continue
        if row.label or (words and row is not table.base):
            found.append(Note("", f"{row.arm}: {row.label or ', '.join(words)}.", ""))
    return found


def _withheld(table: Table) -> list[Note]:
    found: dict[str, list[str]] = {}
    for row in table.rows:
        for name, measure in row.measures.items():
            if measure.withheld:
                found.setdefault(measure.withheld, []).append(f"{row.arm} {name}")
    return [
        Note(WITHHELD, f"Not shown, {reason}: {_some(cells)}.", "")
        for reason, cells in found.items()
    ]


def _diverged(table: Table) -> list[Note]:
    if not table.diverged:
        return []
    named = _some([f"{arm} seed {seed}" for arm, seed in table.diverged])
    text = (
        f"Diverged: {named}. That is a result, with its curve kept, and is not trained again. A "
        "marked mean is of the row's other seeds; such a row has no difference and no test."
    )
    return [Note(DIVERGED, text, "")]


def _missing(table: Table) -> list[Note]:
    if not table.missing:
        return []
    named = [f"{arm} seed {slot.seed} ({_state(slot.state)})" for arm, slot in table.missing]
    text = f"{len(named)} of {count(table.trials, 'trial')} unfinished: {_some(named)}."
    return [Note("", f"{text} This completes the table:", table.heading.command)]


def _unused(table: Table) -> list[Note]:
    by_reason: dict[str, list[str]] = {}
    for run, reason in table.unused:
        named = f"{run.arm} seed {run.seed}, digest {run.digest}"
        by_reason.setdefault(reason, []).append(named)
    return [
        Note("", f"Not counted ({reason}): {_some(named)}.", "")
        for reason, named in by_reason.items()
    ]


def _commits(table: Table) -> list[Note]:
    dirty = sum(run.dirty for run in table.runs)
    commits = sorted({run.commit for run in table.runs if run.commit})
    found = []
    if len(commits) > 1:
        found.append(Note("", f"The runs are of {len(commits)} commits: {_some(commits)}.", ""))
    if dirty:
        text = f"{count(dirty, 'run')} with changes that were not committed."
        found.append(Note("", text, ""))
    return found


def _seeds(table: Table) -> str:
    words = [str(seed) for seed in table.seeds]
    if len(words) == 1:
        return f"seed {words[0]}"
    return f"seeds {', '.join(words[:-1])} and {words[-1]}"


def _some(words: Sequence[str]) -> str:
    rest = len(words) - NAMED
    return "; ".join(words[:NAMED]) + (f"; and {rest} more" if rest > 0 else "")


def _state(state: str) -> str:
    return state.replace("_", " ")


def count(number: int, noun: str) -> str:
    """`1 row`, `3 rows`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
