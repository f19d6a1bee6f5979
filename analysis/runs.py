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

import msgspec
import numpy as np
import pandas as pd

from experiments import store

WORDS = (
    *("run_id", "experiment_id", "status", "arm", "group", "seed", "digest", "kind"),
    *("commit", "dirty", "device", "device_name", "devices", "rerun_of", "trained_as"),
)
"""Columns of every frame of `read`; "score.", "signature.", "parameters." and "param." follow."""
LARGEST = sys.float_info.max
"""What MLflow stores for an infinity."""
VARIABLES = 500
"""Placeholders in one query; SQLite takes at least 999."""
PAGE = 1000
MUCH = 4
"""Runs in the store for each that is asked for, up to which points are read along the metrics."""

ACTIVE = "runs.lifecycle_stage = 'active'"
OF_EXPERIMENT = f"""
    FROM runs JOIN experiments USING (experiment_id)
    JOIN tags ON tags.run_uuid = runs.run_uuid AND tags.key = 'ablate.row'
    WHERE experiments.name = ? AND experiments.workspace = 'default'
    AND experiments.lifecycle_stage = 'active' AND {ACTIVE}
"""
"""The runs of an experiment that are ours."""


Point = tuple[str, str, int, float | None, int]
"""Run, metric, step, value (None: not a number), milliseconds since 1970."""
POINTS = """
    SELECT run_uuid, key, step, CASE WHEN is_nan THEN NULL ELSE value END, timestamp FROM metrics
"""


class Found(NamedTuple):
    """A run as the store has it."""

    run_id: str
    experiment_id: str
    status: str
    row: Mapping[str, Any]
    """The tag ablate.row, as `description.row` made it."""


def read(uri: str, study: str, setting: str, owner: str | None = None) -> pd.DataFrame:
    """The runs of a study in a setting, oldest first, reruns included.

    `owner`: of a store that several mlruns/ share, only those that this one has sent. A run that
    did not finish has no scores; runs that are none of ours are left out. No store or no such
    experiment: no rows. StoreError where the store cannot be read.
    """
    name = f"{study}/{setting}"
    with _reading(uri):
        path = _database(uri)
        if path is None:
            return _tidy(*_search(uri, name, owner))
        if not path.exists():
            return _tidy([], {})
        return _tidy(_select(path, name, owner), _params(path, name))


def rows(uri: str, study: str, setting: str, owner: str | None = None) -> list[Found]:
    """The runs of `read` without their parameters: all that a table needs, in a tenth the time."""
    name = f"{study}/{setting}"
    with _reading(uri):
        path = _database(uri)
        if path is None:
            return _search(uri, name, owner)[0]
        return _select(path, name, owner) if path.exists() else []


def seeds(uri: str, study: str, setting: str, owner: str | None = None) -> list[int]:
    """The seeds of the runs of `read`, each once."""
    with _reading(uri):
        path = _database(uri)
        if path is None:
            found, _ = _search(uri, f"{study}/{setting}", owner)
            return sorted({run.row["seed"] for run in found})
        if not path.exists():
            return []
        whose, given = _whose(owner)
        query = (
            "SELECT DISTINCT value FROM tags WHERE key = 'ablate.seed' AND run_uuid IN"
            f" (SELECT runs.run_uuid {OF_EXPERIMENT}{whose})"
        )
        with closing(_open(path)) as connection:
            told = connection.execute(query, (f"{study}/{setting}", *given)).fetchall()
    try:
        return sorted(int(seed) for (seed,) in told)
    except ValueError:
        raise damaged(f"of {study}/{setting}", "ablate.seed") from None


def history(uri: str, run_ids: Sequence[str], metrics: Sequence[str]) -> pd.DataFrame:
    """The curves: run_id, metric, step, value, time (UTC), in that order. StoreError: as `read`."""
    with _reading(uri):
        path = _database(uri)
        if path is None:
            points = _points_by_client(uri, run_ids, metrics)
        else:
            points = _points(path, run_ids, metrics) if path.exists() else []
    return as_curves(points)


def as_curves(points: Sequence[Point]) -> pd.DataFrame:
    """The frame of `history`."""
    ids, names, steps, values, times = zip(*points, strict=True) if points else ((),) * 5
    run_codes, known_runs = pd.factorize(np.array(ids, dtype=object), sort=True)
    name_codes, known_names = pd.factorize(np.array(names, dtype=object), sort=True)
    step, time = np.array(steps, dtype="int64"), np.array(times, dtype="int64")
    value = np.array(values, dtype=float)
    infinite = np.abs(value) >= LARGEST
    value[infinite] = np.copysign(math.inf, value[infinite])
    order = np.lexsort((value, time, step, name_codes, run_codes))
    return pd.DataFrame(
        {
            "run_id": pd.Series(known_runs, dtype=str).array.take(run_codes[order]),
            "metric": pd.Series(known_names, dtype=str).array.take(name_codes[order]),
            "step": step[order],
            "value": value[order],
            "time": pd.to_datetime(time[order], unit="ms", utc=True),
        }
    )


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
    """What the store holds: study, setting, experiment_id, runs of trials."""
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


def _whose(owner: str | None) -> tuple[str, tuple[str, ...]]:
    """What narrows OF_EXPERIMENT to one owner's runs, and its parameters."""
    if owner is None:
        return "", ()
    query = " AND EXISTS (SELECT 1 FROM tags own WHERE own.run_uuid = runs.run_uuid"
    return f"{query} AND own.key = 'ablate.root' AND own.value = ?)", (owner,)


