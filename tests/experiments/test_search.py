"""Searches, against Optuna used directly and against themselves undisturbed. Nothing is trained."""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import optuna
import pytest

from experiments import frozen, samplers, search, suggestions
from experiments.files import PrunerName, SamplerName
from experiments.searched import best_first
from experiments.space import Search
from experiments.study import load_setting, load_study
from lit_transformer.config_io import ConfigError, dump
from lit_transformer.record import MetricsLog, Record, RecordError
from tests.experiments.hunting import (
    MEDIAN,
    SPACE,
    VALIDATIONS,
    KilledError,
    Runner,
    World,
    score,
)
from tests.toy import Toy, write_toy


def asked_for(world: World) -> Search:
    found = load_study(str(world.file)).search
    assert found is not None
    return found


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path / "toy")


def direct(sampler: optuna.samplers.BaseSampler, trials: int) -> Iterator[dict[str, object]]:
    """What Optuna suggests where it is used as its users do."""
    study = optuna.create_study(study_name="hunt/toy", direction="maximize", sampler=sampler)

    def objective(trial: optuna.Trial) -> float:
        rate = trial.suggest_float("optim.rate_factor", 0.1, 10, log=True)
        dropout = trial.suggest_float("model.dropout", 0, 0.4, step=0.1)
        if trial.suggest_categorical("model.positions", ["sinusoidal", "learned"]) == "learned":
            trial.suggest_int("model.max_positions", 64, 256)
        # The trial has the number as it is written, to four digits.
        return 10 - math.log(float(f"{rate:.4g}")) ** 2 - float(f"{dropout:.12g}")

    study.optimize(objective, n_trials=trials)
    for trial in study.trials:
        yield trial.params


@pytest.mark.parametrize(
    ("name", "sampler"),
    [
        ("tpe", optuna.samplers.TPESampler(seed=1)),
        ("random", optuna.samplers.RandomSampler(seed=1)),
        ("nsgaii", optuna.samplers.NSGAIISampler(seed=1)),
    ],
)
def test_trials_are_what_optuna_itself_suggests(
    toy: Toy, tmp_path: Path, name: str, sampler: optuna.samplers.BaseSampler
) -> None:
    found, _ = World(toy, tmp_path, f"  sampler: {{name: {name}}}\n" + SPACE).go(Runner())
    expected = list(direct(sampler, 12))
    assert [[*one.values] for one in found.suggested] == [[*params] for params in expected]
    for one, params in zip(found.suggested, expected, strict=True):
        assert {k: v for k, v in one.values.items() if isinstance(v, str)} == {
            k: v for k, v in params.items() if isinstance(v, str)
        }
        numbers = {k: v for k, v in params.items() if not isinstance(v, str)}
        assert {k: one.values[k] for k in numbers} == pytest.approx(numbers, rel=1e-3)
    assert found.is_done
    assert found.states() == ["COMPLETE"] * 12


