"""A walk of rows: what every single change is worth, against the row before it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from analysis import steps, tables
from analysis.counting import ExpectedTrial
from analysis.decisions import Decision, Decisions
from analysis.sequential import Design
from analysis.significance import holm, welch
from analysis.tables import Table
from lit_transformer.config_io import Given, build
from tests.analysis.example import heading, run, stored

SHARED = {"data.corpus": "grammar", "data.max_tokens": 64}
WALK = {
    "base": (None, {}),
    "norm": ("base", {"model.norm": "pre"}),
    "rate": ("norm", {"model.norm": "pre", "optim.rate_factor": 2.0}),
    "back": ("rate", {"optim.rate_factor": 2.0}),
}
SCORES = {
    "base": (30.0, 31.0, 32.0),
    "norm": (33.0, 35.0, 34.0),
    "rate": (33.5, 34.0, 34.5),
    "back": (40.0, 41.0, 39.0),
}


def expected(arm: str, seed: int) -> Any:
    after, changes = WALK[arm]
    config = build({key: Given(value, arm) for key, value in {**SHARED, **changes}.items()})
    return SimpleNamespace(
        **{"arm": arm, "group": "", "label": arm.title(), "after": after, "seed": seed},
        **{"config": config, "checksums": {}, "digest": f"{arm}{seed}"},
    )


def built(arms: list[str], lost: tuple[str, ...] = ()) -> Table:
    trials: list[ExpectedTrial] = [expected(arm, seed) for arm in arms for seed in (1, 2, 3)]
    records = [run(trial, SCORES[trial.arm][trial.seed - 1], 2.0) for trial in trials]  # type: ignore[arg-type]
    for record in records:
        if f"{record['arm']}{record['seed']}" in lost:
            record["kind"] = "diverged"
    return tables.build(heading("grammar"), trials, stored(records), None)


def cells(table: Table) -> dict[str, list[str]]:
    section = steps.section(table)
    assert section is not None
    return {column.name: [cell.text for cell in column.cells] for column in section.columns}


def test_each_row_is_compared_with_the_one_that_it_goes_on_from() -> None:
    found = cells(built([*WALK]))
    assert found["arm"] == [*WALK]
    assert found["step"] == ["", "+3.00", "0.00", "+6.00"]
    assert found["change"] == ["Base", "norm pre", "rate_factor 2.0", "norm post"]
    assert found["score"] == ["31.00", "34.00", "34.00", "40.00"]


def test_steps_are_tested_and_corrected_among_themselves() -> None:
    section = steps.section(built([*WALK]))
    assert section is not None
    rows: Any = section.content["rows"]
    alone = {
        arm: welch(SCORES[arm], SCORES[before]).p  # type: ignore[union-attr]
        for arm, (before, _) in WALK.items()
        if before is not None
    }
    corrected = holm(alone)
    for row in rows:
        assert row["verdict"]["p"] == pytest.approx(corrected[row["arm"]], rel=1e-5)
        assert row["after"] == WALK[row["arm"]][0]
    assert rows[2]["changed"] == {"model.norm": "post"}
    assert "corrected over 3 steps, level 5 %" in section.notes[0].text


def test_the_steps_add_up_to_the_whole() -> None:
    section = steps.section(built([*WALK]))
    assert section is not None
    assert "From base to back: +9.00 BLEU; the steps between add up to it." in section.notes[1].text


def test_a_row_that_diverged_has_no_step_to_it_and_none_from_it() -> None:
    section = steps.section(built([*WALK], ("rate2",)))
    found = cells(built([*WALK], ("rate2",)))
    assert found["step"] == ["", "+3.00", "–", "–"]
    assert found["verdict"][2:] == ["diverged", "diverged"]
    assert section is not None
    assert section.notes[1].text == "From base to back: +9.00 BLEU."  # not all steps are known


def test_rows_whose_seeds_scores_have_chosen_are_not_tested_again() -> None:
    decided = Decisions(
        **{"study": "walk", "version": 1, "setting": "grammar", "measure": "valid.bleu"},
        **{"base": "base", "design": Design(1, 3, None)},
        given={arm: tuple(f"{arm}{seed}" for seed in (1, 2, 3)) for arm in ("base", "rate")},
        rows=(Decision("rate", "better", 3, 3.0, 1.0, 5.0, ""),),
    )
    table = replace(built([*WALK]), sequential=(decided,))
    section = steps.section(table)
    assert section is not None
    found = cells(table)
    assert found["step"] == ["", "+3.00", "0.00", "+6.00"]
    assert [bool(word) for word in found["verdict"]] == [False, True, False, False]
    rows: Any = section.content["rows"]
    assert [row["verdict"] is None for row in rows] == [False, True, True]
    assert "corrected over 1 step, level 5 %" in section.notes[0].text
    assert "until decided have no test" in section.notes[0].text


def test_a_walk_that_is_not_whole_begins_where_it_can() -> None:
    assert cells(built(["base", "rate", "back"]))["arm"] == ["rate", "back"]


def test_without_a_walk_there_is_no_section() -> None:
    assert steps.section(built(["base"])) is None
    assert steps.section(built(["base", "back"])) is None
