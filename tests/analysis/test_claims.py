"""The paper's sentences as tests of runs whose truth is known."""

from collections.abc import Mapping, Sequence

import pytest
from scipy import stats

from analysis import claims, published, tables
from analysis.claims import Finding
from tests.analysis.example import diverged, heading, run, stored, trials

FIGURES = published.load()
PRINTED = {arm: row.bleu for arm, row in FIGURES.table3.rows.items()}
NOISE = (-0.05, -0.02, 0.0, 0.02, 0.05)


def seeds(means: Mapping[str, float]) -> dict[str, list[float]]:
    """Five seeds around each mean, another order for each arm."""
    return {
        arm: [mean + NOISE[(place * shift + 1) % 5] for place in range(5)]
        for shift, (arm, mean) in zip([1, 2, 3, 4] * 5, means.items(), strict=False)
    }


def outcomes(scores: Mapping[str, Sequence[float]]) -> dict[str, str]:
    found = claims.find(FIGURES.claims, scores, PRINTED, 0.5)
    return {finding.name: finding.outcome for finding in found}


def named(scores: Mapping[str, Sequence[float]], name: str) -> Finding:
    found = claims.find(FIGURES.claims, scores, PRINTED, 0.5)
    return next(finding for finding in found if finding.name == name)


def test_runs_that_score_as_the_paper_printed_contradict_bigger_is_better_in_c3_alone():
    found = outcomes(seeds(PRINTED))
    assert found == {
        "single-head": "supported",
        "many-heads": "supported",
        "key-size": "supported",
        "size": "contradicted",
        "dropout": "supported",
        "positions": "supported",
    }
    assert named(seeds(PRINTED), "size").printed == (6, 7)
    assert outcomes(seeds(PRINTED | {"C3": 26.5}))["size"] == "supported"


def test_runs_in_the_opposite_order_contradict():
    found = outcomes(seeds({arm: 51.6 - bleu for arm, bleu in PRINTED.items()} | {"E": 27.0}))
    assert {name for name, outcome in found.items() if outcome == "contradicted"} == {*found}


def test_one_seed_decides_nothing():
    assert {*outcomes({arm: [bleu] for arm, bleu in PRINTED.items()}).values()} == {"undecided"}


def test_what_was_not_run_supports_nothing_that_needs_all_rows():
    scores = seeds({"base": 25.8, "B1": 25.1, "A1": 24.9})
    assert outcomes(scores)["key-size"] == "undecided"
    assert outcomes(scores)["single-head"] == "supported"
    assert named(scores, "key-size").pairs[1].difference is None


def test_worse_than_the_best_needs_one_better_row():
    scores = seeds({"A1": 25.0, "base": 24.0, "A2": 26.0, "A3": 24.5, "A4": 24.0})
    assert outcomes(scores)["single-head"] == "supported"
    assert outcomes(scores | {"A2": scores["A4"]})["single-head"] == "contradicted"


def test_a_difference_within_the_margin_and_one_across_it():
    assert outcomes(seeds({"base": 25.8, "E": 26.1}))["positions"] == "supported"
    assert outcomes(seeds({"base": 25.8, "E": 26.3}))["positions"] == "undecided"


def test_every_sentence_speaks_of_rows_that_the_paper_has():
    for claim in FIGURES.claims.values():
        assert {arm for pair in claim.pairs for arm in pair} <= {*FIGURES.table3.rows}
        assert claim.place
        assert claim.editions


def test_the_section_shows_sentences_of_which_two_rows_were_run():
    some = trials("grammar", ["base", "D1", "E"], [1, 2, 3])
    scores = {"base": 30.0, "D1": 27.0, "E": 30.1}
    records = [run(t, scores[t.arm] + t.seed / 100, 2.0) for t in some]
    table = tables.build(heading("grammar"), some, stored(records), FIGURES)
    section = claims.section(table, FIGURES)
    assert section is not None
    shown = {column.name: [cell.text for cell in column.cells] for column in section.columns}
    assert shown["claim"] == ["dropout", "positions"]
    assert shown["outcome"] == ["supported", "supported"]
    assert shown["printed"] == ["1 of 1 pairs", "1 of 1 pairs"]
    text = " ".join(note.text for note in section.notes)
    assert "Section 6.2; D1 less base -3.00, p < 0.001" in text
    assert "over 3 rows" in text
    assert claims.section(tables.build(heading("grammar"), some, [], FIGURES), FIGURES) is None


def test_a_row_of_which_a_seed_diverged_is_not_called_unrun():
    some = trials("grammar", ["base", "A1", "A2", "A3", "A4"], [1, 2, 3])
    records = [run(t, 30.0 + t.seed / 100, 2.0) for t in some]
    table = diverged(tables.build(heading("grammar"), some, stored(records), FIGURES), "A4")
    section = claims.section(table, FIGURES)
    assert section is not None
    text = " ".join(note.text for note in section.notes)
    assert "A4: a seed diverged" in text
    assert "not run" not in next(n.text for n in section.notes if "A4: a seed" in n.text)


def test_ranks_are_spearmans():
    ours = {arm: {1: bleu + shift} for shift, (arm, bleu) in enumerate(PRINTED.items())}
    found = claims.ranks(ours, PRINTED)
    assert found is not None
    theirs = stats.spearmanr([ours[arm][1] for arm in PRINTED], [*PRINTED.values()])
    assert found.of_means == pytest.approx(theirs.statistic)
    assert found.rows == 20


def test_the_papers_own_order_ranks_as_one_and_each_seed_by_itself():
    ours = {arm: {1: bleu, 2: -bleu, 5: bleu * 9} for arm, bleu in PRINTED.items()}
    found = claims.ranks(ours, PRINTED)
    assert found is not None
    assert (found.of_means, *found.of_seeds) == pytest.approx((1, 1, -1, 1))


def test_an_order_by_single_seeds_is_of_seeds_that_all_rows_have():
    ours = {arm: {1: bleu, 2: -bleu} for arm, bleu in PRINTED.items()}
    ours["A1"] = {2: -PRINTED["A1"], 3: 1000.0}
    found = claims.ranks(ours, PRINTED)
    assert found is not None
    assert found.of_seeds == pytest.approx((-1,))


def test_too_few_rows_have_no_order():
    assert claims.ranks({"base": {1: 1.0}, "A1": {1: 2.0}}, PRINTED) is None
    assert claims.ranks({arm: {1: 1.0} for arm in PRINTED}, PRINTED) is None
