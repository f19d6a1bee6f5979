"""Seeds until decided, with real trials of a made-up study and a runner that knows their scores."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis import columns, decisions, notes, runs, tables
from analysis.deciding import Deciding, recomputed
from analysis.decisions import Decisions
from analysis.tables import Heading
from experiments import sweep
from experiments.study import Trial
from experiments.sweep import Planned, Root
from experiments.worker import Job
from lit_transformer.config_io import ConfigError
from lit_transformer.record import Record, RecordError
from tests.experiments.test_sweep import Runner, Watcher
from tests.toy import PAGE, Toy, documented, write_toy

MOST = 8
ROWS = """\
name: tiny
version: 1
description: Rows that tell at once, late, and never.
rows:
  - {id: base}
  - {id: far, set: {model.heads: 1}}
  - {id: near, set: {model.dropout: 0.2}}
  - {id: like, set: {model.dropout: 0.3}}
"""
SPREAD = (0.0, 0.3, -0.3, 0.2, -0.2, 0.1, -0.1, 0.0)
"""About an arm's mean, by seed."""
MEANS = {"base": 30.0, "far": 20.0, "near": 30.7, "like": 30.05}


def score(trial: Trial) -> float:
    bend = -1 if trial.arm == "base" else 1  # so that a row is not base moved
    return MEANS[trial.arm] + bend * SPREAD[trial.seed - 1]


class Scripted(Runner):
    """Finishes a trial with its score; `stop_after` so many, the sweep is killed."""

    def __init__(self, trials: Mapping[str, Trial], ends: Mapping[str, Any]) -> None:
        super().__init__(ends)
        self.trials = trials
        self.stop_after = 10_000

    def _end(self, job: Job) -> sweep.Ended:
        if len(self.order) > self.stop_after:
            raise SystemExit("killed")
        ended = super()._end(job)
        record = Record(job.directory)
        if record.result_file.exists():
            scores = {"valid.perplexity": 4.0, "cost.total_seconds": 1.0}
            record.write_json(
                "result.json", {"scores": {"valid.bleu": score(self.trials[job.digest]), **scores}}
            )
        return ended


class World:
    """The study under one root."""

    def __init__(self, folder: Path) -> None:
        self.toy: Toy = write_toy(folder / "toy")
        self.toy.study.write_text(ROWS)
        self.root = folder
        self.trials = self.toy.trials(range(1, MOST + 1))
        self.by_digest = {trial.digest: trial for trial in self.trials}

    def deciding(self, margin: float | None = None, most: int = MOST) -> Deciding:
        some = [trial for trial in self.trials if trial.seed <= most]
        return Deciding(some, "valid", most, margin, self.root)

    def sweep(
        self, deciding: Deciding, stop_after: int = 10_000, ends: Mapping[str, Any] | None = None
    ) -> tuple[list[Planned], Scripted, Watcher]:
        """As the command does it."""
        place, watcher = Root(self.root), Watcher()
        planned = sweep.grown(
            sweep.plan(deciding.first, place), place, deciding, watcher.said.append
        )
        deciding.begin()
        runner = Scripted(self.by_digest, ends or {})
        runner.stop_after = stop_after
        done = sweep.run(planned, place, runner, watcher, watcher, deciding)
        return done, runner, watcher

    def record(self) -> dict[str, Any]:
        (place,) = (self.root / "mlruns" / "sequential" / "tiny" / "toy").iterdir()
        found: dict[str, Any] = json.loads(place.read_text())
        return found

    def names(self, digests: list[str]) -> list[str]:
        return [f"{self.by_digest[d].arm}{self.by_digest[d].seed}" for d in digests]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def trained(planned: list[Planned]) -> dict[str, int]:
    return {
        arm: max(item.trial.seed for item in planned if item.trial.arm == arm)
        for arm in {item.trial.arm for item in planned}
    }


# A sweep


def test_seeds_go_where_they_can_change_a_verdict(world: World) -> None:
    planned, runner, _ = world.sweep(world.deciding())
    assert trained(planned) == {"base": 8, "far": 3, "near": 8, "like": 5}
    assert len(runner.order) == len(set(runner.order)) == len(planned) == 24
    found = {row["arm"]: (row["verdict"], row["seeds"]) for row in world.record()["rows"]}
    assert found == {"far": ("worse", 3), "near": ("better", 8), "like": ("undecided", 5)}


