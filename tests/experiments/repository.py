"""A small git repository that stands for the project's, and what lies in it."""

import hashlib
import os
import subprocess
from pathlib import Path

PROGRAM = """\
import os, sys
from lit_transformer import answer
print(answer.VALUE, os.getcwd(), *sys.argv[1:], file=open(os.environ["TOLD"], "w"))
"""


def git(repository: Path, *words: str) -> str:
    """As a user does it, whatever their own settings are."""
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    done = subprocess.run(
        ["git", "-C", str(repository), *who, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **settings},
    )
    return done.stdout.strip()


def make(folder: Path) -> str:
    """Two commits: the answer is 1 in the first, whose name is returned, and 2 in the second."""
    package = folder / "lit_transformer"
    package.mkdir(parents=True)
    git(folder, "init", "--quiet")
    (folder / "ablate.py").write_text(PROGRAM)
    (folder / "README.md").write_text("hello\n")
    (package / "__init__.py").touch()
    commits = []
    for value in (1, 2):
        (package / "answer.py").write_text(f"VALUE = {value}\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"answer {value}")
        commits.append(git(folder, "rev-parse", "HEAD"))
    return commits[0]


def contents(folder: Path) -> dict[str, str]:
    """The checksum of every file, git's own among them; its caches of nothing are left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
