"""A run again: what differs from the original, and how strong an agreement that leaves to ask for.

Two trainings agree in their bits, or in every point of their curves within a tolerance, or in
their scores as two samples of one population do.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from experiments.checkout import HERE, Code, changed_files
from lit_transformer.config import NUMERICS, RunConfig
from lit_transformer.config_io import ConfigError, digest
from lit_transformer.data import corpora
from lit_transformer.record import REMEDY, Record, RecordError, read_own

Strength = Literal["bits", "curve", "statistics"]
STRENGTHS: Sequence[Strength] = get_args(Strength)
"""The strongest first."""
WORDS: Mapping[Strength, str] = {
    "bits": "the same bits",
    "curve": "the same curve",
    "statistics": "statistical agreement",
}
PATIENCE_S = 120.0


class Difference(NamedTuple):
    """Something that is not as it was."""

    what: str
    then: str
    now: str
    allows: Strength
    """The strongest agreement that can be asked for in spite of it."""


class Asked(NamedTuple):
    """How strong an agreement is asked for, and why no stronger one."""

    strength: Strength
    reason: str


class Origin(NamedTuple):
    """What a trial says of its own making."""

    commit: str
    dirty: bool
    changes: str
    """sha256 of the difference from the commit; empty: none, or not known."""
    withheld: str
    """Why the difference was not stored."""
    commits: tuple[str, ...]
    """Of all its attempts."""
    on_gpu: bool
    passes: Mapping[str, Any]
    """What its last attempt took in at once, where that was less than the configuration says."""
    checksums: Mapping[str, str]
    digest: str
    environment: Mapping[str, Any]
    """environment.json; empty where it ended before it wrote one."""


class Now(NamedTuple):
    """What a run would be made with here."""

    code: Code
    on_gpu: bool
    environment: Mapping[str, Any]


def origin(record: Record, config: RunConfig) -> Origin:
    """Read a trial's directory. RecordError where it is damaged."""
    about = record.read_json("trial.json", digest=str, checksums=dict) or {}
    starts = [line for line in record.read_attempts() if line["event"] == "start"]
    last: Mapping[str, Any] = starts[-1] if starts else {}
    limits = {
        "micro_tokens": config.train.micro_tokens,
        "batch_sentences": config.decode.batch_sentences,
    }
    return Origin(
        commit=str(last.get("commit") or ""),
        dirty=bool(last.get("dirty")),
        changes=str(last.get("changes") or ""),
        withheld=str(last.get("changes_withheld") or ""),
        commits=tuple(dict.fromkeys(str(line.get("commit") or "") for line in starts)),
        on_gpu=str(last.get("device", "")).startswith("gpu"),
        passes={name: last[name] for name, v in limits.items() if last.get(name, v) != v},
        checksums=about.get("checksums", {}),
        digest=str(about.get("digest", "")),
        environment=record.read_json("environment.json", versions=dict) or {},
    )


def stored_diff(record: Record, then: Origin) -> bytes | None:
    """The uncommitted changes that the trial was trained with; None where they are not there.

    RecordError where the file is not the one that the attempt names.
    """
    if not re.fullmatch("[0-9a-f]{64}", then.changes):
        return None
    content = read_own(record.diff(then.changes))
    if content is not None and Code("", content).changes != then.changes:
        raise RecordError(f"{record.diff(then.changes)}: is not what was stored; {REMEDY}")
    return content


def changes_to_apply(record: Record, then: Origin, trust: bool) -> bytes:
    """What `--at-commit` adds to the commit. ConfigError where the original had changes that are
    not there, or that nobody has said to trust: they are a program, whoever wrote them."""
    if not then.dirty:
        return b""
    diff = stored_diff(record, then)
    if diff is None:
        why = f" ({then.withheld})" if then.withheld else ""
        raise ConfigError(
            f"--at-commit: {record.path} was trained with uncommitted changes, which are not "
            f"stored{why}; rerun without --at-commit"
        )
    if not trust:
        raise ConfigError(
            f"--at-commit: {record.path} was trained with uncommitted changes; read "
            f"{record.diff(then.changes)}, which --trust would apply and run"
        )
    return diff


