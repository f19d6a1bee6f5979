"""Trials on several devices, here processes of a CPU: as on one, and none outlives its trial."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from experiments import ranks
from experiments.ranks import End, Seat
from experiments.runners.local import Ended, LocalRunner, Slot, find_gpus
from experiments.worker import Job
from lit_transformer import peers
from lit_transformer.checkpoints import AtomicCheckpointIO, newest_whole
from lit_transformer.record import Record, read_lines
from lit_transformer.scoring import METRICS
from tests.contracts import finish, pid_of, wait_for
from tests.toy import Toy, write_toy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ranks are tied on Linux alone")

OF_TIME = {
    *("train.target_tokens_per_second", "cost.train_seconds", "cost.total_seconds"),
    *(name for name in METRICS if name.endswith(".seconds_per_sentence")),
}
LONG = ["train.steps=60"]
GPUS = find_gpus()


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def runner() -> Iterator[LocalRunner]:
    with LocalRunner([Slot(None, 1)] * 3) as started:
        yield started


def a_job(toy: Toy, root: Path, devices: int, sets: Sequence[str] = ()) -> Job:
    (job,) = toy.jobs(root, [1], ["base"], [*sets, f"train.devices={devices}"])
    return job


def run(runner: LocalRunner, job: Job) -> Record:
    runner.submit(job)
    assert finish(runner) == [Ended(job.digest, 0)], Record(job.directory).log.read_text()
    return Record(job.directory)


def result(record: Record) -> dict[str, Any]:
    found = record.result()
    assert found is not None
    return found


def curves(record: Record) -> list[tuple[int, str, float]]:
    """Every point, as often as it was written."""
    return sorted(
        (line["step"], name, value)
        for line in read_lines(record.metrics)
        for name, value in line["values"].items()
        if name not in OF_TIME and not name.startswith("system/")
    )


def outcome(record: Record) -> dict[str, Any]:
    """What must not depend on when a trial was stopped."""
    return {
        "weights": hashlib.sha256(record.weights.read_bytes()).hexdigest(),
        "averaged": hashlib.sha256(record.averaged.read_bytes()).hexdigest(),
        "curves": curves(record),
        "hypotheses": {path.name: path.read_text() for path in record.hypotheses.iterdir()},
        "scores": {k: v for k, v in result(record)["scores"].items() if k not in OF_TIME},
    }


def children(pid: int) -> list[int]:
    """Of a worker: its ranks, in their order."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def started(runner: LocalRunner, job: Job) -> list[int]:
    """Submit a job -> the worker and its ranks, once a checkpoint is there."""
    runner.submit(job)
    wait_for(lambda: any(Record(job.directory).checkpoints.glob("*.ckpt")))
    return [pid_of(job), *children(pid_of(job))]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


# What is computed


@pytest.mark.parametrize(
    "sets",
    [
        ["optim.clip_norm=0.5"],
        ["train.micro_tokens=32"],
        ["model.tied_embeddings=none", "optim.optimizer=adafactor"],
        ["data.max_tokens=16", "train.tokens_per_batch=16"],  # a pair or two in each update
    ],
)
def test_several_devices_train_what_one_trains(
    sets: list[str], runner: LocalRunner, toy: Toy, tmp_path: Path
) -> None:
    still = [*sets, "model.dropout=0.0", "train.steps=6"]
    one, three = (
        run(runner, a_job(toy, tmp_path / str(devices), devices, still)) for devices in (1, 3)
    )
    expected = load_file(one.weights)
    for name, value in load_file(three.weights).items():
        torch.testing.assert_close(value, expected[name], atol=1e-5, rtol=1e-5)
    for (*point, value), (*wanted, number) in zip(curves(three), curves(one), strict=True):
        assert point == wanted
        assert value == pytest.approx(number, rel=1e-4)
    for name in ("cost.source_tokens", "cost.target_tokens", "cost.flops", "cost.parameters"):
        assert result(three)["scores"][name] == result(one)["scores"][name]
    assert (result(one)["devices"], result(three)["devices"]) == (1, 3)
    environment = three.read_json("environment.json")
    assert environment is not None
    assert environment["devices"] == 3


