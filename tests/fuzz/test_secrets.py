"""No password and no token reaches a file or a screen; MLflow's UI is on this machine alone."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer.testing

import ablate
from experiments import store
from tests.toy import write_toy

SECRET = "s3cret-in-the-uri"
TOKEN = "t0ken-of-the-environment"
ABLATE = Path(sys.executable).with_name("ablate")


@pytest.mark.slow
def test_no_secret_of_a_tracker_is_written_or_shown(tmp_path: Path) -> None:
    toy, root = write_toy(tmp_path / "toy"), tmp_path / "root"
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        # Nobody listens there.
        store.VARIABLE: f"http://me:{SECRET}@127.0.0.1:9/?token={SECRET}",
        **dict.fromkeys(store.SECRETS, TOKEN),
    }
    where = [toy.study, "--setting", toy.setting, "--root", root]
    told = ""
    for words in (
        ["sweep", *where, "--only", "base"],
        ["status", *where],
        ["report", *where],
        ["sync", "--root", root],
        ["translate", "0" * 32, "--root", root],
        ["ui", "--root", root],
    ):
        done = subprocess.run(
            [str(word) for word in (ABLATE, *words)],
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        told += done.stdout + done.stderr
    files = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "result.json" for path in files)
    assert any(path.name.startswith("mirror-") for path in files)
    assert "http://***@127.0.0.1:9" in told
    for secret in (SECRET, TOKEN):
        assert secret not in told
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_the_help_of_ui_says_what_exposing_it_means_and_what_to_do_instead() -> None:
    shown = typer.testing.CliRunner().invoke(ablate.app, ["ui", "--help"], terminal_width=200)
    text = " ".join(shown.output.split())
    assert "could change and delete every run" in text
    assert "ssh -L 5000:127.0.0.1:5000" in text


@pytest.mark.slow
def test_the_ui_listens_on_loopback_alone_and_says_how_to_reach_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {n: v for n, v in os.environ.items() if n != store.VARIABLE}
    command = [str(word) for word in (ABLATE, "ui", "--root", tmp_path, "--port", port)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, process_group=0
    ) as process:
        try:
            assert process.stdout is not None
            said = "".join(process.stdout.readline() for _ in range(3))
            assert f"ssh -L {port}:127.0.0.1:{port}" in said
            assert listening(port) == {"0100007F"}  # 127.0.0.1, as the kernel writes it
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.stdout.close() if process.stdout else None


def listening(port: int) -> set[str]:
    """Addresses on which some process listens at this port, once one does."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        rows = [
            line.split()
            for table in ("tcp", "tcp6")
            for line in Path("/proc/net", table).read_text().splitlines()[1:]
        ]
        found = {row[1] for row in rows if row[3] == "0A"}
        hosts = {place.split(":")[0] for place in found if int(place.split(":")[1], 16) == port}
        if hosts:
            return hosts
        time.sleep(0.2)
    return set()
