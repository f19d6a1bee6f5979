"""Runs trials on the GPUs, or on the cores, of this host: a process each.

Trials are forked from a server that has imported the heavy libraries, so that a short trial does
not pay seconds of imports.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection, forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import NamedTuple, TypeVar, final

from experiments.checkout import HERE
from experiments.ties import PARENT
from experiments.worker import PRELOAD, STOP_SIGNALS, Job, work
from lit_transformer.config_io import ConfigError
from lit_transformer.record import Record

TERM_GRACE_S = 30.0
"""Time that a stopped trial has to write its checkpoint."""
STOP_POLL_S = 0.1
"""Longest wait between two looks at the clock while trials are stopped."""
RANKS_GRACE_S = 5.0
"""Longest wait for the ranks of a worker that was killed."""


P = TypeVar("P")
"""A trial under way, as its runner knows it."""


class Slot(NamedTuple):
    """Room for one trial at a time, or for one device's share of it."""

    gpu: str | None
    threads: int


class Placed(NamedTuple):
    """A trial under way."""

    process: BaseProcess
    slots: list[Slot]
    directory: Path


class Ended(NamedTuple):
    """A process that is no more. What became of the trial is in its directory."""

    digest: str
    exit_status: int


@final
class LocalRunner:
    """As many trials as the slots have room for, at most `at_once`.

    Use it from the main thread, as a context manager.
    """

    def __init__(self, slots: Sequence[Slot], at_once: int | None = None) -> None:
        self._free, self._at_once = list(slots), at_once
        self._running: dict[str, Placed] = {}
        self._server = sys.platform == "linux"
        self._context: ForkServerContext | SpawnContext = (
            multiprocessing.get_context("forkserver")
            if self._server
            else multiprocessing.get_context("spawn")
        )

    def __enter__(self) -> "LocalRunner":
        if self._server and self._free:
            self._context.set_forkserver_preload([PRELOAD])
            server()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop(0.0)

    @property
    def running(self) -> list[str]:
        """Digests of the trials under way."""
        return list(self._running)

    def has_room(self, devices: int) -> bool:
        """Whether a trial on so many devices can start."""
        room = self._at_once is None or len(self._running) < self._at_once
        return room and len(self._distinct()) >= devices

    def submit(self, job: Job) -> None:
        """Start a trial in as many free slots as it has devices, each on a GPU of its own."""
        with stops_put_off():  # else a process that has started might be in no list
            slots = self._distinct()[: job.devices]
            for slot in slots:
                self._free.remove(slot)
            gpus = tuple(slot.gpu for slot in slots if slot.gpu is not None)
            parent = server() if self._server else os.getpid()
            told = replace(job, gpus=gpus, threads=slots[0].threads, parent=parent)
            process = self._context.Process(target=work, args=(told,), daemon=False)
            process.start()
            self._running[job.digest] = Placed(process, slots, job.directory)

    def _distinct(self) -> list[Slot]:
        """The free slots, one of each GPU."""
        on_gpus = all(slot.gpu is not None for slot in self._free)
        return list(dict.fromkeys(self._free)) if on_gpus else list(self._free)

    def poll(self, timeout_s: float) -> list[Ended]:
        """Wait for at most so long -> the trials whose process has ended."""
        connection.wait([placed.process.sentinel for placed in self._running.values()], timeout_s)
        ended = []
        for digest, (process, slots, directory) in list(self._running.items()):
            if process.is_alive():
                continue
            process.join()
            status = process.exitcode or 0
            if status < 0 and len(slots) > 1:
                _outlast_ranks(Record(directory))
            ended.append(Ended(digest, status))
            self._free += slots
            del self._running[digest]
        return ended

    def stop(self, grace_s: float) -> list[Ended]:
        """As `stop_all`, of processes."""
        return stop_all(
            self._running,
            self.poll,
            grace_s,
            ask=lambda placed: placed.process.terminate(),
            kill=lambda placed: placed.process.kill(),
        )


def stop_all(
    running: Mapping[str, P],
    poll: Callable[[float], list[Ended]],
    grace_s: float,
    ask: Callable[[P], None],
    kill: Callable[[P], None],
) -> list[Ended]:
    """Ask every trial to write its checkpoint and end; kill those that take longer.

    All are killed at once where this is interrupted. `poll` takes what has ended out of `running`.
    """
    ended: list[Ended] = []
    deadline = time.monotonic() + grace_s
    try:
        for placed in running.values() if grace_s else ():
            ask(placed)
        while running and time.monotonic() < deadline:
            ended += poll(STOP_POLL_S)
    finally:
        for placed in running.values():
            kill(placed)
    while running:
        ended += poll(STOP_POLL_S)
    return ended


