"""Reading the store: SQL says what MLflow says."""

import math
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from analysis import runs
from analysis.sources import Stored
from experiments import mirror, store
from experiments.tracking import Sender, prepare_store
from lit_transformer.record import append_line
from tests.experiments.directories import BEGAN, SCORES, end, finish, identity, make_trial


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with every kind of run: finished, failed, infinite, a rerun, deleted, foreign, and
    those of whole studies."""
    root = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(store.VARIABLE, raising=False)
        prepare_store(root)
        sender = Sender(root)
        for who in (identity("base"), identity("A1"), identity("A1", 2), identity("C1")):
            record = make_trial(root, who)
            if who.arm == "C1":
                end(record, "diverged", "the loss is nan")
                values = {"train.loss": "nan", "train.perplexity": "inf"}
                append_line(record.metrics, {"step": 150, "time": BEGAN, "values": values})
            else:
                extra = {"valid.perplexity": "inf"} if who.seed == 2 else {"test.bleu": 30.0}
                finish(record, {**SCORES, **extra})
            sender.send(who, record.path)
        again = record.path / "reruns" / "1"
        shutil.copytree(record.path, again)
        (again / "trial.json").write_text('{"rerun_of": "0123"}')
        sender.send(identity("C1"), again)
        sender.send(identity("base", setting="other"), root / "mlruns/trials/base100000000000")
        _add_strangers(root)
    return root


def _add_strangers(root: Path) -> None:
    from mlflow import MlflowClient

    client: Any = MlflowClient(store.uri(root))
    experiment = client.get_experiment_by_name("table3/grammar").experiment_id
    client.create_run(experiment, tags={"who": "somebody's own"})
    deleted = client.create_run(experiment, tags={"ablate.row": "{}"})
    client.delete_run(deleted.info.run_id)
    client.create_experiment("somebody's own")


@pytest.fixture
def uri(filled: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv(store.VARIABLE, raising=False)
    return store.uri(filled)


def slowly(patch: pytest.MonkeyPatch) -> None:
    """Let `runs` take the store for one of another version."""
    patch.setattr(runs, "expected_version", lambda: "another")


def test_sql_reads_what_mlflow_reads(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = runs.read(uri, "table3", "grammar")
    slowly(monkeypatch)
    assert_frame_equal(fast, runs.read(uri, "table3", "grammar"))
    assert len(fast) == 5


def test_sql_reads_the_curves_that_mlflow_reads(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = list(runs.read(uri, "table3", "grammar")["run_id"])
    names = ["train.loss", "train.perplexity", "valid.perplexity", "absent"]
    fast = runs.history(uri, ids, names)
    slowly(monkeypatch)
    assert_frame_equal(fast, runs.history(uri, ids, names))
    assert fast["value"].isna().any()
    assert (fast["value"] == math.inf).any()


def test_sql_lists_the_studies_that_mlflow_lists(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = runs.studies(uri)
    slowly(monkeypatch)
    assert_frame_equal(fast, runs.studies(uri))
    assert fast.to_dict("records") == [
        {"study": "table3", "setting": "grammar", "experiment_id": "1", "runs": 5},
        {"study": "table3", "setting": "other", "experiment_id": "2", "runs": 1},
    ]


def test_a_row_holds_what_the_trial_said(uri: str) -> None:
    frame = runs.read(uri, "table3", "grammar").set_index(["arm", "seed"])
    row = frame[frame["rerun_of"].isna()].loc[("A1", 1)]
    assert row["score.valid.bleu"] == SCORES["valid.bleu"]
    assert row["signature.bleu"].endswith("version:2.6.0")
    assert row["parameters.total"] == 3
    assert (row["kind"], row["status"], row["group"]) == ("finished", "FINISHED", "A")
    assert (row["commit"], row["dirty"], row["device"]) == ("c0ffee", True, "cpu")
    assert row["param.model.d_model"] == 512
    assert row["param.train.seed"] == 1
    assert pd.isna(row["param.model.d_k"])
    assert row["param.optim.eps"] == 1e-9


def test_infinities_are_read_as_such_and_unfinished_runs_have_no_scores(uri: str) -> None:
    frame = runs.read(uri, "table3", "grammar")
    assert frame[frame["seed"] == 2]["score.valid.perplexity"].tolist() == [math.inf]
    scores = frame.filter(like="score.")
    assert scores[frame["kind"] == "diverged"].isna().all(axis=None)
    assert frame["rerun_of"].dropna().tolist() == ["0123"]


@pytest.mark.parametrize("fast", [True, False])
def test_a_run_leads_to_its_directory(
    uri: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run,) = runs.read(uri, "table3", "other")["run_id"]
    if not fast:
        slowly(monkeypatch)
    assert runs.directory(uri, run) == "trials/base100000000000"
    assert runs.directory(uri, "0" * 32) is None
    assert runs.directory(uri, "../x") is None


def test_a_run_of_another_study_says_so(uri: str) -> None:
    assert runs.read(uri, "table3", "other")["trained_as"].tolist() == ["table3/grammar/base"]


@pytest.mark.parametrize("name", ["absent", "' OR 1=1 --", "grammar/../other"])
def test_what_is_not_there_has_no_rows(uri: str, name: str, tmp_path: Path) -> None:
    assert runs.read(uri, "table3", name).empty
    empty = runs.read(f"sqlite:///{tmp_path}/mlflow.db", "table3", name)
    assert list(empty.columns) == list(runs.WORDS)
    assert not list(tmp_path.iterdir())
    assert runs.history(uri, [], []).empty
    assert runs.history(uri, ["absent"], ["train.loss"]).empty


def test_the_curves_know_their_times(uri: str) -> None:
    frame = runs.read(uri, "table3", "grammar")
    finished = frame[frame["kind"] == "finished"]["run_id"].tolist()
    curve = runs.history(uri, finished[:1], ["train.loss"])
    assert curve["step"].tolist() == [50, 100]
    assert curve["time"].tolist() == [
        pd.Timestamp(BEGAN + step, unit="s", tz="UTC") for step in (50, 100)
    ]


def test_the_schema_is_the_one_of_the_installed_mlflow(filled: Path) -> None:
    with closing(sqlite3.connect(store.database(filled))) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert runs.expected_version() == found


def test_the_fast_path_never_imports_mlflow(uri: str) -> None:
    script = (
        "import sys; from analysis.runs import read, studies;"
        "assert len(read(sys.argv[1], 'table3', 'grammar')) == 5; studies(sys.argv[1]);"
        "sys.exit(bool({'mlflow', 'torch', 'sqlalchemy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script, uri], check=False).returncode == 0


@pytest.mark.parametrize("slow", [False, True])
def test_of_a_shared_store_a_root_counts_its_own_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    monkeypatch.setenv(store.VARIABLE, f"sqlite:///{tmp_path}/shared.db")
    for name, arms, bleu in (("ana", ["base"], 31.5), ("ben", ["base", "A1"], 77.7)):
        for arm in arms:
            finish(make_trial(tmp_path / name, identity(arm)), {"valid.bleu": bleu})
        mirror.sync_all(tmp_path / name)
    if slow:
        slowly(monkeypatch)
    found = {
        name: {
            (run.row["arm"], run.row["scores"]["valid.bleu"])
            for run in Stored(tmp_path / name).runs("table3", "grammar")
        }
        for name in ("ana", "ben")
    }
    assert found == {"ana": {("base", 31.5)}, "ben": {("base", 77.7), ("A1", 77.7)}}
    uri, owner = store.uri(tmp_path / "ana"), store.owner(tmp_path / "ana")
    assert len(runs.read(uri, "table3", "grammar")) == 3
    assert runs.read(uri, "table3", "grammar", owner)["arm"].tolist() == ["base"]
    assert runs.seeds(uri, "table3", "grammar", owner) == [1]
    assert store.owner(tmp_path / "ana") != store.owner(tmp_path / "ben")


@pytest.mark.parametrize("slow", [False, True])
def test_the_run_of_a_study_is_no_trial_s(
    uri: str, monkeypatch: pytest.MonkeyPatch, slow: bool
) -> None:
    from mlflow import MlflowClient

    if slow:
        slowly(monkeypatch)
    (study,) = MlflowClient(uri).search_runs(["1"], "tags.`ablate.level` = 'study'")
    assert study.info.run_id not in list(runs.read(uri, "table3", "grammar")["run_id"])
    assert study.info.run_id not in [run.run_id for run in runs.rows(uri, "table3", "grammar")]
    assert runs.seeds(uri, "table3", "grammar") == [1, 2]
    assert runs.directory(uri, study.info.run_id) is None
