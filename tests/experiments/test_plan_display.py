"""What a person and a script are told of what a sweep will take."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from experiments import plan_display
from experiments.planning import Outlook, look_ahead
from experiments.sweep import Planned, Root
from lit_transformer.record import MetricsLog
from tests.experiments.test_planning import TWO, finish, remember, seconds
from tests.toy import Toy, documented, write_toy


@pytest.fixture
def planned(tmp_path: Path) -> list[Planned]:
    """Base and A with two seeds: base's shape was measured, and its first trial took an hour."""
    toy: Toy = write_toy(tmp_path / "toy")
    planned = toy.plan(tmp_path, [1, 2])
    remember(planned[0], tmp_path, seconds(150.0))
    finish(planned[0], 3600.0, 3000.0)
    return planned


@pytest.fixture
def outlook(planned: list[Planned], tmp_path: Path) -> Outlook:
    return look_ahead(planned, Root(tmp_path), TWO, None)


def shown(picture: object) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=240)
    console.print(picture, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return [line.split("  ") for line in console.file.getvalue().splitlines()]


def cells(line: list[str]) -> list[str]:
    return [cell.strip() for cell in line if cell.strip()]


def test_an_arm_has_a_line_for_its_trials_to_run(outlook: Outlook) -> None:
    _, base, other = map(cells, shown(plan_display.arms_table(outlook)))
    assert base[:6] == ["base", "1", "40.0 min", "20.0 min to 60.0 min", "40.0 min", "40.0 min"]
    assert other[:7] == ["A", "2", "?", "?", "?", "?", "?"]


def test_finished_trials_stand_beside_their_forecast(outlook: Outlook) -> None:
    _, base = map(cells, shown(plan_display.compared_table(outlook)))
    took = ["60.0 min", "-33%", "40.0 min", "50.0 min", "-20%"]
    assert base == ["base", "1", "40.0 min", "20.0 min to 60.0 min", *took]
    assert outlook.comparison is not None
    told = (
        "forecast of 1 finished trial: 40.0 min (20.0 min to 60.0 min), took 60.0 min: error -33%"
    )
    assert plan_display.compared_line(outlook.comparison) == told


def test_a_comparison_tells_what_other_work_took(planned: list[Planned], tmp_path: Path) -> None:
    curves = MetricsLog(planned[0].record)
    for step, percent in enumerate((30.0, 50.0), start=1):
        curves.add(step, {"system/cpu_utilization_percentage": percent})
    found = look_ahead(planned, Root(tmp_path), TWO, None).comparison
    assert found is not None
    told = plan_display.compared_line(found)
    assert told.endswith("error -33%; the machine was busy: they had 40% of their cores")


def test_what_was_measured_where_is_told(outlook: Outlook, planned: list[Planned]) -> None:
    told = "\n".join(plan_display.lines(outlook))
    assert "the sweep: 40.0 min (20.0 min to 60.0 min), 2 trials at once; 0.667 trial-hours" in told
    assert "measured on here (a core, 1 thread a process, 2 at once), 1970-01-01" in told
    assert "no GPU was measured" in told
    assert "not measured, and in no sum: 2 trials" in told
    assert "busy" not in told


def test_a_busy_machine_is_named(planned: list[Planned], tmp_path: Path) -> None:
    pieces = seconds(150.0).model_copy(update={"core_share": 0.25})
    remember(planned[0], tmp_path, pieces)
    (told,) = [
        line
        for line in plan_display.lines(look_ahead(planned, Root(tmp_path), TWO, None))
        if "busy" in line
    ]
    assert "had 25% of its cores" in told
    assert "the sweep ends in about 10.0 min" in told


def test_nothing_is_told_where_nothing_is_left(planned: list[Planned], tmp_path: Path) -> None:
    found = look_ahead(planned[:1], Root(tmp_path), TWO, None)
    assert plan_display.lines(found) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [(0.4, "0 s"), (89, "89 s"), (90, "1.5 min"), (5_400, "1.5 h"), (172_800, "2.0 d")],
)
def test_durations_are_told_in_the_unit_that_fits(given: float, told: str) -> None:
    assert plan_display.duration(given) == told


@pytest.mark.parametrize(("given", "told"), [(2**20, "1 MiB"), (3 * 2**29, "1.5 GiB")])
def test_sizes_are_told_in_the_unit_that_fits(given: float, told: str) -> None:
    assert plan_display.size(given) == told


def test_every_key_of_the_json_is_documented(outlook: Outlook) -> None:
    made = json.loads(json.dumps(plan_display.plan_json(outlook), allow_nan=False))
    trial, whole, of_trial, measured = documented("ablate plan")
    base, other = made["trials"][0]["forecast"], made["trials"][1]["forecast"]
    assert set(base) == of_trial
    assert set(base["measured"]) == measured
    assert set(made["forecast"]) == whole
    assert trial == {"forecast"}
    assert other is None
    assert base["actual"] == {"seconds": 3600.0, "update_seconds": 3000.0, "core_share": None}
    assert made["forecast"]["comparison"]["error"] == pytest.approx(2400 / 3600 - 1)
