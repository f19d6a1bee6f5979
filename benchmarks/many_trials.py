"""Roots with very many trials, made without training: directories and store as a sweep leaves them.

What MLflow is told of a trial is computed by the project's own code. Only its way into the
database is another, rows by SQL: MLflow's own takes a tenth of a second a run. `check` sends some
trials both ways and compares every row.
"""

import json
import os
import random
import re
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments import description, mirror, outbox, store, sweep, tracking
from experiments.study import Trial, expand, load_setting, load_study
from lit_transformer import config_io, scoring
from lit_transformer.config import NUMERICS, RunConfig
from lit_transformer.record import Record, read_lines

SETTING = "grammar"
ROWS = 10
"""Grids beside base, each a group of its own in the table."""
BEGAN = 1_700_000_000.0
"""Unix seconds at which the first trial began."""
METRICS = 40
"""Metrics of a run, curves and scores together."""
SENTENCES = 100
"""Hypotheses that a finished trial leaves of the valid part."""
CURVES = (
    *("train.loss", "train.perplexity", "train.learning_rate", "train.target_tokens_per_second"),
    *("train.gradient_norm", "valid.loss", "valid.perplexity", "valid.curve_bleu"),
    *("system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"),
)
SIGNATURES = {
    "bleu": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
    "chrf": "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0",
    "ter": "nrefs:1|case:lc|tok:tercom|norm:no|punct:yes|asian:no|version:2.6.0",
}
ENVIRONMENT = {
    "python": "3.11.7",
    "platform": "Linux",
    "device": "cpu",
    "threads": 1,
    "versions": {"torch": "2.13.0", "pytorch-lightning": "2.6.6", "sacrebleu": "2.6.0"},
}
DEPARTING = ("running", "failed", "killed", "diverged", "out_of_memory", *["waiting"] * 15)
"""Kinds of the trials that have not finished, where some have not."""
TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "inputs")


class Many(NamedTuple):
    """A root, its study's file, and how many trials it has."""

    root: Path
    study: Path
    seeds: int
    trials: int

    @property
    def words(self) -> list[str]:
        """STUDY and the options that name these trials, for a verb of `ablate`."""
        where = ["--setting", SETTING, "--root", str(self.root)]
        return [str(self.study), *where, "--seeds", str(self.seeds)]


def make(root: Path, arms: int, seeds: int, points: int, unfinished: float) -> Many:
    """A root with arms times seeds trials, made once; `unfinished` is a share of them.

    `points` are those of each curve.
    """
    many = Many(root, root / "many.yaml", seeds, arms * seeds)
    mark = root / "made.json"
    about = {"arms": arms, "seeds": seeds, "points": points, "unfinished": unfinished}
    about["numerics"] = NUMERICS  # digests change with it
    if mark.exists() and json.loads(mark.read_text()) == about:
        return many
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    many.study.write_text(study_text(arms), "utf-8")
    trials = expand(load_study(str(many.study)), load_setting(SETTING), range(1, seeds + 1), [], {})
    kinds = _kinds(len(trials), unfinished)
    for trial, kind in zip(trials, kinds, strict=True):
        write_directory(root, trial, kind, points)
    tracking.prepare_store(root)
    with claims(root):
        fill(root, [t for t, kind in zip(trials, kinds, strict=True) if kind != "waiting"])
    mark.write_text(json.dumps(about), "utf-8")
    return many


@contextmanager
def claims(root: Path) -> Iterator[None]:
    """Hold what the running trials' workers would hold."""
    with ExitStack() as held:
        for file in (root / "mlruns" / "trials").glob("*/attempts.jsonl"):
            record = Record(file.parent)
            if not record.result_file.exists() and '"end"' not in file.read_text("utf-8"):
                claim = record.claim()
                assert claim is not None, f"{record.path} is claimed by another process"
                held.callback(os.close, claim)
        yield


def study_text(arms: int) -> str:
    """A study of so many arms: base, and grids over the warm-up, one for each dropout."""
    rows = ["  - {id: base}"]
    for number in range(min(ROWS, arms - 1)):
        size = len(range(number, arms - 1, ROWS))
        steps = ", ".join(str(1_000 + 20 * place) for place in range(size))
        drop = f"{0.02 * (number + 1):.2f}"
        rows.append(
            f"  - {{id: R{number}, set: {{model.dropout: {drop}}},"
            f" grid: {{optim.warmup_steps: [{steps}]}}}}"
        )
    head = "name: many\nversion: 1\ndescription: Warm-up against dropout.\nrows:\n"
    return head + "\n".join(rows) + "\n"


