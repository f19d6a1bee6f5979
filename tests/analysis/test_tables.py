"""Which runs count, what a row shows, and what a table says is missing."""

from statistics import stdev
from types import SimpleNamespace
from typing import Any

import pytest

from analysis import published, tables
from analysis.columns import main_columns
from analysis.notes import notes, summary
from analysis.tables import PAPER_KEYS, PERPLEXITY, Table
from experiments.space import SUGGESTED
from lit_transformer.config import RunConfig
from lit_transformer.config_io import Given, build
from tests.analysis.example import SIGNATURE, heading, run, stored, trials

OTHER = SIGNATURE.replace("13a", "intl")


def built(expected: list[Any], records: list[dict[str, object]], setting: str = "grammar") -> Table:
    return tables.build(heading(setting), expected, stored(records), published.load())


def words(table: Table) -> str:
    return "\n".join(f"{note.text} {note.code}" for note in notes(table, spanned=False))


def trial_of(arm: str, **changes: object) -> SimpleNamespace:
    """A trial of a study of one's own."""
    keys = {key.replace("__", "."): Given(value, arm) for key, value in changes.items()}
    return SimpleNamespace(
        **{"arm": arm, "group": "", "label": None, "after": None, "seed": 1},
        **{"config": build(keys), "checksums": {}, "digest": arm},
    )


@pytest.fixture(scope="module")
def twenty() -> Table:
    """Every row of Table 3 in the paper's own setting, nothing run."""
    return built(trials("wmt14-en-de", [], [1]), [], "wmt14-en-de")


def test_mean_and_deviation_over_seeds():
    three = trials("grammar", ["base"], [1, 2, 3])
    table = built(three, [run(t, b, 2.0) for t, b in zip(three, (30, 31, 35), strict=True)])
    measure = table.base.measures["valid.bleu"]
    assert measure.mean == pytest.approx(32)
    assert measure.deviation == pytest.approx(7**0.5)
    # t(2, 0.975) = 4.30265: 32 ± 4.30265 * sqrt(7 / 3)
    assert measure.interval == pytest.approx((32 - 6.57247, 32 + 6.57247), abs=1e-4)


def test_one_seed_has_no_interval_and_the_table_says_so():
    [only] = trials("grammar", ["base"], [1])
    table = built([only], [run(only, 30, 2)])
    assert table.base.measures["valid.bleu"].deviation is None
    assert table.base.measures["valid.bleu"].interval is None
    assert "there is no interval" in words(table)


def test_blank_cells_are_those_of_the_paper(twenty: Table):
    columns = {column.name: column.cells for column in main_columns(twenty)}
    for number, row in enumerate(twenty.rows):
        cells = published.load().table3[row.arm].cells.model_dump()
        for key in PAPER_KEYS:
            printed = cells[key.rpartition(".")[2]]
            shown = columns[key][number]
            assert (shown.text != "") == (printed is not None), (row.arm, key)
            assert printed is None or shown.order == printed, (row.arm, key)


def test_steps_and_rates_look_like_the_papers(twenty: Table):
    columns = {column.name: [cell.text for cell in column.cells] for column in main_columns(twenty)}
    assert columns["train.steps"][0] == "100K"
    assert "0.0" in columns["model.dropout"]


def test_published_differences_are_those_of_the_printed_figures(twenty: Table):
    gains = {row.arm: twenty.paper_difference(row, "bleu") for row in twenty.rows}
    assert gains["C1"] == pytest.approx(-2.1)
    assert gains["big"] == pytest.approx(0.6)


def test_the_papers_own_setting_departs_in_nothing_that_the_paper_fixes(twenty: Table):
    assert not {key for key in twenty.departures if key.startswith(("model.", "data."))}


def test_difference_from_base_is_of_means():
    pair = trials("grammar", ["base", "C1"], [1, 2])
    scores = dict(zip([t.digest for t in pair], (30, 32, 28, 29), strict=True))
    table = built(pair, [run(t, scores[t.digest], 2) for t in pair])
    assert table.difference(table.rows[1], "valid.bleu") == pytest.approx(-2.5)


def test_missing_and_failed_trials_are_named_and_not_averaged():
    four = trials("grammar", ["base", "A1"], [1, 2])
    records = [run(t, 30 + n, 2) for n, t in enumerate(four[:3])]
    records[1] |= {"kind": "failed"}
    table = built(four, records)
    assert table.base.measures["valid.bleu"].values == (30,)
    assert [(arm, slot.seed, slot.state) for arm, slot in table.missing] == [
        ("base", 2, "failed"),
        ("A1", 2, "not run"),
    ]
    seeds = main_columns(table)[-1].cells
    assert [cell.text for cell in seeds] == ["1 of 2, failed 1", "1 of 2, not run 1"]
    assert "ablate sweep table3 --setting grammar --seeds 3" in words(table)


