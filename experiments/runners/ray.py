"""Runs trials on the hosts of a Ray cluster: the one at RAY_ADDRESS, or one of this host alone.

Ray finds a host with free devices for a trial, and notices when a host is gone. What it runs there
is a LocalRunner with one trial, so that a trial starts, is tied to its parents and is stopped as on
one host. Ray tries nothing again: the sweep does. A trial's claim is a lock on the storage that all
hosts share, so no trial goes on elsewhere while a process that was cut off still works on it.
"""

import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, final

from experiments.runners.hosts import (
    ADDRESS,
    Host,
    Probe,
    check,
    enter,
    look,
    plan_threads,
    probe_of,
    unseen,
)
from experiments.runners.local import (
    TERM_GRACE_S,
    Ended,
    LocalRunner,
    Slot,
    cores,
    stop_all,
    stops_put_off,
)
from experiments.study import Trial
from experiments.worker import STOP_SIGNALS, Job
from lit_transformer.config_io import ConfigError
from lit_transformer.record import Record, RecordError, mend_lines, read_own, write_bytes

PROBE_S = 120.0
"""Longest wait for every host to say what it sees; it starts a process for that."""
SLICE_S = 0.2
"""Longest time until a Ctrl-C is dealt with."""
POLL_S = 0.5
"""Longest time until a stop that Ray was asked for reaches the trial."""
OBJECT_STORE = 80 * 2**20
"""Bytes, Ray's smallest: trials pass nothing through it."""


class Placed(NamedTuple):
    """A trial that Ray was given."""

    task: Any
    directory: Path
    devices: int


@final
class RayRunner:
    """As many trials as the cluster's hosts have room for, at most `at_once`.

    Use it from the main thread, as a context manager. Entering it connects, and asks every host
    whether it sees what trials need; ConfigError where one does not.
    """

    def __init__(
        self, root: Path, trials: Sequence[Trial], trials_per_gpu: int, at_once: int | None
    ) -> None:
        self._mlruns = root.resolve() / "mlruns"
        self._devices = [trial.config.train.devices for trial in trials]
        found = {trial.config.data.model_dump_json(): trial.config.data for trial in trials}
        self._data = list(found.values())
        self._per_gpu, self._at_once = trials_per_gpu, at_once
        self._on_gpus, self._threads = False, 1
        self._running: dict[str, Placed] = {}
        self._ended: dict[str, Ended] = {}
        """Of trials under way: those that Ray has lost while a process still holds their claim."""

    def __enter__(self) -> "RayRunner":
        before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
        self._ray = _connect()
        for number, handler in before.items():
            signal.signal(number, handler)  # Ray takes them for itself
        try:
            hosts = self._hosts()
            self._probe(hosts)
            self._on_gpus = any(host.gpus for host in hosts)
            self._threads = plan_threads(
                hosts, self._devices, self._per_gpu, self._at_once, self._on_gpus
            )
        except BaseException:
            self._ray.shutdown()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self.stop(0.0)
        finally:
            self._ray.shutdown()

    @property
    def running(self) -> list[str]:
        """Digests of the trials under way, of those too that wait until Ray has room for them."""
        return list(self._running)

    def has_room(self, devices: int) -> bool:
        """Whether hosts that are there have devices left that none of our trials was promised."""
        if self._at_once is not None and len(self._running) >= self._at_once:
            return False
        rooms = [host.room(self._threads, self._per_gpu, self._on_gpus) for host in self._hosts()]
        taken = sum(self._rooms(placed.devices) for placed in self._running.values())
        return sum(rooms) - taken >= self._rooms(devices) <= max(rooms, default=0)

    def _rooms(self, devices: int) -> int:
        """Rooms that a trial takes: several devices are whole GPUs."""
        return devices * (self._per_gpu if devices > 1 and self._on_gpus else 1)

    def submit(self, job: Job) -> None:
        """Give a trial to Ray, which starts it on a host with as many free devices."""
        gpus = (1 / self._per_gpu if job.devices == 1 else job.devices) if self._on_gpus else 0
        with stops_put_off():  # else a task that has started might be in no list
            task = self._task(attend, self._threads * job.devices, gpus).remote(
                job, self._threads, Path.cwd()
            )
            self._running[job.digest] = Placed(task, job.directory, job.devices)

    def poll(self, timeout_s: float) -> list[Ended]:
        """Wait for at most so long -> the trials that have ended, wherever they ran."""
        waiting = {
            p.task: digest for digest, p in self._running.items() if digest not in self._ended
        }
        if waiting:
            for task in self._wait([*waiting], 1, timeout_s):
                digest = waiting[task]
                self._ended[digest] = self._outcome(digest)
        else:
            time.sleep(timeout_s)
        free = [digest for digest in self._ended if self._let_go(digest)]
        for digest in free:
            del self._running[digest]
        return [self._ended.pop(digest) for digest in free]

    def _wait(self, tasks: Sequence[Any], count: int, timeout_s: float) -> list[Any]:
        """Wait for at most so long for so many of the tasks -> those that are done.

        In slices: an exception of a signal's handler breaks Ray's own code, and comes between them.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left = max(0.0, deadline - time.monotonic())
            with stops_put_off():
                done, _ = self._ray.wait([*tasks], num_returns=count, timeout=min(left, SLICE_S))
            if len(done) == count or left <= SLICE_S:
                return [*done]

    def _outcome(self, digest: str) -> Ended:
        """What became of a task. Of the trial, its directory knows more."""
        errors = self._ray.exceptions
        try:
            with stops_put_off():
                return Ended(digest, self._ray.get(self._running[digest].task))
        except errors.TaskCancelledError:
            return Ended(digest, -signal.SIGTERM)
        except errors.RayTaskError as error:
            print(f"Ray: trial {digest}: {_last_line(error)}", file=sys.stderr)
            return Ended(digest, 1)
        except errors.RayError:  # the host, or Ray's process there, is gone
            return Ended(digest, -signal.SIGKILL)

    def _let_go(self, digest: str) -> bool:
        """Whether the trial may be reported: of one that was lost no process is left, which is
        noted."""
        if self._ended[digest].exit_status >= 0:
            return True
        record = Record(self._running[digest].directory)
        if record.is_claimed():
            return False
        _note_loss(record)
        return True

    def stop(self, grace_s: float) -> list[Ended]:
        """As `stop_all`, of tasks."""
        return stop_all(
            self._running,
            self.poll,
            grace_s,
            ask=lambda placed: self._ray.cancel(placed.task),
            kill=lambda placed: self._ray.cancel(placed.task, force=True),
        )

    def _task(self, function: Callable[..., Any], cpus: int, gpus: float, **where: Any) -> Any:
        """The function as a task of Ray, which is never run a second time."""
        task = self._ray.remote(max_retries=0)(function)
        return task.options(num_cpus=cpus, num_gpus=gpus, **where)

    def _hosts(self) -> list[Host]:
        """The hosts that are up and have processors for trials."""
        found = []
        for node in self._ray.nodes():
            cpus, gpus = (int(node["Resources"].get(kind, 0)) for kind in ("CPU", "GPU"))
            if node["Alive"] and cpus:
                name = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                found.append(Host(node["NodeID"], name, cpus, gpus))
        return found

    def _probe(self, hosts: Sequence[Host]) -> None:
        """ConfigError where a host does not see the storage, the code or the corpora."""
        if not hosts:
            raise ConfigError(
                "--runner ray: no host of the cluster has processors for trials; add one with "
                "`ray start --address=HEAD:6379`"
            )
        folder = self._mlruns / f".probe-{uuid.uuid4().hex[:12]}"
        probe = probe_of(folder, self._data)
        try:
            claim = Record(folder).claim()
            assert claim is not None
            try:
                write_bytes(folder / "word", probe.word.encode())
                wrong = [*self._ask(hosts, probe)]
            finally:
                os.close(claim)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if wrong:
            raise ConfigError("\n".join(f"host {name}: {problem}" for name, problem in wrong))

    def _ask(self, hosts: Sequence[Host], probe: Probe) -> Iterator[tuple[str, str]]:
        """The hosts on which trials cannot run, and why."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = {}
        for host in hosts:
            there = NodeAffinitySchedulingStrategy(host.node, soft=False)
            task = self._task(look, 0, 0, scheduling_strategy=there)
            asked[task.remote(probe, host.node)] = host
        for task in self._wait([*asked], len(asked), PROBE_S):
            host = asked.pop(task)
            try:
                problem = self._ray.get(task)
            except self._ray.exceptions.RayError as error:
                problem = f"{_last_line(error)}; install the project there, as on this host"
            if not problem and read_own(probe.folder / host.node) != probe.word.encode():
                problem = unseen(probe.folder.parent)
            if problem:
                yield host.name, problem
        for host in asked.values():
            yield host.name, f"does not answer within {PROBE_S:.0f} s"


