"""The only writer to MLflow: what a trial's directory holds, told to a run.

What is told is computed from the directory and keeps the record's own times, so that telling it
twice stores it once. MLflow is imported by the call that sends, never with this module.
"""

import hashlib
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, final

from experiments import store
from experiments.description import (
    STUDY_LEVEL,
    TEXT_LIMIT,
    VIEW,
    Identity,
    Trial,
    data_digest,
    experiment_note,
    fit,
    note,
    parameters,
    read,
    run_name,
    scores,
    study_tags,
    tags,
    view,
)
from experiments.outbox import (
    Point,
    Sent,
    fingerprint,
    new_points,
    notes_path,
    nothing,
    read_notes,
    write_notes,
)
from lit_transformer.record import Record, exclusive, refuse_links, sync_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PATIENCE_S = 120.0
"""Longest wait for another process that makes the database; it takes seconds."""
WORDS_BATCH = 100
"""Parameters that MLflow takes in one call."""

OVERVIEW = "overview.md"
"""The file of a report that becomes the description of its study's run."""

STATUS = {"running": "RUNNING", "finished": "FINISHED", "killed": "KILLED", "pruned": "KILLED"}
"""MLflow's words for the states of a trial, which the tag ablate.kind has; every other end is
FAILED."""


def prepare_store(root: Path) -> str:
    """The tracking URI; makes mlruns/mlflow.db where it is missing and no other store is named.

    MLflow's own creation is ruined by a second process and by a kill, so it is done under a lock
    and in a file that is renamed into place when whole.
    """
    address = store.uri(root)
    if not store.is_default(root):
        return address
    store.check(root)
    path = store.database(root)
    if not path.exists():
        with exclusive(path.with_name(".mlflow.lock"), PATIENCE_S):
            if not path.exists():
                _create(path, store.artifacts(root))
    store.follow_a_move(root)
    return address


def _create(path: Path, artifacts: Path) -> None:
    partial = path.with_name(f"{path.name}.partial")
    for left in (*path.parent.glob(f"{partial.name}*"), *path.parent.glob(f"{path.name}-*")):
        left.unlink()
    _set_up_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(  # type: ignore[no-untyped-call]
        f"sqlite:///{partial}", str(artifacts)
    ).engine.dispose()
    store.allow_readers(partial)
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def _set_up_mlflow() -> None:
    """Import MLflow so that it neither phones home, nor waits for minutes, nor prints."""
    store.calm_mlflow()
    import mlflow  # noqa: F401

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # failures are told by whoever sends


