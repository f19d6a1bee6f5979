"""BLEU of the same translations cut into other tokens: numbers that compare with no others here."""

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from analysis.columns import Cell, Column, Symbol, marked, score_cell
from analysis.counting import Measure
from analysis.lengths import arm_column, blocks
from analysis.notes import Note
from analysis.sections import Section
from analysis.sentences import MOST_RUNS
from analysis.sources import Source
from analysis.tables import Row, Table
from analysis.verdicts import digits
from lit_transformer import scoring
from lit_transformer.record import DAMAGE, Record, refuse_links
from lit_transformer.scoring import TOKENIZATIONS, Tokenized
from lit_transformer.terminal import printable

_log = logging.getLogger(__name__)

Runs = Mapping[str, Mapping[int, Mapping[str, Tokenized]]]
"""Arm -> seed -> tokenization -> sums."""


def section(table: Table, source: Source) -> Section | None:
    """None where no trial has kept such sums."""
    if table.task != "translation" or len(table.runs) > MOST_RUNS:
        return None
    runs = {row.arm: _read(table, row, source) for row in table.rows}
    signatures = _signatures(runs)
    if not signatures:
        return None
    measures = {
        (row.arm, name): _measure(runs[row.arm], name, signature)
        for row in table.rows
        for name, signature in signatures.items()
    }
    top = Symbol(f"BLEU, {table.scored}, by tokens", "", "no column of these is the table's")
    columns = [
        Column(
            "ours",
            f"tokens.{name}",
            top,
            Symbol(name, "", TOKENIZATIONS[name]),
            tuple(_cell(measures[row.arm, name], row) for row in table.rows),
        )
        for name in signatures
    ]
    return Section(
        name="tokenizations",
        title="BLEU under other tokenizations",
        leads=False,
        columns=(arm_column(table), *columns),
        blocks=blocks(table),
        notes=(Note("", _note(), ""), *_told(signatures)),
        content={
            "score": table.scored,
            "signatures": signatures,
            "rows": [
                {
                    "arm": row.arm,
                    **{name: _object(measures[row.arm, name]) for name in signatures},
                }
                for row in table.rows
            ],
        },
    )


def _read(table: Table, row: Row, source: Source) -> dict[int, dict[str, Tokenized]]:
    """What a row's trials have kept; older ones have none."""
    found = {}
    for run in row.runs:
        record = Record(source.directory(run.digest))
        try:
            refuse_links(record.path)
            content = record.read_json(f"scores/{table.scored}.json") or {}
            found[run.seed] = {
                name: _tokenized(content["tokenized"][name])
                for name in TOKENIZATIONS
                if name in content.get("tokenized", {})
            }
        except DAMAGE as error:
            _log.warning("tokenizations left out: %s", printable(f"{record.path}: {error!r}"[:500]))
    return found


def _tokenized(content: Mapping[str, object]) -> Tokenized:
    """ValueError where it is none."""
    sums, signature = content["sums"], content["signature"]
    if (
        not isinstance(signature, str)
        or not isinstance(sums, list)
        or len(sums) != 10
        or not all(isinstance(one, int | float) and math.isfinite(one) for one in sums)
    ):
        raise ValueError("no sums of BLEU")
    return Tokenized([float(one) for one in sums], signature)


def _signatures(runs: Runs) -> dict[str, str]:
    """The most frequent one of each tokenization that some trial has."""
    found = {}
    for name in TOKENIZATIONS:
        held = Counter(
            one[name].signature for some in runs.values() for one in some.values() if name in one
        )
        if held:
            found[name] = held.most_common(1)[0][0]
    return found


def _measure(
    runs: Mapping[int, Mapping[str, Tokenized]], name: str, signature: str
) -> Measure | None:
    """Over the seeds that have it; None: none has."""
    held = {seed: one[name] for seed, one in runs.items() if name in one}
    if not held:
        return None
    agree = all(one.signature == signature for one in held.values())
    return Measure(
        tuple(held),
        tuple(float(scoring.bleu_of(np.array(one.sums))) for one in held.values()),
        "" if agree else "scored with another signature than the column's",
    )


def _cell(measure: Measure | None, row: Row) -> Cell:
    return marked(score_cell(measure, 2), row, measure)


def _object(measure: Measure | None) -> dict[str, object] | None:
    if measure is None:
        return None
    return {
        "seeds": list(measure.seeds),
        "values": [digits(value) for value in measure.values],
        "mean": digits(measure.mean),
        "deviation": digits(measure.deviation),
        "withheld": measure.withheld,
    }


def _note() -> str:
    return (
        "The same translations, cut into tokens in other ways. BLEU of one way compares with no "
        "other: the table's is 13a. The paper's own is of Moses's tokens with compounds split, "
        "which nothing here has: compounds splits 13a's tokens as its script does, and is nearer "
        "to it, not the same."
    )


def _told(signatures: Mapping[str, str]) -> Sequence[Note]:
    return [
        Note("", f"{name}, {TOKENIZATIONS[name]}:", signature)
        for name, signature in signatures.items()
    ]
