"""Rows at their best: the same budget for each, chosen by one seed and compared by others."""

from pathlib import Path

import pytest

from experiments import sweep, tuning
from experiments.space import TUNED
from experiments.study import load_setting, load_study
from experiments.sweep import Root
from experiments.tuner import Tuning
from lit_transformer.config_io import ConfigError
from lit_transformer.record import Record
from tests.experiments.hunting import KilledError, Runner, Watcher, score
from tests.toy import Toy, write_toy

STUDY = """\
name: tuned
version: 1
description: Each at its best.
rows:
  - {id: base}
  - {id: A, group: A, label: one head, set: {model.heads: 1}}
  - {id: D, group: D, set: {model.dropout: 0.3}}
"""
TUNE = """\
tune:
  trials: 5
  sampler: {name: random}
  pruner: {name: median, options: {n_startup_trials: 2}}
  space:
    optim.rate_factor: {low: 0.1, high: 10, log: true}
    model.dropout: {low: 0, high: 0.4, step: 0.1}
"""


class World:
    """A study that tunes, over the toy."""

    def __init__(self, toy: Toy, root: Path, tune: str = TUNE) -> None:
        text = toy.setting.read_text()
        if "rate_factor" not in text:  # so that rows as they stand are not at their best
            toy.setting.write_text(text.replace("set:\n", "set:\n  optim.rate_factor: 5.0\n", 1))
        self.setting, self.root = load_setting(str(toy.setting)), root
        root.mkdir(exist_ok=True)
        file = root / "tuned.yaml"
        file.write_text(STUDY + tune)
        self.study = load_study(str(file))

    def tuning(self, seeds: list[int], only: list[str]) -> Tuning:
        return Tuning(self.study, self.setting, seeds, only, {}, self.root)

    def go(self, runner: Runner) -> tuple[Tuning, list[sweep.Planned]]:
        found, watcher = self.tuning([1, 2], []), Watcher()
        with found.begun():
            done = sweep.run(
                found.planned(),
                Root(self.root),
                runner,
                watcher,
                watcher,
                found.further,
                found,
            )
        return found, done


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path / "toy")


def test_every_row_has_the_same_budget_and_its_best_is_trained_with_the_tables_seeds(
    toy: Toy, tmp_path: Path
) -> None:
    world = World(toy, tmp_path / "root")
    found, done = world.go(Runner())
    assert found.is_done
    assert found.is_whole(done)
    assert [len(one.suggested) for one in found.searches] == [5, 5, 5]
    table = found.expected()
    ids = ["base", "A", "D", "base.best", "A.best", "D.best"]
    assert [(one.arm, one.seed) for one in table] == [(arm, seed) for seed in (1, 2) for arm in ids]
    searched = {item.trial.digest for item in done if item.trial.study == "tuned.tuning"}
    assert {item.trial.seed for item in done if item.trial.digest in searched} == {0}
    assert not {one.digest for one in table} & searched  # no score of the table chose anything
    by_arm = {one.arm: one for one in table}
    for search in found.searches:
        told = search.searched()
        reached = [one.objectives[0] for one in told.found if one.end == "complete"]
        best = by_arm[f"{told.row}.best"]
        assert score(best.config) == pytest.approx(max(reached))
        assert score(best.config) > score(search.base.config)
        assert best.group == TUNED
    assert by_arm["A.best"].label == "one head, at its best"
    assert by_arm["A.best"].config.model.heads == 1


def test_a_rows_own_values_come_first(toy: Toy, tmp_path: Path) -> None:
    found, _ = World(toy, tmp_path / "root").go(Runner())
    for search in found.searches:
        base = search.base.config
        own = {"optim.rate_factor": base.optim.rate_factor, "model.dropout": base.model.dropout}
        first = search.suggested[0].values
        assert first == {key: own[key] for key in first}
        assert search.suggested[0].digest == search.base.digest


def test_what_a_row_names_is_not_searched_in_it(toy: Toy, tmp_path: Path) -> None:
    found, _ = World(toy, tmp_path / "root").go(Runner())
    by_row = {search.searched().row: search for search in found.searches}
    assert [*by_row["D"].suggested[0].values] == ["optim.rate_factor"]
    assert {one.arm: one for one in found.expected()}["D.best"].config.model.dropout == 0.3


def test_conditions_on_what_a_row_names_hold_or_do_not(toy: Toy, tmp_path: Path) -> None:
    space = """\
tune:
  trials: 2
  space:
    model.heads: {choices: [1, 2]}
    model.dropout: {choices: [0.0, 0.1], when: {model.heads: 1}}
    optim.rate_factor: {choices: [1.0, 2.0], when: {model.heads: 2}}
"""
    world = World(toy, tmp_path / "root", space)
    rows = tuning.studies(world.study, world.setting, [])
    spaces = {one.search.row: [d.key for d in one.search.space] for one in rows if one.search}
    assert spaces == {
        "base": ["model.heads", "model.dropout", "optim.rate_factor"],
        "A": ["model.dropout"],
        "D": ["model.heads", "optim.rate_factor"],
    }


