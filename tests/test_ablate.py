"""The command, as a person runs it: every test here starts real processes."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from analysis import runs
from analysis.deciding import Deciding
from experiments import checkout, store
from lit_transformer.record import Record, read_lines
from tests.experiments import repository
from tests.toy import CURVE_STEPS, PAGE, STUDY, Toy, documented, write_nvidia_smi, write_toy

ABLATE = Path(sys.executable).with_name("ablate")
MARK = "ABLATE_TEST_MARK"
"""Environment variable by which a command's processes, and theirs, are found."""
PATIENCE_S = 300.0
LIVES_ON_S = 10.0
"""Longest time that a process may outlive its sweep; it only has to notice."""


class Done(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


class Started:
    """A command in a process group of its own, as a shell would start it."""

    def __init__(self, *words: object) -> None:
        self.mark = uuid.uuid4().hex
        environment = {**os.environ, MARK: self.mark, "CUDA_VISIBLE_DEVICES": ""}
        environment.pop(store.VARIABLE, None)
        self.process = subprocess.Popen(
            [ABLATE, *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            process_group=0,
        )

    def wait(self) -> Done:
        try:
            out, err = self.process.communicate(timeout=PATIENCE_S)
        finally:
            self.process.kill()  # what a failing test leaves; trials go with their sweep
        return Done(self.process.returncode, out, err)

    def to_the_group(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def left(self) -> list[str]:
        """Processes of this command that still run."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in (place / "environ").read_bytes():
                    found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue  # it has just ended
        return found

    def vanishes(self) -> bool:
        """Whether soon none of them runs any more."""
        deadline = time.monotonic() + LIVES_ON_S
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.left()


def ablate(*words: object) -> Done:
    return Started(*words).wait()


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def files(root: Path, pattern: str) -> list[Path]:
    """Files of the trials' directories."""
    return sorted((root / "mlruns" / "trials").glob(f"*/{pattern}"))


def attempts(root: Path) -> list[int]:
    return [Record(path.parent).state().attempts for path in files(root, "attempts.jsonl")]


def kinds(root: Path) -> list[str]:
    return [Record(path.parent).state().kind for path in files(root, "attempts.jsonl")]


def outcome(root: Path) -> dict[str, tuple[str, dict[str, float], list[int]]]:
    """Of each trial: its weights, its scores but for clocks, and the steps of its curve."""
    found = {}
    for path in files(root, "result.json"):
        record = Record(path.parent)
        result = record.result() or {}
        scores = {
            n: v for n, v in result["scores"].items() if "cost." not in n and "seconds" not in n
        }
        lines = [line for line in read_lines(record.metrics) if "train.loss" in line["values"]]
        weights = hashlib.sha256(record.weights.read_bytes() + record.averaged.read_bytes())
        found[record.path.name] = (weights.hexdigest(), scores, [x["step"] for x in lines])
    return found


def in_mlflow(root: Path) -> pd.DataFrame:
    """The study's runs, without reruns."""
    found = runs.read(store.uri(root), "tiny", "toy")
    return found[found["rerun_of"].isna()]


def reports(root: Path) -> dict[str, bytes]:
    folder = root / "mlruns" / "reports" / "tiny" / "toy"
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def told(message: str) -> str:
    """An error's text, without the frame that Typer draws."""
    return " ".join(message.replace("│", " ").split())


@pytest.fixture(autouse=True)
def _no_store_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(store.VARIABLE, raising=False)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("toy"))


class Swept(NamedTuple):
    """A sweep of two arms and two seeds that nothing has disturbed."""

    root: Path
    done: Done


@pytest.fixture(scope="module")
def swept(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    root = tmp_path_factory.mktemp("swept")
    return Swept(root, ablate(*sweep_words(toy, root)))


def sweep_words(toy: Toy, root: Path, *more: object) -> list[object]:
    words = ["sweep", toy.study, "--setting", toy.setting, "--root", root]
    return [*words, *(more or ("--seeds", 2))]


# A sweep and its table


def test_a_sweep_trains_every_arm_with_every_seed_and_prints_the_table(swept: Swept) -> None:
    assert swept.done.status == 0, swept.done.err
    assert attempts(swept.root) == [1] * 4
    assert len(files(swept.root, "result.json")) == 4
    assert "4 of 4 trials finished" in swept.done.out
    assert swept.done.out.count("\nfinished  tiny/") == 4
    formats = ("md", "csv", "tex", "html", "json", "evidence.json.bz2")
    assert {f"report.{name}" for name in formats} | {"overview.md"} == {
        name for name in reports(swept.root) if not name.endswith(".svg")
    }


def test_a_corpus_is_made_ready_and_nothing_is_trained(toy: Toy, tmp_path: Path) -> None:
    words = ["prepare", toy.study, "--setting", toy.setting, "--root", tmp_path]
    done = ablate(*words)
    assert done.status == 0, done.err
    text = hashlib.sha256((toy.folder / "train.en").read_bytes()).hexdigest()
    assert f"train.source: {text}" in done.out
    assert list((tmp_path / "mlruns" / "cache").glob("files-train-*"))
    assert not (tmp_path / "mlruns" / "trials").exists()


def test_mlflow_has_the_report_at_its_study(swept: Swept) -> None:
    (figure,) = (swept.root / "mlruns" / "artifacts").glob("*/*/*/artifacts/figures/01-*.svg")
    study = figure.parents[1]
    assert (study / "report.html").read_bytes() == reports(swept.root)["report.html"]
    assert study.parent.name not in in_mlflow(swept.root)["run_id"].tolist()


def test_mlflow_has_one_run_of_each_trial_with_its_curves(swept: Swept) -> None:
    found = in_mlflow(swept.root)
    assert found["status"].tolist() == ["FINISHED"] * 4
    assert sorted(found["digest"]) == sorted(outcome(swept.root))
    curves = runs.history(store.uri(swept.root), found["run_id"].tolist(), ["train.loss"])
    assert len(curves) == 4 * len(CURVE_STEPS)
    for _, curve in curves.groupby("run_id"):
        assert curve["step"].tolist() == [*CURVE_STEPS]


def test_the_same_command_again_runs_nothing_and_prints_the_same_table(
    swept: Swept, toy: Toy
) -> None:
    before = reports(swept.root)
    again = ablate(*sweep_words(toy, swept.root))
    assert again.status == 0, again.err
    assert "4 done, 0 to run" in again.out
    assert table(again.out) == table(swept.done.out)
    assert reports(swept.root) == before
    assert attempts(swept.root) == [1] * 4
    assert len(in_mlflow(swept.root)) == 4


def table(out: str) -> str:
    return out[out.index("# tiny in toy") :]


def test_status_says_how_every_trial_stands(swept: Swept, toy: Toy) -> None:
    words = ["status", toy.study, "--setting", toy.setting, "--seeds", 3, "--root", swept.root]
    plain, machine = ablate(*words), ablate(*words, "--json")
    assert (plain.status, machine.status, machine.err) == (0, 0, "")
    assert str(files(swept.root, "log.txt")[0]) in plain.out
    found = json.loads(machine.out)
    assert [trial["kind"] for trial in found["trials"]] == ["finished"] * 4 + ["waiting"] * 2


def test_the_report_is_an_object_with_the_keys_of_its_page(swept: Swept, toy: Toy) -> None:
    done = ablate(*("report", toy.study, "--setting", toy.setting, "--root", swept.root, "--json"))
    assert (done.status, done.err) == (0, "")
    assert done.out.encode() == reports(swept.root)["report.json"]
    found = json.loads(done.out)
    whole, each = documented("ablate report")
    assert (set(found), set(found["rows"][0])) == (whole, each)
    assert (found["trials"], found["finished"], found["seeds"]) == (4, 4, [1, 2])


def test_heads_are_measured_at_the_end_and_again_where_they_are_missing(
    swept: Swept, toy: Toy
) -> None:
    first, *_ = files(swept.root, "attention/heads.json")
    digest, kept = first.parents[1].name, first.read_bytes()
    words = ["heads", digest, "--root", swept.root]
    told, machine = ablate(*words), ablate(*words, "--json")
    assert (told.status, told.err, machine.err) == (0, "", "")
    assert "on the first 6 sentences of the valid part" in told.out
    found = json.loads(machine.out)
    assert {*found} == documented("heads.json", PAGE.with_name("attention.md"))[0]
    assert found == json.loads(kept)
    first.unlink()
    assert ablate(*words).status == 0
    assert first.read_bytes() == kept
    fewer = json.loads(ablate(*words, "--sentences", 2, "--json").out)
    assert fewer["sentences"] == 2
    first.write_bytes(kept)
    (artifact, *_) = (swept.root / "mlruns" / "artifacts").rglob("heads.json")
    assert artifact.parent.name == "attention"


def test_explain_shows_and_draws_a_row(toy: Toy, tmp_path: Path) -> None:
    words = ["explain", f"{toy.study}/A", "--setting", toy.setting]
    done = ablate(*words, "--out", tmp_path / "a.svg")
    assert done.status == 0, done.err
    assert "queries_keys_values.weight 48 × 16" in done.out
    assert "1 head, d_k 16, d_v 16" in (tmp_path / "a.svg").read_text()
    assert ablate(*words, "--out", tmp_path / "a.html").status == 0
    assert "<table>" in (tmp_path / "a.html").read_text()
    wrong = ablate(*words, "--out", tmp_path / "a.png")
    assert (wrong.status, wrong.out) == (2, "")
    assert "a file that ends in .svg or .html" in wrong.err


def test_a_report_of_table2_sets_one_setting_beside_another(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    """Under other names, what was trained already: no trial runs here."""
    study, other = tmp_path / "table2.yaml", tmp_path / "other.yaml"
    text = toy.study.read_text().replace("name: tiny", "name: table2\nscore: test.averaged")
    study.write_text(text)
    other.write_text(toy.setting.read_text().replace("name: toy", "name: other"))
    for setting in (toy.setting, other):
        assert ablate("sweep", study, "--setting", setting, "--root", swept.root).status == 0
    assert attempts(swept.root) == [1] * 4
    words = ["report", study, "--setting", toy.setting, "--beside", other, "--root", swept.root]
    done = ablate(*words, "--json")
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert found["score"] == "test.averaged.bleu"
    rows = {row["arm"]: row for row in found["rows"]}
    ours = {row["arm"]: row["ours"] for row in found["sections"]["table2"]["rows"] if row["arm"]}
    assert set(ours) == {"base", "A"}
    for arm, settings in ours.items():
        assert set(settings) == {"toy", "other"}
        for measures in settings.values():
            of_row = rows[arm]["ours"]["test.averaged.bleu"]["values"]
            assert measures["test.averaged.bleu"]["values"] == of_row
    assert set(found["sections"]) == {
        *("table2", "costs", "views", "heads"),
        *("lengths", "tokenizations"),  # and no metrics: six sentences are too few for a test
    }
    assert ablate(*words).status == 0
    assert (swept.root / "mlruns/reports/table2/toy+other/report.html").exists()


def test_a_report_verifies_until_a_number_in_it_is_another(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    for name, content in reports(swept.root).items():
        (tmp_path / name).write_bytes(content)
    report = tmp_path / "report.json"
    whole = ablate("verify", report, "--json")
    assert (whole.status, whole.err) == (0, "")
    found = json.loads(whole.out)
    assert {*found} == documented("ablate verify")[0]
    assert (found["verified"], found["scores"]["counts"]) == (True, 4 * 4 * 3)
    score = json.loads(report.read_text())["rows"][1]["ours"]["valid.perplexity"]["values"][1]
    report.write_text(report.read_text().replace(str(score), str(score + 0.5)))
    spoilt = ablate("verify", report)
    assert spoilt.status == 1
    told = f"row A, valid.perplexity, seed 2: stated {score + 0.5}, recomputed {score}"
    assert told in spoilt.out
    (tmp_path / "report.evidence.json.bz2").write_bytes(b"something else")
    broken = ablate("verify", report)
    assert (broken.status, broken.out) == (2, "")
    assert broken.err.count("\n") == 1


def test_a_plan_is_an_object_and_starts_nothing(toy: Toy, tmp_path: Path) -> None:
    done = ablate(*sweep_words(toy, tmp_path, "--dry-run", "--json"))
    assert (done.status, done.err) == (0, "")
    assert len(json.loads(done.out)["trials"]) == 2
    plain = ablate(*sweep_words(toy, tmp_path, "--dry-run"))
    assert "2 trials: 0 done, 2 to run" in plain.out
    assert list(tmp_path.iterdir()) == []


def test_a_plan_tells_how_many_trials_share_a_gpu(
    toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    write_nvidia_smi(tools, {"0": 2_000, "1": 30})
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    words = sweep_words(toy, tmp_path / "root", "--dry-run", "--trials-per-gpu", "auto")
    assert "a GPU" not in ablate(*words).out  # on the CPU nothing changes
    assert "1 trial a GPU: the largest takes about 1.0 GiB" in ablate(*words, "--gpus", "0").out
    too_large = ablate(*words, "--gpus", "1", "--set", "model.d_ff=1000000").out
    assert "tiny/base seed 1 needs about 1.5 GiB and 0.0 GiB are free" in too_large


@pytest.fixture(scope="module")
def decided(swept: Swept, toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Swept:
    """Gone on with until decided, from a copy of what two seeds have left."""
    root = tmp_path_factory.mktemp("decided") / "root"
    shutil.copytree(swept.root, root)
    return Swept(root, ablate(*until_words(toy, root)))


def until_words(toy: Toy, root: Path, *more: object) -> list[object]:
    return sweep_words(toy, root, "--until", "decided", "--most-seeds", 3, *more)


def test_a_status_knows_the_seeds_that_were_given_until_decided(toy: Toy, tmp_path: Path) -> None:
    some = [trial for trial in toy.trials(range(1, 9)) if trial.arm in ("base", "A")]
    Deciding(some, "valid", 8, None, tmp_path).begin()
    done = ablate("status", toy.study, "--setting", toy.setting, "--root", tmp_path, "--json")
    found = [(trial["arm"], trial["seed"]) for trial in json.loads(done.out)["trials"]]
    others = {trial.arm for trial in toy.trials([1])} - {"base", "A"}
    expected = {(arm, seed) for arm in ("base", "A") for seed in (1, 2, 3)}
    assert {*found} == expected | {(arm, 1) for arm in others}
    assert len(found) == len({*found})


def test_a_sweep_until_decided_trains_what_is_lacking_and_says_how_seeds_were_given(
    decided: Swept, toy: Toy
) -> None:
    assert decided.done.status == 0, decided.done.err
    assert len(files(decided.root, "result.json")) == 6
    assert attempts(decided.root) == [1] * 6
    assert "valid.bleu of 1 row against base" in decided.done.out
    assert "Seeds were given sequentially, until decided" in table(decided.done.out)
    words = ["report", toy.study, "--setting", toy.setting, "--root", decided.root]
    before = reports(decided.root)
    assert table(ablate(*words).out) == table(decided.done.out)
    assert reports(decided.root) == before
    found = json.loads(ablate(*words, "--json").out)
    (record,) = found["sequential"]
    assert [(row["arm"], row["seeds"]) for row in record["rows"]] == [("A", 3)]
    assert "--until decided --most-seeds 3" in found["command"]


def test_a_report_of_a_sweep_until_decided_is_verified_with_its_verdicts(
    decided: Swept, tmp_path: Path
) -> None:
    folder = decided.root / "mlruns" / "reports" / "tiny" / "toy"
    done = ablate("verify", folder / "report.json")
    assert (done.status, done.err) == (0, "")
    found = json.loads((folder / "report.json").read_text())
    (row,) = found["sequential"][0]["rows"]
    row["verdict"] = "better"
    forged = tmp_path / "report.json"
    forged.write_text(json.dumps(found))
    evidence = ["--evidence", folder / "report.evidence.json.bz2"]
    done = ablate("verify", forged, *evidence)
    assert done.status == 1
    assert "better" in done.out


def test_a_plan_until_decided_is_an_object_and_starts_nothing(toy: Toy, tmp_path: Path) -> None:
    done = ablate(*until_words(toy, tmp_path, "--dry-run", "--json"))
    assert (done.status, done.err) == (0, "")
    found = json.loads(done.out)
    assert (len(found["trials"]), found["sequential"]["most_trials"]) == (6, 6)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--until", "decided", "--seeds", 3], "--seeds 3 with --until decided"),
        (["--most-seeds", 5], "--most-seeds 5: only with --until decided"),
        (["--margin", 1], "--margin 1.0: only with --until decided"),
        (["--until", "decided", "--margin", -1], "--margin -1.0: points of BLEU or F1"),
        (["--until", "decided", "--margin", "nan"], "--margin nan: points of BLEU or F1"),
        (["--until", "decided", "--only", "A"], "--only A: verdicts are against base"),
        (["--until", "decided", "--only", "base"], "base is alone"),
    ],
)
def test_options_that_contradict_each_other_are_refused_in_one_message(
    toy: Toy, tmp_path: Path, words: list[object], message: str
) -> None:
    done = ablate(*sweep_words(toy, tmp_path, *words))
    assert (done.status, done.err.count("error:")) == (2, 1)
    assert message in done.err


def test_another_design_is_refused_once_it_has_begun(decided: Swept, toy: Toy) -> None:
    words = sweep_words(toy, decided.root, "--until", "decided", "--most-seeds", 5)
    done = ablate(*words)
    assert done.status == 2
    assert "begun with --until decided --most-seeds 3" in done.err


def test_a_status_where_nothing_ran_makes_nothing(toy: Toy, tmp_path: Path) -> None:
    done = ablate("status", toy.study, "--setting", toy.setting, "--root", tmp_path)
    assert (done.status, done.err) == (0, "")
    assert list(tmp_path.iterdir()) == []


LAYERS = ("--layers", "feed-forward,recurrent-gru", "--widths", "8", "--head-width", "8")
SMALL = ("complexity", *LAYERS, "--lengths", "4,8,16", "--path-lengths", "4", "--threads", 1)


def test_table_1_is_measured_once_and_written_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = ablate(*SMALL, "--gpus", "", "--out", out, "--dry-run")
    assert (planned.status, planned.err) == (0, "")
    assert "6 cells: 2 layer types, n = 4 to 16, d = 8; 0 are measured, 6 to run" in planned.out
    assert not out.exists()
    measured = ablate(*SMALL, "--gpus", "", "--out", out)
    assert (measured.status, measured.err) == (0, "")
    assert {path.suffix for path in out.iterdir()} >= {".md", ".csv", ".json", ".html", ".svg"}
    again = ablate(*SMALL, "--gpus", "", "--out", out)
    assert "6 are measured, 0 to run" in again.out
    cells = (out / "cells.jsonl").read_bytes()
    written = ablate("complexity", "--out", out, "--report-only")
    assert (written.status, written.err) == (0, "")
    assert "# Table 1, measured" in written.out
    assert (out / "cells.jsonl").read_bytes() == cells
    other = ablate(*SMALL, "--gpus", "", "--out", out, "--window", 5)
    assert other.status == 2
    assert "window 16, and now it is 5; choose another --out" in other.err


def test_table_1_that_was_stopped_goes_on(tmp_path: Path) -> None:
    started = Started(*SMALL, "--gpus", "", "--out", tmp_path)
    wait_for(lambda: (tmp_path / "cells.jsonl").exists())
    started.to_the_group(signal.SIGKILL)
    started.wait()
    done = ablate(*SMALL, "--gpus", "", "--out", tmp_path)
    assert done.status == 0
    lines = [*read_lines(tmp_path / "cells.jsonl")]
    assert sum("cell" in line for line in lines) == 6
    assert sum("path" in line for line in lines) == 2


def test_the_json_page_names_every_command_that_prints_json() -> None:
    page = PAGE.read_text("utf-8")
    commands = ("sweep", "status", "report")
    assert all(f"## `ablate {name} STUDY --setting SETTING" in page for name in commands)
    assert "## `ablate rerun RUN_ID --json`" in page


# One trial


def test_what_another_study_trained_is_mirrored_without_training(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(STUDY.replace("name: tiny", "name: other").replace("id: A", "id: B"))
    words = ["sweep", other, "--setting", toy.setting, "--root", swept.root, "--seeds", 2]
    done = ablate(*words)
    assert done.status == 0, done.err
    assert "4 done, 0 to run" in done.out
    found = runs.read(store.uri(swept.root), "other", "toy")
    assert found["status"].tolist() == ["FINISHED"] * 4
    assert set(found["trained_as"]) == {"tiny/toy/base", "tiny/toy/A"}
    assert attempts(swept.root) == [1] * 4


def test_run_prints_the_result_of_a_finished_trial(swept: Swept, toy: Toy) -> None:
    words = ["run", f"{toy.study}/A", "--setting", toy.setting, "--root", swept.root]
    done = ablate(*words, "--seed", 2)
    assert done.status == 0, done.err
    record = Record(swept.root / "mlruns" / "trials" / toy.trials([2], ["A"])[0].digest)
    result = record.result()
    assert result is not None
    assert f"{'valid.perplexity':32} {result['scores']['valid.perplexity']:,.6g}\n" in done.out
    assert str(record.path) in done.out
    assert attempts(swept.root) == [1] * 4


def test_a_rerun_stands_beside_the_old_and_is_not_counted(swept: Swept, toy: Toy) -> None:
    before = reports(swept.root)
    first = in_mlflow(swept.root).iloc[0]
    done = ablate("rerun", first["run_id"], "--root", swept.root)
    assert done.status == 0, done.err
    trial = swept.root / "mlruns" / "trials" / first["digest"]
    old, new = Record(trial), Record(trial / "reruns" / "1")
    assert new.weights.read_bytes() == old.weights.read_bytes()
    compared = [line.split() for line in done.out.splitlines() if line.startswith("valid.bleu")]
    assert [line[-1] for line in compared] == ["+0"]
    assert "asks for the same bits: code, data, versions and device are" in done.out
    assert done.out.splitlines()[-1] == "agreed: the same bits"
    found = runs.read(store.uri(swept.root), "tiny", "toy")
    assert found["rerun_of"].dropna().tolist() == [first["run_id"]]
    words = ["report", toy.study, "--setting", toy.setting, "--root", swept.root]
    assert ablate(*words).status == 0
    assert reports(swept.root) == before


def test_a_rerun_that_differs_is_told_for_scripts(swept: Swept, tmp_path: Path) -> None:
    """The copy of a trial, one of whose weights was another."""
    shutil.copytree(swept.root, tmp_path / "copy")
    trial = files(tmp_path / "copy", "result.json")[0].parent
    checksum = trial / "model.safetensors.sha256"
    checksum.write_text("0" * 64 + checksum.read_text()[64:])
    done = ablate("rerun", trial.name, "--root", tmp_path / "copy", "--json")
    assert done.status == 1, done.err
    told = json.loads(done.out)
    assert (told["asked"], told["found"], told["verdict"]) == ("bits", "curve", "not agreed")
    assert [c["what"] for c in told["checks"] if c["agrees"] is False] == ["weights"]
    assert told["differences"] == []


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of this project as it stands, whose own code `ablate` then runs."""
    folder = tmp_path / "project"
    folder.mkdir()
    for part in checkout.PARTS:
        here = checkout.HERE / part
        if here.is_dir():
            shutil.copytree(here, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, folder / part)
    repository.git(folder, "init", "--quiet")
    (folder / ".gitignore").write_text("__pycache__/\n")
    repository.git(folder, "add", ".")
    repository.git(folder, "commit", "--quiet", "-m", "first")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return folder


@pytest.mark.slow
def test_the_code_of_a_run_s_commit_runs_beside_the_user_s_own(
    project: Path, toy: Toy, tmp_path: Path
) -> None:
    """Its uncommitted changes too, where they are trusted."""
    averaging = project / "lit_transformer" / "averaging.py"
    committed = averaging.read_text()
    averaging.write_text(f"{committed}\n# changed\n")
    words = ["run", f"{toy.study}/A", "--setting", toy.setting, "--root", tmp_path]
    assert ablate(*words).status == 0
    (trial,) = [path.parent for path in files(tmp_path, "result.json")]
    first, _ = Record(trial).read_attempts()
    assert first["commit"] == repository.git(project, "rev-parse", "HEAD")  # not of this checkout
    averaging.write_text(committed.replace("def average(", "def averaged("))
    repository.git(project, "commit", "--quiet", "-am", "nothing can be trained with this")
    before = repository.contents(project)
    again = ["rerun", trial.name, "--root", tmp_path, "--at-commit"]
    refused = ablate(*again)
    assert (refused.status, refused.out) == (2, "")
    assert "which --trust would apply and run" in refused.err
    done = ablate(*again, "--trust", "--json")
    assert done.status == 0, done.err
    told = json.loads(done.out)
    assert (told["differences"], told["found"]) == ([], "bits")
    new, _ = Record(trial / "reruns" / "1").read_attempts()
    assert (new["commit"], new["changes"]) == (first["commit"], first["changes"])
    assert repository.contents(project) == before


def test_run_trains_a_configuration_file(toy: Toy, swept: Swept, tmp_path: Path) -> None:
    """Here one that is trained already, so that it is found by its digest."""
    (trial,) = toy.trials([1], ["base"])
    config = tmp_path / "config.yaml"
    config.write_bytes(
        (swept.root / "mlruns" / "trials" / trial.digest / "config.yaml").read_bytes()
    )
    done = ablate("run", config, "--root", swept.root)
    assert done.status == 0, done.err
    assert trial.digest in done.out
    refused = ablate("run", config, "--root", swept.root, "--seed", 2)
    assert (refused.status, "--set train.seed=2" in refused.err) == (2, True)


@pytest.mark.parametrize("averaged", [[], ["--averaged"]])
def test_translate_gives_a_line_for_a_line(swept: Swept, averaged: list[str]) -> None:
    digest = in_mlflow(swept.root).iloc[0]["digest"]
    done = subprocess.run(
        [ABLATE, "translate", digest, "--root", swept.root, *averaged],
        input="the dog sees the cat\n\nthe man\u2028 finds\r\nthe tree",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 4


def test_bleu_is_counted_by_hand_for_a_trial_and_for_a_digest(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    page = tmp_path / "new" / "page.html"
    words = ["bleu", f"{toy.study}/base", "--setting", toy.setting, "--root", swept.root]
    done = ablate(*words, "--seed", 2, "--sentences", "3,1", "--out", page)
    assert done.status == 0, done.err
    assert done.out.count("sacreBLEU: ") == 2
    assert page.read_text("utf-8").count("<h2>Sentence ") == 2
    row = in_mlflow(swept.root).query("arm == 'base' and seed == 2").iloc[0]
    assert f"{row['score.valid.bleu']:.4f}; sacreBLEU: {row['score.valid.bleu']:.4f}" in done.out
    other = ablate("bleu", row["digest"], "--root", swept.root, "--averaged", "--out", page)
    assert f"sacreBLEU: {row['score.valid.averaged.bleu']:.4f}" in other.out
    refused = {
        ("--seed", 7): "seed 7 in toy: not finished under",
        ("--sentences", "0"): "--sentences 0: the part has sentences 1 to",
        ("--sentences", "one"): "--sentences one: numbers such as 3,7,9",
        ("--part", "test", "--set", "train.steps=9"): "not finished",
    }
    for more, message in refused.items():
        failed = ablate(*words, *more)
        assert (failed.status, message in failed.err) == (2, True), failed.err


def test_translate_writes_a_page_of_where_heads_looked(swept: Swept, tmp_path: Path) -> None:
    digest, page = in_mlflow(swept.root).iloc[0]["digest"], tmp_path / "new" / "page.html"
    words = [ABLATE, "translate", digest, "--root", swept.root, "--attention", page]
    done = subprocess.run(
        words, input="the dog sees the cat\n\nthe tree\n", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 3
    text = page.read_text("utf-8")
    assert [f"<h2>Sentence {n}</h2>" in text for n in (1, 2, 3)] == [True, False, True]
    assert text.count('<figure class="maps"') == 2 * 3


def test_the_report_shows_attention_and_names_maps_that_are_damaged(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    assert reports(swept.root)["report.html"].count(b'<figure class="maps"') == 2 * 3
    root = tmp_path / "root"
    shutil.copytree(swept.root, root)
    (trial,) = toy.trials([1], ["A"])
    spoilt = root / "mlruns" / "trials" / trial.digest / "attention" / "maps.safetensors"
    spoilt.write_bytes(b"")
    done = ablate("report", toy.study, "--setting", toy.setting, "--root", root)
    assert done.status == 0, done.err
    assert f"left out: {spoilt}: missing, or not what maps.json was written for" in done.err
    page = reports(root)["report.html"]
    assert page.count(b'<figure class="maps"') == 3
    assert b"No maps of this sentence: A." in page


# Stops


def test_a_killed_sweep_leaves_no_process_and_ends_as_if_undisturbed(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    killed = Started(*sweep_words(toy, tmp_path))
    wait_for(lambda: files(tmp_path, "checkpoints/*.ckpt"))
    killed.process.kill()
    killed.wait()
    assert killed.vanishes(), killed.left()
    again = ablate(*sweep_words(toy, tmp_path))
    assert again.status == 0, again.err
    assert outcome(tmp_path) == outcome(swept.root)
    assert max(attempts(tmp_path)) == 2
    assert in_mlflow(tmp_path)["status"].tolist() == ["FINISHED"] * 4


def test_a_killed_sweep_takes_the_ranks_of_its_trials_along(toy: Toy, tmp_path: Path) -> None:
    words = sweep_words(toy, tmp_path, "--only", "base", "--set", "train.devices=2")
    killed = Started(*words)
    wait_for(lambda: files(tmp_path, "checkpoints/*.ckpt"))
    killed.process.kill()
    killed.wait()
    assert killed.vanishes(), killed.left()
    again = ablate(*words)
    assert again.status == 0, again.err
    assert attempts(tmp_path) == [2]


def test_ctrl_c_writes_checkpoints_and_the_same_command_goes_on(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    stopped = Started(*sweep_words(toy, tmp_path))
    wait_for(lambda: files(tmp_path, "checkpoints/*.ckpt"))
    stopped.to_the_group(signal.SIGINT)
    done = stopped.wait()
    assert done.status == 130
    assert "the same command goes on" in done.err
    assert "Traceback" not in done.err
    assert stopped.vanishes(), stopped.left()
    assert "killed" in kinds(tmp_path)
    assert set(kinds(tmp_path)) <= {"killed", "finished"}
    assert "KILLED" in set(in_mlflow(tmp_path)["status"])
    assert ablate(*sweep_words(toy, tmp_path)).status == 0
    assert outcome(tmp_path) == outcome(swept.root)
    assert in_mlflow(tmp_path)["status"].tolist() == ["FINISHED"] * 4


def measuring(root: Path) -> list[Path]:
    """Folders in which a calibration is at work, or was killed at it."""
    return sorted((root / "mlruns" / "calibrations").glob(".measuring-*"))


@pytest.mark.slow
def test_a_plan_measures_once_and_is_held_against_what_happened(toy: Toy, tmp_path: Path) -> None:
    words = (toy.study, "--setting", toy.setting, "--root", tmp_path)
    first = ablate("plan", *words, "--json")
    assert first.status == 0, first.err
    made = json.loads(first.out)
    assert (made["forecast"]["to_run"], made["forecast"]["unknown"]) == (2, 0)
    assert "measuring 2 shapes" in first.err
    assert files(tmp_path, "*") == measuring(tmp_path) == []  # no trial has begun
    again = ablate("plan", *words, "--json")
    assert json.loads(again.out) == made
    assert again.err == ""
    swept = ablate("sweep", *words)
    assert "forecast of 2 finished trials" in swept.out
    told = json.loads(ablate("plan", *words, "--json").out)["forecast"]["comparison"]
    results = [Record(path.parent).result() or {} for path in files(tmp_path, "result.json")]
    took = [result["scores"]["cost.total_seconds"] for result in results]
    assert told["actual_seconds"] == pytest.approx(sum(took))
    assert told["seconds"] == pytest.approx(made["forecast"]["trial_seconds"])
    assert "took" in ablate("plan", *words).out


@pytest.mark.slow
def test_ctrl_c_ends_a_plan_and_leaves_nothing_half_measured(toy: Toy, tmp_path: Path) -> None:
    stopped = Started("plan", toy.study, "--setting", toy.setting, "--root", tmp_path)
    wait_for(lambda: [place for place in measuring(tmp_path) if (place / "log.txt").exists()])
    stopped.to_the_group(signal.SIGINT)
    done = stopped.wait()
    assert done.status == 130
    assert "are remembered" in done.err
    assert "Traceback" not in done.err
    assert stopped.vanishes(), stopped.left()
    assert measuring(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("group", [True, False], ids=["group", "sweep"])
def test_a_sigterm_is_a_ctrl_c(swept: Swept, toy: Toy, tmp_path: Path, group: bool) -> None:
    """Also where, as batch systems do, every process is sent it."""
    stopped = Started(*sweep_words(toy, tmp_path, "--seeds", 2))
    wait_for(lambda: files(tmp_path, "checkpoints/*.ckpt"))
    if group:
        stopped.to_the_group(signal.SIGTERM)
    else:
        stopped.process.terminate()
    done = stopped.wait()
    assert (done.status, "Traceback" in done.err) == (130, False)
    assert stopped.vanishes(), stopped.left()
    reasons = [Record(path.parent).state().reason for path in files(tmp_path, "attempts.jsonl")]
    assert all("asked to stop" in reason for reason in reasons if reason)
    assert any(reasons)
    assert ablate(*sweep_words(toy, tmp_path)).status == 0
    assert outcome(tmp_path) == outcome(swept.root)


@pytest.mark.slow
def test_a_second_ctrl_c_kills_at_once(toy: Toy, tmp_path: Path) -> None:
    stopped = Started(*sweep_words(toy, tmp_path, "--seeds", 1, "--set", "train.steps=4000"))
    wait_for(lambda: files(tmp_path, "checkpoints/*.ckpt"))
    for pid in trial_processes(tmp_path):
        os.kill(pid, signal.SIGSTOP)  # it will write no checkpoint
    stopped.to_the_group(signal.SIGINT)
    assert stopped.process.stdout is not None
    while "stopping" not in stopped.process.stdout.readline():
        pass
    stopped.to_the_group(signal.SIGINT)
    assert stopped.wait().status == 130
    assert stopped.vanishes(), stopped.left()


def trial_processes(root: Path) -> Iterator[int]:
    for path in files(root, "attempts.jsonl"):
        yield next(read_lines(path))["pid"]


MOMENTS: dict[str, Callable[[Path, Started], object]] = {
    "at once": lambda root, started: True,
    "first half second": lambda root, started: started.process.poll() or time.sleep(0.5) or True,
    "first second": lambda root, started: time.sleep(1.0) or True,
    "server": lambda root, started: any("forkserver" in words for words in started.left()),
    "corpus": lambda root, started: [*(root / "mlruns" / "cache").glob("*")],
    "database": lambda root, started: [*(root / "mlruns").glob("mlflow.db.partial*")],
    "claim": lambda root, started: files(root, "lock"),
    "attempt": lambda root, started: files(root, "attempts.jsonl"),
    "curve": lambda root, started: files(root, "metrics.jsonl"),
    "checkpoint": lambda root, started: files(root, "checkpoints/*.ckpt"),
    "weights": lambda root, started: files(root, "model.safetensors"),
    "hypotheses": lambda root, started: files(root, "hypotheses/*"),
    "result": lambda root, started: files(root, "result.json"),
}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sweep_killed_at_any_moment_ends_as_if_undisturbed(
    swept: Swept, toy: Toy, tmp_path: Path
) -> None:
    for moment, reached in MOMENTS.items():
        started = Started(*sweep_words(toy, tmp_path))

        def now(
            reached: Callable[[Path, Started], object] = reached, started: Started = started
        ) -> object:
            return reached(tmp_path, started) or started.process.poll() is not None

        wait_for(now)
        started.process.kill()
        started.wait()
        assert started.vanishes(), (moment, started.left())
    assert ablate(*sweep_words(toy, tmp_path)).status == 0
    assert outcome(tmp_path) == outcome(swept.root)
    assert kinds(tmp_path) == ["finished"] * 4
    assert in_mlflow(tmp_path)["status"].tolist() == ["FINISHED"] * 4


CURVE = "valid.curve_bleu"
SEARCH = """\
name: hunt
version: 1
description: A search.
search:
  trials: 4
  sampler: {name: random}
  pruner: {name: median, options: {n_startup_trials: 1}}
  set: {train.valid_every: 2, train.steps: 40}
  space:
    optim.rate_factor: {low: 0.01, high: 3, log: true}
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_search_killed_and_started_again_repeats_and_loses_nothing(
    toy: Toy, tmp_path: Path
) -> None:
    study = tmp_path / "hunt.yaml"
    study.write_text(SEARCH)
    words = [study, "--setting", toy.setting, "--root", tmp_path]
    killed = Started("sweep", *words, "--at-once", 1)
    wait_for(lambda: files(tmp_path, "result.json") and len(files(tmp_path, "metrics.jsonl")) > 1)
    killed.process.kill()
    killed.wait()
    assert killed.vanishes(), killed.left()
    again = ablate("sweep", *words, "--at-once", 1)
    assert again.status == 0, again.err
    (journal,) = (tmp_path / "mlruns" / "searches" / "hunt" / "toy").glob("*.jsonl")
    events = list(read_lines(journal))
    for event in ("asked", "told"):
        numbers = [line["number"] for line in events if line["event"] == event]
        assert numbers == [0, 1, 2, 3]
    words_of = {"complete": "finished", "pruned": "pruned"}
    ends = {line["number"]: words_of[line["end"]] for line in events if line["event"] == "told"}
    digests = {x["digest"]: x["number"] for x in events if x["event"] == "asked"}
    stands = {path.parent.name: Record(path.parent).state() for path in files(tmp_path, "lock")}
    assert {digest: state.kind for digest, state in stands.items()} == {
        digest: ends[number] for digest, number in digests.items()
    }
    assert sorted(state.attempts for state in stands.values()) in ([1, 1, 1, 2], [1, 1, 1, 1])
    told = runs.read(store.uri(tmp_path), "hunt", "toy")
    assert {*told["kind"]} == {*ends.values()}
    assert sorted(told["arm"]) == ["t0", "t1", "t2", "t3"]
    table = json.loads(ablate("report", *words, "--json").out)
    shown = [row["ours"].get("valid.bleu", {"mean": -1.0})["mean"] for row in table["rows"]]
    assert shown == sorted(shown, reverse=True)
    assert table["missing"] == []
    report = tmp_path / "mlruns" / "reports" / "hunt" / "toy" / "report.json"
    assert ablate("verify", report, "--root", tmp_path).status == 0


def test_a_search_of_two_seeds_asks_which(toy: Toy, tmp_path: Path) -> None:
    study = tmp_path / "hunt.yaml"
    study.write_text(SEARCH.replace("trials: 4", "trials: 1"))
    words = [study, "--setting", toy.setting, "--root", tmp_path]
    for seed in ("1,", "4,"):
        assert ablate("sweep", *words, "--seeds", seed).status == 0
    done = ablate("report", *words)
    assert (done.status, done.out) == (2, "")
    assert "was searched with seeds 1, 4, each a search of its own: choose one, as --seeds 1," in (
        done.err
    )
    assert json.loads(ablate("report", *words, "--seeds", "4,", "--json").out)["seeds"] == [4]


def test_a_suggestion_is_run_counted_and_explained_by_its_name(toy: Toy, tmp_path: Path) -> None:
    study = tmp_path / "hunt.yaml"
    study.write_text(SEARCH.replace("trials: 4", "trials: 1"))
    words = ["--setting", toy.setting, "--root", tmp_path]
    assert ablate("sweep", study, *words, "--seeds", "4,").status == 0
    (result,) = files(tmp_path, "result.json")
    again = ablate("run", f"{study}/t0", *words, "--seed", 4)
    assert (again.status, "1 trials: 1 done, 0 to run" in again.out) == (0, True)
    assert str(result.parent) in again.out
    counted = ablate("bleu", f"{study}/t0", *words, "--seed", 4)
    assert (counted.status, result.parent.name in counted.out) == (0, True)
    explained = json.loads(ablate("explain", f"{study}/t0", *words, "--seed", 4, "--json").out)
    assert explained["title"] == f"{study}/t0 in toy"
    other = ablate("run", f"{study}/t0", *words)
    assert (other.status, other.out) == (2, "")
    assert f"`ablate sweep {study} --setting {toy.setting} --seeds 1,` searches" in other.err


TUNED = """\
tune:
  trials: 3
  sampler: {name: random}
  space:
    optim.rate_factor: {low: 0.05, high: 3, log: true}
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tuned_rows_killed_and_started_again_are_shown_as_they_stand_and_at_their_best(
    toy: Toy, tmp_path: Path
) -> None:
    study = tmp_path / "tuned.yaml"
    study.write_text(STUDY + TUNED)
    words = [study, "--setting", toy.setting, "--root", tmp_path]
    killed = Started("sweep", *words, "--seeds", 2)
    wait_for(lambda: len(files(tmp_path, "result.json")) > 5)
    killed.process.kill()
    killed.wait()
    assert killed.vanishes(), killed.left()
    again = ablate("sweep", *words, "--seeds", 2)
    assert again.status == 0, again.err
    stands = [Record(path.parent).state() for path in files(tmp_path, "lock")]
    assert {state.kind for state in stands} == {"finished"}
    assert sum(state.attempts > 1 for state in stands) <= 2  # those that were under way
    table = json.loads(ablate("report", *words, "--json").out)
    assert [row["arm"] for row in table["rows"]] == ["base", "A", "base.best", "A.best"]
    assert table["seeds"] == [1, 2]
    assert table["missing"] == []
    tuning = table["sections"]["tuning"]["searches"]
    assert [(one["row"], len(one["found"]), one["seed"]) for one in tuning] == [
        ("base", 3, 0),
        ("A", 3, 0),
    ]
    for one, row in zip(tuning, table["rows"][2:], strict=True):
        best = max(one["found"], key=lambda found: found["objectives"][0])
        assert row["settings"]["optim.rate_factor"] == best["values"]["optim.rate_factor"]
    report = tmp_path / "mlruns" / "reports" / "tiny" / "toy" / "report.json"
    assert ablate("verify", report, "--root", tmp_path).status == 0


def test_a_search_that_has_suggested_nothing_shows_its_plan_alone(toy: Toy, tmp_path: Path) -> None:
    study = tmp_path / "hunt.yaml"
    study.write_text(SEARCH)
    done = ablate("sweep", study, "--setting", toy.setting, "--root", tmp_path, "--dry-run")
    first, *keys, last = done.out.splitlines()
    assert first == "search: random for valid.bleu, pruned by median on valid.curve_bleu"
    assert [key.split(":")[0].strip() for key in keys] == ["optim.rate_factor"]
    assert last == ("4 trials: 0 finished, 0 pruned, 0 failed, 0 under way, 4 to be suggested")


def test_a_plan_of_a_search_is_bounded(toy: Toy, tmp_path: Path) -> None:
    study = tmp_path / "hunt.yaml"
    study.write_text(SEARCH)
    words = [study, "--setting", toy.setting, "--root", tmp_path, "--json"]
    dry = json.loads(ablate("sweep", *words, "--dry-run").out)
    (search,) = dry["searches"]
    assert search["sampler"]["name"] == "random"
    assert search["pruner"]["options"] == {"n_startup_trials": 1}
    assert [dimension["key"] for dimension in search["space"]] == ["optim.rate_factor"]
    assert dry["trials"] == []
    plan = json.loads(ablate("plan", *words).out)
    (search,) = plan["searches"]
    assert {*search} >= documented("--dry-run --json")[2]
    assert search["bound"]["left"] == len(plan["trials"]) == 4
    assert search["bound"]["least"] == pytest.approx((1 + 3 * 2 / 40) / 4)
    each = plan["trials"][0]["forecast"]["seconds"][1]
    assert search["bound"]["trial_seconds"] == pytest.approx(4 * each)
    assert not files(tmp_path, "result.json")


@pytest.mark.skipif(sys.platform != "linux", reason="ranks are tied on Linux alone")
def test_a_search_prunes_trials_on_two_devices(toy: Toy, tmp_path: Path) -> None:
    """Optuna decides, rank 0 is asked, both ranks end, and MLflow keeps the curve."""
    study = tmp_path / "hunt.yaml"
    pruner = "pruner: {name: threshold, options: {lower: 101.0, n_warmup_steps: 2}}"  # all of them
    content = SEARCH.replace("trials: 4", "trials: 2").replace(
        "train.steps: 40", "train.steps: 400"
    )
    study.write_text(re.sub("pruner: .*", pruner, content))
    words = [study, "--setting", toy.setting, "--root", tmp_path, "--set", "train.devices=2"]
    started = Started("sweep", *words)
    started.wait()
    assert started.vanishes(), started.left()
    records = [Record(path.parent) for path in files(tmp_path, "lock")]
    assert [record.state().kind for record in records] == ["pruned", "pruned"]
    told = runs.read(store.uri(tmp_path), "hunt", "toy")
    assert {*told["kind"]} == {"pruned"}
    assert {*told["status"]} == {"KILLED"}
    for record in records:
        steps = [line["step"] for line in read_lines(record.metrics) if CURVE in line["values"]]
        assert steps[:2] == [2, 4]
        assert steps[-1] < 400
    history = runs.history(store.uri(tmp_path), told["run_id"].tolist(), [CURVE])
    assert {*history["run_id"]} == {*told["run_id"]}
    (journal,) = (tmp_path / "mlruns" / "searches" / "hunt" / "toy").glob("*.jsonl")
    ends = [line["end"] for line in read_lines(journal) if line["event"] == "told"]
    assert ends == ["pruned", "pruned"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `cluster`")
def test_a_search_on_a_cluster_prunes_and_goes_on_after_ctrl_c(toy: Toy, tmp_path: Path) -> None:
    study = tmp_path / "hunt.yaml"
    pruner = "pruner: {name: threshold, options: {lower: 101.0, n_warmup_steps: 40}}"  # all of them
    content = SEARCH.replace("trials: 4", "trials: 3").replace(
        "train.steps: 40", "train.steps: 1000"
    )
    study.write_text(re.sub("pruner: .*", pruner, content))
    words = [study, "--setting", toy.setting, "--root", tmp_path, "--runner", "ray"]
    stopped = Started("sweep", *words, "--at-once", 1)
    wait_for(lambda: files(tmp_path, "metrics.jsonl"))
    stopped.to_the_group(signal.SIGINT)
    assert stopped.wait().status == 130
    assert stopped.vanishes(), stopped.left()
    (first,) = [Record(path.parent) for path in files(tmp_path, "lock")]
    assert first.state().kind == "killed"
    again = Started("sweep", *words, "--at-once", 2)
    again.wait()
    assert again.vanishes(), again.left()
    records = [Record(path.parent) for path in files(tmp_path, "lock")]
    assert [record.state().kind for record in records] == ["pruned"] * 3
    assert sorted(record.state().attempts for record in records) == [1, 1, 2]
    assert first.state().attempts == 2
    (journal,) = (tmp_path / "mlruns" / "searches" / "hunt" / "toy").glob("*.jsonl")
    for event in ("asked", "told"):
        numbers = [line["number"] for line in read_lines(journal) if line["event"] == event]
        assert sorted(numbers) == [0, 1, 2]


# Failures


def test_a_trial_that_fails_is_recorded_and_the_others_go_on(toy: Toy, tmp_path: Path) -> None:
    study = tmp_path / "study.yaml"
    rows = "  - {id: wild, set: {optim.rate_factor: 1.0e+30}}\n"
    rows += "  - {id: huge, set: {model.d_ff: 1_000_000_000_000}}\n"
    study.write_text(STUDY + rows)
    done = ablate("sweep", study, "--setting", toy.setting, "--root", tmp_path)
    assert done.status == 1
    assert "2 of 4 trials finished" in done.out
    assert "diverged  tiny/wild seed 1: train.loss is" in done.out
    assert "bad_configuration tiny/huge seed 1: model: its 66,000," in done.out
    assert sorted(kinds(tmp_path)) == ["bad_configuration", "diverged", "finished", "finished"]
    assert attempts(tmp_path) == [1] * 4
    found = in_mlflow(tmp_path)
    assert found.set_index("arm")["status"].to_dict() == {
        **{"base": "FINISHED", "A": "FINISHED", "wild": "FAILED", "huge": "FAILED"},
    }
    missing = json.loads(reports(tmp_path)["report.json"])["missing"]
    assert [(one["arm"], one["state"]) for one in missing] == [("huge", "bad_configuration")]
    assert re.search(r"^\| wild .*\| diverged .*\| 0 of 1, diverged 1 +\|$", done.out, re.M)
    assert "§ Diverged: wild seed 1." in done.out
    assert ablate("sweep", study, "--setting", toy.setting, "--root", tmp_path,
                  "--only", "base,wild").status == 0  # fmt: skip
    assert attempts(tmp_path) == [1] * 4
    alone = ablate("run", f"{study}/wild", "--setting", toy.setting, "--root", tmp_path)
    assert (alone.status, "not finished: train.loss is" in alone.err) == (1, True)


@pytest.mark.slow
def test_a_damaged_trial_is_told_and_the_others_are_trained(toy: Toy, tmp_path: Path) -> None:
    damaged, other = toy.plan(tmp_path, [1])
    damaged.record.path.mkdir(parents=True)
    damaged.record.attempts.write_bytes(b'{"event": "start", "time": 1}\n\xff\n')
    done = ablate(*sweep_words(toy, tmp_path, "--seeds", 1))
    assert done.status == 1
    assert other.state.kind == "finished"
    told = [line for line in done.out.splitlines() if line.startswith("failed    tiny/base")]
    assert len(told) == 3  # it is tried again twice
    assert (
        "attempts.jsonl:2: not JSON; restore it from a copy, or remove the trial's dir" in told[0]
    )
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_two_sweeps_at_once_train_nothing_twice(swept: Swept, toy: Toy, tmp_path: Path) -> None:
    both = [Started(*sweep_words(toy, tmp_path)) for _ in range(2)]
    done = [one.wait() for one in both]
    assert attempts(tmp_path) == [1] * 4
    assert outcome(tmp_path) == outcome(swept.root)
    said = "".join(one.out for one in done)
    assert said.count("\nfinished  tiny/") >= 4
    assert not {"failed", "killed"} & {line.split(" ")[0] for line in said.splitlines()}
    for one in done:
        assert one.status in (0, 1)
        assert (one.status == 1) == ("being trained by another process" in one.err), one.err
    assert ablate(*sweep_words(toy, tmp_path)).status == 0
    assert in_mlflow(tmp_path)["status"].tolist() == ["FINISHED"] * 4


def test_a_broken_store_of_runs_stops_no_sweep(toy: Toy, tmp_path: Path) -> None:
    (tmp_path / "mlruns").mkdir()
    store.database(tmp_path).write_bytes(b"this is no database" * 100)
    done = ablate(*sweep_words(toy, tmp_path, "--only", "base"))
    assert kinds(tmp_path) == ["finished"]
    assert done.status == 0, done.err
    assert "no table: the runs at" in done.err
    assert "`ablate sync` sends it" in done.err
    assert "Traceback" not in done.err
    store.database(tmp_path).unlink()
    assert ablate("sync", "--root", tmp_path).status == 0
    assert in_mlflow(tmp_path)["status"].tolist() == ["FINISHED"]


# What is refused

REFUSED = [
    (["--set", "model.headz=4"], "unknown key model.headz; did you mean model.heads?"),
    (["--set", "model.heads=3"], "model.heads=3: model.d_model=16 is not a multiple of 3"),
    (["--set", "model.heads"], "--set model.heads: write it as key=value"),
    (["--set", "model.heads=[1"], "--set model.heads: '[1' is not a YAML value"),
    (["--set", "data.files.train.source=gone.en"], "gone.en: No such file"),
    (["--seeds", "0"], "--seeds 0: a count such as 3, or a list such as 4,7"),
    (["--seeds", "two"], "--seeds two: a count"),
    (["--seeds", "4,4"], "each seed once"),
    (["--only", "base,Q"], "study tiny has no arm Q"),
    (["--json"], "--json goes with --dry-run"),
    (["--setting", "gramar"], "did you mean grammar?"),
    (["--setting", "mine.yaml"], "mine.yaml: no such file"),
    (["--at-once", "0"], "greater than or equal to 1"),
    (["--trials-per-gpu", "0"], "--trials-per-gpu 0: a number from 1, or auto"),
    (
        ["--trials-per-gpu", "auto", "--gpus", "77"],
        "--trials-per-gpu auto: nvidia-smi tells no memory of GPU 77; give a number",
    ),
    (
        ["--set", "train.devices=3", "--gpus", "0,1"],
        "train.devices=3: a GPU for each is needed, and these are there: 0, 1; lower",
    ),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[" ".join(x) for x, _ in REFUSED])
def test_bad_input_is_one_message_before_any_training(
    toy: Toy, tmp_path: Path, words: list[str], message: str
) -> None:
    done = ablate(*sweep_words(toy, tmp_path, *words))
    assert message in told(done.err)
    assert (done.status, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_on_another_recipe_is_of_a_setting_of_its_own(toy: Toy, tmp_path: Path) -> None:
    assert ablate(*sweep_words(toy, tmp_path, "--recipe", "t2t-v3", "--only", "base")).status == 0
    file = tmp_path / "mlruns" / "reports" / "tiny" / "toy.t2t-v3" / "report.json"
    content = json.loads(file.read_text())
    assert content["setting"] == "toy.t2t-v3"
    assert f"--setting {toy.setting} --recipe t2t-v3 --seeds 1" in content["command"]
    settings = content["rows"][0]["settings"]
    assert (settings["model.norm"], settings["optim.beta2"]) == ("pre", 0.997)


def test_unequal_files_are_refused_before_any_training(tmp_path: Path) -> None:
    toy = write_toy(tmp_path / "toy")
    with (toy.folder / "train.de").open("a") as file:
        file.write("noch ein satz\n")
    root = tmp_path / "root"
    done = ablate(*sweep_words(toy, root))
    assert (done.status, done.out) == (2, "")
    assert "150 lines and" in done.err
    assert done.err.count("\n") == 1
    assert not root.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sweep", "tabel3", "--setting", "grammar"], "did you mean table3?"),
        (["run", "table3/Q", "--setting", "grammar"], "study table3 has no arm Q"),
        (["sweep", "tuned", "--setting", "grammar", "--seeds", "0,1"], "tuned tunes with seed 0"),
        (["report", "tuned", "--setting", "grammar", "--seeds", "0,1"], "tuned tunes with seed 0"),
        (
            ["sweep", "tuned", "--setting", "grammar", "--until", "decided"],
            "--until decided: tuned tunes its rows; give the seeds with --seeds",
        ),
        (["ui", "--optuna", "--host", "0.0.0.0"], "others could reach it, and optuna-dashboard"),
        (["report", "search-recipe", "--setting", "grammar"], "has no rows before `ablate sweep`"),
        (
            ["sweep", "search-recipe", "--setting", "grammar", "--only", "t1"],
            "--only t1: search-recipe is a search, which suggests its rows",
        ),
        (
            ["sweep", "search-recipe", "--setting", "grammar", "--seeds", "2"],
            "--seeds 2: search-recipe is a search, which trains with one, as 4,",
        ),
        (
            ["sweep", "table3", "--setting", "grammar", "--runner", "ray", "--gpus", "0"],
            "--gpus 0 with --runner ray: a cluster's GPUs are those that its hosts joined with",
        ),
        (
            [
                "sweep",
                "table3",
                "--setting",
                "grammar",
                "--runner",
                "ray",
                "--trials-per-gpu",
                "auto",
            ],
            "--trials-per-gpu auto: a number from 1 with --runner ray",
        ),
        (["run", "table3/base"], "an arm of a study needs --setting"),
        (["run", "table3", "--setting", "grammar"], "write it as STUDY/ARM"),
        (["run", "gone.yaml"], "gone.yaml: no such file"),
        (["run", "gone.yaml", "--recipe", "paper"], "a configuration file has no base; leave it"),
        (
            ["sweep", "table3", "--setting", "grammar", "--recipe", "t2t-v2"],
            "t2t-v2: none of the shipped recipes (paper, t2t-v1, t2t-v3); did you mean t2t-v",
        ),
        (["rerun", "0123"], "0123: no run of this id"),
        (["rerun", "0123", "--trust"], "--trust: goes with --at-commit"),
        (["translate", "0123"], "0123: no run of this id"),
        (["bleu", "0123"], "0123: no run of this id"),
        (["bleu", "0123", "--seed", "2"], "a run's id has its seed and its settings"),
        (["bleu", "table3/base"], "an arm of a study needs --setting"),
        (
            ["bleu", "search-size/t0", "--setting", "grammar"],
            "search-size/t0 in grammar: its search has not come to it, as far as",
        ),
        (
            ["run", "tuned/base.best", "--setting", "grammar", "--seed", "2"],
            "tells; `ablate sweep tuned --setting grammar --seeds 2,` searches",
        ),
        (["check", "gone.yaml"], "gone.yaml: no such file"),
        (["verify", "gone.json"], "gone.json: No such file"),
        (["verify", "gone.json", "--set", "train.steps=1"], "verify takes data.folder"),
        (["ui", "--host", "0.0.0.0"], "--host 0.0.0.0: others could reach it"),
        (
            ["report", "table3", "--setting", "grammar", "--beside", "multi30k-en-de"],
            "--beside goes with table2 and table4",
        ),
        (
            ["report", "table2", "--setting", "grammar", "--beside", "grammar"],
            "--beside grammar: the report has this setting already",
        ),
        (
            ["report", "table2", "--setting", "grammar", "--rate", "H100"],
            "--rate H100: write words of a device's name",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_every_verb_refuses_with_one_message(
    tmp_path: Path, words: list[str], message: str
) -> None:
    root = [] if words[0] == "check" else ["--root", tmp_path]
    done = ablate(*words, *root)
    assert message in told(done.err)
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_mlflow_cannot_use_is_refused(toy: Toy, tmp_path: Path) -> None:
    done = ablate(*sweep_words(toy, tmp_path / "a?b"))
    assert (done.status, "MLflow cannot use a path with ?" in done.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


# The rest


def test_check_takes_every_shipped_file() -> None:
    folder = Path(store.__file__).parent
    found = sorted(folder.glob("*/*.yaml"))
    shipped = [path for path in found if path.stem not in ("wsj", "wsj-semi")]  # need the user's
    parsers = [path for path in shipped if path.stem == "parsers"]
    translating = [path for path in shipped if path not in parsers]
    for files, where in ((translating, "wmt14-en-de"), (parsers, "grammar-trees")):
        done = ablate("check", *files, "--setting", where)
        assert done.status == 0, done.err
        assert len(done.out.splitlines()) == len(files)


def test_keys_names_every_key() -> None:
    plain, machine = ablate("keys"), ablate("keys", "--json")
    names = [key["name"] for key in json.loads(machine.out)["keys"]]
    assert "model.heads" in names
    assert all(f"\n{name} " in plain.out for name in names)


def test_help_imports_nothing_heavy() -> None:
    script = """
import sys, ablate
sys.argv = ["ablate", "--help"]
try:
    ablate.main()
except SystemExit as end:
    assert not end.code, end.code
heavy = {"torch", "pytorch_lightning", "mlflow", "pandas", "numpy", "matplotlib", "pydantic",
         "sacrebleu", "sentencepiece", "scipy", "ruamel", "multiprocessing"}
sys.exit(" ".join(heavy & set(sys.modules)) or 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert "sweep" in done.stdout


def test_the_version_is_told_with_the_commit() -> None:
    done = ablate("--version")
    assert (done.status, done.err) == (0, "")
    assert re.fullmatch(r"lit-transformer \d+\.\d+\.\d+(, commit [0-9a-f]{12}.*)?\n", done.out)


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_written(
    toy: Toy, tmp_path: Path
) -> None:
    words = ["sweep", toy.study, "--setting", toy.setting, "--root", tmp_path / "root"]
    done = ablate(*words, "--gpus", "99")
    assert done.status == 2
    assert "error: GPU 99: nvidia-smi lists" in done.err
    assert not (tmp_path / "root").exists()


def test_a_warm_up_that_training_does_not_outlast_is_told_with_the_plan(
    toy: Toy, tmp_path: Path
) -> None:
    words = ["sweep", toy.study, "--setting", toy.setting, "--root", tmp_path, "--dry-run"]
    assert "the rate rises" not in ablate(*words).out
    told = ablate(*words, "--set", "optim.warmup_steps=4_000").out
    assert "mind base and 1 more: the rate rises for optim.warmup_steps=4,000 updates" in told


def test_a_report_of_some_rows_says_that_it_takes_the_place_of_the_whole(
    swept: Swept, toy: Toy
) -> None:
    words = ["report", toy.study, "--setting", toy.setting, "--root", swept.root]
    told = ablate(*words, "--only", "base").out
    assert "base alone, in the place of an earlier report here; without --only" in told
    whole = ablate(*words).out
    assert "in the place of" not in whole
