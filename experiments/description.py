"""What MLflow is told of a trial: names, tags, parameters, scores, and a page to read.

Computed from the trial's directory alone, so that telling it twice says the same.
"""

import getpass
import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lit_transformer import scoring
from lit_transformer.config import RunConfig
from lit_transformer.config_io import Scalar, differences, flatten, load
from lit_transformer.record import Record, State
from lit_transformer.terminal import printable

TEXT_LIMIT = 5000
"""Characters of a tag or parameter that every MLflow backend takes."""
KEY_LIMIT = 250
ROW_LIMIT = TEXT_LIMIT
STUDY_LEVEL = "study"
VIEW = "ablate"
"""Name of the view among MLflow's: `...?viewStateShareKey=ablate` opens it."""


class Named(Protocol):
    """What tells one trial of a table from the others."""

    @property
    def study(self) -> str: ...
    @property
    def setting(self) -> str: ...
    @property
    def arm(self) -> str: ...
    @property
    def group(self) -> str | None: ...
    @property
    def seed(self) -> int: ...
    @property
    def digest(self) -> str: ...


class Identity(NamedTuple):
    """`Named` as plain values."""

    study: str
    setting: str
    arm: str
    group: str | None
    seed: int
    digest: str

    @property
    def experiment(self) -> str:
        return f"{self.study}/{self.setting}"


def identify(trial: Named) -> Identity:
    return Identity(
        trial.study, trial.setting, trial.arm, trial.group or None, trial.seed, trial.digest
    )


def identity_from(about: Mapping[str, Any]) -> Identity:
    """From trial.json, a mirror's notes or a run's tags."""
    return Identity(
        str(about["study"]),
        str(about["setting"]),
        str(about["arm"]),
        str(about["group"]) if about.get("group") else None,
        int(about["seed"]),
        str(about["digest"]),
    )


class Trial(NamedTuple):
    """A trial's directory, read once."""

    identity: Identity
    record: Record
    state: State
    config: RunConfig | None
    """None where the trial ended before it wrote one."""
    about: Mapping[str, Any]
    """trial.json: who trained it."""
    start: Mapping[str, Any]
    """The last attempt's first line."""
    started: float
    """Unix seconds of the first attempt."""
    ended: float
    """Unix seconds of the last thing that is known."""
    result: Mapping[str, Any]
    """result.json; empty before the end."""


def read(identity: Identity, directory: Path) -> Trial | None:
    """The directory as it is now; None where nobody has started the trial."""
    record = Record(directory)
    state = record.state()  # first: what follows is then at least as new
    lines = list(record.read_attempts())
    starts = [line for line in lines if line["event"] == "start"]
    if not lines:
        return None
    result = record.result() or {}
    if state.kind == "finished" and not result:
        state = state._replace(kind="failed", reason="result.json is missing")
    ended = float(lines[-1]["time"])
    if result:
        ended = record.result_file.stat().st_mtime
    elif lines[-1]["event"] == "start" and record.metrics.exists():
        ended = max(ended, record.metrics.stat().st_mtime)
    return Trial(
        identity,
        record,
        state,
        _config(record.config),
        record.read_json("trial.json") or {},
        starts[-1] if starts else {},
        float(lines[0]["time"]),
        ended,
        result,
    )


def _config(path: Path) -> RunConfig | None:
    try:
        about = path.stat()
    except FileNotFoundError:
        return None
    return _config_of_state(path, about.st_size, about.st_mtime_ns, about.st_ino)


@lru_cache(maxsize=256)
def _config_of_state(path: Path, _size: int, _modified_ns: int, _inode: int) -> RunConfig:
    # The mirror looks every few seconds; reading YAML was most of what it took from the trials.
    return load(path)


def parameters(config: RunConfig | None) -> dict[str, str]:
    """Every dotted key, its value written as in YAML."""
    values = flatten(config) if config is not None else {}
    return {name: fit(as_text(value), TEXT_LIMIT) for name, value in values.items()}


def scores(result: Mapping[str, Any]) -> dict[str, float]:
    """The final scores and costs of a finished trial."""
    return {name: float(value) for name, value in result.get("scores", {}).items()}


def run_name(trial: Trial) -> str:
    name = f"{trial.identity.arm} seed {trial.identity.seed}"
    return f"{name}, rerun {trial.record.path.name}" if trial.about.get("rerun_of") else name


def tags(trial: Trial, root_id: str, folder: str) -> dict[str, str]:
    """`folder`: the trial's directory, seen from mlruns/."""
    identity, start, about = trial.identity, trial.start, trial.about
    told = {
        **{f"ablate.{name}": value for name, value in identity._asdict().items()},
        "ablate.commit": start.get("commit"),
        "ablate.dirty": start.get("dirty"),
        "ablate.device": start.get("device"),
        "ablate.micro_tokens": start.get("micro_tokens"),
        "ablate.kind": trial.state.kind,
        "ablate.trained_as": _trained_as(trial),
        "ablate.rerun_of": about.get("rerun_of"),
        "ablate.directory": folder,
        "ablate.root": root_id,
        "ablate.row": row(trial),
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"ablate sweep {identity.study} --setting {identity.setting}",
        "mlflow.source.git.commit": start.get("commit"),
    }
    return {
        name: fit(as_text(value), TEXT_LIMIT)
        for name, value in told.items()
        if value not in (None, "")
    }