def test_a_margin_lets_rows_be_the_same(world: World) -> None:
    world.sweep(world.deciding(margin=0.5))
    found = {row["arm"]: row["verdict"] for row in world.record()["rows"]}
    assert found == {"far": "worse", "near": "better", "like": "same"}


def test_every_look_is_told_with_its_reasons(world: World) -> None:
    _, _, watcher = world.sweep(world.deciding())
    told = [line for line in watcher.said if not line.startswith("finished")]
    kinds = [line.split(maxsplit=1)[0] for line in told]
    first, second = ["far", "near", "like", "next"], ["near", "like", "next"]
    assert kinds == [*first, *second, "near", "decided"]
    assert told[0].startswith("far       -10.00 (")
    assert told[0].endswith("after 3 seeds, worse")
    assert "not decided yet; by 8 seeds the chance of a verdict is" in told[1]
    assert told[3] == "next      seeds 4 and 5 of base, near and like"
    assert "cannot tell within 8 seeds: the chance of a verdict was" in told[5]
    assert told[6] == "next      seeds 6, 7 and 8 of base and near"
    assert told[-1] == "decided   as far as it can be: 24 of 32 trials"


@pytest.mark.parametrize("stop_after", [0, 6, 12, 13, 21])
def test_a_sweep_that_was_killed_goes_on_and_repeats_nothing(
    world: World, tmp_path: Path, stop_after: int
) -> None:
    first = World(tmp_path / "undisturbed")
    first.sweep(first.deciding())
    with pytest.raises(SystemExit):
        world.sweep(world.deciding(), stop_after=stop_after)
    over = {
        item.trial.digest
        for item in sweep.plan(world.trials, Root(world.root))
        if item.state.is_over
    }
    planned, runner, watcher = world.sweep(world.deciding())
    assert not over & {*runner.order}
    assert trained(planned) == {"base": 8, "far": 3, "near": 8, "like": 5}
    assert world.record()["rows"] == first.record()["rows"]
    assert len(set(watcher.watched)) == len(planned)


def test_once_decided_the_same_command_runs_nothing(world: World) -> None:
    world.sweep(world.deciding())
    before = world.record()
    planned, runner, watcher = world.sweep(world.deciding())
    assert (runner.order, len(planned)) == ([], 24)
    assert world.record() == before
    assert sum(line.startswith("decided") for line in watcher.said) == 1


def test_scores_that_are_there_already_are_looked_at_as_if_they_came_now(world: World) -> None:
    """As they would be after a sweep with a fixed number of seeds."""
    fixed = sweep.plan(world.trials, Root(world.root))
    sweep.run(fixed, Root(world.root), Scripted(world.by_digest, {}), Watcher(), Watcher())
    planned, runner, _ = world.sweep(world.deciding())
    assert (runner.order, trained(planned)["far"]) == ([], 3)
    assert world.record()["rows"][0]["seeds"] == 3


def test_rows_are_compared_on_the_score_that_the_study_is_read_for(world: World) -> None:
    asked = Deciding(world.trials, "test.averaged", MOST, None, world.root)
    assert asked.found.measure == "test.averaged.bleu"


# Trials that end badly


def test_an_arm_of_which_a_seed_diverged_gets_no_verdict_and_no_further_seeds(world: World) -> None:
    lost = next(t for t in world.trials if (t.arm, t.seed) == ("near", 4))
    planned, _, watcher = world.sweep(world.deciding(), ends={lost.digest: "diverged"})
    assert trained(planned) == {"base": 5, "far": 3, "near": 5, "like": 5}
    row = world.record()["rows"][1]
    assert (row["verdict"], row["reason"]) == ("undecided", "near seed 4 diverged")
    assert any(
        line.endswith("cannot tell within 8 seeds: near seed 4 diverged") for line in watcher.said
    )


def test_without_a_score_of_base_no_open_row_can_be_told(world: World) -> None:
    lost = next(t for t in world.trials if (t.arm, t.seed) == ("base", 2))
    planned, _, _ = world.sweep(world.deciding(), ends={lost.digest: "diverged"})
    assert len(planned) == 12
    assert {row["reason"] for row in world.record()["rows"]} == {"base seed 2 diverged"}


def test_a_failed_trial_keeps_back_its_row_alone_until_it_is_tried_again(world: World) -> None:
    lost = next(t for t in world.trials if (t.arm, t.seed) == ("far", 2))
    planned, _, watcher = world.sweep(world.deciding(), ends={lost.digest: "bad_configuration"})
    assert trained(planned) == {"base": 8, "far": 3, "near": 8, "like": 5}
    assert world.record()["rows"][0]["verdict"] == "open"
    assert watcher.said[-1] == (
        "waits     for far seed 2 (bad_configuration); the same command tries again"
    )
    _, runner, _ = world.sweep(world.deciding())
    assert world.names(runner.order) == ["far2"]
    assert world.record()["rows"][0]["verdict"] == "worse"


