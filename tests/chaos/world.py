"""A sweep's surroundings, its folder, processes and store of runs, and what must hold of them."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

from experiments import store
from experiments.study import Trial, expand, load_setting, load_study
from lit_transformer.record import Record, read_lines
from tests.chaos.outcome import Outcome, outcome
from tests.chaos.proxy import Proxy
from tests.chaos.setting import write_setting

ABLATE = Path(sys.executable).with_name("ablate")
MARK = "ABLATE_CHAOS_MARK"
CLOCK = Path(__file__).parent / "clock"
PATIENCE_S = 240.0
LIVES_ON_S = 15.0
"""Longest time that a process may outlive its sweep; it only has to notice."""


class BrokenPromiseError(AssertionError):
    """What may never happen has happened."""


def promise(true: object, what: str) -> None:
    if not true:
        raise BrokenPromiseError(what)


class Command:
    """`ablate` in a process group of its own, as a shell would start it."""

    def __init__(self, words: Sequence[object], environment: Mapping[str, str], log: Path) -> None:
        self.mark = uuid.uuid4().hex
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [ABLATE, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**environment, MARK: self.mark},
                process_group=0,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.send_to_group(signal.SIGKILL)

    def pids(self) -> dict[int, str]:
        """Processes of this command, and theirs, that still run: id and command line."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (place / "environ").read_bytes():
                    words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(place.name)] = words
            except OSError:
                continue  # it has just ended
        return found

    def servers(self) -> list[int]:
        """What trials are forked from."""
        pids = self.pids()
        return [
            pid for pid, words in pids.items() if "forkserver" in words and self._is_server(pid)
        ]

    def trials(self) -> list[int]:
        servers = set(self.servers())
        return [pid for pid in self.pids() if _parent(pid) in servers]

    def _is_server(self, pid: int) -> bool:
        return _parent(pid) == self.process.pid

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        if not self.is_over:
            self.process.send_signal(number)

    def send_to_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def wait(self) -> int:
        """Its exit status. BrokenPromiseError where it hangs, or leaves a process behind."""
        try:
            status = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            left = self.pids()
            self.send_to_group(signal.SIGKILL)
            raise BrokenPromiseError(f"it hangs: {left}") from None
        deadline = time.monotonic() + LIVES_ON_S
        while (left := self.pids()) and time.monotonic() < deadline:
            time.sleep(0.05)
        promise(not left, f"processes outlive their sweep: {left}")
        return status


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return -1


class Counted(NamedTuple):
    """What was found in order after an episode."""

    trials: int
    attempts: int
    points: int


class Tracker(NamedTuple):
    """A server of runs, what stands before it, and where it keeps them."""

    proxy: Proxy
    database: Path


