"""Counts of sentences in the trials' directories, and what is left out."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis import sentence_counts, tables
from analysis.sentences import MOST_RUNS, resampled, weights
from analysis.sources import Stored
from analysis.tables import Table
from experiments.study import Trial
from experiments.sweep import Root
from lit_transformer import parsing, scoring
from lit_transformer.data import corpora
from lit_transformer.record import Record
from tests.analysis.example import heading, run, stored
from tests.analysis.example import trials as of_table3
from tests.toy import write_toy

WORDS = ["das", "hund", "katze", "sieht", "mag"]


def hypotheses(place: int, references: Sequence[str]) -> list[str]:
    """Some words are wrong: others in each trial."""
    return [
        " ".join(
            word if (place + number + i) % (3 + place) else WORDS[(place + i) % 5]
            for i, word in enumerate(line.split())
        )
        for number, line in enumerate(references)
    ]


def record(root: Path, trial: Trial) -> Record:
    found = Record(Root(root).trial(trial.digest))
    for folder in (found.hypotheses, found.counts):
        folder.mkdir(parents=True, exist_ok=True)
    return found


def written(root: Path, trials: Sequence[Trial], references: Sequence[str]) -> Table:
    """What every trial leaves, and the table of their scores."""
    records = []
    for place, trial in enumerate(trials):
        lines = hypotheses(place, references)
        (record(root, trial).hypotheses / "valid.txt").write_text("".join(f"{s}\n" for s in lines))
        counts = {"bleu": scoring.counts(lines, references)["bleu"]}
        (record(root, trial).counts / "valid.json").write_text(json.dumps(counts))
        records.append(run(trial, scoring.bleu(lines, references), 2.0))
    return tables.build(heading("toy"), trials, stored(records), None)


@pytest.fixture
def trials(tmp_path: Path) -> list[Trial]:
    return write_toy(tmp_path / "toy").trials([1, 2])


@pytest.fixture
def references(tmp_path: Path, trials: list[Trial]) -> list[str]:
    return (tmp_path / "toy" / "valid.de").read_text().splitlines()


def test_the_arms_are_compared_on_the_sentences_of_their_trials(
    tmp_path: Path, trials: list[Trial], references: list[str]
):
    table = written(tmp_path, trials, references)
    found = sentence_counts.compared(table, trials, Stored(tmp_path))
    assert found.keys() == {"A"}
    drawn, means = weights(len(references)), {}
    for arm in ("A", "base"):
        counts = [
            scoring.bleu_counts(hypotheses(place, references), references)
            for place, trial in enumerate(trials)
            if trial.arm == arm
        ]
        means[arm] = resampled(counts, drawn, scoring.bleu_of).scores_RN.mean(0)
    assert found["A"].deviation == pytest.approx((means["A"] - means["base"]).std())
    assert found["A"].p_both is not None


def test_the_verdict_has_them(tmp_path: Path, trials: list[Trial], references: list[str]):
    table = written(tmp_path, trials, references)
    found = sentence_counts.compared(table, trials, Stored(tmp_path))
    base, arm = (row.verdict for row in table.with_sentences(found).rows)
    assert base is None
    assert arm is not None
    assert arm.sentences == found["A"]


def test_counts_that_give_another_score_than_the_record_are_left_out(
    tmp_path: Path,
    trials: list[Trial],
    references: list[str],
    caplog: pytest.LogCaptureFixture,
):
    table = written(tmp_path, trials, references)
    perfect = {"bleu": scoring.counts(references, references)["bleu"]}
    (record(tmp_path, trials[-1]).counts / "valid.json").write_text(json.dumps(perfect))
    assert trials[-1].arm == "A"
    with caplog.at_level(logging.WARNING):
        found = sentence_counts.compared(table, trials, Stored(tmp_path))
    assert "sentences give 100.0000" in caplog.text
    assert found["A"].p_both is None  # one seed is left


@pytest.mark.parametrize(
    "content",
    [b"\xff", b"[]", b'{"bleu": [[1, 2]]}', b'{"bleu": [["a"]]}', b'{"bleu": [[1], [2, 3]]}', None],
    ids=str,
)
def test_counts_that_are_gone_or_damaged_are_left_out(
    content: bytes | None, tmp_path: Path, trials: list[Trial], references: list[str]
):
    table = written(tmp_path, trials, references)
    for trial in trials:
        file = record(tmp_path, trial).counts / "valid.json"
        if trial.arm == "base" and content is None:
            file.unlink()
        elif trial.arm == "base":
            file.write_bytes(content or b"")
    assert sentence_counts.compared(table, trials, Stored(tmp_path)) == {}


def test_of_the_built_in_corpus_hypotheses_do(tmp_path: Path):
    """As evidence has it, where references need no telling."""
    trials = of_table3("grammar", ["base", "A1"], [1, 2])
    corpus = corpora.prepare(trials[0].config.data, Root(tmp_path).cache)
    table = written(tmp_path, trials, corpus.parts["valid"].targets())
    kept = sentence_counts.compared(table, trials, Stored(tmp_path))
    for trial in trials:
        (record(tmp_path, trial).counts / "valid.json").unlink()
    assert sentence_counts.compared(table, trials, Stored(tmp_path)) == kept
    assert kept.keys() == {"A1"}


def test_a_table_of_many_runs_is_not_resampled(
    tmp_path: Path, trials: list[Trial], references: list[str]
):
    table = written(tmp_path, trials, references)
    many = replace(table, rows=table.rows * MOST_RUNS)
    assert sentence_counts.compared(many, trials, Stored(tmp_path)) == {}


def test_f1_of_sums_is_that_of_counts():
    score = sentence_counts.scorer("parsing")
    for brackets in ((4, 6, 5), (0, 3, 0), (0, 0, 0)):
        one = parsing.Counted(0, *brackets, True, True)
        assert float(score(np.array(one, dtype=float))) == pytest.approx(one.counts.f1)
