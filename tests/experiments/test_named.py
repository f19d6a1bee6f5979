"""The names that reports show are those of their trials, wherever STUDY/ARM is taken."""

from pathlib import Path

import pytest

from experiments import named, suggestions
from experiments.study import Study, Trial, load_setting, load_study
from lit_transformer.config_io import ConfigError
from tests.experiments import hunting, test_tuning
from tests.experiments.hunting import MEDIAN, SPACE, KilledError, Runner
from tests.toy import Toy, write_toy

COMMAND = "ablate sweep hunt --setting toy"


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path / "toy")


def trial(toy: Toy, study: Study, root: Path, arm: str, seed: int | None = None) -> Trial:
    return named.trial(study, load_setting(str(toy.setting)), arm, seed, {}, root, COMMAND)


def test_a_suggestion_is_the_trial_that_the_search_has_trained(toy: Toy, tmp_path: Path) -> None:
    world = hunting.World(toy, tmp_path / "root", MEDIAN + SPACE)
    found, _ = world.go(Runner())
    study = load_study(str(world.file))
    for one, item in zip(found.suggested, found.planned(), strict=True):
        assert trial(toy, study, world.root, f"t{one.number}") == item.trial
    with pytest.raises(ConfigError, match="study hunt has no arm t12; did you mean"):
        trial(toy, study, world.root, "t12")


def test_a_search_that_has_not_come_to_a_row_says_what_to_run(toy: Toy, tmp_path: Path) -> None:
    world = hunting.World(toy, tmp_path / "root", MEDIAN + SPACE)
    study = load_study(str(world.file))
    told = (
        "hunt/t9 in toy: its search has not come to it, as far as "
        f"{suggestions.folder(world.root)} tells; `{COMMAND}` searches"
    )
    with pytest.raises(ConfigError) as before:
        trial(toy, study, world.root, "t9")
    assert str(before.value) == told
    with pytest.raises(KilledError):
        world.go(Runner(dies_at=10))
    assert trial(toy, study, world.root, "t0").arm == "t0"
    with pytest.raises(ConfigError) as meanwhile:
        trial(toy, study, world.root, "t9")
    assert str(meanwhile.value) == told
    with pytest.raises(ConfigError, match="its search has not come to it"):
        trial(toy, study, world.root, "t0", seed=2)  # a search of its own


def test_tuned_rows_are_found_as_they_stand_at_their_best_and_when_tuned(
    toy: Toy, tmp_path: Path
) -> None:
    world = test_tuning.World(toy, tmp_path / "root")
    assert trial(toy, world.study, world.root, "A", 2).arm == "A"  # without a search
    with pytest.raises(ConfigError, match=r"tuned/A.best in toy: its search has not come to it"):
        trial(toy, world.study, world.root, "A.best")
    found, done = world.go(Runner())
    for one in found.expected():
        assert trial(toy, world.study, world.root, one.arm, one.seed) == one
    tried = {item.trial.arm: item.trial for item in done if item.trial.study == "tuned.tuning"}
    assert len(tried) == 15
    for arm, one in tried.items():
        assert trial(toy, world.study, world.root, arm) == one
    with pytest.raises(ConfigError, match=r"study tuned has no arm A\.bets; did you mean A\.best"):
        trial(toy, world.study, world.root, "A.bets")
    with pytest.raises(ConfigError, match="tuned tunes with seed 0"):
        trial(toy, world.study, world.root, "A.best", 0)