def _select(path: Path, name: str, owner: str | None) -> list[Found]:
    whose, given = _whose(owner)
    with closing(_open(path)) as connection:
        found = connection.execute(
            "SELECT runs.run_uuid, experiment_id, status, tags.value"
            f" {OF_EXPERIMENT}{whose} ORDER BY start_time, runs.run_uuid",
            (name, *given),
        ).fetchall()
    told = [_row(run_id, row) for run_id, *_, row in found]
    return [
        Found(run_id, str(experiment), status, row)
        for (run_id, experiment, status, _), row in zip(found, told, strict=True)
    ]


def _row(run_id: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise damaged(run_id, "ablate.row") from None


def damaged(run_id: str, tag: str) -> store.StoreError:
    """What to say of a run whose tag is not as `description.tags` makes it."""
    return store.StoreError(
        f"MLflow's run {run_id}: its tag {tag} is damaged; delete the run, and `ablate sync` "
        "makes it again"
    )


def _params(path: Path, name: str) -> dict[str, dict[str, str]]:
    """The parameters of each run."""
    params: dict[str, dict[str, str]] = {}
    with closing(_open(path)) as connection:
        for run_id, key, value in connection.execute(
            "SELECT run_uuid, key, value FROM params WHERE run_uuid IN"
            f" (SELECT runs.run_uuid {OF_EXPERIMENT})",
            (name,),
        ):
            params.setdefault(run_id, {})[key] = value
    return params


def _search(
    uri: str, name: str, owner: str | None
) -> tuple[list[Found], dict[str, dict[str, str]]]:
    """`_select` and `_params` for any store."""
    import mlflow

    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage != "active":
        return [], {}
    ids, words = [experiment.experiment_id], f"tags.`ablate.root` = '{owner}'" if owner else ""
    page = client.search_runs(ids, words, max_results=PAGE)
    runs = list(page)
    while page.token:
        page = client.search_runs(ids, words, max_results=PAGE, page_token=page.token)
        runs += page
    runs = [run for run in runs if "ablate.row" in run.data.tags]
    runs.sort(key=lambda run: (run.info.start_time, run.info.run_id))
    found = [
        Found(
            run.info.run_id,
            run.info.experiment_id,
            run.info.status,
            _row(run.info.run_id, run.data.tags["ablate.row"]),
        )
        for run in runs
    ]
    return found, {run.info.run_id: run.data.params for run in runs}


def _tidy(found: Iterable[Found], params: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """Columns in a fixed order, whatever the order of the store's rows."""
    records = [_record(run, params.get(run.run_id, {})) for run in found]
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


def _record(run: Found, params: Mapping[str, str]) -> dict[str, object]:
    row = run.row
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
        **{f"param.{name}": _value(text) for name, text in params.items()},
    }


def _value(text: str) -> object:
    """A parameter as it was before `description.as_text` wrote it."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


def _points(path: Path, run_ids: Sequence[str], metrics: Sequence[str]) -> list[Point]:
    with closing(_open(path)) as connection:
        (runs,) = connection.execute("SELECT count(*) FROM runs").fetchone()
        read = _along_the_metrics if len(run_ids) * MUCH > runs else _run_by_run
        return read(connection, run_ids, metrics)


def _along_the_metrics(
    connection: sqlite3.Connection, run_ids: Sequence[str], metrics: Sequence[str]
) -> list[Point]:
    """A metric's points lie side by side in the store; a run's are found one by one.

    Where much of the store is asked for, this takes a third of the other way's time.
    """
    query = (
        f"{POINTS} WHERE key IN ({', '.join('?' * len(metrics))})"
        # The sign keeps SQLite from the index of runs.
        " AND +run_uuid IN (SELECT value FROM json_each(?))"
    )
    return connection.execute(query, (*metrics, json.dumps(list(run_ids)))).fetchall()


def _run_by_run(
    connection: sqlite3.Connection, run_ids: Sequence[str], metrics: Sequence[str]
) -> list[Point]:
    found: list[Point] = []
    for start in range(0, len(run_ids), VARIABLES):
        some = run_ids[start : start + VARIABLES]
        query = (
            f"{POINTS} WHERE key IN ({', '.join('?' * len(metrics))})"
            f" AND run_uuid IN ({', '.join('?' * len(some))})"
        )
        found += connection.execute(query, (*metrics, *some))
    return found


def _points_by_client(uri: str, run_ids: Sequence[str], metrics: Sequence[str]) -> list[Point]:
    import mlflow

    client = mlflow.MlflowClient(uri)
    return [
        (run_id, name, point.step, point.value, point.timestamp)
        for run_id in run_ids
        for name in metrics
        for point in client.get_metric_history(run_id, name)
    ]


def _experiments(path: Path) -> list[tuple[str, str, str, int]]:
    query = f"""
        SELECT study.value, setting.value, experiments.experiment_id, count(runs.run_uuid)
        FROM experiments
        JOIN experiment_tags study
            ON study.experiment_id = experiments.experiment_id AND study.key = 'ablate.study'
        JOIN experiment_tags setting
            ON setting.experiment_id = experiments.experiment_id AND setting.key = 'ablate.setting'
        LEFT JOIN runs ON runs.experiment_id = experiments.experiment_id AND {ACTIVE} AND EXISTS
            (SELECT 1 FROM tags WHERE tags.run_uuid = runs.run_uuid AND tags.key = 'ablate.row')
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
            len(_search(uri, experiment.name, None)[0]),
        )
        for experiment in client.search_experiments()
        if "ablate.study" in experiment.tags and "ablate.setting" in experiment.tags
    ]