def _outlast_ranks(record: Record) -> None:
    """The ranks of a worker that is killed end a moment after it, and hold its claim until then."""
    deadline = time.monotonic() + RANKS_GRACE_S
    while record.is_claimed() and time.monotonic() < deadline:
        time.sleep(0.01)


def server() -> int:
    """The process that trials are forked from, and so the parent of every one; started if need be.

    It holds back the signals that stop a sweep, for the trials to deal with: neither Ctrl-C nor a
    SIGTERM to the whole process group ends it, and with it the trials, before they are saved.
    """
    os.environ[PARENT] = str(os.getpid())
    resource_tracker.ensure_running()  # its start lets go of the very signals held back below
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        with own_code():
            forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    pid = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    assert isinstance(pid, int)
    return pid


@contextmanager
def own_code() -> Iterator[None]:
    """Processes started within import the code that this one runs.

    They would look for it in the current folder first, where another checkout may lie.
    """
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    told = {"PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


@contextmanager
def stops_put_off() -> Iterator[None]:
    """Deal with Ctrl-C and SIGTERM only after the block."""
    put_off: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        put_off.append(number)

    before = {number: signal.signal(number, note) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in put_off:
            signal.raise_signal(late)


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_gpus() -> list[str]:
    """CUDA devices of this host: CUDA_VISIBLE_DEVICES's, else those that nvidia-smi lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip()]
    return [index for (index,) in _ask_nvidia_smi("index")]


def check_gpus(gpus: Sequence[str]) -> None:
    """ConfigError where a GPU is named by a number that this host does not have.

    Where a driver is there and nvidia-smi is not, nobody can tell.
    """
    numbers = sorted({gpu for gpu in gpus if gpu.isdecimal()})
    there = [index for (index,) in _ask_nvidia_smi("index")] if numbers else []
    if not there and Path("/dev/nvidiactl").exists():
        return
    if missing := [gpu for gpu in numbers if gpu not in there]:
        has = f"only {', '.join(there)}" if there else "none"
        raise ConfigError(
            f"GPU {', '.join(missing)}: nvidia-smi lists {has} on this host; name others with "
            '--gpus, or train on the CPU with --gpus ""'
        )


def free_memory(gpus: Sequence[str]) -> dict[str, int]:
    """Bytes of each GPU that nobody has taken; GPUs that nvidia-smi does not know are left out."""
    free: dict[str, int] = {}
    for index, uuid, mebibytes in _ask_nvidia_smi("index,uuid,memory.free"):
        if mebibytes.isdecimal():  # some devices have no figure of their own
            free |= dict.fromkeys((index, uuid), int(mebibytes) * 2**20)
    return {gpu: free[gpu] for gpu in gpus if gpu in free}


def _ask_nvidia_smi(fields: str) -> list[list[str]]:
    """A list of values for each GPU of this host; none where the tool is missing or fails."""
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    rows = listed.stdout.splitlines() if listed.returncode == 0 else []
    return [[value.strip() for value in row.split(",")] for row in rows if row.strip()]


def plan_slots(
    devices: Sequence[int], gpus: Sequence[str], trials_per_gpu: int, at_once: int | None
) -> list[Slot]:
    """GPUs where there are any, each for so many trials; else the cores, shared out evenly.

    `devices`: how many each trial takes. ConfigError where a trial takes more than there are.
    """
    most = max(devices, default=1)
    wanted = sum(sorted(devices, reverse=True)[:at_once])
    _refuse(most, gpus)
    if gpus:
        slots = [gpu for _ in range(trials_per_gpu) for gpu in gpus]
        return [Slot(gpu, max(1, cores() // len(slots))) for gpu in slots[:wanted]]
    count = max(most, wanted if at_once else min(wanted, cores()))
    if sys.platform != "linux":
        count = 1
    return [Slot(None, max(1, cores() // count)) for _ in range(count)]


def _refuse(devices: int, gpus: Sequence[str]) -> None:
    if devices > 1 and sys.platform != "linux":
        raise ConfigError(
            f"train.devices={devices}: a trial on several devices needs Linux; set train.devices=1"
        )
    if gpus and devices > len(set(gpus)):
        raise ConfigError(
            f"train.devices={devices}: a GPU for each is needed, and these are there: "
            f"{', '.join(gpus)}; lower train.devices, or name more with --gpus"
        )
