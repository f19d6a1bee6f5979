"""What a run of MLflow holds, and that making the store survives company and kills."""

import fcntl
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from experiments import store
from experiments.description import VIEW
from experiments.tracking import Sender, prepare_store
from lit_transformer.config import RunConfig
from lit_transformer.config_io import flatten
from lit_transformer.record import RecordError, append_line
from lit_transformer.scoring import METRICS
from tests.experiments.directories import (
    BEGAN,
    SCORES,
    add_points,
    end,
    finish,
    identity,
    make_trial,
)

PREPARE = "import sys; from pathlib import Path; from experiments.tracking import prepare_store;"
PREPARE += "prepare_store(Path(sys.argv[1]))"


def client(root: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(store.uri(root))


def runs(root: Path, setting: str = "grammar") -> list[Any]:
    experiment = client(root).get_experiment_by_name(f"table3/{setting}")
    found = client(root).search_runs([experiment.experiment_id]) if experiment else []
    return [run for run in found if "ablate.level" not in run.data.tags]


def study_runs(root: Path, setting: str = "grammar") -> list[Any]:
    experiment = client(root).get_experiment_by_name(f"table3/{setting}")
    told = "tags.`ablate.level` = 'study'"
    return list(client(root).search_runs([experiment.experiment_id], told)) if experiment else []


def write_report(root: Path, texts: Mapping[str, str]) -> Path:
    """A report's folder, with these files."""
    folder = root / "mlruns" / "reports" / "table3" / "grammar"
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


def rows(root: Path) -> dict[str, int]:
    tables = ("runs", "params", "metrics", "latest_metrics", "tags", "inputs", "datasets")
    with closing(sqlite3.connect(store.database(root))) as connection:
        return {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}


def preparing(root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-W", "ignore", "-c", PREPARE, str(root)])


def inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def check_store(root: Path) -> None:
    with closing(sqlite3.connect(store.database(root))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("SELECT name FROM experiments").fetchall() == [("Default",)]


@pytest.mark.slow
def test_eight_processes_may_make_the_store_at_once(tmp_path: Path) -> None:
    processes = [preparing(tmp_path) for _ in range(8)]
    assert [process.wait(120) for process in processes] == [0] * 8
    check_store(tmp_path)


@pytest.mark.slow
def test_a_kill_while_the_store_is_made_ruins_nothing(tmp_path: Path) -> None:
    partial = tmp_path / "mlruns" / "mlflow.db.partial"
    for delay_s in (0.0, 0.1, 0.4, 0.8):
        before = inode(partial)
        process = preparing(tmp_path)
        while inode(partial) in (None, before) and process.poll() is None:
            time.sleep(0.005)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert preparing(tmp_path).wait(120) == 0
    check_store(tmp_path)
    assert not list((tmp_path / "mlruns").glob("*.partial*"))


def test_a_store_named_by_the_environment_is_used_and_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.VARIABLE, "http://127.0.0.1:5000")
    assert prepare_store(tmp_path) == "http://127.0.0.1:5000"
    assert not list(tmp_path.iterdir())


def test_a_path_that_mlflow_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(store.StoreError, match="--root"):
        prepare_store(tmp_path / "50%")


def test_a_finished_trial_is_wholly_told(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    (run,) = runs(root)
    assert (run.info.run_name, run.info.status) == ("A1 seed 1", "FINISHED")
    assert run.info.start_time == int(BEGAN * 1000)
    assert run.data.params.keys() == flatten(RunConfig()).keys()
    assert run.data.params["model.d_k"] == "null"
    assert run.data.params["optim.eps"] == "1e-09"
    assert run.data.metrics == {**SCORES, "train.loss": 4.0}
    assert run.data.tags["ablate.directory"] == f"trials/{who.digest}"
    assert "`ablate rerun " + run.info.run_id in run.data.tags["mlflow.note.content"]
    (data,) = run.inputs.dataset_inputs
    assert data.dataset.name == "wmt14"


def test_a_row_is_told_in_one_canonical_tag(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    tags = runs(root)[0].data.tags
    row = json.loads(tags["ablate.row"])
    assert row["scores"] == SCORES
    assert (row["arm"], row["seed"], row["digest"]) == ("A1", 1, who.digest)
    assert tags["ablate.row"] == json.dumps(row, sort_keys=True, separators=(",", ":"))
    told = {name: tags[f"ablate.{name}"] for name in ("study", "setting", "group", "commit")}
    assert told == {"study": "table3", "setting": "grammar", "group": "A", "commit": "c0ffee"}
    assert (tags["ablate.dirty"], tags["ablate.kind"]) == ("true", "finished")


def test_artifacts_are_there_and_weights_take_no_room(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    folder = Path(runs(root)[0].info.artifact_uri)
    assert folder.is_relative_to(root / "mlruns" / "artifacts" / "table3" / "grammar")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {
        *("config.yaml", "environment.json", "log.txt", "result.json", "vocabulary.model"),
        *("hypotheses/valid.txt", "model.safetensors"),
        *("attention/maps.html", "attention/maps.json", "attention/maps.safetensors"),
        "attention/heads.json",
    }
    assert (folder / "model.safetensors").samefile(record.weights)


def test_sending_again_without_notes_stores_nothing_twice(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    before = rows(root)
    for notes in record.path.glob("mirror-*.json"):
        notes.unlink()
    Sender(root).send(who, record.path)
    assert rows(root) == before
    assert before["runs"] == 2  # the trial's and its study's


def test_curves_grow_and_a_torn_line_waits(root: Path) -> None:
    who, sender = identity(), Sender(root)
    record = make_trial(root, who)
    sender.send(who, record.path)
    add_points(record, [150])
    whole = record.metrics.read_bytes()
    record.metrics.write_bytes(whole + b'{"step": 200, "ti')
    sender.send(who, record.path)
    curve = client(root).get_metric_history(runs(root)[0].info.run_id, "train.loss")
    assert [(p.step, p.value, p.timestamp) for p in curve] == [
        (step, 5 - step / 100, int((BEGAN + step) * 1000)) for step in (50, 100, 150)
    ]
    record.metrics.write_bytes(whole)
    add_points(record, [200])
    sender.send(who, record.path)
    assert len(client(root).get_metric_history(runs(root)[0].info.run_id, "train.loss")) == 4


def test_numbers_that_are_not_finite_are_told(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    values = {"train.loss": "nan", "train.perplexity": "inf"}
    append_line(record.metrics, {"step": 150, "time": BEGAN, "values": values})
    finish(record, {"valid.perplexity": "inf", "valid.bleu": 0.0})
    Sender(root).send(who, record.path)
    Sender(root).send(who, record.path)
    metrics = runs(root)[0].data.metrics
    assert metrics["train.loss"] != metrics["train.loss"]
    assert metrics["train.perplexity"] == metrics["valid.perplexity"] == sys.float_info.max


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("failed", "FAILED"),
        ("diverged", "FAILED"),
        ("out_of_memory", "FAILED"),
        ("bad_configuration", "FAILED"),
        ("finished", "FAILED"),  # without result.json
        ("killed", "KILLED"),
        ("pruned", "KILLED"),
        (None, "KILLED"),  # and nobody holds the claim
    ],
)
def test_a_status_follows_the_directory(root: Path, kind: str | None, status: str) -> None:
    who = identity()
    record = make_trial(root, who)
    if kind is not None:
        end(record, kind, "the reason")
    Sender(root).send(who, record.path)
    (run,) = runs(root)
    assert run.info.status == status
    assert run.info.end_time is not None


def test_a_resumed_trial_runs_again_and_ends(root: Path) -> None:
    who, sender = identity(), Sender(root)
    record = make_trial(root, who)
    sender.send(who, record.path)
    with record.lock.open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        append_line(record.attempts, {"attempt": 2, "event": "start", "time": BEGAN + 300})
        sender.send(who, record.path)
        assert [run.info.status for run in runs(root)] == ["RUNNING"]
        finish(record)
    sender.send(who, record.path)
    assert [run.info.status for run in runs(root)] == ["FINISHED"]


def test_a_trial_of_another_study_is_a_run_of_its_own(root: Path) -> None:
    ours, theirs, twin = identity(), identity(setting="multi30k-en-de"), identity()
    record = make_trial(root, theirs)
    finish(record)
    for who in (theirs, ours, twin._replace(arm="base")):
        Sender(root).send(who, record.path)
    told = {run.info.run_name: run.data.tags.get("ablate.trained_as") for run in runs(root)}
    source = "table3/multi30k-en-de/A1"
    assert told == {"A1 seed 1": source, "base seed 1": source}
    assert "ablate.trained_as" not in runs(root, "multi30k-en-de")[0].data.tags


def test_a_rerun_is_another_run_and_says_of_what(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    Sender(root).send(who, record.path)
    again = record.path / "reruns" / "1"
    shutil.copytree(record.path, again)
    about: Mapping[str, Any] = json.loads((again / "trial.json").read_text())
    (again / "trial.json").write_text(json.dumps({**about, "rerun_of": "0123"}))
    Sender(root).send(who, again)
    assert {run.data.tags.get("ablate.rerun_of") for run in runs(root)} == {None, "0123"}


def test_a_run_that_was_deleted_comes_back_whole(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    (old,) = runs(root)
    client(root).delete_run(old.info.run_id)
    Sender(root).send(who, record.path)
    (new,) = runs(root)
    assert new.info.run_id != old.info.run_id
    assert new.data.metrics == old.data.metrics


def test_a_trial_that_is_trained_again_has_none_of_the_curve_of_before(root: Path) -> None:
    who = identity()
    finish(make_trial(root, who))
    Sender(root).send(who, root / "mlruns" / "trials" / who.digest)
    (before,) = runs(root)
    shutil.rmtree(root / "mlruns" / "trials" / who.digest)
    record = make_trial(root, who)
    record.attempts.unlink()
    start = {"attempt": 1, "event": "start", "time": BEGAN + 1e6, "commit": "c0ffee"}
    append_line(record.attempts, {**start, "dirty": False, "device": "cpu", "pid": 1})
    record.metrics.unlink()
    add_points(record, [100, 200])
    finish(record)
    for _ in range(2):
        Sender(root).send(who, record.path)
    (after,) = runs(root)
    assert after.info.run_id != before.info.run_id
    curve = client(root).get_metric_history(after.info.run_id, "train.loss")
    assert sorted(point.step for point in curve) == [100, 200]
    assert client(root).get_run(before.info.run_id).info.lifecycle_stage == "deleted"


def test_a_directory_copied_with_its_notes_writes_into_no_run_of_another_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.VARIABLE, f"sqlite:///{tmp_path}/shared.db")
    who, roots = identity(), [tmp_path / "ana", tmp_path / "ben"]
    finish(make_trial(roots[0], who))
    Sender(roots[0]).send(who, roots[0] / "mlruns" / "trials" / who.digest)
    shutil.copytree(roots[0] / "mlruns" / "trials", roots[1] / "mlruns" / "trials")
    Sender(roots[1]).send(who, roots[1] / "mlruns" / "trials" / who.digest)
    told = {run.data.tags["ablate.root"] for run in runs(tmp_path)}
    assert told == {store.identity(root) for root in roots}
    assert len(runs(tmp_path)) == 2


def test_a_deleted_experiment_is_said_with_the_remedy(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    Sender(root).send(who, record.path)
    client(root).delete_experiment(runs(root)[0].info.experiment_id)
    with pytest.raises(store.StoreError, match="mlflow experiments restore --experiment-id 1"):
        Sender(root).send(who, record.path)


def test_hostile_words_are_stored_and_shortened(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    end(record, "failed", "\x00<script>|`" + "x" * 9000)
    Sender(root).send(who, record.path)
    said = runs(root)[0].data.tags["mlflow.note.content"]
    assert len(said) <= 5000
    assert "\x00" not in said
    assert "<script>" not in said.replace("\\<", "")


def test_a_trial_that_fails_before_it_wrote_its_configuration_is_shown(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    record.config.unlink()
    end(record, "bad_configuration", "no such device")
    Sender(root).send(who, record.path)
    assert "no such device" in runs(root)[0].data.tags["mlflow.note.content"]


def test_a_folder_that_was_moved_keeps_its_artifacts(root: Path, tmp_path: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    finish(record)
    Sender(root).send(who, record.path)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (root / "mlruns").rename(moved / "mlruns")
    prepare_store(moved)
    (run,) = runs(moved)
    assert (Path(run.info.artifact_uri) / "config.yaml").exists()
    Sender(moved).send(who, moved / "mlruns" / "trials" / who.digest)
    assert not (root / "mlruns").exists()
    assert len(runs(moved)) == 1


def test_trials_lie_below_their_study(root: Path) -> None:
    for who in (identity("A1"), identity("A1", 2), identity("B1", setting="other")):
        finish(make_trial(root, who))
        Sender(root).send(who, root / "mlruns" / "trials" / who.digest)
    (study,) = study_runs(root)
    assert (study.info.run_name, study.info.status) == ("table3", "FINISHED")
    assert {run.data.tags["mlflow.parentRunId"] for run in runs(root)} == {study.info.run_id}
    (other,) = study_runs(root, "other")
    assert runs(root, "other")[0].data.tags["mlflow.parentRunId"] == other.info.run_id
    assert "mlflow.parentRunId" not in study.data.tags


def test_a_rerun_is_called_so(root: Path) -> None:
    who = identity()
    record = make_trial(root, who)
    again = record.path / "reruns" / "3"
    shutil.copytree(record.path, again)
    about = json.loads((again / "trial.json").read_text())
    (again / "trial.json").write_text(json.dumps({**about, "rerun_of": "0123"}))
    Sender(root).send(who, again)
    assert [run.info.run_name for run in runs(root)] == ["A1 seed 1, rerun 3"]


def test_a_report_is_the_description_and_the_files_of_its_study(root: Path) -> None:
    texts = {"overview.md": "20 rows", "report.html": "<p>", "figures/01-bleu.svg": "<svg/>"}
    folder = write_report(root, {**texts, ".report.md.x7": "half written"})
    Sender(root).send_report("table3", "grammar", folder)
    (study,) = study_runs(root)
    assert study.data.tags["mlflow.note.content"] == "20 rows"
    artifacts = Path(study.info.artifact_uri)
    found = {str(p.relative_to(artifacts)) for p in artifacts.rglob("*") if p.is_file()}
    assert found == {"report.html", "figures/01-bleu.svg"}


def test_a_report_is_sent_once_and_again_when_it_changes(root: Path) -> None:
    folder = write_report(root, {"overview.md": "20 rows", "report.csv": "arm\n"})
    Sender(root).send_report("table3", "grammar", folder)
    sent = Path(study_runs(root)[0].info.artifact_uri) / "report.csv"
    sent.unlink()
    Sender(root).send_report("table3", "grammar", folder)
    assert not sent.exists()
    write_report(root, {"overview.md": "21 rows"})
    Sender(root).send_report("table3", "grammar", folder)
    (study,) = study_runs(root)
    assert study.data.tags["mlflow.note.content"] == "21 rows"
    assert sent.exists()


def test_a_link_in_a_report_s_folder_is_not_followed(root: Path) -> None:
    folder = write_report(root, {"overview.md": "20 rows"})
    (folder / "report.md").symlink_to("/etc/hostname")
    with pytest.raises(RecordError, match="is a link"):
        Sender(root).send_report("table3", "grammar", folder)


def test_the_ui_is_told_by_which_columns_a_study_is_read(root: Path) -> None:
    who = identity()
    make_trial(root, who)
    Sender(root).send(who, root / "mlruns" / "trials" / who.digest)
    told = client(root).get_experiment_by_name("table3/grammar").tags
    shown = json.loads(told[f"mlflow.sharedViewState.{VIEW}"])
    named = [column.split("`")[1] for column in shown["selectedColumns"]]
    assert {name for name in named if not name.startswith("ablate.")} <= {*METRICS}
    assert {name for name in named if name.startswith("ablate.")} <= {*runs(root)[0].data.tags}
