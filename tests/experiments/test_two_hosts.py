"""A sweep on two hosts, of which one is killed: docs/cluster.md's own commands, with Ray,
PostgreSQL and MLflow's server as they are.

The hosts are network namespaces of this machine, each with an address and a host name of its own.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from experiments import checkout, store
from lit_transformer.config_io import parse_yaml
from lit_transformer.record import Record, read_lines
from tests.toy import Toy, write_toy

BIN = Path(sys.executable).parent
HEAD = "10.77.0.1"
ADDRESSES = {"ablate-a": HEAD, "ablate-b": "10.77.0.2"}
STEPS = 240
SETS = ("--set", f"train.steps={STEPS}", "--set", "train.checkpoint_every=20")


def missing() -> str:
    """What these tests lack; empty: nothing."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        return "network namespaces need root, `ip` and `unshare`"
    if subprocess.run(["ip", "netns", "add", "ablate-try"], capture_output=True).returncode:
        return "network namespaces cannot be made here"
    subprocess.run(["ip", "netns", "delete", "ablate-try"], check=True)
    if not (BIN / "ray").exists():
        return "Ray is not installed: pip install '.[cluster]'"
    if shutil.which("initdb") is None or shutil.which("setpriv") is None:
        return "PostgreSQL's initdb and `setpriv` are not on the path"
    return ""


def steps_of_the_page() -> dict[int, str]:
    """The commands of docs/cluster.md, by the number of their heading."""
    page = (checkout.HERE / "docs" / "cluster.md").read_text("utf-8")
    found = re.findall(r"^## (\d)\. [^\n]*\n.*?^```bash\n(.*?)^```$", page, re.M | re.S)
    return {int(number): body for number, body in found}


class Cluster(NamedTuple):
    """Two hosts, the store and the sweep's place."""

    toy: Toy
    shared: Path
    environment: Mapping[str, str]

    def command(self, host: str, script: str) -> list[str]:
        named = f"hostname {host}\n{script}"
        return ["ip", "netns", "exec", host, "unshare", "--uts", "bash", "-euc", named]

    def do(self, host: str, script: str) -> None:
        with (self.shared / "commands.log").open("ab") as log:
            words = self.command(host, script)
            subprocess.run(words, env=self.environment, check=True, stdout=log, stderr=log)

    def start(self, host: str, script: str, log: Path) -> "subprocess.Popen[bytes]":
        words = self.command(host, script)
        with log.open("ab") as file:
            return subprocess.Popen(
                words, env=self.environment, stdout=file, stderr=subprocess.STDOUT
            )

    def records(self) -> list[Record]:
        return [Record(path) for path in sorted((self.shared / "mlruns" / "trials").glob("*"))]


def kill(host: str) -> None:
    """What a power cut does to a host: every process of it is gone at once."""
    told = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True, check=True)
    for pid in told.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


@pytest.fixture
def hosts() -> Iterator[None]:
    if reason := missing():
        pytest.skip(reason)
    one, other = ADDRESSES
    for host in ADDRESSES:
        subprocess.run(["ip", "netns", "add", host], check=True)
    try:
        link = ["ip", "link", "add", "eth0", "netns", one, "type", "veth"]
        subprocess.run([*link, "peer", "name", "eth0", "netns", other], check=True)
        for host, address in ADDRESSES.items():
            ip = ["ip", "-n", host]
            subprocess.run([*ip, "address", "add", f"{address}/24", "dev", "eth0"], check=True)
            for device in ("lo", "eth0"):
                subprocess.run([*ip, "link", "set", device, "up"], check=True)
        yield
    finally:
        for host in ADDRESSES:
            kill(host)
            subprocess.run(["ip", "netns", "delete", host], check=True)


def as_postgres(script: str) -> str:
    """The same by a user who is not root, whom PostgreSQL does not serve."""
    user = "setpriv --reuid=postgres --regid=postgres --clear-groups"
    return f"exec {user} bash -euc {shlex.quote(script)}"


@pytest.fixture
def stored(hosts: None, tmp_path: Path) -> Iterator[Cluster]:
    """The page's parts 1 and 2, done: PostgreSQL, and MLflow's server before it."""
    for name in ("home", "bin", "shared"):
        (tmp_path / name).mkdir()
    wrapper = tmp_path / "bin" / "ablate"
    wrapper.write_text(f'#!/bin/sh\nexec {sys.executable} {checkout.HERE}/ablate.py "$@"\n')
    wrapper.chmod(0o755)
    toy = write_toy(tmp_path / "shared" / "toy")
    folder = Path(f"/tmp/ablate-store-{os.getpid()}")  # short, for PostgreSQL's socket
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}/bin:{BIN}:{os.environ['PATH']}",
        "PYTHONPATH": str(checkout.HERE),
        "HOME": str(tmp_path / "home"),
        "HEAD": HEAD,
        "CPUS": "1",
        "STORE": str(folder),
        "SHARED": str(tmp_path / "shared"),
        "STUDY": str(toy.study),
        "SETTING": str(toy.setting),
    }
    made = Cluster(toy, tmp_path / "shared", environment)
    steps = steps_of_the_page()
    folder.mkdir()
    shutil.chown(folder, "postgres", "postgres")
    try:
        made.do("ablate-a", as_postgres(steps[1]))
        server = made.start("ablate-a", steps[2], made.shared / "mlflow.log")
        with server:
            within(180, lambda: answers(made))
            yield made
            kill("ablate-a")
    finally:
        kill("ablate-a")
        shutil.rmtree(folder)


