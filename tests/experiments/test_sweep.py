"""The loop, with a runner that trains nothing: what is started, told, skipped and stopped."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments import sweep
from experiments.runners.local import TERM_GRACE_S, Ended
from experiments.study import Trial
from experiments.sweep import Planned, Root
from experiments.worker import CLAIMED_ELSEWHERE, Job
from lit_transformer import config_io
from lit_transformer.config_io import ConfigError
from lit_transformer.data import cache, corpora
from lit_transformer.data.cache import sha256
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.record import Kind, Record, read_lines
from tests.toy import Toy, write_toy

RESULT: dict[str, Any] = {
    "scores": {"valid.perplexity": 4.256, "valid.bleu": 31.52, "cost.total_seconds": 61.0}
}


class Runner:
    """Writes an end into the directory of each trial, as it is told; two slots.

    A list of ends is used up one by one, and what comes after it is finished.
    """

    def __init__(self, ends: Mapping[str, Kind | int | list[Kind]]) -> None:
        self.ends = ends
        self.most_devices = 0
        self.jobs: list[Job] = []
        self.seen: list[Job] = []
        self.order: list[str] = []
        self.grace_s: float | None = None

    @property
    def running(self) -> list[str]:
        return [job.digest for job in self.jobs]

    def has_room(self, devices: int) -> bool:
        return sum(job.devices for job in self.jobs) + devices <= 2

    def submit(self, job: Job) -> None:
        self.jobs.append(job)
        self.seen.append(job)
        self.order.append(job.digest)
        self.most_devices = max(self.most_devices, sum(job.devices for job in self.jobs))

    def poll(self, timeout_s: float) -> list[Ended]:
        return [self._end(self.jobs.pop(0))]

    def stop(self, grace_s: float) -> list[Ended]:
        self.grace_s = grace_s
        return [self._end(self.jobs.pop(0)) for _ in self.running]

    def _end(self, job: Job) -> Ended:
        end = self.ends.get(job.digest, "finished")
        if isinstance(end, list):
            end = end.pop(0) if end else "finished"
        if isinstance(end, int):
            return Ended(job.digest, end)
        record = Record(job.directory)
        number = record.start_attempt(job.passes)
        if end == "finished":
            record.write_json("result.json", RESULT)
        record.end_attempt(number, end, "the reason" if end != "finished" else "")
        return Ended(job.digest, int(end != "finished"))


class Impatient(Runner):
    """Whose sweep is stopped while it waits for the first trial."""

    def poll(self, timeout_s: float) -> list[Ended]:
        raise KeyboardInterrupt


class Watcher:
    """Mirror and display: remembers what it is told."""

    def __init__(self) -> None:
        self.watched: list[str] = []
        self.said: list[str] = []
        self.shown: list[list[str]] = []

    def watch(self, trial: Trial, directory: Path) -> None:
        assert directory.name == trial.digest
        self.watched.append(trial.digest)

    def show(self, planned: Sequence[Planned], running: Sequence[str]) -> None:
        self.shown.append(list(running))

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path / "toy")


def go(planned: Sequence[Planned], root: Path, runner: Runner) -> Watcher:
    watcher = Watcher()
    sweep.run(planned, Root(root), runner, watcher, watcher)
    return watcher


def finish(item: Planned) -> None:
    item.record.write_json("result.json", RESULT)


# Plans


def test_a_plan_starts_nothing(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2])
    assert [item.state.kind for item in planned] == ["waiting"] * 4
    assert planned[0].record.path == tmp_path / "mlruns" / "trials" / planned[0].trial.digest
    assert not (tmp_path / "mlruns").exists()


def test_a_plan_knows_what_each_trial_costs(toy: Toy, tmp_path: Path) -> None:
    (small,) = toy.plan(tmp_path, [1], ["base"])
    (long,) = toy.plan(tmp_path, [1], ["base"], ["train.steps=32"])
    (wide,) = toy.plan(tmp_path, [1], ["base"], ["model.d_ff=64"])
    assert long.flops == 2 * small.flops
    assert long.parameters == small.parameters
    # Two layers, in encoder and decoder, each with d_ff more columns, rows and biases.
    assert wide.parameters - small.parameters == 2 * 32 * (16 + 16 + 1)


def test_each_corpus_is_checked_once(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    monkeypatch.setattr(corpora, "check", checked.append)
    trials = toy.trials([1, 2]) + toy.trials([1], sets=["data.vocabulary_size=50"])
    sweep.check(trials)
    assert [data.vocabulary_size for data in checked] == [60, 50]


def test_each_corpus_is_prepared_once(toy: Toy, tmp_path: Path) -> None:
    said: list[str] = []
    sweep.prepare(toy.trials([1, 2]), Root(tmp_path), said.append)
    sizes = ["  train: 150 pairs", "  valid: 6 pairs", "  test: 5 pairs"]
    assert said == ["preparing files en-de", *sizes]
    made = sorted(path.name.rpartition("-")[0] for path in Root(tmp_path).cache.glob("files*"))
    assert made == ["files-bpe-60", "files-test", "files-train", "files-valid"]


def test_a_sweep_hashes_its_corpora_once_and_its_trials_do_not(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials, place = (
        toy.trials([1, 2]) + toy.trials([1], sets=["data.max_tokens=30"]),
        Root(tmp_path),
    )
    monkeypatch.setattr(cache, "SETTLED_NS", 0)
    sweep.prepare(trials, place, lambda text: None)
    time.sleep(0.05)
    hashed: list[str] = []

    def noted(path: Path) -> str:
        hashed.append(path.parent.name + path.name)
        return sha256(path)

    monkeypatch.setattr(cache, "sha256", noted)
    sweep.prepare(trials, place, lambda text: None)
    assert len(hashed) == len(set(hashed)) == 1 + 2 * 3 * 4  # a vocabulary, four files a part
    hashed.clear()
    data = TranslationData(trials[0].config, place.cache)
    data.prepare_data()
    data.setup("fit")
    assert hashed == []


def test_what_is_left_out_of_a_corpus_is_told(toy: Toy, tmp_path: Path) -> None:
    said: list[str] = []
    (toy.folder / "train.en").write_text("\n" + "the dog\n" * 148 + "the dog " * 40 + "\n")
    (toy.folder / "valid.en").write_text("the dog " * 40 + "\n" + "the dog\n" * 5)
    sweep.prepare(toy.trials([1]), Root(tmp_path), said.append)
    longer = "1 left out as longer than data.max_tokens=32"
    assert said[1] == f"  train: 148 pairs; {longer}; 1 left out as empty"
    assert said[2] == "  valid: 6 pairs; 1 sources cut to data.max_tokens=32"


def test_a_job_is_the_whole_configuration_and_whose_it_is(toy: Toy, tmp_path: Path) -> None:
    (item,) = toy.plan(tmp_path, [3], ["A"])
    job = sweep.job(item, Root(tmp_path))
    assert config_io.parse(job.config, Path("config.yaml")) == item.trial.config
    assert (job.directory, job.cache.name) == (item.record.path, "cache")
    told = {name: job.about[name] for name in ("study", "setting", "arm", "seed", "overrides")}
    assert told == {
        **{"study": "tiny", "setting": "toy", "arm": "A", "seed": 3},
        "overrides": {"model.heads": 1},
    }
    assert job.about["rerun_of"] is None


# The loop


def test_the_costliest_trials_come_first(toy: Toy, tmp_path: Path) -> None:
    planned = [
        *toy.plan(tmp_path, [1], ["base"], ["train.steps=10"]),
        *toy.plan(tmp_path, [1], ["base"], ["train.steps=30"]),
        *toy.plan(tmp_path, [1], ["base"], ["train.steps=20"]),
    ]
    runner = Runner({})
    watcher = go(planned, tmp_path, runner)
    assert runner.order == [planned[n].trial.digest for n in (1, 2, 0)]
    assert watcher.watched == runner.order
    assert watcher.shown[0] == runner.order[1:2]
    assert watcher.said[0] == "finished  tiny/base seed 1: perplexity 4.26, BLEU 31.5, 61 s"


def test_a_trial_that_waits_for_devices_is_not_overtaken(toy: Toy, tmp_path: Path) -> None:
    planned = [
        *toy.plan(tmp_path, [1], ["base"], ["train.steps=8"]),
        *toy.plan(tmp_path, [1], ["base"], ["train.steps=16", "train.devices=2"]),
        *toy.plan(tmp_path, [1], ["base"], ["train.steps=32"]),
    ]
    small, two, large = (item.trial.digest for item in planned)
    runner = Runner({})
    go(planned, tmp_path, runner)
    assert runner.order == [large, two, small]
    assert runner.most_devices == 2


def test_what_is_done_is_mirrored_and_not_trained(toy: Toy, tmp_path: Path) -> None:
    done, other = planned = toy.plan(tmp_path, [1])
    finish(done)
    runner = Runner({})
    watcher = go(planned, tmp_path, runner)
    assert runner.order == [other.trial.digest]
    assert sorted(watcher.watched) == sorted(item.trial.digest for item in planned)
    assert go(planned, tmp_path, Runner({})).said == []


@pytest.mark.parametrize(
    ("kind", "attempts"),
    [
        ("failed", 3),
        ("killed", 9),
        ("diverged", 1),
        ("pruned", 1),
        ("bad_configuration", 1),
        ("out_of_memory", 7),
    ],
)
def test_a_bad_end_names_its_log_is_tried_again_so_often_and_keeps_back_no_other(
    toy: Toy, tmp_path: Path, kind: Kind, attempts: int
) -> None:
    first, *_ = planned = toy.plan(tmp_path, [1, 2])
    runner = Runner({first.trial.digest: kind})
    watcher = go(planned, tmp_path, runner)
    told = f"{kind:9} tiny/base seed 1: the reason (log: {first.record.log})"
    assert watcher.said.count(told) == attempts
    assert [item.state.kind for item in planned] == [kind, *["finished"] * 3]
    assert runner.order.count(first.trial.digest) == attempts == first.state.attempts


@pytest.mark.parametrize("kind", ["failed", "killed", "bad_configuration", "out_of_memory"])
def test_what_ended_badly_is_begun_again_by_the_next_sweep(
    toy: Toy, tmp_path: Path, kind: Kind
) -> None:
    first, *_ = planned = toy.plan(tmp_path, [1])
    go(planned, tmp_path, Runner({first.trial.digest: kind}))
    again = Runner({})
    go(planned, tmp_path, again)
    assert again.order == [first.trial.digest]


def test_a_trial_that_diverged_is_a_result(toy: Toy, tmp_path: Path) -> None:
    first, *_ = planned = toy.plan(tmp_path, [1])
    go(planned, tmp_path, Runner({first.trial.digest: "diverged"}))
    again = Runner({})
    watcher = go(planned, tmp_path, again)
    assert (again.order, first.state.kind) == ([], "diverged")
    assert sorted(watcher.watched) == sorted(item.trial.digest for item in planned)


def test_what_helped_ends_the_retries(toy: Toy, tmp_path: Path) -> None:
    first, *_ = planned = toy.plan(tmp_path, [1])
    watcher = go(planned, tmp_path, Runner({first.trial.digest: ["killed", "failed", "killed"]}))
    assert (first.state.kind, first.state.attempts) == ("finished", 4)
    assert watcher.said.count("again     tiny/base seed 1") == 3


def test_want_of_memory_halves_passes_and_leaves_the_update_whole(toy: Toy, tmp_path: Path) -> None:
    sets = ["train.tokens_per_batch=100", "data.max_tokens=30"]
    first, *_ = planned = toy.plan(tmp_path, [1], ["base"], sets)
    ends: list[Kind] = ["out_of_memory"] * 3
    runner = Runner({first.trial.digest: ends})
    watcher = go(planned, tmp_path, runner)
    asked = [config_io.parse(job.config, job.directory / "config.yaml") for job in runner.seen]
    assert [config.train.micro_tokens for config in asked] == [None, 50, 30, 30]
    assert [config.decode.batch_sentences for config in asked] == [64, 32, 16, 8]
    for config in asked:
        assert config_io.digest(config, first.trial.checksums) == first.trial.digest
        assert config.train.tokens_per_batch == 100
    starts = [line for line in read_lines(first.record.attempts) if line["event"] == "start"]
    assert [line["micro_tokens"] for line in starts] == [None, 50, 30, 30]
    told = "train.micro_tokens=50, decode.batch_sentences=32; the same updates"
    assert f"again     tiny/base seed 1: {told}" in watcher.said


def test_a_trial_that_ran_out_of_memory_stays_small_in_the_next_sweep(
    toy: Toy, tmp_path: Path
) -> None:
    (item,) = toy.plan(tmp_path, [1], ["base"])
    ends: list[Kind] = ["out_of_memory", "bad_configuration"]
    go([item], tmp_path, Runner({item.trial.digest: ends}))
    runner = Runner({})
    go([item], tmp_path, runner)
    assert runner.seen[0].passes == {"micro_tokens": 32, "batch_sentences": 32}


def test_a_trial_of_another_process_is_no_failure(toy: Toy, tmp_path: Path) -> None:
    first, _ = planned = toy.plan(tmp_path, [1])
    watcher = go(planned, tmp_path, Runner({first.trial.digest: CLAIMED_ELSEWHERE}))
    assert "elsewhere tiny/base seed 1: another process is training it" in watcher.said
    assert first.state.kind == "waiting"


def test_an_infinite_perplexity_is_told(toy: Toy, tmp_path: Path) -> None:
    (item,) = toy.plan(tmp_path, [1], ["base"])
    item.record.write_json(
        "result.json", {"scores": {**RESULT["scores"], "valid.perplexity": float("inf")}}
    )
    watcher = Watcher()
    sweep._report(item, Ended(item.trial.digest, 0), watcher)
    assert watcher.said == ["finished  tiny/base seed 1: perplexity inf, BLEU 31.5, 61 s"]


def test_a_stop_leaves_time_for_checkpoints_and_is_passed_on(toy: Toy, tmp_path: Path) -> None:
    planned = toy.plan(tmp_path, [1, 2])
    runner = Impatient({item.trial.digest: "killed" for item in planned})
    watcher = Watcher()
    with pytest.raises(KeyboardInterrupt):
        sweep.run(planned, Root(tmp_path), runner, watcher, watcher)
    assert runner.grace_s == TERM_GRACE_S
    assert [item.state.kind for item in planned] == ["killed"] * 2 + ["waiting"] * 2
    assert watcher.said[0].startswith("stopping: 2 trials write a checkpoint")
    assert [text.split()[0] for text in watcher.said[1:]] == ["killed", "killed"]


# Reruns


@pytest.fixture
def trained(toy: Toy, tmp_path: Path) -> Planned:
    (item,) = toy.plan(tmp_path, [1], ["A"])
    job = sweep.job(item, Root(tmp_path))
    item.record.write_json("trial.json", {"digest": job.digest, **job.about})
    item.record.config.write_text(job.config)
    finish(item)
    return item


def test_a_rerun_is_the_same_trial_in_another_directory(trained: Planned) -> None:
    again = sweep.plan_again(trained.record.path, "run7")
    assert again.trial == trained.trial
    assert again.record.path == trained.record.path / "reruns" / "1"
    assert sweep.about(again)["rerun_of"] == "run7"
    assert again.state.kind == "waiting"


def test_a_rerun_that_was_stopped_is_gone_on_with(trained: Planned) -> None:
    first = sweep.plan_again(trained.record.path, "run7")
    first.record.start_attempt({})
    assert sweep.plan_again(trained.record.path, "run7").record.path == first.record.path
    finish(first)
    assert sweep.plan_again(trained.record.path, "run7").record.path.name == "2"


def test_a_rerun_of_a_rerun_lies_beside_it(trained: Planned) -> None:
    first = sweep.plan_again(trained.record.path, "run7")
    job = sweep.job(first, Root(trained.record.path))
    first.record.write_json("trial.json", {"digest": job.digest, **job.about})
    first.record.config.write_text(job.config)
    finish(first)
    second = sweep.plan_again(first.record.path, "run8")
    assert second.record.path == trained.record.path / "reruns" / "2"


def test_what_is_no_trial_s_directory_is_not_rerun(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no trial\.json"):
        sweep.plan_again(tmp_path, "run7")


# Trials that are proposed when others are over


class Proposer:
    """Proposes one list of trials after the other, and notes how the plan stood when asked."""

    def __init__(self, *lists: Sequence[Trial]) -> None:
        self.lists = [*lists]
        self.stood: list[list[Kind]] = []

    def __call__(self, planned: Sequence[Planned]) -> sweep.Further:
        self.stood.append([item.state.kind for item in planned])
        trials = self.lists.pop(0) if self.lists else []
        return sweep.Further(trials, [f"{len(trials)} more"])


def test_further_trials_are_asked_for_when_all_are_over(toy: Toy, tmp_path: Path) -> None:
    first, runner, watcher = toy.plan(tmp_path, [1]), Runner({}), Watcher()
    propose = Proposer(toy.trials([1, 2]), toy.trials([3], ["A"]))
    done = sweep.run(first, Root(tmp_path), runner, watcher, watcher, propose)
    assert [(item.trial.arm, item.trial.seed) for item in done] == [
        *[("base", 1), ("A", 1), ("base", 2), ("A", 2)],
        ("A", 3),
    ]
    assert propose.stood == [["finished"] * count for count in (2, 4, 5)]
    assert len(runner.order) == len(set(runner.order)) == 5
    assert sorted(watcher.watched) == sorted(runner.order)
    assert [line for line in watcher.said if line.endswith("more")] == [
        "4 more",
        "1 more",
        "0 more",
    ]


def test_what_failed_for_good_is_not_waited_for(toy: Toy, tmp_path: Path) -> None:
    first, watcher = toy.plan(tmp_path, [1]), Watcher()
    propose = Proposer(toy.trials([2]))
    runner = Runner({first[0].trial.digest: "bad_configuration"})
    sweep.run(first, Root(tmp_path), runner, watcher, watcher, propose)
    assert propose.stood[0] == ["bad_configuration", "finished"]
    assert len(runner.order) == 4


def test_a_further_trial_that_is_over_already_is_mirrored_alone(toy: Toy, tmp_path: Path) -> None:
    (done,) = toy.plan(tmp_path, [2], ["A"])
    finish(done)
    first, runner, watcher = toy.plan(tmp_path, [1]), Runner({}), Watcher()
    propose = Proposer([done.trial])
    sweep.run(first, Root(tmp_path), runner, watcher, watcher, propose)
    assert done.trial.digest in watcher.watched
    assert done.trial.digest not in runner.order


def test_a_plan_grows_as_far_as_finished_trials_lead(toy: Toy, tmp_path: Path) -> None:
    first, said = toy.plan(tmp_path, [1]), list[str]()
    second, third = toy.trials([2]), toy.trials([3])
    for item in [*first, *toy.plan(tmp_path, [2])]:
        finish(item)
    grown = sweep.grown(first, Root(tmp_path), Proposer(second, third, []), said.append)
    assert [item.trial for item in grown] == [*(item.trial for item in first), *second, *third]
    assert said == ["2 more", "2 more"]  # seed 3 is still to be trained
