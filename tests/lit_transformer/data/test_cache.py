"""Folders of the cache are built once and never trusted when torn."""

import json
import multiprocessing
import os
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from lit_transformer.data import cache
from lit_transformer.data.cache import (
    MANIFEST,
    SETTLED_NS,
    CorpusError,
    build_once,
    hashed_anew,
    key_of,
    sha256,
    sha256_once,
)


def build(log: Path, folder: Path) -> dict[str, int]:
    with log.open("a") as file:
        file.write("built\n")
    time.sleep(0.1)
    (folder / "a").write_text("content")
    return {"lines": 1}


def build_forever(started: Path, folder: Path) -> dict[str, int]:
    (folder / "a").write_text("half")
    started.touch()
    time.sleep(60)
    raise AssertionError


def test_a_folder_is_built_once_and_its_facts_are_kept(tmp_path):
    log, make = tmp_path / "log", partial(build, tmp_path / "log")
    first = build_once(tmp_path / "c" / "x", make)
    assert build_once(tmp_path / "c" / "x", make) == first == (tmp_path / "c" / "x", {"lines": 1})
    assert log.read_text() == "built\n"


def test_processes_that_want_it_at_once_build_it_once(tmp_path):
    context = multiprocessing.get_context("forkserver")
    make = partial(build, tmp_path / "log")
    processes = [context.Process(target=build_once, args=(tmp_path / "x", make)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "log").read_text() == "built\n"


def test_a_killed_builder_leaves_nothing_that_is_trusted_and_no_lock(tmp_path):
    started = tmp_path / "started"
    process = multiprocessing.get_context("forkserver").Process(
        target=build_once, args=(tmp_path / "x", partial(build_forever, started))
    )
    process.start()
    while not started.exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    folder = build_once(tmp_path / "x", partial(build, tmp_path / "log")).path
    assert (folder / "a").read_text() == "content"


@pytest.mark.parametrize("damage", ["shorter", "altered", "gone", "no manifest", "bad manifest"])
def test_a_damaged_folder_is_built_again(tmp_path, damage, caplog):
    make = partial(build, tmp_path / "log")
    folder = build_once(tmp_path / "x", make).path
    match damage:
        case "shorter":
            (folder / "a").write_text("cont")
        case "altered":
            (folder / "a").write_text("CONTENT")
        case "gone":
            (folder / "a").unlink()
        case "no manifest":
            (folder / MANIFEST).unlink()
        case "bad manifest":
            (folder / MANIFEST).write_text("{")
    assert (build_once(folder, make).path / "a").read_text() == "content"
    assert "damaged" in caplog.text


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """A folder that was built some seconds ago, and a list of the files that are hashed."""
    folder = build_once(tmp_path / "x", partial(build, tmp_path / "log")).path
    hashed = []
    monkeypatch.setattr(cache, "SETTLED_NS", 0)
    monkeypatch.setattr(cache, "sha256", lambda path: hashed.append(path.name) or sha256(path))
    time.sleep(0.05)  # longer than the file system's clock stands still
    return folder, hashed


def test_a_folder_found_whole_is_hashed_once_by_all_that_open_it(settled, tmp_path):
    folder, hashed = settled
    for _ in range(3):
        assert build_once(folder, partial(build, tmp_path / "log")).facts == {"lines": 1}
    assert hashed == ["a"]


def test_a_folder_that_has_just_changed_is_hashed_again(settled, tmp_path, monkeypatch):
    folder, hashed = settled
    monkeypatch.setattr(cache, "SETTLED_NS", SETTLED_NS)
    for _ in range(3):
        build_once(folder, partial(build, tmp_path / "log"))
    assert hashed == ["a"] * 3


def alter_in_secret(folder):
    """Other content of the same length, with the old times of change."""
    about = (folder / "a").stat()
    (folder / "a").write_text("CONTENT")
    os.utime(folder / "a", ns=(about.st_atime_ns, about.st_mtime_ns))


def replace(folder):
    about = (folder / "a").stat()
    (folder / "b").write_text("CONTENT")
    os.utime(folder / "b", ns=(about.st_atime_ns, about.st_mtime_ns))
    (folder / "b").replace(folder / "a")


def another_manifest(folder):
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["a"]["sha256"] = "0" * 64
    (folder / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [alter_in_secret, replace, another_manifest])
def test_a_note_never_hides_a_change(settled, tmp_path, damage, caplog):
    folder, _ = settled
    make = partial(build, tmp_path / "log")
    build_once(folder, make)
    damage(folder)
    assert (build_once(folder, make).path / "a").read_text() == "content"
    assert "damaged" in caplog.text


def test_a_sweep_finds_what_the_file_system_does_not_tell(settled, tmp_path, monkeypatch, caplog):
    folder, hashed = settled
    make = partial(build, tmp_path / "log")
    build_once(folder, make)
    with hashed_anew():
        build_once(folder, make)
        build_once(folder, make)
    assert hashed == ["a"] * 2
    (folder / "a").write_text("CONTENT")
    found = cache._found(folder, json.loads((folder / MANIFEST).read_text()))
    cache._note(folder, found)  # as if the bytes had rotten on the disk
    time.sleep(0.05)
    cache._note(folder, found)
    build_once(folder, make)
    assert (folder / "a").read_text() == "CONTENT"
    with hashed_anew():
        build_once(folder, make)
    assert (folder / "a").read_text() == "content"
    assert "damaged" in caplog.text


@pytest.mark.parametrize("note", ["", "{", "[1]"])
def test_a_note_that_cannot_be_read_is_none(settled, tmp_path, note):
    folder, hashed = settled
    make = partial(build, tmp_path / "log")
    build_once(folder, make)
    cache._note_of(folder).write_text(note)
    build_once(folder, make)
    assert hashed == ["a"] * 2


def test_a_failing_builder_leaves_no_folder(tmp_path):
    def fail(folder):
        (folder / "a").write_text("half")
        raise CorpusError("broken")

    with pytest.raises(CorpusError, match="broken"):
        build_once(tmp_path / "x", fail)
    assert [path.name for path in tmp_path.iterdir()] == [".x.lock"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match=r"file.*cache cannot be used.*--root"):
        build_once(tmp_path / "file" / "x", partial(build, tmp_path / "log"))


def test_keys_do_not_depend_on_order():
    assert key_of({"a": 1, "b": [2]}) == key_of({"b": [2], "a": 1}) != key_of({"a": 1, "b": [3]})


def test_a_changed_file_is_hashed_again(tmp_path):
    path = tmp_path / "a"
    path.write_text("one")
    before = sha256_once(path)
    path.write_text("three")
    assert sha256_once(path) != before


def test_the_manifest_names_every_file(tmp_path):
    folder = build_once(tmp_path / "x", partial(build, tmp_path / "log")).path
    manifest = json.loads((folder / MANIFEST).read_text())
    assert list(manifest["files"]) == ["a"]
    assert manifest["files"]["a"]["size"] == len("content")
