"""What a search's file may say, and what is wrong with it before anything is trained."""

from pathlib import Path

import pytest

from experiments.files import shipped
from experiments.study import (
    Study,
    check_search,
    expand,
    load_setting,
    load_study,
    with_arms,
)
from lit_transformer.config_io import ConfigError, parse_set

HEAD = """\
name: hunt
version: 1
description: A search.
search:
  trials: 4
"""
SPACE = "  space:\n    model.dropout: {low: 0, high: 0.4, step: 0.1}\n"


def study(folder: Path, body: str) -> Study:
    file = folder / "hunt.yaml"
    file.write_text(HEAD + body)
    return load_study(str(file))


def checked(folder: Path, body: str, *sets: str) -> None:
    given = dict(parse_set(text) for text in sets)
    check_search(study(folder, body), load_setting("grammar"), 1, given)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model.droput: {low: 0, high: 1}", r":7, search: unknown key model.droput; did you mean"),
        ("model.dropout: {low: 0.3, high: 0.1}", r":7: .*low=0.3 is not below high=0.1: an empty"),
        ("model.dropout: {low: 0.1, hihg: 0.3}", r":7: unknown key .*hihg; did you mean high\?"),
        ("model.dropout: {low: 0.1}", "a range needs low and high"),
        ("model.dropout: {}", "give low and high, or choices"),
        ("model.dropout: {low: 0, high: 0.3, log: true}", "log goes with low above 0"),
        ("model.dropout: {low: 0, high: 0.3, step: 0.07}", "0 to 0.3 is no whole number of steps"),
        ("model.dropout: {low: 0, high: 1.5}", r":7, search: model.dropout=1.5: .*less than 1"),
        ("model.heads: {low: 1, high: 2.5}", "model.heads: high=2.5 is no integer"),
        ("model.norm: {low: 1, high: 2}", r"model.norm is post \| pre: no range of it"),
        ("model.norm: {choices: [post, per]}", "model.norm='per': input should be"),
        ("train.seed: {choices: [1, 2]}", "train.seed is not set here; seeds come from --seeds"),
        ("model.layers: {low: 2, high: 5}", "model.layers=5/2 is not a whole number"),
        (
            "model.max_positions: {choices: [64], when: {model.positions: learned}}",
            "when model.positions: no key of the space before this one",
        ),
    ],
)
def test_a_space_that_cannot_be_is_one_message(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(tmp_path, f"  space:\n    {line}\n")


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("{model.norm: per}", "model.norm=per cannot hold: the space gives model.norm post"),
        ("{model.heads: 6}", "cannot hold: the space gives model.heads 4 to 8 in steps of 4"),
        ("{model.norm: pre, model.positions: learned}", "a key that it names is itself left out"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused(tmp_path: Path, when: str, message: str) -> None:
    body = f"""\
  space:
    model.norm: {{choices: [post, pre]}}
    model.heads: {{low: 4, high: 8, step: 4}}
    model.positions: {{choices: [sinusoidal, learned], when: {{model.norm: post}}}}
    model.max_positions: {{choices: [256], when: {when}}}
"""
    with pytest.raises(ConfigError, match=rf":10, search: model.max_positions: when.*{message}"):
        checked(tmp_path, body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("  sampler: {name: tpee}\n" + SPACE, "search.sampler.name='tpee': input should be 'tpe'"),
        (
            "  objectives: [score, cost.flops]\n  pruner: {name: median}\n" + SPACE,
            "pruner median with 2 objectives: Optuna prunes by one curve alone",
        ),
        ("  objectives: [cost.flops]\n  pruner: {name: median}\n" + SPACE, "the objective is cost"),
        ("  objectives: [score, score]\n" + SPACE, "name each objective once"),
        ("  set: {model.dropout: 0.1}\n" + SPACE, "model.dropout is in set and in space"),
        ("  space: {}\n", "at least 1 item"),
        (SPACE + "rows: [{id: base}]\n", "has rows and a search; write two studies"),
        (SPACE + "tune: {trials: 2, space: {model.dropout: {low: 0, high: 1}}}\n", "tune is for"),
        ("  time: 20 minutes\n" + SPACE, ":6: search.time: a time is a number above 0 with s, min"),
        ("  time: 0 s\n" + SPACE, "a time is a number above 0"),
        ("  time: 20\n" + SPACE, "such as 20 min"),
    ],
)
def test_a_search_that_cannot_be_is_one_message(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(tmp_path, body)


def test_a_search_needs_an_end(tmp_path: Path) -> None:
    file = tmp_path / "hunt.yaml"
    file.write_text(HEAD.replace("  trials: 4\n", "") + SPACE)
    with pytest.raises(ConfigError, match=r":4: search: give trials, or a time such as 20 min"):
        load_study(str(file))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90 s", 90), ("20 min", 1200), ("1.5h", 5400), ("2 d", 172_800)]
)
def test_a_time_is_in_seconds(tmp_path: Path, text: str, seconds: float) -> None:
    found = study(tmp_path, f"  time: {text}\n" + SPACE).search
    assert found is not None
    assert found.time_s == seconds


def test_a_searched_key_is_not_set_on_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--set model\.dropout: hunt searches it; leave it out"):
        checked(tmp_path, SPACE, "model.dropout=0.2")


def test_values_that_fail_only_beside_others_are_left_to_the_search(tmp_path: Path) -> None:
    """Nine heads do not divide the base's width, and divide the one that the space has."""
    checked(
        tmp_path, "  space:\n    model.heads: {choices: [9]}\n    model.d_model: {choices: [576]}\n"
    )
    with pytest.raises(
        ConfigError, match=r"model\.heads=9: model\.d_model=64 is not a multiple of 9"
    ):
        checked(tmp_path, "  space:\n    model.heads: {choices: [9]}\n")


def test_a_space_is_in_the_paper_s_sizes(tmp_path: Path) -> None:
    found = study(tmp_path, "  space:\n    model.d_model: {choices: [512, 1024]}\n")
    assert found.search is not None
    setting = load_setting("grammar")
    arm = found.search.arm("t0", {"model.d_model": 1024})
    (trial,) = expand(with_arms(found, [arm]), setting, [1], [], {})
    assert trial.config.model.d_model == 1024 * setting.scale.width
    assert trial.overrides == {"model.d_model": 128}


@pytest.mark.parametrize("name", [n for n in shipped("studies") if load_study(n).search])
@pytest.mark.parametrize("setting", ["grammar", "multi30k-en-de", "wmt14-en-de", "grammar-trees"])
def test_every_shipped_search_can_begin(name: str, setting: str) -> None:
    study = load_study(name)
    train = check_search(study, load_setting(setting), 1, {}).config.train
    assert study.search is not None
    assert (
        not study.search.pruner or train.steps == 8 * train.valid_every
    )  # as many validations as its pruner counts with