@pytest.fixture
def cluster(stored: Cluster) -> Cluster:
    """The page's parts 1 to 4, done."""
    steps = steps_of_the_page()
    stored.do("ablate-a", steps[3])
    stored.do("ablate-b", steps[4])
    return stored


def answers(made: Cluster) -> bool:
    """Whether MLflow's server finds its database."""
    script = "from pathlib import Path; from experiments import store; store.check_answers(Path())"
    words = made.command("ablate-a", f"exec {sys.executable} -c {shlex.quote(script)}")
    environment = {**made.environment, store.VARIABLE: "http://127.0.0.1:5000"}
    return subprocess.run(words, env=environment, capture_output=True).returncode == 0


def in_mlflow(made: Cluster) -> list[list[str]]:
    """Digest and status of every run, as the first host finds them at the server."""
    script = (
        "from analysis import runs; found = runs.read('http://127.0.0.1:5000', 'tiny', 'toy');"
        "print(found[['digest', 'status']].to_json(orient='values'))"
    )
    words = made.command("ablate-a", f"exec {sys.executable} -c {shlex.quote(script)}")
    told = subprocess.run(words, env=made.environment, capture_output=True, check=True)
    return sorted(json.loads(told.stdout))


def scores(record: Record) -> dict[str, float]:
    """A trial's scores without what a clock says."""
    result = record.result()
    assert result is not None
    return {name: value for name, value in result["scores"].items() if "second" not in name}


def rows(report: Path) -> Any:
    """The table's rows, without what a clock says and the names of runs."""
    return _lasting(json.loads(report.read_text("utf-8"))["rows"])


def _lasting(value: Any) -> Any:
    match value:
        case dict():
            kept = {n: v for n, v in value.items() if "second" not in n and n != "run_id"}
            return {name: _lasting(inner) for name, inner in kept.items()}
        case list():
            return [_lasting(inner) for inner in value]
        case _:
            return value


def within(seconds: float, true: Callable[[], object]) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_host_that_is_killed_costs_nothing_but_time(cluster: Cluster, tmp_path: Path) -> None:
    script = steps_of_the_page()[5].rstrip() + " " + " ".join(SETS)
    log = cluster.shared / "sweep.log"
    sweep = cluster.start("ablate-a", script, log)

    def at_work_on_b() -> list[Record]:
        return [
            record
            for record in cluster.records()
            if any(line.get("host") == "ablate-b" for line in read_lines(record.attempts))
            and record.result() is None
            and any(record.checkpoints.glob("*.ckpt"))
        ]

    within(900, lambda: at_work_on_b() or sweep.poll() is not None)
    assert sweep.poll() is None, log.read_text()
    victims = at_work_on_b()
    kill("ablate-b")
    assert sweep.wait(900) == 0, log.read_text()

    assert len(cluster.records()) == 4
    for record in cluster.records():
        assert record.state().kind == "finished"
        ends = [line for line in read_lines(record.attempts) if line["event"] == "end"]
        assert [line["kind"] for line in ends].count("finished") == 1
        steps = [
            line["step"] for line in read_lines(record.metrics) if "train.loss" in line["values"]
        ]
        assert steps == [*range(2, STEPS + 1, 2)]
        assert not record.is_claimed()
    for record in victims:
        kinds = [line.get("kind", "start") for line in read_lines(record.attempts)]
        assert kinds == ["start", "killed", "start", "finished"]
        assert "Ray lost its process on ablate-b" in record.attempts.read_text()
        starts = [line["host"] for line in read_lines(record.attempts) if line["event"] == "start"]
        assert starts == ["ablate-b", "ablate-a"]

    alone = tmp_path / "alone"
    words = ["sweep", str(cluster.toy.study), "--setting", str(cluster.toy.setting), "--seeds", "2"]
    words += ["--root", str(alone), "--gpus", "", "--at-once", "2", *SETS]
    subprocess.run(
        [sys.executable, checkout.HERE / "ablate.py", *words], check=True, capture_output=True
    )
    for record in cluster.records():
        other = Record(alone / "mlruns" / "trials" / record.path.name)
        assert scores(record) == scores(other)
        assert record.weights.read_bytes() == other.weights.read_bytes()
    report = Path("mlruns", "reports", "tiny", "toy", "report.json")
    assert rows(cluster.shared / report) == rows(alone / report)
    finished = [[record.path.name, "FINISHED"] for record in cluster.records()]
    assert in_mlflow(cluster) == sorted(finished)


@pytest.mark.slow
def test_a_database_that_is_away_is_told_before_any_training(stored: Cluster) -> None:
    stored.do("ablate-a", as_postgres('pg_ctl --pgdata="$STORE/postgres" --mode=immediate stop'))
    script = steps_of_the_page()[5].rstrip().replace("export RAY_ADDRESS", "export HEAD_ADDRESS")
    words = stored.command("ablate-a", script)
    done = subprocess.run(words, env=stored.environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "error: MLFLOW_TRACKING_URI=http://127.0.0.1:5000: does not answer (" in done.stderr
    assert not (stored.shared / "mlruns" / "trials").exists()


def test_the_compose_file_keeps_to_loopback_and_holds_no_password() -> None:
    path = checkout.HERE / "deploy" / "compose.yaml"
    services = parse_yaml(path.read_text("utf-8"), path).data["services"]
    assert {*services} == {"postgres", "mlflow"}
    ports = [port for service in services.values() for port in service.get("ports", ())]
    assert ports == ["127.0.0.1:5000:5000"]
    assert (
        "${STORE_PASSWORD:?set it}" in services["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    )
