"""The Ray runner keeps the runners' contract on a real cluster."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import checkout
from experiments.runners.hosts import ADDRESS
from experiments.runners.local import Ended
from experiments.runners.ray import RayRunner
from experiments.worker import CLAIMED_ELSEWHERE
from lit_transformer.record import Record, read_lines
from tests.contracts import RunnerContract, finish, pid_of, wait_for
from tests.toy import Toy, write_toy

RAY = Path(sys.executable).with_name("ray")
needs_ray = pytest.mark.skipif(
    not RAY.exists(), reason="Ray is not installed: pip install '.[cluster]'"
)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster with one host of two processors, this one."""
    home = tmp_path_factory.mktemp("home")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {
        **os.environ,
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(checkout.HERE),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        subprocess.run([RAY, "get-auth-token", "--generate"], env=environment, check=True)
        words = [RAY, "start", "--head", "--num-cpus=2", "--include-dashboard=false", "--block"]
        words += [f"--port={port}", "--node-ip-address=127.0.0.1"]
        words += ["--object-store-memory=80000000"]
        with (home / "ray.log").open("wb") as log:
            head = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
        try:
            wait_for(lambda: _answers(port))
            yield f"127.0.0.1:{port}"
        finally:
            head.terminate()
            head.wait()
            shutil.rmtree(home, ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def joined(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, cluster)


@needs_ray
@pytest.mark.slow
@pytest.mark.usefixtures("joined")
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::FutureWarning")
class TestRayRunner(RunnerContract):
    """Each of these joins the cluster and leaves it."""

    @pytest.fixture(autouse=True)
    def _here(self, toy: Toy, tmp_path: Path) -> None:
        self.place, self.trials = tmp_path, toy.trials([1])

    def start(self, slots: int) -> RayRunner:
        return RayRunner(self.place, self.trials, 1, slots)

    def test_a_worker_that_ray_loses_is_an_outcome(self, toy: Toy, tmp_path: Path) -> None:
        (job,) = toy.jobs(tmp_path, [1], ["base"], ["train.steps=400"])
        record = Record(job.directory)
        with self.start(1) as runner:
            runner.submit(job)
            wait_for(lambda: any(record.checkpoints.glob("*.ckpt")))
            os.kill(_ray_worker_of(pid_of(job)), 9)
            (ended,) = finish(runner)
            assert ended.exit_status < 0
            state = record.state()
            assert state.kind == "killed"
            assert "Ray lost its process on " in state.reason
            runner.submit(job)
            finish(runner)
        assert record.state() == ("finished", "", 2)
        last = [line for line in read_lines(record.attempts) if line["event"] == "end"][-1]
        assert last["kind"] == "finished"

    def test_a_claimed_trial_is_left_alone(self, toy: Toy, tmp_path: Path) -> None:
        (job,) = toy.jobs(tmp_path, [1], ["base"])
        claim = Record(job.directory).claim()
        assert claim is not None
        with self.start(1) as runner:
            runner.submit(job)
            assert finish(runner) == [Ended(job.digest, CLAIMED_ELSEWHERE)]
        os.close(claim)


def _ray_worker_of(trial: int) -> int:
    """The parent of the server that a trial was forked from."""
    return _parent(_parent(trial))


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