def environment_now(gpu: str | None, devices: int, threads: int) -> dict[str, Any]:
    """What environment.json would say on this device. Asked in a process of its own, which takes
    torch's import and the GPU's memory with it."""
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    told = {"PYTHONPATH": os.pathsep.join(paths), "CUDA_VISIBLE_DEVICES": gpu or ""}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "lit_transformer.environment", str(devices), str(threads)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, **told},
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(
            f"device {gpu or 'cpu'}: does not say what it is within {PATIENCE_S:g} s; give the "
            "same command again when the machine is less busy"
        ) from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [""])[-1]
        raise ConfigError(f"device {gpu or 'cpu'}: cannot be asked what it is: {reason}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def differences(then: Origin, now: Now, config: RunConfig) -> list[Difference]:
    """Everything known in which a run made with `now` is not as the original was."""
    return [
        *_of_code(then, now.code, config),
        *_of_data(then.checksums, corpora.checksums(config.data)),
        *_of_devices(then, now),
        *_of_versions(then.environment, now.environment),
    ]


def ask(found: Sequence[Difference], now: Now, config: RunConfig) -> Asked:
    """The strongest agreement that all of the differences allow."""
    weakest = max((STRENGTHS.index(one.allows) for one in found), default=0)
    strength = STRENGTHS[weakest]
    if weakest > 0:
        blamed = [one.what for one in found if one.allows == strength]
        return Asked(strength, f"of another {', '.join(blamed)}")
    if now.on_gpu and not config.train.deterministic:
        return Asked("curve", "a GPU adds in no fixed order where train.deterministic is false")
    return Asked("bits", "code, data, versions and device are the original's")


def _of_code(then: Origin, code: Code, config: RunConfig) -> Iterator[Difference]:
    if len(then.commits) > 1:
        some = ", ".join(map(_short, then.commits))
        yield Difference("commit within the original", some, "one", "curve")
    if then.commit != code.commit or not code.commit:
        files = changed_files(then.commit, code.commit)
        told = {None: "", 0: ", the same code"}.get(files, f", {files} files of the code changed")
        allows: Strength = "bits" if files == 0 else "curve"
        yield Difference("commit", _short(then.commit), _short(code.commit) + told, allows)
    if then.changes != code.changes or (then.dirty and not then.changes):
        now = f"some ({code.changes[:12]})" if code.dirty else "none"
        yield Difference("uncommitted code", _changes(then), now, "curve")
    is_other = (then.commit, then.changes) != (code.commit, code.changes) or not code.commit
    if is_other and digest(config, then.checksums) != then.digest:
        # A change of the arithmetic or of a default raises it, and no other changes a digest.
        yield Difference("NUMERICS", "another", str(NUMERICS), "statistics")


def _short(commit: str) -> str:
    return commit[:12] or "unknown"


def _changes(then: Origin) -> str:
    if not then.dirty:
        return "none"
    if then.withheld or not then.changes:
        return f"some, not stored{f': {then.withheld}' if then.withheld else ''}"
    return f"some ({then.changes[:12]})"


def _of_data(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*then, *now}):
        old, new = str(then.get(name, "none")), now.get(name, "none")
        if old != new:
            yield Difference(f"data ({name})", old, new, "statistics")


def _of_devices(then: Origin, now: Now) -> Iterator[Difference]:
    old, new = then.environment, now.environment
    for name in ("device", "devices", "threads"):
        before, after = str(old.get(name, "unknown")), str(new[name])
        if before != after:
            yield Difference(name, before, after, _allowed(name, then.on_gpu or now.on_gpu))
    for name, value in then.passes.items():
        yield Difference(f"pass ({name})", str(value), "as configured", "curve")


def _allowed(name: str, on_gpu: bool) -> Strength:
    """What a difference of devices leaves: rounding, or other draws for dropout as well."""
    if name == "threads":
        return "bits" if on_gpu else "curve"
    return "statistics" if on_gpu or name == "devices" else "curve"


def _of_versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    old = {**then, **then.get("versions", {})}
    new = {**now, **now["versions"]}
    for name in ("python", "platform", *now["versions"]):
        before, after = str(old.get(name, "unknown")), str(new[name])
        if before != after:
            yield Difference(name, before, after, "curve")
