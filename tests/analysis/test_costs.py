"""The table of training costs."""

from analysis import costs, tables
from analysis.rates import known
from analysis.sections import Section
from analysis.tables import Table
from tests.analysis.example import diverged, heading, run, stored, trials


def table_of(**changes: object) -> Table:
    some = trials("grammar", ["base", "C5"], [1, 2])
    counts = {"base": 2e14, "C5": 5.2e14}
    records = [
        run(t, 30, 2)
        | {"score.cost.flops": counts[t.arm], "score.cost.target_tokens": 1.5e6}
        | {"devices": 2, "device_name": "NVIDIA P100"}
        | changes
        for t in some
    ]
    return tables.build(heading("grammar"), some, stored(records), None, rates=known([]))


def made(table: Table) -> Section:
    found = costs.section(table)
    assert found is not None
    return found


def words(section: Section) -> str:
    return "\n".join(f"{note.text} {note.code}" for note in section.notes)


def test_both_definitions_stand_side_by_side() -> None:
    section = made(table_of())
    cells = {column.name: [cell.text for cell in column.cells] for column in section.columns}
    assert cells["cost.train_seconds"] == ["120", "120"]
    assert cells["cost.device_seconds"] == ["240", "240"]
    assert cells["cost.rated_flops"] == ["2.3·10¹⁵", "2.3·10¹⁵"]  # 120 s x 2 x 9.5e12
    assert cells["cost.flops"] == ["2.0·10¹⁴", "5.2·10¹⁴"]
    assert cells["cost.flops.ratio"] == ["1.00", "2.60"]
    assert "P100 9.5 TFLOPS, Section 6.1, footnote" in words(section)


def test_an_update_and_a_searched_sentence_have_their_milliseconds() -> None:
    table = table_of(**{"score.valid.seconds_per_sentence": 0.0125})
    section = made(table)
    cells = {column.name: [cell.text for cell in column.cells] for column in section.columns}
    assert cells["valid.seconds_per_sentence"] == ["12.5", "12.5"]
    assert cells["cost.train_seconds.per_update"] == [
        f"{120e3 / int(row.settings['train.steps']):.1f}" for row in table.rows
    ]
    without = {c.name: [cell.text for cell in c.cells] for c in made(table_of()).columns}
    assert not {"valid.seconds_per_sentence", "cost.train_seconds.per_update"} & {*without}


def test_costs_are_measures_of_the_table_as_scores_are() -> None:
    base = table_of().base
    assert base.measures["cost.rated_flops"].values == (120 * 2 * 9.5e12,) * 2


def test_costs_of_a_row_of_which_a_seed_diverged_are_marked() -> None:
    section = made(diverged(table_of(**{"score.valid.seconds_per_sentence": 0.0125}), "C5"))
    for column in section.columns[1:]:
        base, c5 = column.cells
        assert (base.text[-1] == "§", c5.text[-1]) == (False, "§")
        assert c5.meaning.endswith("mean of 2 of 3 seeds, seed 9 diverged")


def test_a_device_without_a_rate_is_named_with_the_remedy() -> None:
    section = made(table_of(device_name="AMD EPYC"))
    assert "No rate is stated for AMD EPYC" in words(section)
    assert "ablate report ... --rate 'AMD EPYC=TFLOPS'" in words(section)
    assert section.content["rates"] == []


def test_runs_that_do_not_tell_their_devices_are_counted() -> None:
    section = made(table_of(devices=None))
    assert "4 of 4 runs do not tell their devices; this sends it: ablate sync" in words(section)
    assert [cell.text for cell in section.columns[2].cells] == ["–", "–"]


def test_nothing_run_costs_nothing() -> None:
    some = trials("grammar", ["base"], [1])
    assert costs.section(tables.build(heading("grammar"), some, [], None)) is None
