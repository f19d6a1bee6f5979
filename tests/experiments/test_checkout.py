"""Which code a trial was trained with: its commit, and what of it was not committed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments import checkout
from experiments.checkout import LARGEST_DIFF, Code
from tests.experiments import repository


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "project"
    repository.make(folder)
    monkeypatch.setattr(checkout, "HERE", folder)
    checkout.code.cache_clear()
    yield folder
    checkout.code.cache_clear()


def test_code_is_its_commit_and_what_differs_from_it(project: Path) -> None:
    head = repository.git(project, "rev-parse", "HEAD")
    assert checkout.code() == Code(head, b"")
    (project / "lit_transformer" / "answer.py").write_text("VALUE = 3\n")
    assert checkout.code() == Code(head, b"")  # what was imported stays what it was
    checkout.code.cache_clear()
    code = checkout.code()
    assert (code.commit, code.dirty, code.withheld) == (head, True, "")
    assert b"-VALUE = 2\n+VALUE = 3\n" in code.diff


def test_a_difference_applies_to_its_commit(project: Path, tmp_path: Path) -> None:
    (project / "lit_transformer" / "answer.py").write_bytes(b"VALUE = '\xff\x00'\r\n")
    (project / "lit_transformer" / "__init__.py").unlink()
    diff = checkout.code().diff
    other = tmp_path / "other"
    repository.git(tmp_path, "clone", "--quiet", str(project), str(other))
    done = checkout.call("apply", folder=other, given=diff)
    assert done is not None
    assert done.returncode == 0, done.stderr
    here, there = (repository.contents(f / "lit_transformer") for f in (project, other))
    assert here == there


def test_changes_beside_the_code_are_nobody_s_business(project: Path) -> None:
    (project / "README.md").write_text("the password is swordfish\n")
    (project / "lit_transformer" / "notes.txt").write_text("untracked\n")
    assert not checkout.code().dirty


def test_a_look_writes_nothing(project: Path) -> None:
    (project / "lit_transformer" / "answer.py").touch()  # git would renew its index
    before = repository.contents(project)
    checkout.code()
    assert repository.contents(project) == before


def test_outside_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "HERE", tmp_path)
    checkout.code.cache_clear()
    assert checkout.code() == Code("", b"")
    checkout.code.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert checkout.code() == Code("", b"")
    checkout.code.cache_clear()


@pytest.mark.parametrize(
    "line",
    [
        'api_key = "k8sjd92jdk29sk2"',
        'headers = {"token": "abcdefgh12345678"}',
        "-----BEGIN RSA PRIVATE KEY-----",
        "AKIA" + 16 * "Z",
        "ghp_" + 36 * "a",
        "hf_" + 34 * "b",
        'url = "https://me:hunter22@tracker.example.org"',
    ],
)
def test_what_looks_like_a_secret_is_not_stored(line: str) -> None:
    assert "looks like a password" in Code("c0ffee", f"+{line}\n".encode()).withheld


def test_the_tracker_s_own_secrets_are_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "swordfish")
    assert Code("c0ffee", b"+word = 'swordfish'\n").withheld


@pytest.mark.parametrize("line", ["tokens_per_batch = 25_000", 'token = "<eos>"', "password: str"])
def test_ordinary_code_is_stored(line: str) -> None:
    assert Code("c0ffee", f"+{line}\n".encode()).withheld == ""


def test_the_project_s_own_files_look_like_no_secret() -> None:
    """A difference may touch any of their lines."""
    files = [f for part in checkout.PARTS for f in (checkout.HERE / part).rglob("*.py")]
    assert len(files) > 50
    assert not [f for f in files if Code("c0ffee", f.read_bytes()).withheld]


def test_what_is_too_large_is_not_stored() -> None:
    assert "256 KiB" in Code("c0ffee", b"x" * (LARGEST_DIFF + 1)).withheld


def test_files_of_the_code_that_differ_are_counted(project: Path) -> None:
    first, second = repository.git(project, "rev-list", "HEAD").split()
    assert checkout.changed_files(first, second) == 1
    (project / "README.md").write_text("another\n")
    repository.git(project, "commit", "--quiet", "-am", "words")
    assert checkout.changed_files(first, repository.git(project, "rev-parse", "HEAD")) == 0
    assert checkout.changed_files(first, 40 * "0") is None


@pytest.mark.parametrize("name", ["", "HEAD", "--help", "c0ffee", 40 * "0"])
def test_only_a_whole_name_of_a_commit_is_one(project: Path, name: str) -> None:
    assert not checkout.is_here(name)