# The record


def test_the_record_has_the_keys_of_its_page(world: World) -> None:
    world.sweep(world.deciding())
    whole, each = documented("mlruns/sequential", PAGE.with_name("until-decided.md"))
    found = world.record()
    assert (set(found), set(found["rows"][0])) == (whole, each)
    assert world.names(found["given"]["far"]) == ["far1", "far2", "far3"]


def test_the_design_is_written_before_the_first_trial(world: World) -> None:
    with pytest.raises(SystemExit):
        world.sweep(world.deciding(margin=0.5), stop_after=0)
    found = world.record()
    assert (found["rows"], found["margin"], found["most_seeds"]) == ([], 0.5, MOST)


@pytest.mark.parametrize(("margin", "most"), [(0.7, 8), (None, 8), (0.5, 5)])
def test_another_design_is_refused_once_scores_may_be_known(
    world: World, margin: float | None, most: int
) -> None:
    world.deciding(margin=0.5).begin()
    with pytest.raises(
        ConfigError, match=r"begun with --until decided --most-seeds 8 --margin 0.5"
    ):
        world.deciding(margin, most)
    world.deciding(margin=0.5)


def test_other_rows_are_another_sweep(world: World) -> None:
    world.deciding(margin=0.5).begin()
    some = [trial for trial in world.trials if trial.arm in ("base", "far")]
    Deciding(some, "valid", MOST, None, world.root).begin()
    assert len([*(world.root / "mlruns" / "sequential" / "tiny" / "toy").iterdir()]) == 2


def test_what_is_only_planned_is_not_written(world: World) -> None:
    place = Root(world.root)
    sweep.grown(sweep.plan(world.deciding().first, place), place, world.deciding(), print)
    assert not place.mlruns.exists()


@pytest.mark.parametrize(
    "harm",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        '"rows": 3',
        '"verdict": "sure"',
        '"given": []',
        '"comparisons": 0',
    ],
)
def test_a_damaged_record_is_named_with_its_remedy(world: World, harm: str) -> None:
    world.sweep(world.deciding())
    (place,) = (world.root / "mlruns" / "sequential" / "tiny" / "toy").iterdir()
    whole = json.loads(place.read_text())
    match harm:
        case '"rows": 3':
            harm = json.dumps({**whole, "rows": 3})
        case '"verdict": "sure"':
            harm = json.dumps({**whole, "rows": [{**whole["rows"][0], "verdict": "sure"}]})
        case '"given": []':
            harm = json.dumps({**whole, "given": []})
        case '"comparisons": 0':
            harm = json.dumps({**whole, "comparisons": 0})
    place.write_text(harm)
    with pytest.raises(RecordError, match=r"sequential/tiny/toy/\w+\.json: is damaged; delete it"):
        decisions.read(world.root, "tiny", "toy", world.trials)


def test_one_row_alone_is_nothing_to_compare(world: World) -> None:
    with pytest.raises(ConfigError, match="base is alone"):
        Deciding([t for t in world.trials if t.arm == "base"], "valid", MOST, None, world.root)


# Verdicts recomputed, for `ablate verify`


def swept_again(world: World, **ends: Any) -> tuple[Decisions, list[Planned]]:
    planned, *_ = world.sweep(world.deciding(margin=0.5), ends=ends)
    (stored,) = decisions.read(world.root, "tiny", "toy", world.trials)
    return stored, planned


def test_verdicts_follow_from_the_trials_scores(world: World) -> None:
    stored, planned = swept_again(world)
    assert decisions.parse(decisions.as_object(stored)) == stored
    assert recomputed(stored, planned) == stored
    wrong = [row._replace(verdict="better", low=0.1) for row in stored.rows]
    assert recomputed(replace(stored, rows=tuple(wrong)), planned) == stored
    early = [row._replace(seeds=3, verdict="same") for row in stored.rows]
    assert recomputed(replace(stored, rows=tuple(early)), planned) == stored


def test_a_row_without_its_trials_is_taken_as_it_stands(world: World) -> None:
    stored, planned = swept_again(world)
    some = [item for item in planned if item.trial.arm != "near"]
    wrong = [row._replace(verdict="worse") for row in stored.rows]
    again = recomputed(replace(stored, rows=tuple(wrong)), some)
    assert [row.verdict for row in again.rows] == ["worse", "worse", "same"]


