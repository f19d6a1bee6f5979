"""What every implementation of an interface must do, whichever it is."""

import hashlib
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from experiments.runners.local import Ended
from experiments.sweep import Runner
from experiments.worker import Job
from lit_transformer.record import Record, read_lines
from tests.toy import Toy

PATIENCE_S = 300.0
"""Nothing here takes long; a machine may be busy."""


class RunnerContract(ABC):
    """Every trial is reported once, a crash is an outcome, and nothing is run twice."""

    @abstractmethod
    def start(self, slots: int) -> AbstractContextManager[Runner]:
        """A runner with room for so many trials."""

    def test_every_trial_is_reported_once(self, toy: Toy, tmp_path: Path) -> None:
        waiting = toy.jobs(tmp_path, [1, 2], ["base"]) + toy.jobs(tmp_path, [1], ["A"])
        digests = [job.digest for job in waiting]
        ended: list[Ended] = []
        with self.start(2) as runner:
            while waiting or runner.running:
                while waiting and runner.has_room(waiting[0].devices):
                    runner.submit(waiting.pop(0))
                assert len(runner.running) <= 2
                ended += runner.poll(0.1)
            assert runner.poll(0) == []
        assert sorted(one.digest for one in ended) == sorted(digests)
        assert {one.exit_status for one in ended} == {0}
        for digest in digests:
            assert record_of(tmp_path, digest).state() == ("finished", "", 1)

    def test_a_failure_is_an_outcome(self, toy: Toy, tmp_path: Path) -> None:
        (diverges,) = toy.jobs(tmp_path, [1], ["base"], ["optim.rate_factor=1e30"])
        (huge,) = toy.jobs(tmp_path, [1], ["base"], ["decode.beam=10000000000000"])
        with self.start(2) as runner:
            runner.submit(diverges)
            runner.submit(huge)
            ended = finish(runner)
        assert [one.exit_status for one in ended] == [1, 1]
        state = Record(diverges.directory).state()
        assert (state.kind, "nan" in state.reason or "inf" in state.reason) == ("diverged", True)
        state = Record(huge.directory).state()
        assert (state.kind, "allocate" in state.reason) == ("out_of_memory", True)
        assert "Traceback" in Record(huge.directory).log.read_text()

    def test_a_crash_is_an_outcome(self, toy: Toy, tmp_path: Path) -> None:
        crashes, other = toy.jobs(tmp_path, [1])
        with self.start(2) as runner:
            runner.submit(crashes)
            runner.submit(other)
            wait_for(lambda: Record(crashes.directory).attempts.exists())
            os.kill(pid_of(crashes), signal.SIGKILL)
            ended = finish(runner)
            assert sorted(one.digest for one in ended) == sorted([crashes.digest, other.digest])
            assert runner.has_room(2)
        assert Record(crashes.directory).state().kind == "killed"
        assert Record(other.directory).state().kind == "finished"

    def test_stop_and_resume_run_nothing_twice(self, toy: Toy, tmp_path: Path) -> None:
        sets = ["train.steps=60"]
        (undisturbed,) = toy.jobs(tmp_path / "undisturbed", [1], ["base"], sets)
        (stopped,) = toy.jobs(tmp_path / "stopped", [1], ["base"], sets)
        record = Record(stopped.directory)
        with self.start(1) as runner:
            runner.submit(undisturbed)
            finish(runner)
            runner.submit(stopped)
            wait_for(lambda: any(record.checkpoints.glob("*.ckpt")))
            assert [one.digest for one in runner.stop(PATIENCE_S)] == [stopped.digest]
            assert runner.running == []
            assert record.state().kind == "killed"
            assert "its checkpoint is written" in record.state().reason
            runner.submit(stopped)
            assert finish(runner) == [Ended(stopped.digest, 0)]
        assert record.state() == ("finished", "", 2)
        assert weights(stopped) == weights(undisturbed)
        assert steps(stopped) == steps(undisturbed) == [*range(2, 61, 2)]

    def test_a_stop_without_grace_leaves_no_process(self, toy: Toy, tmp_path: Path) -> None:
        jobs = toy.jobs(tmp_path, [1])
        with self.start(2) as runner:
            for job in jobs:
                runner.submit(job)
            wait_for(lambda: all(Record(job.directory).attempts.exists() for job in jobs))
            ended = runner.stop(0.0)
            assert sorted(one.digest for one in ended) == sorted(job.digest for job in jobs)
            assert not any(Record(job.directory).is_claimed() for job in jobs)

    def test_leaving_the_runner_ends_its_trials(self, toy: Toy, tmp_path: Path) -> None:
        (job,) = toy.jobs(tmp_path, [1], ["base"])
        with self.start(1) as runner:
            runner.submit(job)
            wait_for(lambda: Record(job.directory).attempts.exists())
        assert not Record(job.directory).is_claimed()

    def test_a_finished_trial_is_not_trained_again(self, toy: Toy, tmp_path: Path) -> None:
        (job,) = toy.jobs(tmp_path, [1], ["base"])
        with self.start(1) as runner:
            runner.submit(job)
            finish(runner)
            before = weights(job)
            runner.submit(job)
            assert finish(runner) == [Ended(job.digest, 0)]
        assert Record(job.directory).state().attempts == 1
        assert weights(job) == before


def record_of(root: Path, digest: str) -> Record:
    return Record(root / "mlruns" / "trials" / digest)


def finish(runner: Runner) -> list[Ended]:
    """Wait for every trial under way."""
    ended: list[Ended] = []
    deadline = time.monotonic() + PATIENCE_S
    while runner.running:
        assert time.monotonic() < deadline
        ended += runner.poll(0.2)
    return ended


def pid_of(job: Job) -> int:
    (*_, start) = (line for line in read_lines(Record(job.directory).attempts) if "pid" in line)
    return int(start["pid"])


def weights(job: Job) -> str:
    return hashlib.sha256(Record(job.directory).weights.read_bytes()).hexdigest()


def steps(job: Job) -> list[int]:
    """Updates at which the training loss was written, as often as it was."""
    lines = read_lines(Record(job.directory).metrics)
    return [line["step"] for line in lines if "train.loss" in line["values"]]


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
