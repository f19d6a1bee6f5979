"""Another commit's code runs, and the user's own files, index and branches stay as they are."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from experiments import checkout, worktree
from lit_transformer.config_io import ConfigError
from tests.experiments import repository

HOLD = """\
import sys, time
from pathlib import Path
from experiments import checkout, worktree
checkout.HERE = Path(sys.argv[1])
with worktree.at_commit(sys.argv[2], b"") as project:
    print(project, flush=True)
    time.sleep(60)
"""


class Project(NamedTuple):
    folder: Path
    first: str
    """The commit in which the answer is 1."""
    told: Path
    """What the program of the repository writes."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with changes in its index, in its files and beside them."""
    folder, told = tmp_path / "project", tmp_path / "told"
    first = repository.make(folder)
    (folder / "README.md").write_text("staged\n")
    repository.git(folder, "add", "README.md")
    (folder / "lit_transformer" / "answer.py").write_text("VALUE = 3\n")
    (folder / "untracked").write_text("mine\n")
    hook = folder / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hooked\n")
    hook.chmod(0o755)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setattr(checkout, "HERE", folder)
    monkeypatch.setenv("TOLD", str(told))
    return Project(folder, first, told)


def holding(project: Project, tmp_path: Path) -> "subprocess.Popen[str]":
    """A process that has a worktree and waits."""
    here = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(project.folder), project.first],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(here), "TMPDIR": str(tmp_path / "temporary")},
    )


def test_a_commit_s_own_code_runs_where_the_user_is_and_leaves_nothing(
    project: Project, tmp_path: Path
) -> None:
    before = repository.contents(project.folder)
    with worktree.at_commit(project.first, b"") as there:
        assert worktree.run(there, ["rerun", "0123"]) == 0
    assert project.told.read_text() == f"1 {Path.cwd()} rerun 0123\n"
    assert repository.contents(project.folder) == before
    assert not list((tmp_path / "temporary").iterdir())
    assert not (tmp_path / "hooked").exists()


def test_stored_changes_are_applied_there_alone(project: Project) -> None:
    repository.git(project.folder, "stash", "--quiet")
    repository.git(project.folder, "checkout", "--quiet", project.first)
    (project.folder / "lit_transformer" / "answer.py").write_text("VALUE = 4\n")
    diff = checkout.git(*checkout.PLAIN_DIFF)
    repository.git(project.folder, "checkout", "--quiet", "lit_transformer")
    before = repository.contents(project.folder)
    with worktree.at_commit(project.first, diff) as there:
        assert worktree.run(there, []) == 0
    assert project.told.read_text().startswith("4 ")
    assert repository.contents(project.folder) == before


@pytest.mark.parametrize(
    "diff",
    [
        b"--- a/gone.py\n+++ b/gone.py\n@@ -1 +1 @@\n-a\n+b\n",
        b"--- /dev/null\n+++ b/../../outside\n@@ -0,0 +1 @@\n+a\n",
    ],
)
def test_changes_that_do_not_fit_or_lead_out_are_refused(
    project: Project, tmp_path: Path, diff: bytes
) -> None:
    before = repository.contents(project.folder)
    with (
        pytest.raises(ConfigError, match="--trust: the stored changes do not apply"),
        worktree.at_commit(project.first, diff),
    ):
        pass
    assert repository.contents(project.folder) == before
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("commit", ["", "HEAD", "--help", 40 * "0"])
def test_a_commit_that_is_not_here_is_refused(project: Project, commit: str) -> None:
    with (
        pytest.raises(ConfigError, match="has no commit"),
        worktree.at_commit(commit, b""),
    ):
        pass


def test_an_interrupt_leaves_nothing(project: Project, tmp_path: Path) -> None:
    before = repository.contents(project.folder)
    process = holding(project, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert repository.contents(project.folder) == before
    assert not list((tmp_path / "temporary").iterdir())


def test_what_a_kill_has_left_goes_with_the_next_and_a_living_one_stays(
    project: Project, tmp_path: Path
) -> None:
    before = repository.contents(project.folder)
    killed, living = (holding(project, tmp_path) for _ in range(2))
    places = []
    for process in (killed, living):
        assert process.stdout is not None
        places.append(Path(process.stdout.readline().strip()))
    killed.kill()
    killed.communicate()
    with worktree.at_commit(project.first, b""):
        assert [place.exists() for place in places] == [False, True]
    living.kill()
    living.communicate()
    with worktree.at_commit(project.first, b""):
        assert not places[1].exists()
    assert repository.contents(project.folder) == before


def test_a_command_ends_with_the_one_that_started_it(project: Project, tmp_path: Path) -> None:
    repository.git(project.folder, "stash", "--quiet")
    program = "import os, time\nopen(os.environ['TOLD'], 'w').write(f'{os.getpid()}\\n')\n"
    (project.folder / "ablate.py").write_text(program + "time.sleep(60)\n")
    repository.git(project.folder, "commit", "--quiet", "-am", "sleep")
    commit = repository.git(project.folder, "rev-parse", "HEAD")
    script = HOLD.replace("print(project, flush=True)", "worktree.run(project, [])")
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(project.folder), commit],
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TMPDIR": str(tmp_path / "temporary"),
        },
    )
    deadline = time.monotonic() + 60
    while not (project.told.exists() and project.told.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    child = Path("/proc") / project.told.read_text().strip()
    process.kill()
    process.wait()
    while child.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not child.exists()