def row(trial: Trial) -> str:
    """The run as one row of a table: canonical JSON. Numbers that are not finite are text."""
    about, start, result = trial.about, trial.start, trial.result
    content = {
        **trial.identity._asdict(),
        "kind": trial.state.kind,
        "commit": start.get("commit"),
        "dirty": start.get("dirty"),
        "device": start.get("device"),
        "device_name": result.get("device"),
        "devices": result.get("devices"),
        "rerun_of": about.get("rerun_of"),
        "trained_as": _trained_as(trial),
        "scores": {n: v if math.isfinite(v) else str(v) for n, v in scores(result).items()},
        "signatures": result.get("signatures", {}),
        "parameters": result.get("parameters", {}),
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if len(text) > ROW_LIMIT:
        raise ValueError(f"{trial.record.path}: its row has {len(text)} > {ROW_LIMIT} characters")
    return text


def note(trial: Trial, run_id: str) -> str:
    """What MLflow's UI shows as the run's description (Markdown)."""
    identity, state = trial.identity, trial.state
    group = f" (group {_cell(identity.group)})" if identity.group else ""
    kind = state.kind.replace("_", " ").capitalize()
    reason = f": {_cell(state.reason)}" if state.reason else ""
    lines = [
        f"**{_cell(identity.arm)}**{group}, seed {identity.seed}, of study {_code(identity.study)} "
        f"in setting {_code(identity.setting)}. {kind}{reason}.",
        "",
        *_table(("score", "value"), _shown_scores(trial.result)),
        f"Again: `ablate rerun {run_id}`. Translate: `ablate translate {run_id} < sentences.txt`.",
        "",
        "What differs from the paper's base model on WMT14 English-German:",
        "",
        *_table(("key", "paper", "here"), _changes(trial.config)),
    ]
    return fit("\n".join(lines), TEXT_LIMIT)


def experiment_note(study: str, setting: str) -> str:
    command = f"ablate report {study} --setting {setting}"
    return f"Study {_code(study)} in setting {_code(setting)}. Its table: {_code(command)}."


def study_tags(study: str, setting: str) -> dict[str, str]:
    """Of the run that stands for a whole study: no trial's, so that no table counts it."""
    told = {
        "ablate.study": study,
        "ablate.setting": setting,
        "ablate.level": STUDY_LEVEL,
        "mlflow.user": _user(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": f"ablate sweep {study} --setting {setting}",
    }
    return {name: fit(value, TEXT_LIMIT) for name, value in told.items()}


def columns(config: RunConfig) -> list[str]:
    """Columns of MLflow's list of runs that a study is read by, as its UI calls them."""
    measure = scoring.MEASURES[config.data.task]
    metrics = ["valid.perplexity", f"valid.{measure}", f"test.{measure}", "cost.parameters"]
    return [f"metrics.`{name}`" for name in (*metrics, "cost.train_seconds")] + [
        f"tags.`ablate.{name}`" for name in ("kind", "commit", "device")
    ]


def view(config: RunConfig) -> str:
    """These columns, in the order of the trials' beginnings, as a view that MLflow's UI opens."""
    shown = {
        "selectedColumns": columns(config),
        "orderByKey": "attributes.start_time",
        "orderByAsc": True,
    }
    return json.dumps(shown)


def data_digest(checksums: Mapping[str, str]) -> str:
    text = json.dumps(dict(checksums), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fit(text: str, limit: int) -> str:
    """Text that every backend stores: no NUL, no half of a surrogate pair, not too long."""
    text = text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def as_text(value: object) -> str:
    """A scalar as YAML writes it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _trained_as(trial: Trial) -> str | None:
    """`study/setting/arm` of the trial that was trained, where it goes by another name here."""
    names = ("study", "setting", "arm")
    if not all(name in trial.about for name in names):
        return None
    theirs = "/".join(str(trial.about[name]) for name in names)
    return None if theirs == f"{trial.identity.experiment}/{trial.identity.arm}" else theirs


def _shown_scores(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, f"{value:,.6g}") for name, value in scores(result).items()]


def _changes(config: RunConfig | None) -> list[tuple[str, str, str]]:
    changed: Mapping[str, tuple[Scalar, Scalar]] = (
        differences(RunConfig(), config) if config else {}
    )
    return [(name, as_text(old), as_text(new)) for name, (old, new) in changed.items()]


def _table(heads: tuple[str, ...], rows: list[Any]) -> list[str]:
    if not rows:
        return []
    cells = [[_cell(str(cell)) for cell in row] for row in rows]
    lines = [heads, tuple("---" for _ in heads), *cells]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def _cell(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in "\\`*_[]<>|#&":
        text = text.replace(mark, f"\\{mark}")
    return printable(" ".join(text.split()))


def _code(text: str) -> str:
    """A code span; it would end at a backtick."""
    return "`" + printable(text).replace("`", "'") + "`"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