@pytest.mark.multi_gpu
@pytest.mark.skipif(len(GPUS) < 2, reason="fewer than two GPUs")
def test_two_gpus_train_what_one_trains(toy: Toy, tmp_path: Path) -> None:
    still = ["model.dropout=0.0", "train.steps=6", "train.deterministic=true"]
    with LocalRunner([Slot(gpu, 1) for gpu in GPUS[:2]]) as runner:
        one = run(runner, a_job(toy, tmp_path / "one", 1, still))
        two = run(runner, a_job(toy, tmp_path / "two", 2, still))
    expected = load_file(one.weights)
    for name, value in load_file(two.weights).items():
        torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-4)


def test_every_rank_draws_its_own_dropout(runner: LocalRunner, toy: Toy, tmp_path: Path) -> None:
    """Generators that nothing has drawn from are as they were seeded."""
    sets = ["train.keep=checkpoints", "train.steps=1", "model.dropout=0.0"]
    states = []
    for devices in (1, 3):
        record = run(runner, a_job(toy, tmp_path / str(devices), devices, sets))
        newest = newest_whole(record.checkpoints)
        assert newest is not None
        journal = AtomicCheckpointIO().load_checkpoint(newest)["callbacks"]["Journal"]
        states.append([state["torch"].numpy().tobytes() for state in journal["random"]])
    (alone,), three = states
    assert three[0] == alone
    assert len(set(three)) == 3


@pytest.mark.parametrize("devices", [2, 3])
def test_scores_do_not_depend_on_the_number_of_devices(
    devices: int, runner: LocalRunner, toy: Toy, tmp_path: Path
) -> None:
    """The same weights, scored again: to the last bit, and every sentence once."""
    sets = ["decode.batch_sentences=1", "train.micro_tokens=32"]
    one = run(runner, a_job(toy, tmp_path / "one", 1, sets))
    job = a_job(toy, tmp_path / "more", devices, sets)
    shutil.copytree(one.path, job.directory)
    more = Record(job.directory)
    more.result_file.unlink()
    for folder in (more.hypotheses, more.path / "scores"):
        shutil.rmtree(folder)
    run(runner, job)
    assert result(more)["devices"] == devices
    assert outcome(more) == outcome(one)


# Stopped and resumed


