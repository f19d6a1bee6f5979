"""What differs from an original, and how strong an agreement that leaves to ask for."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import rerun
from experiments.checkout import Code
from experiments.rerun import Difference, Now, Origin, ask, changes_to_apply, differences, origin
from lit_transformer.config import RunConfig
from lit_transformer.config_io import ConfigError, build, digest, parse_set
from lit_transformer.data import corpora
from lit_transformer.environment import describe
from lit_transformer.record import Record, RecordError, append_line, write_bytes

CODE = Code(40 * "a", b"")
ENVIRONMENT: dict[str, Any] = {
    **{"python": "3.11.2", "platform": "Linux", "device": "A CPU", "devices": 1, "threads": 2},
    "versions": {"torch": "2.9.0", "numpy": "2.3.5"},
}
NOW = Now(CODE, False, ENVIRONMENT)


@pytest.fixture
def config() -> RunConfig:
    return build(dict([parse_set("data.corpus=grammar")]))


@pytest.fixture
def then(config: RunConfig) -> Origin:
    """Of an original that nothing differs from."""
    sums = corpora.checksums(config.data)
    return Origin(
        commit=CODE.commit,
        dirty=False,
        changes="",
        withheld="",
        commits=(CODE.commit,),
        on_gpu=False,
        passes={},
        checksums=sums,
        digest=digest(config, sums),
        environment=ENVIRONMENT,
    )


def found(then: Origin, config: RunConfig, now: Now = NOW) -> list[Difference]:
    return differences(then, now, config)


def asked(then: Origin, config: RunConfig, now: Now = NOW) -> str:
    return ask(found(then, config, now), now, config).strength


def test_where_nothing_differs_the_bits_are_asked_for(then: Origin, config: RunConfig) -> None:
    assert found(then, config) == []
    assert asked(then, config) == "bits"


def test_a_gpu_gives_its_bits_only_where_it_is_told_to(then: Origin, config: RunConfig) -> None:
    there, here = then._replace(on_gpu=True), NOW._replace(on_gpu=True)
    assert asked(there, config, here) == "curve"
    train = config.train.model_copy(update={"deterministic": True})
    assert asked(there, config.model_copy(update={"train": train}), here) == "bits"


@pytest.mark.parametrize(
    ("changed", "what", "strength"),
    [
        ({"python": "3.12.1"}, "python", "curve"),
        ({"platform": "Darwin"}, "platform", "curve"),
        ({"versions": {"torch": "2.8.0", "numpy": "2.3.5"}}, "torch", "curve"),
        ({"device": "Another CPU"}, "device", "curve"),
        ({"threads": 4}, "threads", "curve"),
        ({"devices": 2}, "devices", "statistics"),  # each draws its own dropout
    ],
)
def test_each_difference_of_environments_is_named(
    then: Origin, config: RunConfig, changed: dict[str, Any], what: str, strength: str
) -> None:
    other = then._replace(environment={**ENVIRONMENT, **changed})
    assert [one.what for one in found(other, config)] == [what]
    assert asked(other, config) == strength


def test_from_cpu_to_gpu_other_dropout_is_drawn(then: Origin, config: RunConfig) -> None:
    gpu = Now(CODE, True, {**ENVIRONMENT, "device": "A GPU", "threads": 1})
    assert asked(then, config, gpu) == "statistics"


def test_threads_beside_a_gpu_change_no_bit(then: Origin, config: RunConfig) -> None:
    train = config.train.model_copy(update={"deterministic": True})
    config = config.model_copy(update={"train": train})
    there = then._replace(on_gpu=True, environment={**ENVIRONMENT, "threads": 7})
    here = NOW._replace(on_gpu=True)
    assert [one.what for one in found(there, config, here)] == ["threads"]
    assert asked(there, config, here) == "bits"


def test_other_code_leaves_the_curve_and_another_arithmetic_statistics(
    then: Origin, config: RunConfig
) -> None:
    other = then._replace(commit=40 * "b", commits=(40 * "b",))
    assert [(one.what, one.then) for one in found(other, config)] == [("commit", 12 * "b")]
    assert asked(other, config) == "curve"
    older = other._replace(digest="0123456789abcdef")
    assert [one.what for one in found(older, config)] == ["commit", "NUMERICS"]
    assert asked(older, config) == "statistics"


def test_commits_with_the_same_code_leave_the_bits(
    then: Origin, config: RunConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerun, "changed_files", lambda before, after: 0)
    other = then._replace(commit=40 * "b", commits=(40 * "b",))
    assert ["the same code" in one.now for one in found(other, config)] == [True]
    assert asked(other, config) == "bits"


def test_uncommitted_code_is_compared_whether_stored_or_not(
    then: Origin, config: RunConfig
) -> None:
    code = Code(CODE.commit, b"+a line\n")
    large = then._replace(dirty=True, changes=code.changes, withheld="larger than 256 KiB")
    assert found(large, config, NOW._replace(code=code)) == []
    (one,) = found(large, config)
    assert (one.then, one.now) == ("some, not stored: larger than 256 KiB", "none")
    (one,) = found(then._replace(dirty=True), config)  # as trials of older versions tell it
    assert (one.what, one.then, one.allows) == ("uncommitted code", "some, not stored", "curve")


def test_other_data_leaves_statistics(then: Origin, config: RunConfig) -> None:
    other = then._replace(checksums={**then.checksums, "grammar": "0"})
    assert "data (grammar)" in [one.what for one in found(other, config)]
    assert asked(other, config) == "statistics"


def test_smaller_passes_and_several_commits_leave_the_curve(
    then: Origin, config: RunConfig
) -> None:
    other = then._replace(passes={"micro_tokens": 256}, commits=(40 * "b", CODE.commit))
    assert [one.allows for one in found(other, config)] == ["curve", "curve"]


@pytest.fixture
def dirty(tmp_path: Path, config: RunConfig) -> Record:
    """A trial's directory that holds the changes it was trained with."""
    record, code = Record(tmp_path / "trial"), Code(CODE.commit, b"+a line\n")
    sums = {"grammar": "1"}
    record.write_json("trial.json", {"digest": digest(config, sums), "checksums": sums})
    write_bytes(record.diff(code.changes), code.diff)
    for dirty, changes in ((False, ""), (True, code.changes)):
        start = {"commit": code.commit, "dirty": dirty, "changes": changes, "device": "gpu 1"}
        line = {"attempt": 1, "event": "start", "time": 1.0, "micro_tokens": 64, **start}
        append_line(record.attempts, line)
    return record


