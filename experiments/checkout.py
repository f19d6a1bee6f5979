"""Which code this is: its commit, and what differs from it."""

import hashlib
import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

from experiments.store import SECRETS

HERE = Path(__file__).resolve().parent.parent
"""The project's folder."""
PARTS = ("ablate.py", "lit_transformer", "experiments", "analysis")
"""What decides how a trial ends. Changes elsewhere are not looked at, since they may be private."""
LARGEST_DIFF = 256 * 1024
"""Bytes of a difference that is still stored with each trial."""
PLAIN_DIFF = (
    *("diff", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"),
    *("--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "HEAD", "--", *PARTS),
)
"""The same for every user, whatever their git is set to."""
PATIENCE_S = 60.0
_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")
"""Where git's own commands tell each other that they work."""

_SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_\w{30,}|\bgithub_pat_\w{30,}"
    rb"|\bhf_\w{30,}|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}"
    rb"|://[^/\s:@\"']+:[^/\s@\"']+@"
    rb"|(?i:passw(?:or)?d|secret|api_?key|access_?key|auth_?key|credential|token)[\"']?"
    rb"\s*[:=]\s*[\"'][^\"'\s]{12,}[\"']"
)
"""What keys and passwords look like in a source file."""


class Code(NamedTuple):
    """The project's code. Outside git both are empty."""

    commit: str
    diff: bytes
    """What tracked files of PARTS have that the commit has not, for `git apply`."""

    @property
    def dirty(self) -> bool:
        return bool(self.diff)

    @property
    def changes(self) -> str:
        """The difference's name among files: its sha256; empty where there is none."""
        return hashlib.sha256(self.diff).hexdigest() if self.diff else ""

    @property
    def withheld(self) -> str:
        """Why the difference is not to be stored; empty: it may be."""
        if len(self.diff) > LARGEST_DIFF:
            return f"larger than {LARGEST_DIFF // 1024} KiB"
        named = [os.environ.get(name, "").encode() for name in SECRETS]
        if _SECRET.search(self.diff) or any(word and word in self.diff for word in named):
            return "something in it looks like a password or a key"
        return ""


@cache
def code() -> Code:
    """The code that this process has imported, as it stood at the first call."""
    commit = git("rev-parse", "HEAD").decode().strip()
    return Code(commit, git(*PLAIN_DIFF) if commit else b"")


def is_here(commit: str) -> bool:
    """Whether this is the full name of a commit that the project's repository has."""
    named = re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", commit) is not None
    return named and git("cat-file", "-t", commit).strip() == b"commit"


def changed_files(before: str, after: str) -> int | None:
    """How many files of PARTS differ between two commits; None where one of them is not here."""
    if not is_here(before) or not is_here(after):
        return None
    told = git("diff", "--no-ext-diff", "--no-renames", "--name-only", before, after, "--", *PARTS)
    return len(told.splitlines())


def git(*words: str) -> bytes:
    """What git prints about the project; nothing where it fails."""
    done = call(*words)
    return done.stdout if done is not None and done.returncode == 0 else b""


def call(
    *words: str, folder: Path | None = None, given: bytes = b""
) -> "subprocess.CompletedProcess[bytes] | None":
    """Run git in the project or another folder, with `given` on its standard input.

    None where it cannot be run. No hook runs, and what is only looked at is not written: git's own
    `diff` may renew the index.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _PLACES}
    try:
        return subprocess.run(
            ["git", "-C", str(folder or HERE), "-c", f"core.hooksPath={os.devnull}", *words],
            capture_output=True,
            input=given,
            timeout=PATIENCE_S,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
