"""Hosts of a cluster: room, what each must see, and an address at which there is none."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.runners import hosts
from experiments.runners.hosts import Host, Probe, look, plan_threads
from lit_transformer.config import DataConfig
from lit_transformer.config_io import ConfigError


def made(*sizes: tuple[int, int]) -> list[Host]:
    """Hosts with so many processors and GPUs."""
    return [Host(str(number), f"host-{number}", *size) for number, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("cluster_hosts", "devices", "per_gpu", "at_once", "threads"),
    [
        (made((8, 0), (8, 0)), [1] * 9, 1, None, 1),
        (made((8, 0), (8, 0)), [1] * 4, 1, None, 4),
        (made((8, 0), (8, 0)), [1] * 9, 1, 2, 8),
        (made((3, 0), (3, 0)), [1] * 3, 1, None, 1),  # with 2 threads one host has room for one
        (made((8, 0), (2, 0)), [4], 1, None, 2),  # all four on the larger host
        (made((1, 0)), [1] * 5, 1, None, 1),
        (made((16, 4), (8, 4)), [1] * 60, 1, None, 2),  # the host with fewest for each GPU
        (made((16, 4), (64, 0)), [2], 2, None, 2),
        (made((2, 4)), [1], 1, None, 1),
    ],
)
def test_threads_leave_room_for_what_can_run_at_once(
    cluster_hosts: list[Host], devices: list[int], per_gpu: int, at_once: int | None, threads: int
) -> None:
    on_gpus = any(host.gpus for host in cluster_hosts)
    assert plan_threads(cluster_hosts, devices, per_gpu, at_once, on_gpus) == threads


def test_a_host_has_room_by_its_scarcer_part() -> None:
    (host,) = made((16, 4))
    assert host.room(2, 1, on_gpus=True) == 4
    assert host.room(2, 3, on_gpus=True) == 8  # 12 by GPUs
    assert host.room(3, 1, on_gpus=False) == 5
    assert made((16, 0))[0].room(1, 1, on_gpus=True) == 0


def test_more_devices_than_a_host_has_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^train\.devices=3: the largest host .* has 2 GPUs; "):
        plan_threads(made((8, 2), (8, 1)), [1, 3], 1, None, True)
    with pytest.raises(ConfigError, match=r"^train\.devices=5: .* has 4 processors; "):
        plan_threads(made((4, 0), (4, 0)), [5], 1, None, False)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.importlib.util, "find_spec", lambda name: name)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://10.0.0.1:10001", r"^RAY_ADDRESS=ray://10\.0\.0\.1:10001: HEAD:PORT is needed"),
        ("10.0.0.1", "HEAD:PORT is needed"),
        ("head:6379x", "HEAD:PORT is needed"),
        ("127.0.0.1:1", r"^RAY_ADDRESS=127\.0\.0\.1:1: nobody answers .* `ray start --head"),
        ("127.0.0.1:99999", "nobody answers"),
        ("no-such-host.invalid:6379", "nobody answers"),
    ],
)
def test_an_address_at_which_no_head_is_is_refused(
    address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hosts.ADDRESS, address)
    with pytest.raises(ConfigError, match=message):
        hosts.check()


def test_without_ray_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"Ray is not installed; pip install '\.\[cluster\]'"):
        hosts.check()


NOWHERE = {"source": "/no/a", "target": "/no/b"}


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[Probe]:
    """What a sweep asks of a host, with its claim held by another process."""
    asked = hosts.probe_of(tmp_path / "probe", [])
    asked.folder.mkdir()
    (asked.folder / "word").write_text(asked.word)
    script = "import sys, pathlib; from lit_transformer.record import Record\n"
    script += "Record(pathlib.Path(sys.argv[1])).claim(); print(flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script, str(asked.folder)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        yield asked
        holder.communicate()


def test_a_host_that_sees_all_answers_in_a_file(probe: Probe) -> None:
    assert look(probe, "host-1") == ""
    assert (probe.folder / "host-1").read_text() == probe.word


def test_a_host_says_what_it_does_not_see(probe: Probe, tmp_path: Path) -> None:
    elsewhere = probe._replace(folder=tmp_path / "other" / "probe")
    assert "does not see" in look(elsewhere, "a")
    assert "does not see" in look(probe._replace(word="another sweep's"), "a")
    other = look(probe._replace(code=("c0ffee", "abc")), "a")
    assert "the sweep's is commit c0ffee with changes abc" in other
    versions = {**probe.versions, "torch": "1.0"}
    assert "(the sweep's: 1.0)" in look(probe._replace(versions=versions), "a")
    files = DataConfig.model_validate(
        {
            "corpus": "files",
            "files": {part: {"source": "/no/a", "target": "/no/b"} for part in ("train", "valid")},
        }
    )
    assert "/no/a" in look(probe._replace(data=[files]), "a")
    assert not (probe.folder / "a").exists()


def test_a_lock_that_is_not_seen_is_refused(tmp_path: Path) -> None:
    """As on storage whose locks hold for one host alone."""
    asked = hosts.probe_of(tmp_path / "probe", [])
    asked.folder.mkdir()
    (asked.folder / "word").write_text(asked.word)
    assert "a lock that another host holds is not seen" in look(asked, "a")
