"""Buckets hold every sentence once; a bucket's score is sacreBLEU's of its sentences."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis import (
    assembly,
    extrapolation,
    lengths,
    metrics,
    sentence_counts,
    sentences,
    tokenizations,
)
from analysis.evidence import SECTIONS
from analysis.lengths import cuts, ends
from analysis.metrics import (
    MAIN,
    OTHERS,
    beyond_choice,
    beyond_noise,
    pairs,
    resampled_scores,
    with_the_best,
)
from analysis.rates import known
from analysis.sentence_counts import Runs
from analysis.tables import Table
from lit_transformer import scoring
from tests.analysis.evident import Made, heading, made
from tests.analysis.example import diverged
from tests.analysis.searching import search_table, searched
from tests.analysis.test_verification import small


@pytest.fixture(autouse=True)
def _few_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentences, "FEWEST", 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Made:
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        found = made(
            tmp_path_factory.mktemp("made"),
            "extrapolation",
            "grammar",
            ["base", "alibi", "all-lengths"],
            [],
        )
        for trial in found.trials:
            found.corpus(trial.config.data)
    return found


@pytest.fixture(scope="module")
def table(source: Made) -> Table:
    return assembly.build(heading(source), source.trials, source, "valid", known([]))


def test_every_sentence_is_in_one_bucket_of_its_length() -> None:
    of = np.random.default_rng(1).integers(4, 40, size=300)
    for buckets in (cuts(of, ends(of)), cuts(of, [10, 20])):
        together = np.concatenate([one.sentences for one in buckets])
        assert sorted(together.tolist()) == list(range(300))
        for one in buckets:
            here = of[one.sentences]
            assert here.min() > one.over
            assert one.to is None or here.max() <= one.to
            assert one.mean == pytest.approx(here.mean())


def test_quarters_hold_a_quarter_where_lengths_differ() -> None:
    of = np.arange(1, 201)
    buckets = cuts(of, ends(of))
    assert [len(one.sentences) for one in buckets] == [50, 50, 50, 30, 20]
    assert [one.name for one in buckets] == [
        "to 50",
        "51 to 100",
        "101 to 150",
        "151 to 180",
        "over 180",
    ]


def test_equal_lengths_are_one_bucket() -> None:
    (only,) = cuts(np.full(9, 7), ends(np.full(9, 7)))
    assert (only.over, only.to, len(only.sentences)) == (0, 7, 9)


def test_a_bucket_scores_as_sacrebleu_scores_its_sentences(source: Made, table: Table) -> None:
    read = sentence_counts.of_parts(table, source.trials, source)
    section = lengths.section(table, source.trials, source, read)
    assert section is not None
    trial = next(t for t in source.trials if t.arm == "alibi" and t.seed == 2)
    cut = ends(np.array(source.lengths(trial, "valid"))[:, 0])
    for name in ("valid", "test"):
        pairs_of = source.lengths(trial, name)
        references = source.corpus(trial.config.data).parts[name].targets()
        file = source.directory(trial.digest) / "hypotheses" / f"{name}.txt"
        lines = file.read_text().split("\n")[:-1]
        (row,) = (row for row in section.content["rows"] if row["arm"] == "alibi")
        for bucket, bleu, chrf in zip(
            cuts(np.array(pairs_of)[:, 0], cut),
            row[f"{name}.bleu"],
            row[f"{name}.chrf"],
            strict=True,
        ):
            here = [[side[n] for n in bucket.sentences] for side in (lines, references)]
            wanted = scoring.score(*here)
            assert bleu["values"][1] == pytest.approx(wanted.bleu, rel=1e-5)
            assert chrf["values"][1] == pytest.approx(wanted.chrf, rel=1e-5)
            assert bleu["sentences"][0] <= bleu["sentences"][1]


def test_within_and_beyond_are_the_pairs_that_training_takes_and_leaves(
    source: Made, table: Table
) -> None:
    read = sentence_counts.of_parts(table, source.trials, source)
    section = extrapolation.section(table, source.trials, source, read)
    assert section is not None
    assert section.content["limits"] == [14]
    both = np.array(source.lengths(source.trials[0], "valid"))
    kept = int((both <= 14).all(1).sum())
    sizes = [bucket["sentences"] for bucket in section.content["buckets"]["valid"]]
    assert sizes == [kept, len(both) - kept]
    assert set(section.content["beyond"]["valid"]) == {"alibi", "all-lengths"}
    assert "Trained on all lengths: all-lengths" in section.notes[0].text


@pytest.mark.parametrize(
    ("arm", "tested"), [("alibi", {"all-lengths"}), ("base", set())], ids=["row", "base"]
)
def test_what_is_left_of_a_row_that_diverged_is_marked_and_not_compared(
    source: Made, table: Table, arm: str, tested: set[str]
) -> None:
    lost = diverged(table, arm)
    read = sentence_counts.of_parts(table, source.trials, source)
    section = extrapolation.section(lost, source.trials, source, read)
    assert section is not None
    assert set(section.content["beyond"]["valid"]) == tested
    assert f"until decided: {arm}." in section.notes[0].text
    scores = next(column for column in section.columns if column.name == "valid.bleu.0")
    marks = {
        row.arm: "9 diverged" in c.meaning for row, c in zip(lost.rows, scores.cells, strict=True)
    }
    assert marks == {row.arm: row.arm == arm for row in lost.rows}
    assert metrics.sections(lost, read)[0].content["counts"]["chrf"]["pairs"] == 1


def test_on_few_sentences_nothing_is_tested(
    source: Made, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "FEWEST", 20)
    read = sentence_counts.of_parts(table, source.trials, source)
    section = extrapolation.section(table, source.trials, source, read)
    assert section is not None
    assert section.content["beyond"] == {"valid": {}, "test": {}}
    assert "None on fewer than 20 of the longest pairs: valid, test." in section.notes[0].text
    assert metrics.sections(table, read) == []
    assert sentence_counts.compared(table, source.trials, source) == {}


def test_where_no_pair_is_beyond_the_limit_none_is_called_so(
    source: Made, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extrapolation, "_limit", lambda row: 1000)
    read = sentence_counts.of_parts(table, source.trials, source)
    section = extrapolation.section(table, source.trials, source, read)
    assert section is not None
    assert section.content["beyond"] == {"valid": {}, "test": {}}
    assert not [column.name for column in section.columns if ".longest." in column.name]


def test_an_arm_without_sentences_is_no_row_of_metrics(source: Made, table: Table) -> None:
    read = sentence_counts.of_parts(table, source.trials, source)
    found = metrics.sections(table, {**read, "valid": {**read["valid"], "alibi": {}}})
    assert found[0].content["counts"]["ter"]["pairs"] == 1


def test_no_limit_no_such_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    found = made(tmp_path, "table3", "grammar", ["base", "A1"], [])
    table = assembly.build(heading(found), found.trials, found, "valid", known([]))
    read = sentence_counts.of_parts(table, found.trials, found)
    assert extrapolation.section(table, found.trials, found, read) is None


def counts_of(lines: list[str], references: list[str]) -> dict[str, np.ndarray]:
    return {k: np.array(v, float) for k, v in scoring.counts(lines, references).items()}


def test_metrics_that_order_two_rows_each_its_own_way_disagree_beyond_noise() -> None:
    """One row has half the words exactly; the other every word but for its last letter."""
    references = [f"alpha{n} bravo{n} charlie{n} delta{n} echo{n} foxtrot{n}" for n in range(60)]
    exact = [" ".join(line.split()[:4]) for line in references]
    nearly = [line.replace("o", "e") + "s" for line in references]
    runs = {
        "exact": {1: counts_of(exact, references)},
        "nearly": {1: counts_of(nearly, references)},
    }
    (pair,) = pairs(resampled_scores(runs), runs, over_seeds=True)
    assert (pair.better, pair.worse) == ("exact", "nearly")
    assert pair.by[MAIN].value == pytest.approx(
        scoring.bleu(exact, references) - scoring.bleu(nearly, references)
    )
    gap = scoring.score(exact, references).chrf - scoring.score(nearly, references).chrf
    assert pair.by["chrf"].value == pytest.approx(gap)
    assert pair.is_reversed("chrf") == (gap < 0)
    ter = scoring.score(nearly, references).ter - scoring.score(exact, references).ter
    assert pair.by["ter"].value == pytest.approx(ter)
    found = beyond_noise([pair], "chrf")
    assert (gap < 0) == bool(found)
    assert all(p < 0.05 for p in found.values())


def test_equal_translations_are_no_disagreement() -> None:
    references = ["a b c d e f", "g h i j k"]
    same = counts_of(["a b c d e", "g h j k"], references)
    runs = {"one": {1: same}, "other": {1: same}}
    (pair,) = pairs(resampled_scores(runs), runs, over_seeds=True)
    assert not any(pair.is_reversed(metric) for metric in OTHERS)


def test_noise_is_not_called_disagreement() -> None:
    """Two rows whose few errors differ by chance alone."""
    chance = np.random.default_rng(7)
    references = [" ".join(f"w{chance.integers(50)}" for _ in range(12)) for _ in range(80)]

    def worse() -> list[str]:
        return [
            " ".join(
                w if chance.random() > 0.2 else "x" * int(chance.integers(1, 9)) for w in r.split()
            )
            for r in references
        ]

    runs = {arm: {1: counts_of(worse(), references)} for arm in "abcdef"}
    scored = resampled_scores(runs)
    found = pairs(scored, runs, over_seeds=True)
    assert len(found) == 15
    chosen = with_the_best(scored, runs)
    assert len(chosen) == 5
    for metric in OTHERS:
        assert all(p >= 0.05 for p in beyond_noise(found, metric).values())
        assert all(p >= 0.05 for p in beyond_choice(chosen, scored, metric).values())


def suggested(count: int) -> Runs:
    """Of many rows the one that BLEU puts first, and one that chrF2 puts before it."""
    chance = np.random.default_rng(3)
    words = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")
    references = [" ".join(f"{word * 3}{n}" for word in words) for n in range(60)]
    lines = {
        "t0": [" ".join(line.split()[:4]) for line in references],
        "t1": [" ".join(word[:-1] + "x" for word in line.split()) for line in references],
    }
    for number in range(2, count):
        lines[f"t{number}"] = [
            " ".join(w if chance.random() > 0.4 else "x" for w in line.split()[:3])
            for line in references
        ]
    return {arm: {1: counts_of(texts, references)} for arm, texts in lines.items()}


def test_of_two_suggestions_the_other_metric_s_p_is_that_of_the_pair() -> None:
    runs = suggested(2)
    scored = resampled_scores(runs)
    (pair,) = with_the_best(scored, runs)
    assert (pair.better, pair.is_reversed("chrf")) == ("t0", True)
    assert beyond_choice([pair], scored, "chrf") == {("t0", "t1"): pair.by["chrf"].p}


def test_a_choice_that_another_metric_contradicts_is_told_among_any_number() -> None:
    runs = suggested(60)
    scored = resampled_scores(runs)
    found = with_the_best(scored, runs)
    assert len(found) == 59
    assert all(p >= 0.05 for p in beyond_noise(found, "chrf").values())  # 59 / 1001
    beyond = beyond_choice(found, scored, "chrf")
    assert [pair for pair, p in beyond.items() if p < 0.05] == [("t0", "t1")]


def test_of_a_search_rows_are_held_against_its_best_alone() -> None:
    table = search_table(searched(["score"]))
    arms = [row.arm for row in table.rows if row.runs]
    runs = dict(zip(arms, suggested(len(arms)).values(), strict=True))
    summary, *listed = metrics.sections(table, {"valid": runs})
    counts: Any = summary.content["counts"]
    assert counts["chrf"] == {"pairs": len(arms) - 1, "reversed": 1, "beyond_noise": 1}
    assert f"otherwise? {arms[0]}, which BLEU puts first on valid" in summary.notes[0].text
    assert listed[0].columns[0].cells[0].text == f"{arms[0]} > {arms[1]}"


def test_the_sections_say_how_far_metrics_agree(source: Made, table: Table) -> None:
    read = sentence_counts.of_parts(table, source.trials, source)
    first, *rest = metrics.sections(table, read)
    assert first.content["counts"]["chrf"]["pairs"] == 3
    assert len(rest) == bool(sum(c["reversed"] for c in first.content["counts"].values()))


def test_where_scores_chose_the_seeds_metrics_are_compared_over_sentences(
    source: Made, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = suggested(3)
    runs = {"a": {1: some["t0"][1], 2: some["t1"][1]}, "b": {1: some["t1"][1], 2: some["t2"][1]}}
    scored = resampled_scores(runs)
    test = sentences.compare(scored["a", "chrf"], scored["b", "chrf"])
    found = {over: pairs(scored, runs, over)[0].by["chrf"].p for over in (True, False)}
    assert found == {True: test.p_both, False: test.p}
    assert test.p != test.p_both
    read = sentence_counts.of_parts(table, source.trials, source)
    assert "over seeds and" in metrics.sections(table, read)[0].notes[0].text
    monkeypatch.setattr(Table, "decided", lambda self, row: row is not self.base)
    note = metrics.sections(table, read)[0].notes[0].text
    assert "over resampled sentences, of these very models, since scores chose the seeds" in note


def test_other_tokens_have_sacrebleu_s_scores_in_a_section_of_their_own(
    source: Made, table: Table
) -> None:
    section = tokenizations.section(table, source)
    assert section is not None
    trial = source.trials[0]
    references = source.corpus(trial.config.data).parts["valid"].targets()
    file = source.directory(trial.digest) / "hypotheses" / "valid.txt"
    wanted = scoring.tokenized(file.read_text().split("\n")[:-1], references)
    row = section.content["rows"][0]
    for name, one in wanted.items():
        assert row[name]["values"][0] == pytest.approx(
            float(scoring.bleu_of(np.array(one.sums))), rel=1e-5
        )
        assert section.content["signatures"][name] == one.signature
    assert row["13a"]["values"][0] == pytest.approx(table.rows[0].scores("valid.bleu")[0], rel=1e-5)


def test_trials_that_kept_no_such_sums_have_no_section(tmp_path: Path, monkeypatch) -> None:
    small(monkeypatch)
    found = made(tmp_path, "table3", "grammar", ["base"], [])
    for trial in found.trials:
        file = found.directory(trial.digest) / "scores" / "valid.json"
        content = json.loads(file.read_text())
        del content["tokenized"]
        file.write_text(json.dumps(content))
    table = assembly.build(heading(found), found.trials, found, "valid", known([]))
    assert tokenizations.section(table, found) is None


def test_evidence_names_every_section(source: Made, table: Table) -> None:
    curves = assembly.histories(table, source)
    every = assembly.sections(table, [], curves, {}, source.trials, source)
    assert {one.name for one in every} <= {*SECTIONS}
    assert {"lengths", "extrapolation", "metrics", "tokenizations"} <= {one.name for one in every}