@pytest.fixture(scope="module")
def undisturbed(
    runner: LocalRunner, toy: Toy, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    return outcome(run(runner, a_job(toy, tmp_path_factory.mktemp("undisturbed"), 2, LONG)))


@pytest.mark.parametrize(
    ("which", "number", "reason"),
    [
        (0, signal.SIGTERM, "its checkpoint is written"),
        (0, signal.SIGKILL, "without a word"),
        (1, signal.SIGKILL, "rank 0 was ended by SIGKILL"),
        (2, signal.SIGKILL, "rank 1 was ended by SIGKILL"),
    ],
)
def test_a_stopped_trial_leaves_nothing_running_and_ends_in_the_same_bits(
    which: int,
    number: signal.Signals,
    reason: str,
    runner: LocalRunner,
    toy: Toy,
    tmp_path: Path,
    undisturbed: dict[str, Any],
) -> None:
    job = a_job(toy, tmp_path, 2, LONG)
    record = Record(job.directory)
    processes = started(runner, job)
    assert len(processes) == 3
    os.kill(processes[which], number)
    (ended,) = finish(runner)
    assert ended.exit_status != 0
    state = record.state()
    assert (state.kind, reason in state.reason) == ("killed", True), state
    assert not any(map(is_alive, processes))
    assert outcome(run(runner, job)) == undisturbed
    assert "not those of an undisturbed run" not in record.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("point", ["start", "train.loss", "valid.loss", "scores"])
def test_a_rank_killed_at_any_moment_changes_no_bit(
    point: str, runner: LocalRunner, toy: Toy, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    job = a_job(toy, tmp_path, 2, LONG)
    record = Record(job.directory)

    def reached() -> bool:
        if point == "start":
            return record.attempts.exists() and len(children(pid_of(job))) == 2
        if point == "scores":
            return (record.path / "scores" / "valid.json").exists()
        return any(point in line["values"] for line in read_lines(record.metrics))

    runner.submit(job)
    wait_for(reached)
    os.kill(children(pid_of(job))[1], signal.SIGKILL)
    finish(runner)
    assert outcome(run(runner, job)) == undisturbed


@pytest.mark.parametrize("devices", [1, 2])
def test_a_pruned_trial_ends_on_every_device_with_its_curve_kept(
    devices: int, runner: LocalRunner, toy: Toy, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    job = a_job(toy, tmp_path, devices, LONG)
    record = Record(job.directory)
    processes = started(runner, job)
    wait_for(lambda: any("valid.loss" in line["values"] for line in read_lines(record.metrics)))
    record.ask_to_prune()
    assert finish(runner) == [Ended(job.digest, 1)]
    state = record.state()
    assert (state.kind, "its checkpoint is written" in state.reason) == ("pruned", True), state
    assert not any(map(is_alive, processes))
    points = {(step, name) for step, name, _ in curves(record)}
    assert (8, "valid.curve_bleu") in points
    assert (60, "valid.curve_bleu") not in points
    again = run(runner, job)  # by somebody who wants it trained: nobody asks anew
    assert not record.prune_file.exists()
    assert devices == 1 or outcome(again) == undisturbed


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_trial_goes_on_with_another_number_of_devices(
    before: int, after: int, runner: LocalRunner, toy: Toy, tmp_path: Path
) -> None:
    job = a_job(toy, tmp_path, before, LONG)
    os.kill(started(runner, job)[0], signal.SIGTERM)
    finish(runner)
    record = run(runner, a_job(toy, tmp_path, after, LONG))
    said = f"resumed with train.devices={after} what was trained with {before}"
    assert said in record.log.read_text()
    assert [step for step, name, _ in curves(record) if name == "train.loss"] == [*range(2, 61, 2)]


def test_every_rank_holds_the_claim(runner: LocalRunner, toy: Toy, tmp_path: Path) -> None:
    job = a_job(toy, tmp_path, 2, LONG)
    for pid in started(runner, job):
        held = [os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir() if file.exists()]
        assert str(Record(job.directory).lock) in held
    finish(runner)


# How they end


def test_a_failure_is_that_of_one_device(runner: LocalRunner, toy: Toy, tmp_path: Path) -> None:
    for sets, kind in (
        (["optim.rate_factor=1e30"], "diverged"),
        (["model.d_ff=1000000000000"], "bad_configuration"),
    ):
        states = []
        for devices in (1, 2):
            job = a_job(toy, tmp_path / kind / str(devices), devices, sets)
            runner.submit(job)
            finish(runner)
            states.append(Record(job.directory).state())
        assert states[0] == states[1]
        assert states[0].kind == kind


def alone_in_trouble(seat: Seat) -> End:
    """Rank 1 runs out of memory while the others wait for it, and fail when it is gone."""
    group = peers.join(*seat, torch.device("cpu"))
    if seat.rank == 1:
        return "out_of_memory", "of rank 1"
    try:
        group.any(False)
    except RuntimeError as error:
        return "failed", str(error)
    return "finished", ""


def silent(seat: Seat) -> End:
    """Rank 1 leaves without a word; rank 0 would wait for ever."""
    if seat.rank == 1:
        os._exit(3)
    time.sleep(1000)
    return "finished", ""


def segfault(seat: Seat) -> End:
    """Rank 0 says that it failed, which it did since rank 1 is gone."""
    if seat.rank == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    return "failed", "connection reset"


def late(seat: Seat) -> End:
    """Rank 0 has finished the trial, whatever becomes of rank 1."""
    if seat.rank == 1:
        return "failed", "after the end"
    return "finished", ""


def watched(work: Callable[[Seat], End], tells: Any) -> None:
    tells.send(ranks.watch(2, work, lambda: False))


@pytest.mark.parametrize(
    ("work", "end"),
    [
        (alone_in_trouble, ("out_of_memory", "of rank 1")),
        (silent, ("failed", "rank 1 exited with status 3 without a word")),
        (segfault, ("killed", "rank 1 was ended by SIGSEGV")),
        (late, ("finished", "")),
    ],
)
def test_the_cause_is_told_and_not_what_it_broke(
    work: Callable[[Seat], End], end: End, runner: LocalRunner
) -> None:
    context = multiprocessing.get_context("forkserver")
    told, tells = context.Pipe(duplex=False)
    process = context.Process(target=watched, args=(work, tells))
    process.start()
    tells.close()
    assert told.recv() == end
    process.join()
    assert process.exitcode == 0