@final
class Sender:
    """Sends directories to MLflow, in the calling thread. Errors are the caller's to catch."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._connected: MlflowClient | None = None
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, Run] = {}
        self._studies: dict[str, str] = {}
        self._viewed: set[str] = set()

    def send(self, identity: Identity, directory: Path) -> list[int]:
        """Bring the run up to date -> the directory's fingerprint as it was sent."""
        seen = fingerprint(directory)
        if not directory.exists():
            return seen
        refuse_links(directory)
        with exclusive(directory / "mirror.lock", 10):
            try:
                self._bring_up_to_date(identity, directory, seen)
            except Exception:
                self._runs.clear()  # somebody may have deleted them: look again next time
                self._experiments.clear()
                self._studies.clear()
                raise
        return seen

    def _bring_up_to_date(self, identity: Identity, directory: Path, seen: list[int]) -> None:
        notes = notes_path(self._root, identity, directory)
        sent = read_notes(notes)
        if sent is None:  # leave word of what is wanted, should MLflow be out of reach
            sent = nothing("")
            write_notes(notes, identity, sent)
        trial = read(identity, directory)
        if trial is not None:
            sent = self._with_run(trial, sent)
            self._send(trial, sent, notes)
            sent.seen = seen
            write_notes(notes, identity, sent)

    def _send(self, trial: Trial, sent: Sent, notes: Path) -> None:
        client = self._client()
        self._send_words(trial, sent)
        for offset, points in new_points(trial.record.metrics, sent.offset):
            self._send_points(sent.run_id, points)
            sent.offset = offset
            write_notes(notes, trial.identity, sent)
        status = STATUS.get(trial.state.kind, "FAILED")
        if status != "RUNNING":
            self._send_end(trial, sent)
        if status != sent.status:
            if status == "RUNNING":
                client.update_run(sent.run_id, status)
            else:
                client.set_terminated(sent.run_id, status, int(trial.ended * 1000))
            sent.status = status

    def kill(self, run_id: str) -> None:
        """Mark a run whose directory is no more."""
        self._client().set_terminated(run_id, "KILLED")

    def _client(self) -> "MlflowClient":
        if self._connected is None:
            address = prepare_store(self._root)
            _set_up_mlflow()
            from mlflow import MlflowClient

            self._connected = MlflowClient(address)
        return self._connected

    def _with_run(self, trial: Trial, sent: Sent) -> Sent:
        """`sent` if its run is there; else blank notes on one that is looked up or created."""
        known = self._runs.get(sent.run_id)
        if known is not None and self._is_of(known, trial):
            return sent
        run = self._known_run(trial, sent.run_id) or self._lost_run(trial) or self._new_run(trial)
        self._runs[run.info.run_id] = run
        if run.info.run_id != sent.run_id:
            sent = nothing(run.info.run_id)
        sent.status = run.info.status
        return sent

    def _known_run(self, trial: Trial, run_id: str) -> "Run | None":
        """The run of the notes, unless it was deleted or the notes were copied from elsewhere."""
        client = self._client()
        from mlflow.exceptions import MlflowException

        try:
            run = client.get_run(run_id) if run_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        if run is None or run.info.lifecycle_stage != "active":
            return None
        return run if self._is_of(run, trial) else None

    def _is_of(self, run: "Run", trial: Trial) -> bool:
        """Whether it tells of this root's directory, and not of one that lay there before."""
        owner, about = store.owner(self._root), run.data.tags
        return (
            about.get("ablate.directory") == self._folder(trial)
            and owner in (None, about.get("ablate.root"))
            and run.info.start_time == int(trial.started * 1000)
        )

    def _lost_run(self, trial: Trial) -> "Run | None":
        """The run of a process that was killed before it noted that it had created it.

        Runs of a directory that somebody has removed, to train the trial again, are deleted, as
        MLflow deletes: `mlflow runs restore` brings them back. Their curves are not this one's.
        """
        told = self._tags(trial, "")
        names = ("ablate.root", "ablate.directory", "ablate.arm")
        found = self._client().search_runs(
            [self._experiment(trial.identity.study, trial.identity.setting)],
            " and ".join(f"tags.`{name}` = '{told[name]}'" for name in names),
            order_by=["attributes.start_time ASC"],
        )
        own = [run for run in found if self._is_of(run, trial)]
        for run in found:
            if run not in own:
                self._client().delete_run(run.info.run_id)
        return own[0] if own else None

    def _new_run(self, trial: Trial) -> "Run":
        return self._client().create_run(
            self._experiment(trial.identity.study, trial.identity.setting),
            start_time=int(trial.started * 1000),
            tags=self._tags(trial, self._study_run_of(trial)),
            run_name=run_name(trial),
        )

    def _tags(self, trial: Trial, parent: str) -> dict[str, str]:
        """`parent`: the study's run, below which MLflow's UI shows this one."""
        told = tags(trial, store.identity(self._root), self._folder(trial))
        return {**told, "mlflow.parentRunId": parent}

    def _folder(self, trial: Trial) -> str:
        """The trial's directory, seen from mlruns/."""
        mlruns = self._root.resolve() / "mlruns"
        return trial.record.path.resolve().relative_to(mlruns).as_posix()

    def _study_run_of(self, trial: Trial) -> str:
        who = trial.identity
        run_id = self._study_run(who.study, who.setting, int(trial.started * 1000))
        experiment = self._experiment(who.study, who.setting)
        if trial.config is not None and experiment not in self._viewed:
            shown = view(trial.config)
            self._client().set_experiment_tag(experiment, f"mlflow.sharedViewState.{VIEW}", shown)
            self._viewed.add(experiment)
        return run_id

    def _study_run(self, study: str, setting: str, time_ms: int) -> str:
        """The run of the study itself; it is made, at this time, where there is none."""
        experiment = self._experiment(study, setting)
        if experiment not in self._studies:
            with exclusive(self._root / "mlruns" / ".studies.lock", PATIENCE_S):
                self._studies[experiment] = self._find_or_create_study_run(
                    experiment, study, setting, time_ms
                )
        return self._studies[experiment]

    def _find_or_create_study_run(
        self, experiment: str, study: str, setting: str, time_ms: int
    ) -> str:
        client = self._client()
        found = client.search_runs(
            [experiment],
            f"tags.`ablate.level` = '{STUDY_LEVEL}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
        told = study_tags(study, setting)
        run = found[0] if found else client.create_run(experiment, time_ms, told, study)
        if "mlflow.note.content" not in run.data.tags:
            text = experiment_note(study, setting)
            client.set_tag(run.info.run_id, "mlflow.note.content", text)
        if run.info.status != "FINISHED":  # it does not run: what it stands for may end by a kill
            client.set_terminated(run.info.run_id, "FINISHED", time_ms)
        return str(run.info.run_id)

    def send_report(self, study: str, setting: str, folder: Path) -> None:
        """Bring the study's run up to date with a report's folder: description, files, figures."""
        refuse_links(folder)
        files = sorted(path for path in folder.rglob("*") if _is_of_report(path))
        if not files:
            return
        contents = [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in files]
        mark = hashlib.sha256(repr(contents).encode()).hexdigest()[:16]
        time_ms = int(max(path.stat().st_mtime for path in files) * 1000)
        run_id, client = self._study_run(study, setting, time_ms), self._client()
        self._runs[run_id] = run = client.get_run(run_id)
        if run.data.tags.get("ablate.report") == mark:
            return
        for path, (name, content) in zip(files, contents, strict=True):
            if name == OVERVIEW:
                text = content.decode("utf-8", "replace")
                client.set_tag(run_id, "mlflow.note.content", fit(text, TEXT_LIMIT))
            else:
                self._send_file(run_id, path, name)
        client.set_terminated(run_id, "FINISHED", time_ms)
        client.set_tag(run_id, "ablate.report", mark)

    def _experiment(self, study: str, setting: str) -> str:
        name = f"{study}/{setting}"
        if name not in self._experiments:
            self._experiments[name] = self._find_or_create_experiment(name, study, setting)
        return self._experiments[name]

    def _find_or_create_experiment(self, name: str, study: str, setting: str) -> str:
        client = self._client()
        from mlflow.exceptions import MlflowException

        if client.get_experiment_by_name(name) is None:
            about = {
                "ablate.study": study,
                "ablate.setting": setting,
                "mlflow.note.content": experiment_note(study, setting),
                "mlflow.experimentKind": "custom_model_development",
            }
            try:
                client.create_experiment(
                    name, _artifact_location(self._root, study, setting), about
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":  # another sweep was faster
                    raise
        found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            number = "" if found is None else f" --experiment-id {found.experiment_id}"
            raise store.StoreError(
                f"MLflow's experiment {name} was deleted; `mlflow experiments restore{number}`"
                " brings it back"
            )
        return str(found.experiment_id)

    def _send_words(self, trial: Trial, sent: Sent) -> None:
        """Tags, the note, and parameters that the run lacks: MLflow never changes a parameter."""
        said = {
            **self._tags(trial, self._study_run_of(trial)),
            "mlflow.runName": run_name(trial),
            "mlflow.note.content": note(trial, sent.run_id),
        }
        values = parameters(trial.config)
        words = hashlib.sha256(json.dumps([said, values]).encode()).hexdigest()
        if words == sent.words:
            return
        from mlflow.entities import Param, RunTag

        known = self._runs[sent.run_id].data.params
        new = [Param(name, value) for name, value in values.items() if name not in known]
        for start in range(0, len(new), WORDS_BATCH):
            self._client().log_batch(sent.run_id, params=new[start : start + WORDS_BATCH])
        known.update({param.key: param.value for param in new})
        self._client().log_batch(sent.run_id, tags=[RunTag(*tag) for tag in said.items()])
        self._send_data(trial, sent)
        sent.words = words

    def _send_data(self, trial: Trial, sent: Sent) -> None:
        """Name the corpus and its checksums as the run's input; MLflow reads none of it."""
        checksums = trial.about.get("checksums", {})
        if "data" in sent.files or not checksums or trial.config is None:
            return
        corpus = trial.config.data.corpus
        from mlflow.entities import Dataset, DatasetInput

        source = json.dumps({"tags": {"corpus": corpus, **checksums}})
        data = Dataset(corpus, data_digest(checksums), "code", source)
        self._client().log_inputs(sent.run_id, datasets=[DatasetInput(data, [])])
        sent.files["data"] = []

    def _send_points(self, run_id: str, points: list[Point]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(p.name, p.value, p.time_ms, p.step) for p in points]
        self._client().log_batch(run_id, metrics=metrics)

    def _send_end(self, trial: Trial, sent: Sent) -> None:
        """The final scores, if there are any, and the files."""
        time_ms = int(trial.ended * 1000)
        step = trial.config.train.steps if trial.config else 0
        final_points = [Point(n, v, time_ms, step) for n, v in scores(trial.result).items()]
        if final_points and sent.status != "FINISHED":
            self._send_points(sent.run_id, final_points)
        for path in _artifacts(trial.record):
            name = path.relative_to(trial.record.path).as_posix()
            about = path.stat()
            mark = [about.st_size, about.st_mtime_ns]
            if sent.files.get(name) != mark:
                self._send_file(sent.run_id, path, name)
                sent.files[name] = mark

    def _send_file(self, run_id: str, path: Path, name: str) -> None:
        folder = self._runs[run_id].info.artifact_uri
        if store.is_default(self._root):
            store.check_inside(Path(folder), store.artifacts(self._root))
        if path.suffix == ".safetensors" and folder.startswith("/"):
            try:
                return _link(path, Path(folder) / name)
            except OSError:  # another file system, or one without links
                pass
        parent = name.rpartition("/")[0] or None
        return self._client().log_artifact(run_id, str(path), parent)


def _artifacts(record: Record) -> list[Path]:
    names = ("environment.json", "log.txt", "result.json")
    paths = [record.config, *(record.path / name for name in names), record.vocabulary]
    paths += sorted(record.hypotheses.glob("*.txt"))
    paths += sorted(record.attention.glob("[!.]*"))
    paths += [record.weights, record.averaged]
    return [path for path in paths if path.exists()]


def _is_of_report(path: Path) -> bool:
    """Files that are whole; what begins with a dot is being written."""
    return path.is_file() and not path.name.startswith(".")


def _artifact_location(root: Path, study: str, setting: str) -> str | None:
    """Where a database's artifacts go; a server decides for itself."""
    address = store.uri(root)
    if store.is_server(address):
        return None
    for name in (study, setting):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise store.StoreError(
                f"{name!r} names no study or setting: it becomes a folder's name"
            )
    location = store.artifacts(root) / study / setting
    room = 200 - len("/0123456789abcdef0123456789abcdef/artifacts")
    if not address.startswith("sqlite:") and len(str(location)) > room:
        raise store.StoreError(f"{location}: longer than {room} characters; set a shorter --root")
    return str(location)


def _link(path: Path, target: Path) -> None:
    """Weights are large and never rewritten, so the artifact is a second name of the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.link(path, partial)
    partial.replace(target)