def _kinds(count: int, unfinished: float) -> list[str]:
    """Kinds of trials, in a mixed order that is always the same."""
    rest = round(count * unfinished)
    kinds = ["finished"] * (count - rest)
    kinds += [DEPARTING[number % len(DEPARTING)] for number in range(rest)]
    random.Random(0).shuffle(kinds)
    return kinds


def write_directory(root: Path, trial: Trial, kind: str, points: int) -> None:
    """What a worker leaves of a trial of this kind; a running one's claim is for `claims`."""
    record = Record(root / "mlruns" / "trials" / trial.digest)
    if kind == "waiting":
        return
    record.hypotheses.mkdir(parents=True)
    chance = random.Random(trial.digest)
    _write(record.config, _config_text(trial))
    about = sweep.about(sweep.plan([trial], sweep.Root(root))[0])
    _write(record.path / "trial.json", json.dumps({"digest": trial.digest, **about}, indent=1))
    _write(record.path / "environment.json", json.dumps(ENVIRONMENT, indent=1))
    _write(record.path / "lock", "")
    _write(record.log, "training\n")
    _write(record.attempts, "".join(_attempts(kind)))
    _write(record.metrics, "".join(_curves(trial, chance, points)))
    progress = {"phase": "training", "done": 3, "total": trial.config.train.steps, "time": BEGAN}
    _write(record.progress_file, json.dumps(progress))
    if kind == "finished":
        words = [f"ein Satz mit der Zahl {number}" for number in range(SENTENCES)]
        words[chance.randrange(SENTENCES)] = "ein anderer Satz"
        _write(record.hypotheses / "valid.txt", "\n".join(words) + "\n")
        _write(record.result_file, json.dumps(_result(trial, chance), indent=1))


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _config_text(trial: Trial) -> str:
    train = trial.config.train.model_copy(update={"seed": 1})
    text = _dumped(trial.config.model_copy(update={"train": train}))
    return text.replace("\n  seed: 1\n", f"\n  seed: {trial.seed}\n")


@cache
def _dumped(config: RunConfig) -> str:
    """Once for all seeds: it takes milliseconds."""
    return config_io.dump(config)


def _attempts(kind: str) -> Iterator[str]:
    start = {"pid": 1, "host": "here", "device": "cpu", "threads": 1, "commit": "c" * 40}
    yield (
        json.dumps({"attempt": 1, "event": "start", "time": BEGAN, **start, "dirty": False}) + "\n"
    )
    if kind != "running":
        reason = "" if kind == "finished" else f"the trial was told to be {kind}"
        about = {"attempt": 1, "event": "end", "time": BEGAN + 3600}
        yield json.dumps({**about, "kind": kind, "reason": reason}) + "\n"


def _curves(trial: Trial, chance: random.Random, points: int) -> Iterator[str]:
    for number in range(1, points + 1):
        step = trial.config.train.steps * number // points
        values = {name: 100 / number + chance.random() for name in CURVES}
        line = {"step": step, "time": BEGAN + 300 * number, "values": values}
        yield json.dumps(line) + "\n"


def _result(trial: Trial, chance: random.Random) -> dict[str, Any]:
    names = [name for name in scoring.METRICS if name not in CURVES and "gpu" not in name]
    names.insert(0, "valid.perplexity")
    names += [f"extra.score_{number}" for number in range(METRICS - len({*names, *CURVES}))]
    scores = {name: 20 + 10 * chance.random() for name in names}
    return {
        "digest": trial.digest,
        "scores": scores | {"cost.parameters": 650_000.0},
        "signatures": SIGNATURES,
        "parameters": {"embedding": 1, "positions": 0, "non_embedding": 2, "total": 3},
    }


def fill(root: Path, trials: Sequence[Trial]) -> None:
    """Put the trials into the store, the first by the project's own Sender."""
    first, *rest = trials
    place = root / "mlruns" / "trials"
    tracking.Sender(root).send(description.identify(first), place / first.digest)
    with closing(sqlite3.connect(store.database(root))) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        ids = _ids(connection)
        for trial in rest:
            told = _told(trial, Record(place / trial.digest))
            run_id = uuid.uuid4().hex
            for table, rows in _rows(told, run_id, root, ids).items():
                marks = ", ".join("?" * len(rows[0]))
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            _write_notes(root, told, run_id)


class _Ids(NamedTuple):
    """What the first run's rows tell of the others'."""

    experiment: int
    artifacts: str
    data: str
    user: str
    parent: str


def _ids(connection: sqlite3.Connection) -> _Ids:
    found = connection.execute(
        "SELECT experiment_id, artifact_location, dataset_uuid, user_id, value"
        " FROM runs JOIN experiments USING (experiment_id) JOIN datasets USING (experiment_id)"
        " JOIN tags USING (run_uuid) WHERE key = 'mlflow.parentRunId'"
    ).fetchone()
    return _Ids(*found)