def test_a_row_with_nothing_to_search_is_left_as_it_stands(toy: Toy, tmp_path: Path) -> None:
    space = "tune:\n  trials: 2\n  space:\n    model.heads: {choices: [1, 2]}\n"
    found, _ = World(toy, tmp_path / "root", space).go(Runner())
    assert [one.arm for one in found.expected()][:5] == ["base", "A", "D", "base.best", "D.best"]


def test_what_a_row_was_tuned_to_does_not_carry_over_to_the_row_after_it(
    toy: Toy, tmp_path: Path
) -> None:
    row = "  - {id: AF, after: A, set: {model.d_ff: 64}}\n"
    found, _ = World(toy, tmp_path / "root", row + TUNE).go(Runner())
    by_arm = {one.arm: one for one in found.expected()}
    before, after, best = (by_arm[arm] for arm in ("A", "AF", "AF.best"))
    assert after.config.model.heads == best.config.model.heads == before.config.model.heads == 1
    assert after.config.optim == before.config.optim != by_arm["A.best"].config.optim
    (own,) = [one.suggested for one in found.searches if one.searched().row == "AF"]
    assert own[0].values["optim.rate_factor"] == before.config.optim.rate_factor
    assert best.config.optim.rate_factor in [one.values["optim.rate_factor"] for one in own]
    assert (after.after, best.after) == ("A", None)


@pytest.mark.parametrize("part", [0.1, 0.4, 0.8, 0.97])
def test_killed_at_any_moment_it_ends_as_if_undisturbed(
    toy: Toy, tmp_path: Path, part: float
) -> None:
    undisturbed, _ = World(toy, tmp_path / "whole").go(runner := Runner())
    world = World(toy, tmp_path / "killed")
    first, second = Runner(int(part * runner.polls)), Runner()
    with pytest.raises(KilledError):
        world.go(first)
    found, done = world.go(second)
    assert found.expected() == undisturbed.expected()
    assert found.is_whole(done)
    assert [one.suggested for one in found.searches] == [
        one.suggested for one in undisturbed.searches
    ]
    assert len({*first.started} & {*second.started}) <= 1  # the one that was under way
    world.go(third := Runner())
    assert third.started == []


def test_what_is_left_after_a_kill_is_in_the_plan(toy: Toy, tmp_path: Path) -> None:
    """A sweep starts no runner where its plan and its searches have nothing left."""
    world = World(toy, tmp_path / "root")
    done, _ = world.go(Runner())
    last = Record(Root(world.root).trial(done.expected()[-1].digest))
    last.result_file.unlink()
    last.end_attempt(1, "killed", "")
    found = world.tuning([1, 2], [])
    assert found.is_done
    assert {item.record.path for item in found.planned() if not item.is_over} == {last.path}


def test_before_its_search_is_over_a_row_has_no_best(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path / "root")
    with pytest.raises(KilledError):
        world.go(Runner(dies_at=60))
    known = tuning.asked(world.study, world.setting, [], {}, world.root)
    assert [arm.id for arm in known.arms] == ["base", "A", "D"]
    assert [one.row for one in known.searched] == ["base", "A", "D"]
    assert 0 < sum(len(one.found) for one in known.searched) < 15


def test_only_keeps_rows_with_their_best(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path / "root")
    world.go(Runner())
    kept = world.tuning([1], ["A"])
    assert [one.arm for one in kept.expected()] == ["A", "A.best"]
    assert [one.searched().row for one in kept.searches] == ["A"]


def test_rows_are_not_compared_with_the_seed_that_chose_them(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path / "root")
    with pytest.raises(ConfigError, match="--seeds: tuned tunes with seed 0, and a row chosen by"):
        world.tuning([0, 1], [])


def test_a_settings_own_rows_are_refused(toy: Toy, tmp_path: Path) -> None:
    toy.setting.write_text(toy.setting.read_text() + "rows:\n  tuned/A: {model.d_ff: 64}\n")
    world = World(toy, tmp_path / "root")
    with pytest.raises(ConfigError, match="rows: tuned/A: tuned tunes its rows, which a setting"):
        world.tuning([1], [])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.droput: {low: 0, high: 1}", r":11, tune: unknown key model.droput; did you mean"),
        ("model.dropout: {low: 0.3, high: 0.1}", r":11: .*low=0.3 is not below high=0.1: an empty"),
        ("model.dropout: {low: 0, high: 1.5}", "model.dropout=1.5"),
    ],
)
def test_a_space_that_cannot_be_is_one_message(
    toy: Toy, tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        World(toy, tmp_path / "root", f"tune:\n  trials: 2\n  space:\n    {line}\n").tuning([1], [])


def test_a_misspelt_option_is_named_where_it_stands(toy: Toy, tmp_path: Path) -> None:
    tune = TUNE.replace("n_startup_trials", "n_startup_trails")
    with pytest.raises(ConfigError, match=r":11: tune.pruner.options: median has no option n_star"):
        World(toy, tmp_path / "root", tune).tuning([1], [])
