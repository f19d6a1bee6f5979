"""A trial's directory that is damaged, or that a stranger made, and the commands that read it."""

import contextlib
import json
import os
import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from experiments import store, sweep
from lit_transformer import checkpoints
from lit_transformer.config_io import ConfigError
from lit_transformer.data import vocab
from lit_transformer.data.cache import CorpusError, sha256
from lit_transformer.record import RecordError
from tests.fuzz.conftest import Swept
from tests.fuzz.harm import CASES, FEW, NAMES, Done, command, damaged, is_plain

NUMBERS = ("1e999", "NaN", "-1", "9" * 5_000, "1" + "0" * 400, "null", "true", "[]", "{}", '""')
FRAGMENTS = [
    *(number.encode() for number in NUMBERS),
    *(json.dumps(name).encode() for name in NAMES),
    *(b'"\\ud800"', b"[" * 5_000, b'{"a":' * 5_000, b"\x00", b"\xff", b"\n", b"}", b'"', b","),
]
WHOLE = [b"", b"[1]\n", b"1\n", b"null\n", b"{}\n", b'{"event": "end", "time": 1}\n', *FRAGMENTS]
BLOCK = 4_096
SENTENCE = b"the dog sees the cat\n"


class Trials:
    """A copy of a swept root, and the trial in it that is harmed."""

    def __init__(self, swept: Swept, root: Path) -> None:
        self.original = swept.root / "mlruns"
        self._words = [*swept.words, "--root", root]
        self.root, self.mlruns = root, root / "mlruns"
        self.restore()
        (self.folder, self.other) = sorted((self.mlruns / "trials").iterdir())
        self.files = sorted(p for p in self.folder.rglob("*") if p.is_file())

    def restore(self) -> None:
        shutil.rmtree(self.mlruns, ignore_errors=True)
        shutil.copytree(self.original, self.mlruns, ignore=lambda *_: {"artifacts", "reports"})

    def status(self) -> Done:
        return command("status", *self._words)

    def report(self) -> Done:
        return command("report", *self._words, "--json")

    def page(self) -> Done:
        return command("report", *self._words)

    def sync(self) -> Done:
        return command("sync", "--root", self.root)

    def translate(self) -> Done:
        return command("translate", self.folder.name, "--root", self.root, stdin=SENTENCE)


@pytest.fixture
def trials(swept: Swept, tmp_path: Path) -> Trials:
    return Trials(swept, tmp_path / "root")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def harm(data: st.DataObject, trials: Trials, pattern: str = "*") -> Path:
    """Damage one file of the trial."""
    path = data.draw(st.sampled_from([p for p in trials.files if p.match(pattern)]))
    original = path.read_bytes()
    path.write_bytes(data.draw(st.sampled_from(WHOLE) | damaged([original], FRAGMENTS)))
    return path


@CASES
@given(st.data())
def test_a_damaged_file_is_told_and_the_other_trials_are_shown(
    trials: Trials, data: st.DataObject
) -> None:
    path = harm(data, trials)
    before = contents(trials.folder)
    try:
        for done in (trials.status(), trials.report()):
            assert is_plain(done.out + done.err)
            assert done.status == 0, done.err
            assert trials.other.name in "".join(done.out.split())  # a narrow column folds it
        after = contents(trials.folder)
        assert {name: after[name] for name in before if "mirror" not in name} == {
            name: text for name, text in before.items() if "mirror" not in name
        }
    finally:
        if path.name.startswith(("mirror", "attempts", "metrics", "result", "trial")):
            trials.restore()
        else:
            shutil.copy(trials.original / path.relative_to(trials.mlruns), path)


@FEW
@given(
    st.data(), st.sampled_from(["environment.json", "hypotheses/*", "config.yaml", "attention/*"])
)
def test_what_of_a_damaged_file_a_page_cannot_show_is_told(
    trials: Trials, data: st.DataObject, pattern: str
) -> None:
    path = harm(data, trials, pattern)
    done = trials.page()
    assert done.status == 0
    assert is_plain(done.out + done.err)
    shutil.copy(trials.original / path.relative_to(trials.mlruns), path)


@FEW
@given(st.data())
def test_what_of_a_damaged_trial_cannot_be_sent_is_told(
    trials: Trials, data: st.DataObject
) -> None:
    path = harm(data, trials)
    try:
        done = trials.sync()
        assert is_plain(done.out + done.err)
        assert done.status == 0 or str(trials.folder) in done.err
    finally:
        trials.restore()
    assert path.exists()


