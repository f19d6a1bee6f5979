"""What a kill leaves behind: whole files, whole lines, and claims that end with their process."""

import fcntl
import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from lit_transformer import record as record_module
from lit_transformer.record import (
    MetricsLog,
    Record,
    append_line,
    mend_lines,
    read_lines,
    write_bytes,
)

SIZE = 300_000

WRITE_WITHOUT_END = f"""
import itertools, sys
from pathlib import Path
from lit_transformer.record import write_bytes
for n in itertools.count():
    write_bytes(Path(sys.argv[1]), bytes([n % 256]) * {SIZE})
    print(n, flush=True)
"""

CLAIM_AND_FORK = """
import os, sys, time
from pathlib import Path
from lit_transformer.record import Record
claim = Record(Path(sys.argv[1])).claim()
child = os.fork() or time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "trial")


@contextmanager
def process(code, path):
    """A Python process on `path`, killed at the end."""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Files


def test_a_kill_leaves_a_whole_file(tmp_path):
    path = tmp_path / "file"
    generator = random.Random(0)
    for _ in range(4):
        with process(WRITE_WITHOUT_END, path) as writer:
            writer.stdout.readline()
            time.sleep(generator.uniform(0, 0.05))
            writer.send_signal(signal.SIGKILL)
        content = path.read_bytes()
        assert len(content) == SIZE
        assert len(set(content)) == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "file"
    write_bytes(path, b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_what_a_kill_left_half_written_is_cleared(record):
    torn = [".config.yaml.7.partial", "checkpoints/.step-000000004.ckpt.7.partial"]
    torn += ["attention/.maps.json.7.partial"]
    kept = [".mirror-0123456789ab.json.7.partial", "reruns/1/.config.yaml.7.partial", "config.yaml"]
    for name in torn + kept:
        write_bytes(record.path / name, b"")
    record.clear_partials()
    assert [(record.path / name).exists() for name in torn + kept] == [False] * 3 + [True] * 3


def test_json_comes_back(record):
    assert record.read_json("trial.json") is None
    record.write_json("scores/valid.json", {"größe": [1.5, None]})
    assert record.read_json("scores/valid.json") == {"größe": [1.5, None]}


def test_a_result_s_scores_are_numbers_in_files_of_plain_json(record):
    assert record.result() is None
    record.write_json("result.json", {"digest": "0", "scores": {"a": math.inf, "b": 2}})
    json.loads(record.result_file.read_text(), parse_constant=pytest.fail)
    assert record.result() == {"digest": "0", "scores": {"a": math.inf, "b": 2.0}}


def test_progress_is_shown(record):
    record.path.mkdir()
    assert record.progress() is None
    record.show_progress("training", 3, 10)
    shown = record.progress()
    assert (shown["phase"], shown["done"], shown["total"]) == ("training", 3, 10)


# Lines


def test_a_torn_last_line_is_neither_read_nor_continued(tmp_path):
    path = tmp_path / "lines"
    mend_lines(path)  # absent: nothing to do
    for n in range(2):
        append_line(path, {"n": n})
    whole = path.read_bytes()
    for torn in (b'{"n": 2', b'{"n": 2}'):  # a line without its end may lack digits
        path.write_bytes(whole + torn)
        assert [line["n"] for line in read_lines(path)] == [0, 1]
        mend_lines(path)
        assert path.read_bytes() == whole
    path.write_bytes(b'{"n')
    mend_lines(path)
    assert path.read_bytes() == b""


def points(record):
    return [(line["step"], line["values"]) for line in read_lines(record.metrics)]


def test_a_resumed_curve_has_no_point_twice(record):
    first = MetricsLog(record)
    first.add(2, {"loss": 3.0})
    first.add(4, {"loss": 2.0})
    first.add(4, {"bleu": 1.0})
    with record.metrics.open("ab") as file:
        file.write(b'{"step": 6, "values": {"lo')  # killed here, with a checkpoint of step 2
    before = record.metrics.read_bytes().rpartition(b"\n")[0]
    second = MetricsLog(record)
    second.add(4, {"loss": 2.0})
    assert record.metrics.read_bytes() == before + b"\n"
    second.add(4, {"bleu": 1.0, "chrf": 5.0})  # the new curve alone
    second.add(6, {"loss": 1.0})
    second.add(6, {"loss": 1.0})
    assert points(record) == [
        (2, {"loss": 3.0}),
        (4, {"loss": 2.0}),
        (4, {"bleu": 1.0}),
        (4, {"chrf": 5.0}),
        (6, {"loss": 1.0}),
    ]


def test_a_curve_holds_what_is_no_number_as_text(record):
    MetricsLog(record).add(1, {"a": float("nan"), "b": float("inf"), "c": -float("inf")})
    assert points(record) == [(1, {"a": "nan", "b": "inf", "c": "-inf"})]
    json.loads(record.metrics.read_text(), parse_constant=pytest.fail)


# Claims


def test_a_claim_is_one_process_s(record, monkeypatch):
    monkeypatch.setattr(record_module, "CLAIM_PATIENCE_S", 0.1)
    assert not record.is_claimed()
    claim = record.claim()
    assert claim is not None
    assert record.is_claimed()
    assert record.claim() is None  # another open file, as in another process
    os.close(claim)
    assert not record.is_claimed()
    os.close(record.claim())


def test_a_claim_ends_with_the_last_process_that_has_it(record, monkeypatch):
    monkeypatch.setattr(record_module, "CLAIM_PATIENCE_S", 0.1)
    with process(CLAIM_AND_FORK, record.path) as owner:
        child = int(owner.stdout.readline())
        try:
            assert record.claim() is None
            owner.send_signal(signal.SIGKILL)
            owner.wait()
            assert record.is_claimed()
            assert record.claim() is None
        finally:
            os.kill(child, signal.SIGKILL)
        wait_until(lambda: not record.is_claimed())
    assert record.claim() is not None


def test_a_look_at_the_lock_does_not_spoil_a_claim(record):
    record.path.mkdir()
    looking = os.open(record.lock, os.O_CREAT | os.O_RDWR)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, os.close, [looking]).start()
    assert record.claim() is not None


# State


def test_a_trial_waits_runs_and_finishes(record):
    assert record.state() == ("waiting", "", 0)
    claim = record.claim()
    assert record.state() == ("running", "", 0)
    number = record.start_attempt({"pid": 1})
    assert (number, record.state()) == (1, ("running", "", 1))
    record.write_json("result.json", {"scores": {}})
    os.close(claim)
    assert record.state() == ("finished", "", 1)


@pytest.mark.parametrize(
    "kind", ["failed", "killed", "pruned", "diverged", "out_of_memory", "bad_configuration"]
)
def test_an_attempt_that_ended_says_how(record, kind):
    record.end_attempt(record.start_attempt({}), kind, "the reason")
    assert record.state() == (kind, "the reason", 1)
    assert record.start_attempt({}) == 2


def test_an_attempt_without_an_end_was_killed(record):
    record.start_attempt({})
    assert record.state() == ("killed", "the process ended without a word", 1)
    with record.attempts.open("ab") as file:
        file.write(b'{"attempt": 1, "event": "en')
    assert record.state().kind == "killed"
    record.end_attempt(record.start_attempt({}), "diverged", "")
    assert record.state() == ("diverged", "", 2)


def test_only_a_result_is_success(record):
    record.end_attempt(record.start_attempt({}), "finished", "")
    record.write_json("result.json", {"scores": {}})
    Path(record.attempts).unlink()
    assert record.state() == ("finished", "", 0)