@pytest.mark.parametrize("end", ["finished", "diverged"])
def test_a_row_between_two_looks_stands_as_at_the_first(world: World, end: str) -> None:
    """Its trials of the next look are over, and those of other rows are not yet."""
    with pytest.raises(SystemExit):
        world.sweep(world.deciding(margin=0.5), stop_after=12)
    (stored,) = decisions.read(world.root, "tiny", "toy", world.trials)
    standing = {row.arm: (row.verdict, row.seeds) for row in stored.rows}
    assert standing == {"far": ("worse", 3), "near": ("open", 3), "like": ("open", 3)}
    some = [t for t in world.trials if t.arm in ("base", "near") and t.seed in (4, 5)]
    planned = sweep.plan(some, Root(world.root))
    ends = {trial.digest: end for trial in some if trial.arm == "near"}
    runner = Scripted(world.by_digest, ends if end == "diverged" else {})
    sweep.run(planned, Root(world.root), runner, Watcher(), Watcher())
    assert all(item.state.is_over for item in planned)
    assert recomputed(stored, sweep.plan(world.trials, Root(world.root))) == stored


def test_a_row_that_lost_a_seed_stays_undecided(world: World) -> None:
    lost = next(t for t in world.trials if (t.arm, t.seed) == ("near", 4))
    stored, planned = swept_again(world, **{lost.digest: "diverged"})
    Record(Root(world.root).trial(lost.digest)).attempts.unlink()  # as evidence has it
    assert recomputed(stored, planned) == stored


# The table


def test_a_table_says_how_its_seeds_were_given_and_what_was_decided(world: World) -> None:
    world.sweep(world.deciding(margin=0.5))
    trials = decisions.asked(
        decisions.read(world.root, "tiny", "toy", world.trials), world.trials, world.root
    )
    heading = Heading("tiny", "1", "toy", "", "ablate sweep", {})
    found = decisions.read(world.root, "tiny", "toy", trials)
    made = tables.build(heading, trials, list[runs.Found](), None, sequential=found)
    told = [note.text for note in notes.notes(made, spanned=False)]
    assert "over each row's own seeds" in told[0]
    assert "Seeds were given sequentially, until decided: BLEU of 3 rows against base" in told[1]
    assert "looks at 3, 5 and 8 seeds" in told[1]
    assert told[2].startswith("Better: near +0.70 (")
    assert told[3].startswith("Worse: far -10.00 (")
    assert told[3].endswith("3 seeds.")
    assert [len(row.slots) for row in made.rows] == [8, 3, 8, 8]
    (column,) = (one for one in columns.main_columns(made) if one.kind == "verdict")
    assert [cell.text for cell in column.cells] == ["", "worse", "better", "the same ±0.5"]
    assert column.cells[1].meaning.startswith("worse: -10.00 (")
    assert {row.verdict for row in made.rows} == {None}  # no test that takes seeds as fixed


def test_a_table_without_base_has_the_verdicts_of_the_looks(world: World) -> None:
    """As `ablate report --only far,near` makes it."""
    world.sweep(world.deciding())
    some = [trial for trial in world.trials if trial.arm in ("far", "near")]
    found = decisions.read(world.root, "tiny", "toy", some)
    heading = Heading("tiny", "1", "toy", "", "ablate sweep", {})
    made = tables.build(heading, some, list[runs.Found](), None, sequential=found)
    standing = [made.decided(row) for row in made.rows]
    assert [one[0].verdict for one in standing if one] == ["worse", "better"]
    assert {row.verdict for row in made.rows} == {None}


def test_a_table_of_other_trials_says_nothing_of_it(world: World) -> None:
    world.sweep(world.deciding())
    others = world.toy.trials([1], sets=["train.steps=20"])
    assert decisions.read(world.root, "tiny", "toy", others) == []


def test_trials_that_were_run_besides_stay_in_the_table(world: World) -> None:
    world.sweep(world.deciding())
    extra = next(t for t in world.trials if (t.arm, t.seed) == ("far", 7))
    Record(Root(world.root).trial(extra.digest)).start_attempt({})
    found = decisions.read(world.root, "tiny", "toy", world.trials)
    kept = decisions.asked(found, world.trials, world.root)
    assert [t.seed for t in kept if t.arm == "far"] == [1, 2, 3, 7]