def attend(job: Job, threads: int, folder: Path) -> int:
    """In a process of Ray's: run one trial on the devices that Ray has given -> its exit status.

    `folder`: the sweep's current one, from which a corpus's relative paths start.
    Ray's cancelling comes as a KeyboardInterrupt; the trial then writes its checkpoint.
    """
    import ray

    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as ablate sets it
    enter(folder)
    gpus = ray.get_runtime_context().get_accelerator_ids()["GPU"]
    slots = [Slot(gpu, threads) for gpu in gpus] or [Slot(None, threads)] * job.devices
    ended: list[Ended] = []
    with LocalRunner(slots) as runner:
        try:
            with _plain_main():
                runner.submit(job)
            while not ended:
                ended = runner.poll(POLL_S)
        except KeyboardInterrupt:
            ended += runner.stop(TERM_GRACE_S)
    return ended[0].exit_status


@contextmanager
def _plain_main() -> Iterator[None]:
    """A process that is started within does not import Ray's own program."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _connect() -> ModuleType:
    """Ray, connected. ConfigError where that fails."""
    check()
    os.environ["RAY_AUTH_MODE"] = "token"  # else whoever reaches the cluster runs what they like
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = os.environ.get(ADDRESS) or "local"
    own: dict[str, Any] = {}
    if address == "local":
        own = {"num_cpus": cores(), "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
        own["object_store_memory"] = OBJECT_STORE
    try:
        ray.init(address=address, log_to_driver=False, logging_level="CRITICAL", **own)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        ray.shutdown()
        raise ConfigError(
            f"{ADDRESS}={address}: Ray cannot be joined from here: {_last_line(error)}; the sweep "
            "runs on a host of the cluster, with its token (`ray get-auth-token`) and its version"
        ) from None
    joined: ModuleType = ray
    return joined


def _note_loss(record: Record) -> None:
    """Say in a trial's record that its last attempt ended with its host, where it says nothing."""
    with suppress(RecordError, OSError):
        lines = list(record.read_attempts())
        if lines and lines[-1]["event"] == "start":
            mend_lines(record.attempts)
            reason = f"Ray lost its process on {lines[-1]['host']}"
            record.end_attempt(lines[-1]["attempt"], "killed", reason)


def _last_line(error: BaseException) -> str:
    """What an error of Ray's says; of another process's, the last line of its traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
