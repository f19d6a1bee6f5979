"""The mirror never stops a sweep, and what it could not send is sent later."""

import fcntl
import logging
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from experiments import store
from experiments.mirror import Mirror, mend, send_report, stale, sync, sync_all
from experiments.tracking import Sender
from lit_transformer.record import append_line
from tests.experiments.directories import BEGAN, add_points, finish, identity, make_trial

OF_TRIALS = """
    SELECT status FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid AND key = 'ablate.row'
    ORDER BY name
"""
"""Without the runs of whole studies."""


def statuses(root: Path) -> list[str]:
    with closing(sqlite3.connect(store.database(root))) as connection:
        found = connection.execute(OF_TRIALS).fetchall()
    return [status for (status,) in found]


def count(root: Path, table: str) -> int:
    with closing(sqlite3.connect(store.database(root))) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def gone() -> str:
    """The address of a server that is no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://someone:hunter2@127.0.0.1:{listener.getsockname()[1]}"


def test_a_mirror_follows_trials_and_is_up_to_date_when_closed(root: Path) -> None:
    first, second = identity(), identity("B1")
    mirror = Mirror(root)
    with mirror:
        record = make_trial(root, first)
        mirror.watch(first, record.path)
        mirror.watch(second, root / "mlruns" / "trials" / second.digest)  # not started yet
        wait_for(lambda: statuses(root) == ["KILLED"])
        add_points(record, [150])
        finish(record)
        finish(make_trial(root, second))
        assert mirror.close(60) == []
    assert statuses(root) == ["FINISHED", "FINISHED"]
    assert count(root, "metrics") == 2 * 3 + 2 * 2 + 2 * 3


def test_a_server_that_is_gone_stops_nothing_and_loses_nothing(
    root: Path, gone: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setenv(store.VARIABLE, gone)
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with Mirror(root) as mirror:
            mirror.watch(who, record.path)
            wait_for(lambda: bool(caplog.records))
            (problem,) = mirror.close(60)
        assert len(caplog.records) == 1
    assert "`ablate sync`" in problem
    assert "hunter2" not in problem + caplog.text
    assert sync_all(root) == []
    assert statuses(root) == ["FINISHED"]


def test_a_locked_store_is_waited_for_without_stopping_the_sweep(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    assert sync(root, []) == []
    with closing(sqlite3.connect(store.database(root), isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with Mirror(root) as mirror:
            mirror.watch(who, record.path)
            (problem,) = mirror.close(0.5)
        assert "longer than was left" in problem
        holder.execute("ROLLBACK")
    assert sync(root, [who]) == []
    assert (statuses(root), count(root, "metrics")) == (["FINISHED"], 7)


def test_a_trial_that_cannot_be_sent_keeps_back_no_other(root: Path) -> None:
    broken = make_trial(root, identity("A1"))
    broken.attempts.write_bytes(b"what is this\n")
    finish(make_trial(root, identity("B1")))
    (problem,) = sync(root, [identity("A1"), identity("B1")])
    assert problem.startswith(f"{broken.attempts}:1: not JSON")
    assert statuses(root) == ["FINISHED"]


def test_a_run_deleted_while_its_trial_goes_on_comes_back(root: Path) -> None:
    from mlflow import MlflowClient

    who, sender = identity(), Sender(root)
    record = make_trial(root, who)
    sender.send(who, record.path)
    client = MlflowClient(store.uri(root))
    (run,) = client.search_runs(["1"], "tags.`ablate.arm` = 'A1'")
    client.delete_run(run.info.run_id)
    add_points(record, [150])
    with pytest.raises(Exception, match="active"):
        sender.send(who, record.path)
    sender.send(who, record.path)
    (again,) = client.search_runs(["1"], "tags.`ablate.arm` = 'A1'")
    assert len(client.get_metric_history(again.info.run_id, "train.loss")) == 3


def test_two_mirrors_of_one_trial_make_one_run(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    with Mirror(root) as one, Mirror(root) as other:
        one.watch(who, record.path)
        other.watch(who, record.path)
        assert one.close(60) + other.close(60) == []
    assert (statuses(root), count(root, "metrics")) == (["FINISHED"], 7)


def test_statuses_are_right_again_after_a_crash(root: Path) -> None:
    kept, lost = make_trial(root, identity("A1")), make_trial(root, identity("B1"))
    with kept.lock.open("w") as first, lost.lock.open("w") as second:
        for claim in (first, second):
            fcntl.flock(claim, fcntl.LOCK_EX)
        assert sync_all(root) == []
        assert statuses(root) == ["RUNNING", "RUNNING"]
        assert mend(root) == []
        assert statuses(root) == ["RUNNING", "RUNNING"]
    lost.path.rename(root / "removed")
    assert mend(root) == []
    assert statuses(root) == ["KILLED", "KILLED"]
    finish(kept)
    assert mend(root) == []
    assert statuses(root) == ["FINISHED", "KILLED"]


def test_a_run_whose_notes_are_lost_is_mended(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    with record.lock.open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        Sender(root).send(who, record.path)
    for notes in record.path.glob("mirror-*.json"):
        notes.unlink()
    assert mend(root) == []
    assert statuses(root) == ["KILLED"]


def test_every_rerun_and_every_name_of_a_trial_is_synchronised(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    assert sync(root, [who._replace(setting="other")]) == []
    again = make_trial(record.path / "reruns" / "1", identity("B1"))
    again.path.rename(record.path / "reruns" / "2")
    append_line(record.attempts, {"attempt": 2, "event": "start", "time": BEGAN + 300})
    assert sync_all(root) == []
    assert len(statuses(root)) == 3


def test_mlflow_is_imported_only_when_there_is_something_to_send(root: Path) -> None:
    who = identity()
    finish(make_trial(root, who))
    assert sync(root, [who]) == []
    script = (
        "import sys; from pathlib import Path; from experiments.mirror import mend;"
        "assert mend(Path(sys.argv[1])) == []; sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(root)], check=False).returncode == 0


def test_trials_of_rows_as_they_were_are_stale(root: Path) -> None:
    now, before = identity("A1"), identity("A1")._replace(digest="0" * 16)
    for who in (now, before, identity("B1"), identity("A1", seed=2)):
        make_trial(root, who)
    assert stale(root, [now]) == [before]
    assert stale(root, [now, before]) == []
    assert stale(root / "elsewhere", [now]) == []


def test_a_store_of_an_older_version_is_brought_up_to_date(root: Path) -> None:
    """Its runs lie below no study, and no study has a report."""
    from mlflow import MlflowClient

    who = identity()
    finish(make_trial(root, who))
    assert sync_all(root) == []
    client = MlflowClient(store.uri(root))
    (run,) = client.search_runs(["1"], "tags.`ablate.arm` = 'A1'")
    client.delete_run(run.data.tags["mlflow.parentRunId"])
    client.delete_tag(run.info.run_id, "mlflow.parentRunId")
    folder = root / "mlruns" / "reports" / "table3" / "grammar"
    folder.mkdir(parents=True)
    (folder / "overview.md").write_text("20 rows", "utf-8")
    assert sync_all(root) == []
    assert sync_all(root) == []
    (study,) = client.search_runs(["1"], "tags.`ablate.level` = 'study'")
    assert study.data.tags["mlflow.note.content"] == "20 rows"
    (run,) = client.search_runs(["1"], "tags.`ablate.arm` = 'A1'")
    assert run.data.tags["mlflow.parentRunId"] == study.info.run_id


def test_a_study_is_neither_stale_nor_mended(root: Path) -> None:
    from mlflow import MlflowClient

    who = identity()
    finish(make_trial(root, who))
    assert sync_all(root) == []
    client = MlflowClient(store.uri(root))
    (study,) = client.search_runs(["1"], "tags.`ablate.level` = 'study'")
    client.update_run(study.info.run_id, "RUNNING")  # killed when it had just been made
    assert stale(root, [who]) == []
    assert mend(root) == []
    assert client.get_run(study.info.run_id).info.status == "RUNNING"
    assert sync_all(root) == []
    assert client.get_run(study.info.run_id).info.status == "FINISHED"


def test_a_report_that_cannot_be_sent_is_told(
    root: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = root / "mlruns" / "reports" / "table3" / "grammar"
    folder.mkdir(parents=True)
    (folder / "overview.md").write_text("20 rows", "utf-8")
    monkeypatch.setenv(store.VARIABLE, gone)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    (problem,) = send_report(root, "table3", "grammar")
    assert "`ablate sync` sends it" in problem
    assert "hunter2" not in problem
