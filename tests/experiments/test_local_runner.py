"""The local runner keeps the runners' contract, and its server ends with nobody left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.runners import local
from experiments.runners.local import (
    Ended,
    LocalRunner,
    Slot,
    find_gpus,
    free_memory,
    plan_slots,
)
from experiments.worker import CLAIMED_ELSEWHERE
from lit_transformer.config_io import ConfigError
from lit_transformer.record import Record, read_lines
from tests.contracts import RunnerContract, finish, wait_for
from tests.toy import Toy, write_nvidia_smi, write_toy

CPU = Slot(None, 1)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("toy"))


class TestLocalRunner(RunnerContract):
    """Each of these starts and ends a runner of its own, all in one process."""

    def start(self, slots: int) -> LocalRunner:
        return LocalRunner([CPU] * slots)


def test_a_claimed_trial_is_left_alone(toy: Toy, tmp_path: Path) -> None:
    (job,) = toy.jobs(tmp_path, [1], ["base"])
    record = Record(job.directory)
    claim = record.claim()
    assert claim is not None
    with LocalRunner([CPU]) as runner:
        runner.submit(job)
        assert finish(runner) == [Ended(job.digest, CLAIMED_ELSEWHERE)]
        os.close(claim)
    assert [path.name for path in record.path.iterdir()] == ["lock"]


def test_a_slot_s_device_is_the_trial_s(toy: Toy, tmp_path: Path) -> None:
    (job,) = toy.jobs(tmp_path, [1], ["base"])
    with LocalRunner([Slot("77", 1)]) as runner:
        runner.submit(job)
        finish(runner)
    record = Record(job.directory)
    assert next(read_lines(record.attempts))["device"] == "gpu 77"
    assert record.state().kind == "failed"  # there is no such device


def test_a_trial_on_several_devices_has_as_many_gpus(toy: Toy, tmp_path: Path) -> None:
    (job,) = toy.jobs(tmp_path, [1], ["base"], ["train.devices=2"])
    with LocalRunner([Slot("77", 1), Slot("77", 1), Slot("78", 1)]) as runner:
        assert (runner.has_room(2), runner.has_room(3)) == (True, False)
        runner.submit(job)
        assert (runner.has_room(1), runner.has_room(2)) == (True, False)  # 77 alone is left
        finish(runner)
        assert runner.has_room(2)
    start = next(read_lines(Record(job.directory).attempts))
    assert (start["device"], start["devices"]) == ("gpu 77,78", 2)
    assert Record(job.directory).state().kind == "failed"  # there are no such devices


def test_no_more_trials_than_asked_for_run_at_once(toy: Toy, tmp_path: Path) -> None:
    (job,) = toy.jobs(tmp_path, [1], ["base"])
    with LocalRunner([CPU, CPU], at_once=1) as runner:
        runner.submit(job)
        assert not runner.has_room(1)
        finish(runner)
        assert runner.has_room(1)


def test_a_server_that_dies_is_an_outcome_and_is_replaced(toy: Toy, tmp_path: Path) -> None:
    (job,) = toy.jobs(tmp_path, [1], ["base"])
    record = Record(job.directory)
    with LocalRunner([CPU]) as runner:
        runner.submit(job)
        wait_for(record.attempts.exists)
        os.kill(local.server(), signal.SIGKILL)
        (ended,) = finish(runner)
        assert ended.exit_status != 0
        wait_for(lambda: not record.is_claimed())  # the trial went with its server
        assert record.state().kind == "killed"
        runner.submit(job)
        assert finish(runner) == [Ended(job.digest, 0)]
    assert record.state() == ("finished", "", 2)


def test_an_interrupted_stop_kills_at_once(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = toy.jobs(tmp_path, [1], ["base"])
    record = Record(job.directory)
    with LocalRunner([CPU]) as runner:
        runner.submit(job)
        wait_for(record.attempts.exists)

        def interrupted(timeout_s: float) -> list[Ended]:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(runner, "poll", interrupted)
            with pytest.raises(KeyboardInterrupt):
                runner.stop(1000.0)
        (ended,) = finish(runner)
    assert ended == Ended(job.digest, -signal.SIGKILL)


def test_the_server_is_started_only_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "server", lambda: pytest.fail("started"))
    with LocalRunner([]) as runner:
        assert not runner.has_room(1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_waits_until_a_trial_that_starts_is_listed(number: signal.Signals) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    done = []

    def submit() -> None:
        with local.stops_put_off():
            signal.raise_signal(number)
            done.append("listed")

    try:
        with pytest.raises(KeyboardInterrupt):
            submit()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert done == ["listed"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_server_holds_back_what_stops_a_sweep() -> None:
    """So that it, and with it the trials, outlives a signal to the whole process group.

    In a fresh process: starting multiprocessing's resource tracker lets go of signals once.
    """
    script = (
        "import signal; from experiments.runners import local;"
        "print(open(f'/proc/{local.server()}/status').read());"
        "assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])"  # here they arrive
    )
    command = [sys.executable, "-c", script]
    status = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    (blocked,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
    held = {number for number in range(1, 32) if int(blocked, 16) >> (number - 1) & 1}
    assert held == {signal.SIGINT, signal.SIGTERM}


def test_what_trials_are_forked_from_has_one_thread_and_nothing_to_collect() -> None:
    """A thread pool would not survive the fork; a collection would copy the shared memory."""
    script = (
        "import gc, os, sys, experiments.preload;"
        "print(len(os.listdir('/proc/self/task')), gc.get_freeze_count() > len(gc.get_objects()),"
        "'sacrebleu.metrics.ter' in sys.modules)"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # as ablate sets it
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["1", "True", "True"]


@pytest.mark.parametrize(
    ("trials", "gpus", "per_gpu", "at_once", "expected"),
    [
        (9, ["0", "3"], 1, None, [Slot("0", 4), Slot("3", 4)]),
        (9, ["0", "3"], 2, None, [Slot("0", 2), Slot("3", 2), Slot("0", 2), Slot("3", 2)]),
        (9, ["0", "3"], 2, 3, [Slot("0", 2), Slot("3", 2), Slot("0", 2)]),
        (1, ["0", "3"], 2, None, [Slot("0", 2)]),
        (9, [], 1, None, [Slot(None, 1)] * 8),
        (3, [], 1, None, [Slot(None, 2)] * 3),
        (9, [], 1, 2, [Slot(None, 4)] * 2),
        (1, [], 1, None, [Slot(None, 8)]),
    ],
)
def test_slots_share_out_gpus_or_cores(
    trials: int,
    gpus: list[str],
    per_gpu: int,
    at_once: int | None,
    expected: list[Slot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "cores", lambda: 8)
    assert plan_slots([1] * trials, gpus, per_gpu, at_once) == expected


@pytest.mark.parametrize(
    ("devices", "gpus", "at_once", "expected"),
    [
        ([2, 1], ["0", "3", "4", "6"], None, [Slot("0", 2), Slot("3", 2), Slot("4", 2)]),
        ([2, 1], ["0", "3", "4", "6"], 1, [Slot("0", 2), Slot("3", 2)]),
        ([2, 1], [], None, [Slot(None, 2)] * 3),
        ([3, 3, 1], [], 2, [Slot(None, 1)] * 6),
        ([12], [], None, [Slot(None, 1)] * 12),  # more processes than cores
    ],
)
def test_a_trial_has_a_slot_for_each_device(
    devices: list[int],
    gpus: list[str],
    at_once: int | None,
    expected: list[Slot],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "cores", lambda: 8)
    assert plan_slots(devices, gpus, 1, at_once) == expected


def test_more_devices_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^train\.devices=3: .* these are there: 0, 5; lower"):
        plan_slots([1, 3], ["0", "5"], 4, None)
    monkeypatch.setattr(local.sys, "platform", "darwin")
    with pytest.raises(
        ConfigError, match=r"^train\.devices=2: .* needs Linux; set train\.devices=1"
    ):
        plan_slots([2], [], 1, None)


def test_without_ties_trials_run_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "cores", lambda: 8)
    monkeypatch.setattr(local.sys, "platform", "darwin")
    assert plan_slots([1] * 9, [], 1, None) == [Slot(None, 8)]


@pytest.mark.parametrize(("visible", "gpus"), [("", []), ("2", ["2"]), ("0, 5", ["0", "5"])])
def test_the_environment_says_which_gpus_there_are(
    visible: str, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert find_gpus() == gpus


def test_a_host_without_nvidia_s_tool_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", "")
    assert find_gpus() == []
    assert free_memory(["0"]) == {}


def test_nvidia_s_tool_tells_the_gpus_and_their_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nvidia_smi(tmp_path, {"0": 24_000, "1": 100, "2": None})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpus() == ["0", "1", "2"]
    assert free_memory(["1", "GPU-0", "2", "9"]) == {"1": 100 * 2**20, "GPU-0": 24_000 * 2**20}


def test_what_lies_in_the_current_folder_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another checkout may lie there."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").write_text("raise SystemExit('the wrong one')\n")
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    with local.own_code():
        words = [sys.executable, "-c", "import experiments; print(experiments.__file__)"]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert Path(told.strip()) == Path(local.__file__).parents[1] / "__init__.py"
    assert dict(os.environ) == before


def test_a_gpu_is_refused_where_its_absence_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_nvidia_smi(tmp_path, {"0": 24_000, "1": 100})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    local.check_gpus(["1", "GPU-of-a-name"])
    with pytest.raises(ConfigError, match="GPU 7: nvidia-smi lists only 0, 1 on this host"):
        local.check_gpus(["0", "7"])