def without_score(record: dict[str, Any]) -> dict[str, Any]:
    scores = {name for name in record if name.startswith("score.")}
    return {name: value for name, value in record.items() if name not in scores} | {
        "kind": "diverged"
    }


def test_what_diverged_is_shown_as_a_result_and_mixed_into_no_mean():
    six = trials("grammar", ["base", "A1", "C1"], [1, 2, 3])
    records = [run(t, 30 + n, 2) for n, t in enumerate(six)]
    lost = (4, 6, 7, 8)  # A1's seed 2, and all of C1
    for place in lost:
        records[place] = without_score(records[place])
    table = built(six, records)
    columns = {column.name: [cell.text for cell in column.cells] for column in main_columns(table)}
    assert columns["valid.bleu"] == ["31.00", "34.00§", "diverged"]
    (scores,) = [column.cells for column in main_columns(table) if column.name == "valid.bleu"]
    assert scores[1].meaning.endswith("; mean of 2 of 3 seeds, seed 2 diverged")
    assert scores[2].meaning == "no finished run; seeds 1, 2, 3 diverged"
    assert columns["difference.bleu"] == ["", "–", "–"]
    assert columns["verdict"] == ["", "diverged", "diverged"]
    assert columns["seeds"] == ["3", "2 of 3, diverged 1", "0 of 3, diverged 3"]
    assert table.missing == ()
    assert "This completes the table" not in words(table)
    assert summary(table).endswith("5 of 9 trials finished, 4 diverged")
    assert "Diverged: A1 seed 2; C1 seed 1; C1 seed 2; C1 seed 3." in words(table)
    assert table.difference(table.rows[1], "valid.bleu") is None


def test_nothing_is_compared_with_a_base_of_which_a_seed_diverged():
    four = trials("grammar", ["base", "A1"], [1, 2])
    records = [run(t, 30 + n, 2) for n, t in enumerate(four)]
    records[0] = without_score(records[0])
    table = built(four, records)
    verdict = table.rows[1].verdict
    assert verdict is not None
    assert (verdict.word, verdict.test) == ("diverged", None)
    assert table.difference(table.rows[1], "valid.bleu") is None


def test_perplexities_of_other_word_pieces_are_said_not_to_compare():
    shared = {"data__corpus": "grammar", "data__max_tokens": 64}
    same, other = trial_of("base", **shared), trial_of("v", **shared, data__vocabulary_size=900)
    table = tables.build(heading("grammar"), [same, other], [], None)
    assert "Rows of other word-pieces than base's do not compare by it." in words(table)
    assert "word-pieces than base" not in words(built(trials("grammar", [], [1]), []))


def test_suggestions_show_all_their_values_and_pruned_ones_are_not_missing():
    best, same, gone = (
        trial_of(arm, model__dropout=value, data__corpus="grammar", data__max_tokens=64)
        for arm, value in (("t2", 0.2), ("t0", 0.2), ("t1", 0.3))
    )
    for trial in (best, same, gone):
        trial.group = SUGGESTED
        trial.config = trial.config.model_copy(
            update={"train": trial.config.train.model_copy(update={"seed": 1})}
        )
    records = [run(best, 30, 2), run(same, 30, 2), run(gone, 0, 0) | {"kind": "pruned"}]
    table = tables.build(heading("grammar"), [best, same, gone], stored(records), None)
    (dropout,) = (column for column in main_columns(table) if column.name == "model.dropout")
    assert [cell.text for cell in dropout.cells] == ["0.2", "0.2", "0.3"]
    assert table.missing == ()
    assert [arm for arm, _ in table.pruned] == ["t1"]
    assert table.finished == 2
    assert "a search's suggestions, best first" in words(table)
    assert "Pruned, without a score and with its curve kept: t1." in words(table)
    listed = tables.build(
        heading("grammar"),
        [SimpleNamespace(**{**vars(gone), "group": "mine"})],
        stored(records[2:]),
        None,
    )
    assert [arm for arm, _ in listed.missing] == ["t1"]  # another study would go on with it


def test_a_table_of_nothing_is_a_table():
    table = built(trials("grammar", [], [1, 2]), [])
    assert table.finished == 0
    assert summary(table) == "20 rows, seeds 1 and 2: 0 of 40 trials finished"
    assert "and 28 more" in words(table)


def test_stale_runs_are_named_and_not_counted():
    [only] = trials("grammar", ["base"], [1])
    stale = run(only, 90, 1) | {"digest": "0" * 16}
    table = built([only], [stale, run(only, 30, 2)])
    assert table.base.measures["valid.bleu"].values == (30,)
    assert "Not counted (stale: the row has another digest now): base seed 1" in words(table)


def test_runs_of_other_rows_and_seeds_are_told_apart():
    base, later, other, _ = trials("grammar", ["base", "A1"], [1, 2])
    table = built([base], [run(base, 30, 2), run(other, 30, 2), run(later, 30, 2)])
    assert [(unused.run.arm, unused.reason) for unused in table.unused] == [
        ("A1", "the table has no such row"),
        ("base", "the table has no such seed"),
    ]