@FEW
@given(st.data())
def test_a_damaged_trial_translates_as_before_or_is_refused(
    trials: Trials, data: st.DataObject
) -> None:
    right = trials.translate().out
    path = harm(data, trials)
    try:
        done = trials.translate()
        refused = done.status == 2 and str(trials.folder) in done.err
        assert refused or path.name == "config.yaml" or done.out == right
        assert is_plain(done.err)
    finally:
        shutil.copy(trials.original / path.relative_to(trials.mlruns), path)


@CASES
@given(st.data())
def test_a_damaged_trial_is_planned_again_or_refused(trials: Trials, data: st.DataObject) -> None:
    path = harm(data, trials)
    try:
        with contextlib.suppress(ConfigError, CorpusError, RecordError):
            item = sweep.plan_again(trials.folder, "some run")
            job = sweep.job(item, sweep.Root(trials.root))
            assert job.directory == trials.folder / "reruns" / "1"
            json.dumps(job.about)
    finally:
        shutil.copy(trials.original / path.relative_to(trials.mlruns), path)


@pytest.mark.parametrize("name", ["model.safetensors", "vocabulary.model"])
def test_a_model_cut_at_any_block_is_refused_by_name(trials: Trials, name: str) -> None:
    path = trials.folder / name
    whole = path.read_bytes()
    for size in range(0, len(whole), BLOCK * 4):
        path.write_bytes(whole[:size])
        done = trials.translate()
        assert (done.status, str(path) in done.err) == (2, True)


def test_another_trials_model_is_refused(trials: Trials) -> None:
    for name in ("model.safetensors", "vocabulary.model"):
        path = trials.folder / name
        whole = path.read_bytes()
        path.write_bytes(whole + b" ")
        done = trials.translate()
        assert (done.status, str(path) in done.err) == (2, True)
        path.write_bytes(whole)


def test_weights_of_another_shape_are_refused(trials: Trials) -> None:
    checkpoints.save_tensors({"x": torch.zeros(2)}, trials.folder / "model.safetensors")
    done = trials.translate()
    assert done.status == 2
    assert "not of the model in" in done.err


# Nothing is executed


