"""The only reader of MLflow: one tidy row for each run.

A SQLite store is read by SQL, which takes a fiftieth of the time of MLflow's own search and no
import of MLflow; any other store, and a database of another version, through MLflow.
"""

import importlib.util
import json
import math
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments import store

WORDS = (
    *("run_id", "experiment_id", "status", "arm", "group", "seed", "digest", "kind"),
    *("commit", "dirty", "device", "rerun_of", "trained_as"),
)
"""Columns of every frame of `read`; "score.", "signature.", "parameters." and "param." follow."""
LARGEST = sys.float_info.max
"""What MLflow stores for an infinity."""
VARIABLES = 500
"""Placeholders in one query; SQLite takes at least 999."""
PAGE = 1000

ACTIVE = "runs.lifecycle_stage = 'active'"
OF_EXPERIMENT = f"""
    FROM runs JOIN experiments USING (experiment_id)
    WHERE experiments.name = ? AND experiments.workspace = 'default'
    AND experiments.lifecycle_stage = 'active' AND {ACTIVE}
"""


class Found(NamedTuple):
    """A run as the store has it."""

    run_id: str
    experiment_id: str
    status: str
    row: str
    """The tag ablate.row."""
    params: Mapping[str, str]


def read(uri: str, study: str, setting: str) -> pd.DataFrame:
    """The runs of a study in a setting, oldest first, reruns included.

    A run that did not finish has no scores; runs that others have put into the experiment are left
    out. No store or no such experiment: no rows. StoreError where the store cannot be read.
    """
    name = f"{study}/{setting}"
    with _reading(uri):
        path = _database(uri)
        if path is None:
            return _tidy(_search(uri, name))
        return _tidy(_select(path, name)) if path.exists() else _tidy([])


def history(uri: str, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """The curves: run_id, metric, step, value, time (UTC), in that order. StoreError: as `read`."""
    with _reading(uri):
        path = _database(uri)
        if path is None:
            points = list(_points_by_client(uri, run_ids, metrics))
        else:
            points = list(_points(path, run_ids, metrics)) if path.exists() else []
    frame = pd.DataFrame(points, columns=["run_id", "metric", "step", "value", "time"])
    frame = frame.astype({"run_id": str, "metric": str, "step": "int64", "value": float})
    frame["time"] = pd.to_datetime(frame["time"].astype("int64"), unit="ms", utc=True)
    return frame.sort_values(["run_id", "metric", "step", "time"], ignore_index=True)


def directory(uri: str, run_id: str) -> str | None:
    """The trial's directory, seen from mlruns/, of a run; None: no such run of ours."""
    with _reading(uri):
        path = _database(uri)
        if path is None:
            return _directory_by_client(uri, run_id)
        if not path.exists():
            return None
        query = "SELECT value FROM tags WHERE run_uuid = ? AND key = 'ablate.directory'"
        with closing(_open(path)) as connection:
            found = connection.execute(query, (run_id,)).fetchone()
        return None if found is None else str(found[0])


def studies(uri: str) -> pd.DataFrame:
    """What the store holds: study, setting, experiment_id, runs."""
    path = _database(uri)
    if path is None:
        found = _experiments_by_client(uri)
    else:
        found = _experiments(path) if path.exists() else []
    frame = pd.DataFrame(found, columns=["study", "setting", "experiment_id", "runs"])
    return frame.sort_values(["study", "setting"], ignore_index=True)


def expected_version() -> str:
    """The schema that the installed MLflow writes: the last of its migrations; read, not run."""
    package = importlib.util.find_spec("mlflow")
    if package is None or package.origin is None:
        return ""
    folder = Path(package.origin).parent / "store" / "db_migrations" / "versions"
    own, before = set(), set()
    for file in folder.glob("*.py"):
        text = file.read_text("utf-8")
        own |= set(re.findall(r"^revision = \"(\w+)\"", text, re.M))
        before |= set(re.findall(r"^down_revision = \"(\w+)\"", text, re.M))
    heads = own - before
    return heads.pop() if len(heads) == 1 else ""


@contextmanager
def _reading(uri: str) -> Iterator[None]:
    """StoreError for whatever a store that cannot be read makes sqlite3, MLflow or HTTP raise."""
    store.calm_mlflow()
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError):  # ours to mend
        raise
    except Exception as error:
        reason = store.scrub(next(iter(str(error).strip().splitlines()), ""))[:300]
        raise store.StoreError(
            f"the runs at {store.scrub(uri)} cannot be read: {type(error).__name__}: {reason}. "
            "The trials' directories have it all: with a store that works, `ablate sync` sends it"
        ) from error


def _database(uri: str) -> Path | None:
    """The SQLite file if SQL may be used on it (or if there is none yet)."""
    if not uri.startswith("sqlite:///"):
        return None
    path = Path(uri.removeprefix("sqlite:///"))
    if not path.exists():
        return path
    with closing(_open(path)) as connection:
        try:
            versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        except sqlite3.OperationalError:
            return None  # MLflow says what is wrong with it
    return path if versions == [(expected_version(),)] else None


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=20)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _select(path: Path, name: str) -> list[Found]:
    with closing(_open(path)) as connection:
        connection.execute("BEGIN")  # one state of the store for all queries
        runs = connection.execute(
            f"SELECT run_uuid, experiment_id, status {OF_EXPERIMENT} ORDER BY start_time, run_uuid",
            (name,),
        ).fetchall()
        rows = dict(
            connection.execute(
                "SELECT run_uuid, value FROM tags WHERE key = 'ablate.row' AND run_uuid IN"
                f" (SELECT run_uuid {OF_EXPERIMENT})",
                (name,),
            )
        )
        params: dict[str, dict[str, str]] = {}
        for run_id, key, value in connection.execute(
            f"SELECT run_uuid, key, value FROM params WHERE run_uuid IN"
            f" (SELECT run_uuid {OF_EXPERIMENT})",
            (name,),
        ):
            params.setdefault(run_id, {})[key] = value
    return [
        Found(run_id, str(experiment), status, rows[run_id], params.get(run_id, {}))
        for run_id, experiment, status in runs
        if run_id in rows
    ]