def test_reruns_never_count():
    [only] = trials("grammar", ["base"], [1])
    again = run(only, 90, 1) | {"rerun_of": "base1", "run_id": "z" * 32}
    table = built([only], [run(only, 30, 2), again])
    assert table.base.measures["valid.bleu"].values == (30,)
    assert not table.unused


def test_of_two_runs_of_a_trial_the_finished_one_speaks():
    [only] = trials("grammar", ["base"], [1])
    failed = run(only, 0, 9) | {"kind": "killed", "run_id": "z" * 32}
    assert built([only], [run(only, 30, 2), failed]).base.measures["valid.bleu"].values == (30,)


def test_another_signature_is_never_averaged_into_a_column():
    four = trials("grammar", ["base", "D1"], [1, 2])
    records = [run(t, 30, 2) for t in four]
    records[3] |= {"signature.bleu": OTHER}
    table = built(four, records)
    d1 = table.rows[1]
    assert table.signatures["bleu"] == SIGNATURE
    assert d1.mean("valid.bleu") is None
    assert d1.mean(PERPLEXITY) == 2
    assert table.difference(d1, "valid.bleu") is None
    assert "another bleu signature than the column's: D1 valid.bleu" in words(table)


def test_a_row_of_one_foreign_signature_is_withheld_too():
    pair = trials("grammar", ["base", "A1", "D1"], [1])
    records = [run(t, 30, 2) for t in pair]
    records[2] |= {"signature.bleu": OTHER}
    assert built(pair, records).rows[2].mean("valid.bleu") is None


def test_scores_that_are_not_finite_are_no_scores():
    [only] = trials("grammar", ["base"], [1])
    table = built([only], [run(only, 30, float("inf"))])
    measure = table.base.measures[PERPLEXITY]
    assert (measure.mean, measure.withheld) == (None, "a seed's score is no finite number")


def test_a_seed_without_a_finite_score_flatters_no_row():
    some = trials("grammar", ["base", "A1"], [1, 2, 3])
    records = [run(t, 30 + n, 2) for n, t in enumerate(some)]
    records[-1] |= {"score.valid.bleu": float("nan")}
    table = built(some, records)
    assert table.rows[1].mean("valid.bleu") is None
    assert table.difference(table.rows[1], "valid.bleu") is None
    assert table.rows[1].verdict.word == "no score"
    assert "Not shown, a seed's score is no finite number: A1 valid.bleu." in words(table)


def test_rows_without_base_are_compared_with_the_first_and_it_is_said():
    some = trials("grammar", ["A1", "C1"], [1, 2, 3])
    table = built(some, [run(t, (20 if t.arm == "A1" else 30) + t.seed / 10, 2) for t in some])
    assert table.base_name == "A1"
    text = words(table)
    assert "There is no row base here: rows are compared with A1, the first." in text
    assert "BLEU against A1's, Holm's correction over 1 row" in text
    assert "base's" not in text


def test_other_data_and_sizes_are_said():
    text = words(built(trials("grammar", ["base"], [1]), []))
    assert "Not comparable with ours: other data (corpus grammar" in text
    assert "other sizes (base: N 3" in text


def test_row_e_names_what_no_column_shows():
    text = words(built(trials("grammar", ["base", "E"], [1]), []))
    assert "E: positional embedding instead of sinusoids." in text


def test_a_study_of_ones_own_has_the_columns_that_its_rows_change():
    mine = [trial_of("base"), trial_of("plain", model__attention="unscaled"), trial_of("two")]
    mine[2].config = RunConfig.model_validate({"model": {"heads": 2}})
    table = tables.build(heading("mine"), mine, stored([]), None)
    assert table.keys == ("model.heads", "model.attention")
    assert {column.name for column in main_columns(table)}.isdisjoint({"paper.bleu", "paper.ppl"})
    cells = {column.name: [c.text for c in column.cells] for column in main_columns(table)}
    assert cells["model.attention"] == ["scaled", "unscaled", ""]
    assert cells["model.heads"] == ["8", "", "2"]


def test_without_trials_there_is_no_table():
    with pytest.raises(ValueError, match="lists no trial"):
        built([], [])


def test_commits_that_differ_and_changes_that_were_not_committed_are_said():
    two = trials("grammar", ["base"], [1, 2])
    records = [run(t, 30, 2) for t in two]
    records[0] |= {"commit": "a" * 40, "dirty": True}
    text = words(built(two, records))
    assert "of 2 commits" in text
    assert "1 run with changes that were not committed" in text


def test_deviation_is_that_of_a_sample():
    values = (30.0, 31.5, 29.0)
    three = trials("grammar", ["base"], [1, 2, 3])
    table = built(three, [run(t, v, 2) for t, v in zip(three, values, strict=True)])
    assert table.base.measures["valid.bleu"].deviation == pytest.approx(stdev(values))
