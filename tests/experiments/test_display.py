"""What a person and a script are told of a sweep."""

import io
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from experiments import display
from experiments.description import Identity
from experiments.sweep import Planned
from tests.toy import Toy, documented, write_toy


@pytest.fixture
def planned(tmp_path: Path) -> Iterator[list[Planned]]:
    """Finished, failed, running (its claim is held here) and waiting."""
    toy: Toy = write_toy(tmp_path / "toy")
    finished, failed, running, waiting = toy.plan(tmp_path, [1, 2])
    finished.record.start_attempt({})
    finished.record.write_json("result.json", {"scores": {}})
    failed.record.end_attempt(failed.record.start_attempt({}), "failed", "ValueError: [no]")
    claim = running.record.claim()
    assert claim is not None
    running.record.start_attempt({})
    running.record.show_progress("training", 3, 16)
    yield [finished, failed, running, waiting]
    os.close(claim)


def shown(picture: object, width: int = 200) -> list[list[str]]:
    """The words of each line."""
    console = Console(file=io.StringIO(), width=width)
    console.print(picture, highlight=False)
    assert isinstance(console.file, io.StringIO)
    return [line.split() for line in console.file.getvalue().splitlines()]


def test_a_plan_has_a_line_for_each_trial(planned: list[Planned]) -> None:
    first, second, third, fourth = shown(display.plan_table(planned))[1:]
    digest = planned[0].trial.digest
    cost = [f"{planned[0].parameters:,}", f"{planned[0].flops:.2e}"]
    assert first == ["base", "1", *cost, digest, "finished"]
    assert second[-3:] == ["failed:", "ValueError:", "[no]"]
    assert (third[-1], fourth[-1]) == ("running", "waiting")


def test_a_plan_shows_devices_where_a_trial_has_several(tmp_path: Path) -> None:
    toy = write_toy(tmp_path / "toy")
    one, two = toy.plan(tmp_path, [1], ["base"]), toy.plan(tmp_path, [2], [], ["train.devices=2"])
    head, *rows = shown(display.plan_table([*one, *two]))
    assert [row[head.index("devices")] for row in rows] == ["1", "2", "2"]
    assert "devices" not in shown(display.plan_table(one))[0]


def test_a_status_says_reason_progress_and_log(planned: list[Planned]) -> None:
    rows = shown(display.status_table(planned), width=400)[1:]
    logs = [str(item.record.log) for item in planned]
    assert rows == [
        ["base", "1", "finished", "1", logs[0]],
        ["A", "1", "failed", "1", "ValueError:", "[no]", logs[1]],
        ["base", "2", "running", "1", "training", "3/16", logs[2]],
        ["A", "2", "waiting", "0"],
    ]


def test_a_summary_counts_what_is_left(planned: list[Planned]) -> None:
    left = sum(item.flops for item in planned[1:])
    expected = f"4 trials: 1 done, 3 to run, {left:.2e} operations"
    assert display.plan_summary(planned) == expected


def test_a_trial_that_diverged_is_not_left_to_run(planned: list[Planned]) -> None:
    waiting = planned[3].record
    waiting.end_attempt(waiting.start_attempt({}), "diverged", "train.loss is nan")
    told = display.plan_summary(planned)
    assert told.startswith("4 trials: 1 done, 1 diverged (a result: `ablate rerun DIGEST`")
    assert ", 2 to run, " in told


def test_stale_trials_are_named_and_the_rest_is_counted() -> None:
    stale = [Identity("tiny", "toy", "A", "A", seed, f"d{seed}") for seed in range(14)]
    assert display.stale_note(stale[:1]).endswith("not counted: A seed 0 (digest d0)")
    assert display.stale_note(stale).endswith("A seed 11 (digest d11) and 2 more")


def test_a_tree_is_drawn_with_its_root_on_top() -> None:
    drawn = display.drawn_tree("(S (NP (DT the) (NN dog)) (VP (VBZ barks)))").splitlines()
    assert drawn[0].split() == ["S"]
    assert drawn[-1].split() == ["the", "dog", "barks"]


def test_trials_of_another_process_are_told_of(planned: list[Planned]) -> None:
    assert display.elsewhere(planned).startswith("1 trial is being trained by another process")
    assert display.elsewhere(planned[:2]) == ""


def test_the_object_has_the_keys_of_its_page(planned: list[Planned]) -> None:
    stale = [Identity("tiny", "toy", "A", "A", 1, "d")]
    made = json.loads(json.dumps(display.status_json(planned, stale), allow_nan=False))
    whole, each, _ = documented("--dry-run --json")
    (beside,) = documented("ablate status")
    assert set(made) == whole | beside
    assert made["stale"] == [{"arm": "A", "seed": 1, "digest": "d"}]
    assert all(set(trial) == each for trial in made["trials"])
    kinds = [trial["kind"] for trial in made["trials"]]
    assert kinds == ["finished", "failed", "running", "waiting"]
    assert made["trials"][1]["reason"] == "ValueError: [no]"
    assert [trial["progress"] is None for trial in made["trials"]] == [True, True, False, True]
    assert made["trials"][2]["progress"]["done"] == 3


def test_old_and_new_stand_side_by_side() -> None:
    table = display.comparison({"a": 1.5, "b": math.inf}, {"a": 1.25, "c": 2.0})
    assert isinstance(table, Table)
    assert shown(table)[1:] == [
        ["a", "1.5", "1.25", "-0.25"],
        ["b", "inf", "nan", "+nan"],
        ["c", "nan", "2", "+nan"],
    ]


def test_without_a_terminal_progress_is_a_line_now_and_then(
    planned: list[Planned], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), width=40)
    with display.Screen(console) as screen:
        for second in range(0, 100, 5):
            now[0] = 1000.0 + second
            screen.show(planned, [planned[2].trial.digest])
        screen.say("finished [x] and a text that is longer than forty characters")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[:-1] == ["running   tiny/base seed 2: training 3/16"] * 2
    assert lines[-1] == "finished [x] and a text that is longer than forty characters"


def test_a_terminal_shows_the_whole_and_each_trial(planned: list[Planned]) -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    with display.Screen(console) as screen:
        screen.show(planned, [item.trial.digest for item in planned[2:]])
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "1 of 4 trials" in text
    assert "training 3/16" in text
    assert "starting" in text


@pytest.mark.parametrize("width", [30, 60, 80, 400])
def test_columns_are_what_rich_draws(planned: list[Planned], width: int) -> None:
    table = display.status_table(planned)
    table.add_row("界", "[b]", "", "17", "", "a place")

    def drawn(picture: object) -> str:
        console = Console(file=io.StringIO(), width=width)
        console.print(picture)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    assert drawn(table) == drawn(table._wrapped())