def _search(uri: str, name: str) -> list[Found]:
    """`_select` for any store."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return []
    page = client.search_runs([experiment.experiment_id], max_results=PAGE)
    runs = list(page)
    while page.token:
        page = client.search_runs(
            [experiment.experiment_id], max_results=PAGE, page_token=page.token
        )
        runs += page
    runs.sort(key=lambda run: (run.info.start_time, run.info.run_id))
    return [
        Found(
            run.info.run_id,
            run.info.experiment_id,
            run.info.status,
            run.data.tags["ablate.row"],
            run.data.params,
        )
        for run in runs
        if "ablate.row" in run.data.tags
    ]


def _tidy(found: Iterable[Found]) -> pd.DataFrame:
    """Columns in a fixed order, whatever the order of the store's rows."""
    records = [_record(run) for run in found]
    groups = ("score.", "signature.", "parameters.", "param.")
    named = {name for record in records for name in record}
    rest = [n for g in groups for n in sorted(named) if n.startswith(g)]
    columns = {name: [record.get(name) for record in records] for name in (*WORDS, *rest)}
    frame = pd.DataFrame({name: _column(name, values) for name, values in columns.items()})
    return frame.astype({"seed": "int64"})


def _column(name: str, values: list[object]) -> "pd.Series[Any]":
    if name.startswith("score."):
        return pd.Series(values, dtype=float)
    column = pd.Series(values, dtype=object)
    return column.infer_objects() if name.startswith("param") else column


def _record(run: Found) -> dict[str, object]:
    row = json.loads(run.row)
    words = {name: row.get(name) for name in WORDS}
    return {
        **words,
        "run_id": run.run_id,
        "experiment_id": run.experiment_id,
        "status": run.status,
        "dirty": None if words["dirty"] is None else bool(words["dirty"]),
        **{f"score.{name}": float(value) for name, value in row["scores"].items()},
        **{f"signature.{name}": value for name, value in row["signatures"].items()},
        **{f"parameters.{name}": value for name, value in row["parameters"].items()},
        **{f"param.{name}": _value(text) for name, text in run.params.items()},
    }


def _value(text: str) -> object:
    """A parameter as it was before `description.as_text` wrote it."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _points(
    path: Path, run_ids: Sequence[str], metrics: Sequence[str]
) -> Iterator[tuple[str, str, int, float, int]]:
    keys = ", ".join("?" * len(metrics))
    with closing(_open(path)) as connection:
        for start in range(0, len(run_ids), VARIABLES):
            some = list(run_ids[start : start + VARIABLES])
            query = (
                "SELECT run_uuid, key, step, value, timestamp, is_nan FROM metrics"
                f" WHERE key IN ({keys}) AND run_uuid IN ({', '.join('?' * len(some))})"
            )
            for run_id, key, step, value, time, is_nan in connection.execute(
                query, (*metrics, *some)
            ):
                yield run_id, key, step, math.nan if is_nan else _number(value), time


def _points_by_client(
    uri: str, run_ids: Sequence[str], metrics: Sequence[str]
) -> Iterator[tuple[str, str, int, float, int]]:
    import mlflow

    client = mlflow.MlflowClient(uri)
    for run_id in run_ids:
        for name in metrics:
            for point in client.get_metric_history(run_id, name):
                yield run_id, name, point.step, _number(point.value), point.timestamp


def _number(value: float) -> float:
    return math.copysign(math.inf, value) if abs(value) >= LARGEST else value


def _experiments(path: Path) -> list[tuple[str, str, str, int]]:
    query = f"""
        SELECT study.value, setting.value, experiments.experiment_id, count(runs.run_uuid)
        FROM experiments
        JOIN experiment_tags study
            ON study.experiment_id = experiments.experiment_id AND study.key = 'ablate.study'
        JOIN experiment_tags setting
            ON setting.experiment_id = experiments.experiment_id AND setting.key = 'ablate.setting'
        LEFT JOIN runs ON runs.experiment_id = experiments.experiment_id AND {ACTIVE}
        WHERE experiments.lifecycle_stage = 'active'
        GROUP BY experiments.experiment_id
    """
    with closing(_open(path)) as connection:
        found = connection.execute(query).fetchall()
    return [(study, setting, str(number), runs) for study, setting, number, runs in found]


def _directory_by_client(uri: str, run_id: str) -> str | None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        tags = MlflowClient(uri).get_run(run_id).data.tags
    except MlflowException:
        return None
    return str(tags["ablate.directory"]) if "ablate.directory" in tags else None


def _experiments_by_client(uri: str) -> list[tuple[str, str, str, int]]:
    import mlflow

    client = mlflow.MlflowClient(uri)
    return [
        (
            experiment.tags["ablate.study"],
            experiment.tags["ablate.setting"],
            experiment.experiment_id,
            len(client.search_runs([experiment.experiment_id], max_results=50_000)),
        )
        for experiment in client.search_experiments()
        if "ablate.study" in experiment.tags and "ablate.setting" in experiment.tags
    ]
