"""A temporary git worktree in which a commit's own code runs.

The user's worktree and index are not touched: git keeps note of the new one under .git/worktrees,
and forgets it with it. One that a kill has left is removed by the next.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from experiments import checkout
from experiments.ties import tie_to_parent
from lit_transformer.config_io import ConfigError
from lit_transformer.record import exclusive

PREFIX = "ablate-worktree-"
"""Of the folders that hold a worktree and, while it is in use, a locked file."""


@contextmanager
def at_commit(commit: str, diff: bytes) -> Iterator[Path]:
    """The project's folder as the commit has it, with `diff` applied; removed afterwards.

    ConfigError where the repository has no such commit or the difference does not fit it.
    """
    if not checkout.is_here(commit):
        raise ConfigError(
            f"--at-commit: {checkout.HERE} has no commit {commit or 'of this run'}; fetch it, or "
            "rerun without --at-commit"
        )
    _remove_stale()
    parent = Path(tempfile.mkdtemp(prefix=PREFIX))
    with exclusive(parent / "lock", 0):
        try:
            yield _add(parent / "code", commit, diff)
        finally:
            _remove(parent)


def _add(place: Path, commit: str, diff: bytes) -> Path:
    added = checkout.call("worktree", "add", "--quiet", "--detach", str(place), commit)
    if added is None or added.returncode != 0:
        raise ConfigError(f"--at-commit: git made no worktree: {_reason(added)}")
    if diff:
        applied = checkout.call("apply", "--whitespace=nowarn", folder=place, given=diff)
        if applied is None or applied.returncode != 0:
            raise ConfigError(f"--trust: the stored changes do not apply: {_reason(applied)}")
    project = place / os.fsdecode(checkout.git("rev-parse", "--show-prefix").rstrip(b"\n"))
    if not (project / "ablate.py").is_file():
        raise ConfigError(f"--at-commit: commit {commit} has no ablate.py; rerun without it")
    return project


def _remove_stale() -> None:
    """Remove what killed processes have left; a living one holds its lock."""
    for line in checkout.git("worktree", "list", "--porcelain").decode().splitlines():
        place = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and place.parent.name.startswith(PREFIX):
            try:
                with exclusive(place.parent / "lock", 0):
                    _remove(place.parent)
            except (TimeoutError, PermissionError):
                continue


def _remove(parent: Path) -> None:
    # Twice: one whose making was cut short is locked.
    checkout.call("worktree", "remove", "--force", "--force", str(parent / "code"))
    shutil.rmtree(parent, ignore_errors=True)


def _reason(done: "subprocess.CompletedProcess[bytes] | None") -> str:
    lines = [] if done is None else done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "git does not answer"


def run(project: Path, words: Sequence[str]) -> int:
    """Run the project's own `ablate` with this Python, on standard error -> its exit status.

    The current folder stays, since configurations name files from there. Ctrl-C is handed on, and
    raised again when the command has ended.
    """
    paths = [str(project), *filter(None, [os.environ.get("PYTHONPATH")])]
    child = subprocess.Popen(
        [sys.executable, str(project / "ablate.py"), *words],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        # The user's code lies in the current folder, where Python would look first.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"},
        process_group=0,  # the terminal's Ctrl-C comes from here alone, once
        preexec_fn=partial(tie_to_parent, os.getpid()),
    )
    stopped = False
    while True:
        try:
            status = child.wait()
            break
        except KeyboardInterrupt:
            stopped = True
            child.send_signal(signal.SIGTERM)
    if stopped:
        raise KeyboardInterrupt
    return status