@pytest.mark.parametrize("pruner", [MEDIAN, "", "  pruner: {name: hyperband}\n"])
def test_a_search_killed_at_any_moment_ends_as_if_undisturbed(
    toy: Toy, tmp_path: Path, pruner: str
) -> None:
    whole = World(toy, tmp_path / "whole", pruner + SPACE)
    undisturbed, _ = whole.go(runner := Runner())
    states = undisturbed.states()
    assert ("PRUNED" in states) == bool(pruner)
    for dies_at in (2, runner.polls // 2, runner.polls - 1):
        world = World(toy, tmp_path / str(dies_at), pruner + SPACE)
        first, second = Runner(dies_at), Runner()
        with pytest.raises(KilledError):
            world.go(first)
        found, _ = world.go(second)
        assert found.suggested == undisturbed.suggested
        assert found.states() == states
        both = {*first.started} & {*second.started}
        assert len(both) <= 1  # the one that was under way


def test_optuna_s_states_are_those_of_the_trials(toy: Toy, tmp_path: Path) -> None:
    runner = Runner()
    runner.diverges = {2}
    world = World(toy, tmp_path, MEDIAN + SPACE)
    found, watcher = world.go(runner)
    words = {"finished": "COMPLETE", "pruned": "PRUNED", "diverged": "FAIL"}
    assert found.states() == [words[item.state.kind] for item in found.planned()]
    assert {"COMPLETE", "PRUNED", "FAIL"} == {*found.states()}
    assert [line for line in watcher.said if line.startswith("failed ")] == [
        "failed    hunt/toy t1: diverged: "
    ]
    again = Runner()
    assert world.go(again)[0].states() == found.states()
    assert again.started == []


def test_a_torn_line_of_the_journal_costs_that_event_alone(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path, MEDIAN + SPACE)
    found, _ = world.go(Runner())
    content = world.journal.read_bytes()
    world.journal.write_bytes(content[:-5])
    again = Runner()
    assert world.go(again)[0].suggested == found.suggested
    assert again.started == []
    assert world.journal.read_bytes() == content


def test_a_damaged_journal_is_named(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path, SPACE)
    world.go(Runner())
    world.journal.write_text('{"event": "told", "number": 0, "end": "well", "objectives": []}\n')
    with pytest.raises(RecordError, match=r"jsonl:1: is no event of a search"):
        world.searching()


def test_a_repeated_suggestion_is_answered_from_the_first(toy: Toy, tmp_path: Path) -> None:
    space = "  space:\n    model.dropout: {choices: [0.0, 0.1]}\n"
    runner = Runner()
    found, watcher = World(toy, tmp_path, "  sampler: {name: random}\n" + space).go(runner)
    assert len(found.suggested) == 12
    assert len(runner.started) == len({*runner.started}) == 2
    assert {one.objectives for one in found.suggested} == {(10.0,), (9.9,)}
    assert {*watcher.watched} == {f"t{number}" for number in range(12)}  # each in MLflow


def test_what_another_study_has_trained_is_not_trained_again(toy: Toy, tmp_path: Path) -> None:
    space = "  space:\n    model.dropout: {choices: [0.0, 0.1]}\n"
    World(toy, tmp_path, "  sampler: {name: random}\n" + space).go(Runner())
    runner = Runner()
    found, _ = World(toy, tmp_path, "  sampler: {name: tpe}\n" + space).go(runner)
    assert runner.started == []
    assert found.states() == ["COMPLETE"] * 12


def test_a_curve_of_other_validations_is_not_followed(toy: Toy, tmp_path: Path) -> None:
    """Which validations a trial has is no part of its digest."""
    undisturbed, _ = World(toy, tmp_path / "one", MEDIAN + SPACE).go(Runner())
    first = undisturbed.suggested[0]
    assert first.digest is not None
    assert len(first.points) == VALIDATIONS
    world = World(toy, tmp_path / "other", MEDIAN + SPACE)
    config = next(p.trial.config for p in undisturbed.planned() if p.trial.digest == first.digest)
    often = config.model_copy(update={"train": config.train.model_copy(update={"valid_every": 1})})
    record = Record(world.root / "mlruns" / "trials" / first.digest)
    record.path.mkdir(parents=True)
    record.config.write_text(dump(often), "utf-8")
    record.start_attempt({})
    for step in range(16):
        MetricsLog(record).add(step + 1, {"valid.curve_bleu": score(config) * (step + 1) / 16})
    scores = {"valid.bleu": score(config), "valid.perplexity": 2.0, "cost.total_seconds": 1.0}
    record.write_json("result.json", {"scores": {**scores, "cost.parameters": 1.0}})
    record.end_attempt(1, "finished", "")
    found, _ = world.go(Runner())
    assert (found.suggested[0].end, found.suggested[0].points) == ("complete", ())
    assert all(len(one.points) <= VALIDATIONS for one in found.suggested)


def test_a_combination_that_cannot_be_has_failed(toy: Toy, tmp_path: Path) -> None:
    space = "  space:\n    model.heads: {choices: [2, 3]}\n    model.d_model: {choices: [16, 18]}\n"
    found, watcher = World(toy, tmp_path, "  sampler: {name: random}\n" + space).go(Runner())
    for one in found.suggested:
        fits = one.values["model.d_model"] % one.values["model.heads"] == 0  # type: ignore[operator]
        assert one.end == ("complete" if fits else "fail")
        assert ("is not a multiple of" in one.reason) != fits
    assert {"COMPLETE", "FAIL"} == {*found.states()}
    assert any("cannot be: " in line for line in watcher.said)


def test_more_trials_go_on_with_the_same_search(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path, SPACE)
    first, _ = world.go(Runner())
    world.file.write_text(world.file.read_text().replace("trials: 12", "trials: 14"))
    second, _ = world.go(runner := Runner())
    assert second.suggested[:12] == first.suggested
    assert len(runner.started) == 2


class Clock:
    """Goes a second further whenever it is read, and not while nobody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


TIMED = "  time: 60 s\n"


def timed(world: World) -> World:
    world.file.write_text(world.file.read_text().replace("  trials: 12\n", TIMED))
    return world


def test_a_search_with_a_limit_of_time_ends_by_it(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "clock", Clock())
    found, _ = timed(World(toy, tmp_path, SPACE)).go(runner := Runner())
    assert found.is_done
    assert found.spent_s >= 60
    assert 0 < len(runner.started) < 60
    assert {one.end for one in found.suggested} == {"complete"}  # what was under way is finished


def test_time_that_was_spent_counts_after_a_kill(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "clock", Clock())
    monkeypatch.setattr(search, "NOTE_EVERY_S", 5.0)
    world = timed(World(toy, tmp_path, SPACE))
    spent = 0.0
    for _ in range(2):
        with pytest.raises(KilledError):
            world.go(Runner(dies_at=6))
        later = world.searching()
        assert spent < later.spent_s < 60
        spent = later.spent_s
    found, _ = world.go(Runner())
    assert found.is_done
    digests = [one.digest for one in found.suggested]
    assert len(digests) == len({*digests})
    again, _ = world.go(runner := Runner())  # its time is over
    assert runner.started == []
    assert again.suggested == found.suggested


def test_a_kill_between_two_notes_costs_the_budget_no_more_than_that(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(search, "clock", clock)
    monkeypatch.setattr(search, "NOTE_EVERY_S", 5.0)
    world = timed(World(toy, tmp_path, SPACE))
    owned = world.searching().begun()
    owned.__enter__()
    began = clock.now
    clock.now += 1000  # killed: its end is never written down
    assert world.searching().spent_s <= clock.now - began - 1000


def test_more_time_goes_on_with_the_same_search(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "clock", Clock())
    world = timed(World(toy, tmp_path, SPACE))
    first, _ = world.go(Runner())
    world.file.write_text(world.file.read_text().replace("60 s", "2 min"))
    second, _ = world.go(runner := Runner())
    assert second.suggested[: len(first.suggested)] == first.suggested
    assert runner.started


def test_another_space_is_another_search(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path, SPACE)
    world.go(Runner())
    world.file.write_text(world.file.read_text().replace("high: 10,", "high: 11,"))
    assert world.searching().suggested == []


def test_an_optuna_that_suggests_otherwise_is_given_the_old_suggestions(
    toy: Toy, tmp_path: Path
) -> None:
    world = World(toy, tmp_path, "  sampler: {name: random}\n" + SPACE)
    found, _ = world.go(Runner())
    old, new = found.suggested[0].values["optim.rate_factor"], 1.5
    text = world.journal.read_text().replace(
        f'"optim.rate_factor": {old}', f'"optim.rate_factor": {new}'
    )
    world.journal.write_text(text)
    world.file.write_text(world.file.read_text().replace("trials: 12", "trials: 16"))
    again, _ = world.go(Runner())
    assert again.suggested[0].values["optim.rate_factor"] == new
    assert [one.values for one in again.suggested[1:12]] == [
        one.values for one in found.suggested[1:]
    ]
    assert len({str(one.values) for one in again.suggested}) == 16  # it does not begin anew


@pytest.mark.parametrize("pruner", [MEDIAN, ""])
def test_a_record_makes_the_study_that_optuna_had(toy: Toy, tmp_path: Path, pruner: str) -> None:
    world = World(toy, tmp_path, pruner + SPACE)
    runner = Runner()
    runner.diverges = {2}
    found, _ = world.go(runner)
    theirs = found._asking.study.trials
    (name, recorded), *_ = suggestions.every(tmp_path)
    assert name == "hunt/toy"
    path = tmp_path / "optuna.db"
    for _ in range(2):  # what was there is replaced
        frozen.write_database([(name, recorded)], path)
    stored = optuna.load_study(study_name=name, storage=f"sqlite:///{path}").trials
    for ours in (frozen.study(found.searched(), "x").trials, stored):
        assert [t.number for t in ours] == [t.number for t in theirs]
        assert [t.state for t in ours] == [t.state for t in theirs]
        assert [t.values for t in ours] == [t.values for t in theirs]
        assert [t.intermediate_values for t in ours] == [t.intermediate_values for t in theirs]
        for own, their in zip(ours, theirs, strict=True):
            assert own.distributions == their.distributions
            assert {k: v for k, v in own.params.items() if isinstance(v, str)} == {
                k: v for k, v in their.params.items() if isinstance(v, str)
            }
            numbers = {k: v for k, v in their.params.items() if not isinstance(v, str)}
            assert {k: own.params[k] for k in numbers} == pytest.approx(numbers, rel=1e-3)


def test_a_record_that_does_not_tell_its_search_is_named(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path, SPACE)
    world.go(Runner())
    first, *rest = world.journal.read_text().splitlines()
    world.journal.write_text("\n".join([first.replace('"objectives"', '"aims"'), *rest, ""]))
    with pytest.raises(RecordError, match=r"jsonl:1: does not tell what is searched"):
        suggestions.every(tmp_path)


def test_a_forecast_takes_the_costliest_suggestion_for_each_that_is_left(
    toy: Toy, tmp_path: Path
) -> None:
    space = """\
  space:
    model.d_ff: {choices: [32, 256, 64]}
    model.layers: {low: 1, high: 3}
    model.dropout: {low: 0, high: 0.4, step: 0.1}
"""
    world = World(toy, tmp_path, MEDIAN + "  set: {train.valid_every: 4}\n" + space)
    items, (bound,) = world.searching().ahead()
    assert len(items) == bound.left == 12
    assert bound.values == {"model.d_ff": 256, "model.layers": 3}
    assert bound.first == 4 / 16
    assert bound.least == pytest.approx((1 + 11 / 4) / 12)
    assert bound.so_far is None
    found, _ = world.go(Runner())
    items, (bound,) = found.ahead()
    assert (items, bound.left) == ([], 0)
    parts = [min(len(one.points) / 4, 1.0) for one in found.suggested]
    assert bound.so_far == pytest.approx(sum(parts) / 12)
    assert any(part < 1 for part in parts)


def test_a_costly_key_under_a_condition_that_costs_nothing_is_in_the_forecast(
    toy: Toy, tmp_path: Path
) -> None:
    space = """\
  space:
    model.positions: {choices: [sinusoidal, learned]}
    model.d_ff: {choices: [32, 256], when: {model.positions: learned}}
    model.layers: {low: 1, high: 3}
"""
    _, (bound,) = World(toy, tmp_path, space).searching().ahead()
    assert bound.values == {"model.positions": "learned", "model.d_ff": 256, "model.layers": 3}


def test_a_search_has_one_owner(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "OWNER_PATIENCE_S", 0.1)
    world = World(toy, tmp_path, SPACE)
    with (
        world.searching().begun(),
        pytest.raises(ConfigError, match="hunt: another process is at this search"),
        ExitStack() as second,
    ):
        second.enter_context(world.searching().begun())


def test_two_objectives_put_their_front_first(toy: Toy, tmp_path: Path) -> None:
    objectives = "  sampler: {name: nsgaii}\n  objectives: [score, cost.parameters]\n"
    found, _ = World(toy, tmp_path, objectives + SPACE).go(Runner())
    ranked = best_first(found.searched())
    front = {trial.number for trial in found._asking.study.best_trials}
    assert {one.number for one in ranked[: len(front)]} == front
    scores = [one.objectives[0] for one in ranked[: len(front)]]
    assert scores == sorted(scores, reverse=True)


def test_rows_are_best_first_and_pruned_ones_behind_them(toy: Toy, tmp_path: Path) -> None:
    world = World(toy, tmp_path, MEDIAN + SPACE)
    found, _ = world.go(Runner())
    study, setting = load_study(str(world.file)), load_setting(str(toy.setting))
    arms = suggestions.asked(study, setting, 1, {}, tmp_path).arms
    by_name = {f"t{one.number}": one for one in found.suggested}
    ends = [by_name[arm.id].end for arm in arms]
    assert ends == sorted(ends, key=["complete", "pruned"].index)
    scores = [by_name[arm.id].objectives[0] for arm in arms if by_name[arm.id].objectives]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "  sampler: {name: tpe, options: {n_startup_trails: 5}}\n",
            r":6: search.sampler.options: tpe has no option n_startup_trails; did you mean "
            r"n_startup_trials\?; it has",
        ),
        ("  sampler: {name: tpe, options: {seed: x}}\n", r"options.seed='x': int or None is expec"),
        (
            "  pruner: {name: median, options: {n_startup_trials: true}}\n",
            r"=True: int is expected",
        ),
        ("  pruner: {name: hyperband, options: {min_ressource: 1}}\n", "did you mean min_resource"),
        ("  pruner: {name: threshold}\n", "threshold: Either lower or upper must be specified"),
        ("  pruner: {name: median, options: {n_warmup_steps: -1}}\n", "median: .*-1"),
    ],
)
def test_a_sampler_or_a_pruner_that_cannot_be_is_one_message(
    toy: Toy, tmp_path: Path, body: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        World(toy, tmp_path, body + SPACE).searching()


def test_a_pruner_without_a_curve_is_refused(toy: Toy, tmp_path: Path) -> None:
    body = "  set: {train.valid_sentences: 0}\n" + MEDIAN
    with pytest.raises(ConfigError, match=r":7: pruner median follows valid.curve_bleu, and train"):
        World(toy, tmp_path, body + SPACE).searching()


@pytest.mark.parametrize("name", get_args(SamplerName))
def test_every_sampler_is_optuna_s_of_that_name(toy: Toy, tmp_path: Path, name: str) -> None:
    world = World(toy, tmp_path, f"  sampler: {{name: {name}}}\n" + SPACE)
    if name == "cmaes":  # its package is no dependency
        with pytest.raises(ConfigError, match="cmaes needs a package: pip install cmaes"):
            world.searching()
        return
    made = samplers.sampler(asked_for(world), 1, reseeded=False)
    assert type(made).__name__.lower() == f"{name}sampler"


@pytest.mark.parametrize("name", get_args(PrunerName))
def test_every_pruner_is_optuna_s_of_that_name(toy: Toy, tmp_path: Path, name: str) -> None:
    needed = {"percentile": "{percentile: 25.0}", "threshold": "{lower: 1}"}.get(name, "{}")
    body = f"  pruner: {{name: {name}, options: {needed}}}\n" + SPACE
    made = samplers.pruner(asked_for(World(toy, tmp_path, body)))
    assert type(made).__name__.lower() == f"{name.replace('_', '')}pruner"
