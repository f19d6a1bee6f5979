"""What trials counted in each sentence, and what is left out."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis import sentence_counts, sentences, tables
from analysis.sentences import MOST_RUNS, resampled, weights
from analysis.sources import Stored
from analysis.tables import Table
from experiments.study import Trial
from experiments.sweep import Root
from lit_transformer import brackets, scoring
from lit_transformer.data import corpora
from lit_transformer.record import Record
from tests.analysis.evident import made
from tests.analysis.example import heading, run, stored
from tests.toy import write_toy


@pytest.fixture(autouse=True)
def _few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "FEWEST", 1)


WORDS = ["das", "hund", "katze", "sieht", "mag"]


def written(root: Path, trials: Sequence[Trial], references: Sequence[str]) -> Table:
    """Hypotheses of every trial, some words wrong, and the table of their scores."""
    records = []
    for place, trial in enumerate(trials):
        lines = [
            " ".join(
                word if (place + number + i) % (3 + place) else WORDS[(place + i) % 5]
                for i, word in enumerate(line.split())
            )
            for number, line in enumerate(references)
        ]
        write(root, trial, lines, references)
        records.append(run(trial, scoring.bleu(lines, references), 2.0))
    return tables.build(heading("toy"), trials, stored(records), None)


def write(root: Path, trial: Trial, lines: Sequence[str], references: Sequence[str]) -> None:
    record = Record(Root(root).trial(trial.digest))
    record.write_json("counts/valid.json", scoring.counts(lines, references))


@pytest.fixture
def trials(tmp_path: Path) -> list[Trial]:
    return write_toy(tmp_path / "toy").trials([1, 2])


@pytest.fixture
def references(tmp_path: Path, trials: list[Trial]) -> list[str]:
    return (tmp_path / "toy" / "valid.de").read_text().splitlines()


def test_the_arms_are_compared_on_the_sentences_of_their_files(
    tmp_path: Path, trials: list[Trial], references: list[str]
):
    table = written(tmp_path, trials, references)
    found = sentence_counts.compared(table, trials, Stored(tmp_path))
    assert found.keys() == {"A"}
    drawn, means = weights(len(references)), []
    for arm in ("A", "base"):
        records = [Record(Root(tmp_path).trial(one.digest)) for one in trials if one.arm == arm]
        kept = [json.loads((one.counts / "valid.json").read_text())["bleu"] for one in records]
        counts = [np.array(rows, dtype=float) for rows in kept]
        means.append(resampled(counts, drawn, scoring.bleu_of).scores_RN.mean(0))
    assert found["A"].deviation == pytest.approx((means[0] - means[1]).std())
    assert found["A"].p_both is not None


def test_the_built_in_corpus_is_counted_where_counts_are_spared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    draws = {"train": (20, 1), "valid": (9, 2), "test": (7, 3)}
    monkeypatch.setattr(
        corpora, "GRAMMAR_PARTS", {part: corpora.Draw(*draw) for part, draw in draws.items()}
    )
    source = made(tmp_path, "table3", "grammar", ["base", "A1"], [])
    about = heading("grammar")
    table = tables.build(about, source.trials, source.runs("table3", "grammar"), None)
    first = sentence_counts.compared(table, source.trials, source)
    assert first.keys() == {"A1"}
    for trial in source.trials:
        (Record(source.directory(trial.digest)).counts / "valid.json").unlink()
    assert sentence_counts.compared(table, source.trials, source) == first


def test_counts_that_give_another_score_than_the_record_are_left_out(
    tmp_path: Path,
    trials: list[Trial],
    references: list[str],
    caplog: pytest.LogCaptureFixture,
):
    table = written(tmp_path, trials, references)
    write(tmp_path, trials[-1], references, references)
    assert trials[-1].arm == "A"
    with caplog.at_level(logging.WARNING):
        found = sentence_counts.compared(table, trials, Stored(tmp_path))
    assert "its sentences give" in caplog.text
    assert found["A"].p_both is None  # one seed is left


@pytest.mark.parametrize(
    "content",
    [
        *('{"bleu": [[1, 2], [3, 4]]}', '{"bleu": "x"}', '{"bleu": {}}', '{"bleu": [[1], [2, 3]]}'),
        *('{"f1": []}', '{"bleu": []}', "[]", "{", None),
    ],
)
def test_counts_that_are_gone_or_damaged_are_left_out(
    content: str | None, tmp_path: Path, trials: list[Trial], references: list[str]
):
    table = written(tmp_path, trials, references)
    for trial in trials:
        file = Record(Root(tmp_path).trial(trial.digest)).counts / "valid.json"
        if trial.arm == "base" and content is None:
            file.unlink()
        elif trial.arm == "base":
            file.write_text(content or "")
    assert sentence_counts.compared(table, trials, Stored(tmp_path)) == {}


def test_a_table_of_many_runs_is_not_resampled(
    tmp_path: Path, trials: list[Trial], references: list[str]
):
    table = written(tmp_path, trials, references)
    many = replace(table, rows=table.rows * MOST_RUNS)
    assert sentence_counts.compared(many, trials, Stored(tmp_path)) == {}


def test_f1_of_sums_is_that_of_counts():
    counts = [brackets.Counts(4, 6, 5), brackets.Counts(0, 3, 0), brackets.Counts(0, 0, 0)]
    score = sentence_counts.SCORERS["f1"]
    for one in counts:
        assert float(score(np.array(one, dtype=float))) == pytest.approx(one.f1)
