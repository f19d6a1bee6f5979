"""Where the runs are, and who may see them."""

import json
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from experiments import store
from experiments.mirror import sync
from experiments.tracking import Sender
from lit_transformer.record import exclusive
from tests.experiments.directories import finish, identity, make_trial


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:pa@ss@host/x failed", "https://***@host/x failed"),
        ("postgresql+psycopg2://u:p@db:5432/x", "postgresql+psycopg2://***@db:5432/x"),
        ("http://host/?token=abc&x=1", "http://host/?token=***&x=1"),
        ("sqlite:////home/me/mlflow.db", "sqlite:////home/me/mlflow.db"),
    ],
)
def test_passwords_are_not_shown(text: str, shown: str) -> None:
    assert store.scrub(text) == shown


def test_a_password_of_the_environment_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    assert store.scrub("said hunter2") == "said ***"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_an_address_that_others_reach_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(store.StoreError, match="ssh tunnel"):
        store.ui_command(tmp_path, host, 5000, open_to_network=False)
    assert host in store.ui_command(tmp_path, host, 5000, open_to_network=True)[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_is_fine(tmp_path: Path, host: str) -> None:
    command, environment = store.ui_command(tmp_path, host, 5000, open_to_network=False)
    assert host in command
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_runs_on_a_server_are_seen_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, "http://me:hunter2@host:5000")
    with pytest.raises(store.StoreError, match=r"open http://\*\*\*@host:5000"):
        store.ui_command(tmp_path, "127.0.0.1", 5000, open_to_network=False)


def test_no_password_is_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.VARIABLE, "postgresql://me:hunter2@host/runs")
    command, environment = store.ui_command(tmp_path, "127.0.0.1", 5000, open_to_network=False)
    assert "hunter2" not in " ".join(command)
    assert "hunter2" in environment["MLFLOW_BACKEND_STORE_URI"]


class _Server(BaseHTTPRequestHandler):
    """Answers whatever it is asked with the status of its class."""

    status = 200

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b'{"message": "could not reach it: hunter2"}')

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "refused"),
    [(200, ""), (401, ""), (500, "status 500: .*could not reach it"), (404, "status 404")],
)
def test_a_server_is_asked_for_what_only_its_database_knows(
    tmp_path: Path, status: int, refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Server, "status", status)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    with HTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        monkeypatch.setenv(store.VARIABLE, f"http://me:hunter2@127.0.0.1:{server.server_port}/")
        if not refused:
            store.check_answers(tmp_path)
            return
        with pytest.raises(store.StoreError, match=refused) as caught:
            store.check_answers(tmp_path)
    assert "hunter2" not in str(caught.value)
    assert "unset MLFLOW_TRACKING_URI" in str(caught.value)


@pytest.mark.parametrize(
    "address",
    [
        "http://me:hunter2@127.0.0.1:{port}",
        "postgresql+psycopg://me:hunter2@127.0.0.1:{port}/runs",
        "mysql://no-such-host.invalid/runs",
        "http://127.0.0.1:port",
    ],
)
def test_a_store_that_is_away_is_told(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv(store.VARIABLE, address.format(port=port))
    with pytest.raises(store.StoreError, match="does not answer") as caught:
        store.check_answers(tmp_path)
    assert "hunter2" not in str(caught.value)


def test_a_file_needs_no_answer(tmp_path: Path) -> None:
    store.check_answers(tmp_path)


def test_a_lock_that_another_holds_is_waited_for_and_given_up(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path / "lock", 1),
        pytest.raises(TimeoutError),
        exclusive(tmp_path / "lock", 0.1),
    ):
        pass


@pytest.mark.slow
def test_the_interface_shows_runs_and_takes_more(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command, environment = store.ui_command(root, "127.0.0.1", port, open_to_network=False)
    with (root / "ui.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, cwd=root, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/health", server)
            asked = {"experiment_ids": ["1"], "filter": "tags.`ablate.kind` = 'finished'"}
            body = json.dumps(asked).encode()
            (run,) = _ask(f"{address}/api/2.0/mlflow/runs/search", body)["runs"]
            assert run["info"]["run_name"] == "A1 seed 1"
            query = f"run_id={run['info']['run_id']}"
            listed = _ask(f"{address}/ajax-api/2.0/mlflow/artifacts/list?{query}", None)
            assert "config.yaml" in {file["path"] for file in listed["files"]}
            query += "&path=hypotheses/valid.txt"
            with urllib.request.urlopen(f"{address}/get-artifact?{query}") as answer:
                assert answer.read() == b"ein Hund\n"
            monkeypatch.setenv(store.VARIABLE, address)
            finish(make_trial(root, identity("B1")))
            assert sync(root, [identity("B1")]) == []
            found = _ask(f"{address}/api/2.0/mlflow/runs/search", body)["runs"]
            assert [run["info"]["status"] for run in found] == ["FINISHED", "FINISHED"]
        finally:
            server.terminate()
            server.wait(60)


def _ask(address: str, body: bytes | None) -> dict[str, list[dict[str, dict[str, str]]]]:
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(address, body, headers)) as answer:
        found: dict[str, list[dict[str, dict[str, str]]]] = json.loads(answer.read())
        return found


def _wait_for(address: str, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while True:
        assert server.poll() is None
        assert time.monotonic() < deadline
        try:
            urllib.request.urlopen(address).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