def test_an_origin_is_that_of_the_last_attempt(dirty: Record, config: RunConfig) -> None:
    then = origin(dirty, config)
    assert (then.commit, then.dirty, then.on_gpu) == (CODE.commit, True, True)
    assert (then.commits, then.passes) == ((CODE.commit,), {"micro_tokens": 64})
    assert then.environment == {}


def test_changes_are_a_program_that_nothing_runs_unasked(dirty: Record, config: RunConfig) -> None:
    then = origin(dirty, config)
    with pytest.raises(ConfigError, match=r"read .*\.diff, which --trust would apply and run"):
        changes_to_apply(dirty, then, trust=False)
    assert changes_to_apply(dirty, then, trust=True) == b"+a line\n"
    clean = then._replace(dirty=False, changes="")
    assert changes_to_apply(dirty, clean, trust=False) == b""


def test_changes_that_are_not_the_attempt_s_are_refused(dirty: Record, config: RunConfig) -> None:
    then = origin(dirty, config)
    dirty.diff(then.changes).write_bytes(b"+something else\n")
    with pytest.raises(RecordError, match="is not what was stored"):
        changes_to_apply(dirty, then, trust=True)


@pytest.mark.parametrize("named", ["", "../../../secret", 64 * "0"])
def test_changes_that_are_not_there_are_refused(
    dirty: Record, config: RunConfig, named: str
) -> None:
    then = origin(dirty, config)._replace(changes=named)
    with pytest.raises(ConfigError, match="which are not stored; rerun without --at-commit"):
        changes_to_apply(dirty, then, trust=True)


def test_this_machine_tells_of_itself_what_a_trial_would() -> None:
    told = rerun.environment_now(None, 1, 3)
    assert told == json.loads(json.dumps(describe(torch.device("cpu"), 1, 3)))


def test_a_device_that_does_not_answer_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerun, "PATIENCE_S", 0.001)
    with pytest.raises(ConfigError, match=r"device cpu: does not say .* within .* s; .* again"):
        rerun.environment_now(None, 1, 3)


def test_uncommitted_arithmetic_is_another_too(then: Origin, config: RunConfig) -> None:
    older = then._replace(digest="0123456789abcdef")
    assert found(older, config) == []  # --at-commit: the digest of this code says nothing
    changed = NOW._replace(code=Code(CODE.commit, b"+NUMERICS = 9\n"))
    assert [one.what for one in found(older, config, changed)] == ["uncommitted code", "NUMERICS"]