class Bomb:
    """What unpickling it would make is a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.canary,)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def signed(path: Path, content: bytes) -> None:
    checkpoints.write_checked(path, lambda file: file.write(content))


def test_a_bomb_bursts_where_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "burst")))
    assert (tmp_path / "burst").exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("packed", [True, False])
def test_a_bomb_as_checkpoint_is_refused(tmp_path: Path, canary: Path, packed: bool) -> None:
    path = checkpoints.step_file(tmp_path, 4, ".ckpt")
    if packed:
        checkpoints.write_checked(path, lambda f: torch.save({"state_dict": Bomb(canary)}, f))
    else:
        signed(path, pickle.dumps(Bomb(canary)))
    assert checkpoints.newest_whole(tmp_path) == path
    with pytest.raises(pickle.UnpicklingError):
        checkpoints.AtomicCheckpointIO().load_checkpoint(path)


def test_a_bomb_as_weights_or_vocabulary_is_refused(trials: Trials, canary: Path) -> None:
    bomb = pickle.dumps(Bomb(canary))
    signed(trials.folder / "model.safetensors", bomb)
    assert trials.translate().status == 2
    trials.restore()
    file = trials.folder / "vocabulary.model"
    file.write_bytes(bomb)
    (trials.folder / "vocabulary.json").write_text(json.dumps({"sha256": sha256(file)}))
    assert trials.translate().status == 2
    with pytest.raises(CorpusError):
        vocab.load(file)


@CASES
@given(st.data())
def test_any_safetensors_with_a_right_checksum_are_loaded_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "model.safetensors"
    whole = save({"x": torch.arange(6.0), "y": torch.zeros(2, 3)})
    signed(path, data.draw(st.binary(max_size=100) | damaged([whole], FRAGMENTS)))
    with contextlib.suppress(ValueError):
        checkpoints.load_weights(path)


# Nothing outside of mlruns/ is read or written


@pytest.mark.parametrize(
    "run_id", ["../..", "..", ".", "", "../../../secret", "/", "~", "x" * 5_000]
)
def test_no_run_is_outside_of_the_trials(trials: Trials, run_id: str) -> None:
    (trials.root.parent / "secret").mkdir()
    for verb in ("translate", "rerun"):
        done = command(verb, "--root", trials.root, "--", run_id)
        assert done.status == 2, done
        assert done.err.startswith("error: ")


LINKED = ["trial.json", "attempts.jsonl", "hypotheses", "hypotheses/valid.txt", "config.yaml"]
LINKED += ["log.txt", "metrics.jsonl", "lock", "mirror.lock", "environment.json", "reruns"]
LINKED += [
    "vocabulary.model",
    "model.safetensors",
    "result.json",
    "attention",
    "attention/maps.json",
]


@pytest.mark.parametrize("name", LINKED)
def test_a_link_in_a_trials_directory_is_followed_by_no_command(
    trials: Trials, tmp_path: Path, name: str
) -> None:
    path, outside = trials.folder / name, tmp_path / "outside"
    if path.is_dir() or name == "reruns":
        shutil.rmtree(path, ignore_errors=True)
        outside.mkdir()
        (outside / "valid.txt").write_text("a secret\n" * 6)
    else:
        path.unlink()
        outside.write_text("a secret\n" * 6)
    path.symlink_to(outside)
    before, stamp = contents(tmp_path / "outside"), os.stat(outside).st_mtime_ns
    done = [
        *(trials.status(), trials.report(), trials.sync(), trials.translate()),
        command("rerun", trials.folder.name, "--root", trials.root),
    ]
    assert [d.status for d in done] == [0, 0, 1, 2, 2]
    assert all(str(path) in d.err for d in done[2:])
    files = [p for p in trials.mlruns.rglob("*") if p.is_file() and not p.is_symlink()]
    assert not any(b"a secret" in p.read_bytes() for p in files)
    assert (contents(outside), os.stat(outside).st_mtime_ns) == (before, stamp)


def test_a_trial_that_is_a_link_is_refused(trials: Trials, tmp_path: Path) -> None:
    shutil.move(trials.folder, tmp_path / "outside")
    trials.folder.symlink_to(tmp_path / "outside")
    before = contents(tmp_path / "outside")
    assert trials.sync().status in (0, 1)
    assert trials.translate().status == 2
    assert command("rerun", trials.folder.name, "--root", trials.root).status == 2
    assert contents(tmp_path / "outside") == before


@pytest.mark.parametrize(
    "name", ["../../../../x", "/ABSOLUTE/x", "a/../../b", "..", "x\ny", "\x1b[31m"]
)
@pytest.mark.parametrize("key", ["study", "setting", "arm", "group", "digest", "directory"])
def test_names_of_a_strangers_trial_lead_nowhere(
    trials: Trials, tmp_path: Path, key: str, name: str
) -> None:
    file = trials.folder / "trial.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text()), key: name.replace("/ABSOLUTE", str(tmp_path))})
    )
    for notes in trials.folder.glob("mirror-*.json"):
        notes.unlink()
    outside = sorted(p for p in tmp_path.rglob("*") if not p.is_relative_to(trials.mlruns))
    done = trials.sync()
    assert done.status in (0, 1)
    assert is_plain(done.out + done.err)
    assert sorted(p for p in tmp_path.rglob("*") if not p.is_relative_to(trials.mlruns)) == outside


@pytest.mark.parametrize("folder", ["../outside", "/OUTSIDE", "trials/../../outside", "trials"])
def test_a_strangers_database_leads_nowhere(trials: Trials, tmp_path: Path, folder: str) -> None:
    outside = tmp_path / "root" / "outside"
    outside.mkdir()
    named = folder.replace("/OUTSIDE", str(outside))
    with contextlib.closing(sqlite3.connect(store.database(trials.root))) as database, database:
        database.execute("UPDATE tags SET value = ? WHERE key = 'ablate.directory'", (named,))
        database.execute("UPDATE runs SET status = 'RUNNING', artifact_uri = ?", (str(outside),))
        (run_id,) = database.execute("SELECT run_uuid FROM runs").fetchone()
    for done in (trials.status(), trials.sync(), trials.report()):
        assert done.status in (0, 1)
    for verb in ("translate", "rerun"):
        done = command(verb, run_id, "--root", trials.root)
        assert (done.status, done.err[:7]) == (2, "error: ")
    assert list(outside.iterdir()) == []


@FEW
@given(st.data())
def test_a_damaged_database_is_told(trials: Trials, data: st.DataObject) -> None:
    path = store.database(trials.root)
    whole = path.read_bytes()
    size = data.draw(st.integers(0, len(whole) // BLOCK)) * BLOCK
    path.write_bytes(whole[:size])
    try:
        for done in (trials.status(), trials.report()):
            assert done.status in (0, 2)
            assert is_plain(done.err)
    finally:
        path.write_bytes(whole)


@FEW
@given(st.sampled_from(WHOLE))
def test_a_damaged_row_of_a_run_is_told(trials: Trials, row: bytes) -> None:
    text = row.decode("utf-8", "replace")
    with contextlib.closing(sqlite3.connect(store.database(trials.root))) as database, database:
        database.execute("UPDATE tags SET value = ? WHERE key = 'ablate.row'", (text,))
    done = trials.report()
    assert done.status in (0, 2)
    assert done.status == 0 or "ablate.row" in done.err