class World:
    """A folder with a corpus, a setting of twenty tiny rows, and an mlruns/ for trials."""

    def __init__(self, folder: Path, arms: Sequence[str], tracker: Tracker | None) -> None:
        self.folder, self.arms, self.tracker = folder, list(arms), tracker
        self.setting, self.corpus = write_setting(folder), folder / "corpus"
        self.root = folder / "root"
        self.root.mkdir()
        self.clock = folder / "clock"
        self.log = folder / "commands.log"
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
        for name in (store.VARIABLE, *store.SECRETS):
            environment.pop(name, None)
        environment["ABLATE_CHAOS_CLOCK"] = str(self.clock)
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(CLOCK), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        if tracker is not None:
            environment[store.VARIABLE] = tracker.proxy.uri
        self.environment = environment

    @property
    def mlruns(self) -> Path:
        return self.root / "mlruns"

    @cached_property
    def trials(self) -> list[Trial]:
        return expand(load_study("table3"), load_setting(str(self.setting)), [1], self.arms, {})

    def records(self) -> dict[str, Record]:
        return {t.arm: Record(self.mlruns / "trials" / t.digest) for t in self.trials}

    def sweep(self) -> Command:
        words = ["sweep", "table3", "--setting", self.setting, "--only", ",".join(self.arms)]
        return Command([*words, "--root", self.root], self.environment, self.log)

    def command(self, *words: object) -> int:
        return Command(words, self.environment, self.log).wait()

    def status(self) -> None:
        """What `status` leaves must be true: no run RUNNING without a process, and none FINISHED
        without a result."""
        words = ("status", "table3", "--setting", self.setting, "--only", ",".join(self.arms))
        promise(self.command(*words, "--root", self.root, "--json") == 0, "`status` fails")
        for directory, found in self.statuses().items():
            kind = Record(self.mlruns / directory).state().kind
            promise(found != "RUNNING" or kind == "running", f"{directory} is {kind}, not RUNNING")
            promise(found != "FINISHED" or kind == "finished", f"{directory}: {kind}, not FINISHED")

    def _select(self, query: str) -> list[tuple[object, ...]]:
        path = self.tracker.database if self.tracker else store.database(self.root)
        if not path.exists() or not (self.mlruns / ".id").exists():
            return []
        with closing(sqlite3.connect(path, timeout=60)) as connection:
            return connection.execute(query, (store.identity(self.root),)).fetchall()

    def statuses(self) -> dict[str, str]:
        """Directory and status of each run."""
        found = self._select(
            "SELECT d.value, status FROM runs"
            " JOIN tags d ON d.run_uuid = runs.run_uuid AND d.key = 'ablate.directory'"
            " JOIN tags r ON r.run_uuid = runs.run_uuid AND r.key = 'ablate.root' AND r.value = ?"
            " WHERE lifecycle_stage = 'active'"
        )
        promise(len(found) == len(dict(found)), f"a trial has two runs: {sorted(map(str, found))}")
        return {str(directory): str(status) for directory, status in found}

    def points(self) -> dict[str, list[tuple[str, int, float]]]:
        """Metric, step and value of every point that MLflow has, by directory."""
        found: dict[str, list[tuple[str, int, float]]] = {}
        query = (
            "SELECT d.value, m.key, m.step, m.value FROM metrics m"
            " JOIN tags d ON d.run_uuid = m.run_uuid AND d.key = 'ablate.directory'"
            " JOIN tags r ON r.run_uuid = m.run_uuid AND r.key = 'ablate.root' AND r.value = ?"
        )
        for directory, key, step, value in self._select(query):
            assert isinstance(step, int)
            assert isinstance(value, float | int)
            found.setdefault(str(directory), []).append((str(key), step, float(value)))
        return {directory: sorted(points) for directory, points in found.items()}

    def check(self, reference: Mapping[str, Outcome]) -> Counted:
        """After all is over: everything that is promised."""
        records = self.records()
        attempts = points = 0
        told, statuses = self.points(), self.statuses()
        for arm, record in records.items():
            lines = list(read_lines(record.attempts))
            promise(record.state().kind == "finished", f"{arm} is {record.state()}")
            promise(record.ends("finished") <= 1, f"{arm} finished more than once")
            number = [n for n, line in enumerate(lines) if line.get("kind") == "finished"]
            promise(not number or number[0] == len(lines) - 1, f"{arm} was begun after its end")
            promise(outcome(record.path) == reference[arm], f"{arm}: other bits than undisturbed")
            written = self._written(record)
            name = f"trials/{record.path.name}"
            promise(statuses.get(name) == "FINISHED", f"{arm}: MLflow says {statuses.get(name)}")
            promise(told.get(name) == written, f"{arm}: MLflow has other points than the record")
            partials = [path.name for path in record.path.rglob("*.partial")]
            promise(not [p for p in partials if "mirror" not in p], f"{arm} leaves {partials}")
            attempts += record.state().attempts
            points += len(written)
        promise(len(statuses) == len(records), f"MLflow has {len(statuses)} runs")
        return Counted(len(records), attempts, points)

    def _written(self, record: Record) -> list[tuple[str, int, float]]:
        """Every point of a trial's own record, the final scores among them."""
        points = [
            (name, line["step"], float(value))
            for line in read_lines(record.metrics)
            for name, value in line["values"].items()
        ]
        result = record.result() or {}
        return sorted([*points, *((n, result["steps"], v) for n, v in result["scores"].items())])


@contextmanager
def tracker(folder: Path) -> Iterator[Tracker]:
    """A real MLflow server, and the proxy before it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    database = folder / "server.db"
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--backend-store-uri", f"sqlite:///{database}"]
    words += ["--artifacts-destination", str(folder / "served")]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *words],
            stdout=log,
            stderr=log,
            env={**os.environ, **quiet},
            process_group=0,
        )
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _answers(port):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        proxy = Proxy(port)
        yield Tracker(proxy, database)
        proxy.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return b"200" in connection.recv(100)
    except OSError:
        return False