def _told(trial: Trial, record: Record) -> description.Trial:
    """What `description.read` reads; the configuration is not parsed, which takes milliseconds."""
    lines = list(read_lines(record.attempts))
    result = record.result() or {}
    ended = record.result_file.stat().st_mtime if result else lines[-1]["time"]
    if lines[-1]["event"] == "start":
        ended = max(ended, record.metrics.stat().st_mtime)
    return description.Trial(
        identity=description.identify(trial),
        record=record,
        state=record.state(),
        config=trial.config,
        about=record.read_json("trial.json") or {},
        start=lines[0],
        started=lines[0]["time"],
        ended=ended,
        result=result,
    )


def _rows(
    told: description.Trial, run_id: str, root: Path, ids: _Ids
) -> dict[str, list[tuple[object, ...]]]:
    """The rows of one run in each table, as MLflow makes them of what a Sender sends."""
    status = tracking.STATUS.get(told.state.kind, "FAILED")
    name = description.run_name(told)
    started, ended = int(told.started * 1000), int(told.ended * 1000)
    folder = f"trials/{told.record.path.name}"
    words = {
        **description.tags(told, store.identity(root), folder),
        "mlflow.note.content": description.note(told, run_id),
        "mlflow.runName": name,
        "mlflow.parentRunId": ids.parent,
    }
    points = [p for _, batch in outbox.new_points(told.record.metrics, 0) for p in batch]
    assert told.config is not None
    if told.result:
        finals = description.scores(told.result).items()
        points += [outbox.Point(n, v, ended, told.config.train.steps) for n, v in finals]
    last = {p.name: p for p in sorted(points, key=lambda p: (p.step, p.time_ms))}
    end = None if status == "RUNNING" else ended
    place = f"{ids.artifacts}/{run_id}/artifacts"
    run = (run_id, name, "UNKNOWN", "", "", ids.user, status, started, end, "")
    return {
        "runs": [(*run, "active", place, ids.experiment, None)],
        "tags": [(key, value, run_id) for key, value in words.items()],
        "params": [(k, v, run_id) for k, v in description.parameters(told.config).items()],
        "metrics": [(p.name, p.value, p.time_ms, run_id, p.step, 0) for p in points],
        "latest_metrics": [(p.name, p.value, p.time_ms, p.step, 0, run_id) for p in last.values()],
        "inputs": [(uuid.uuid4().hex, "DATASET", ids.data, "RUN", run_id, 0)],
    }


def _write_notes(root: Path, told: description.Trial, run_id: str) -> None:
    """The Sender's notes on a run that has everything."""
    path = outbox.notes_path(root, told.identity, told.record.path)
    sent = outbox.nothing(run_id)
    sent.status = tracking.STATUS.get(told.state.kind, "FAILED")
    sent.offset = told.record.metrics.stat().st_size
    sent.seen = outbox.fingerprint(told.record.path)
    _write(path, json.dumps({"trial": told.identity._asdict(), "sent": asdict(sent)}, indent=1))


def check() -> None:
    """AssertionError where rows by SQL are not the rows that the Sender makes."""
    with tempfile.TemporaryDirectory() as folder:
        bulk, sent = Path(folder) / "bulk", Path(folder) / "sent"
        make(bulk, arms=4, seeds=3, points=3, unfinished=0.5)
        shutil.copytree(bulk / "mlruns" / "trials", sent / "mlruns" / "trials")
        shutil.copy(bulk / "mlruns" / ".id", sent / "mlruns" / ".id")
        for notes in sent.glob("mlruns/trials/*/mirror-*.json"):
            notes.unlink()
        with claims(sent):
            problems = mirror.sync_all(sent)
        assert not problems, problems
        first, second = _contents(bulk), _contents(sent)
        for table in TABLES:
            assert first[table] == second[table], f"{table}: the rows differ"


def _contents(root: Path) -> dict[str, list[str]]:
    """Every row as text, whatever the ids and places of its store."""
    with closing(sqlite3.connect(store.database(root))) as connection:
        names = dict(connection.execute("SELECT run_uuid, 'RUN ' || name FROM runs"))
        data = [row[0] for row in connection.execute("SELECT dataset_uuid FROM datasets")]
        found = {}
        for table in TABLES:
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            if table == "inputs":
                rows = [row[1:] for row in rows]  # the first is an id of its own
            found[table] = sorted(_anonymous(str(row), names, data, root) for row in rows)
    return found


def _anonymous(text: str, names: Mapping[str, str], data: Sequence[str], root: Path) -> str:
    for name in re.findall(r"[0-9a-f]{32}", text):
        text = text.replace(name, names.get(name, "DATA" if name in data else name))
    return text.replace(str(root.resolve()), "ROOT")
