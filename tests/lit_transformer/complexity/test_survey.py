"""A small survey: what is done stays done, and what is too large is told."""

import json
from pathlib import Path

import pytest
import torch

from lit_transformer.complexity import measuring, survey
from lit_transformer.complexity.cells import Asked, Cell, Terms, ask, memory, operations
from lit_transformer.complexity.record import LeftOut, Results
from lit_transformer.record import RecordError

CPU = torch.device("cpu")
TERMS = Terms(2, 3, 8, 1)
ABOUT = {"device": "a cpu", "threads": 1}


def small(layers: str = "convolutional,feed-forward", most_s: float = 60.0) -> Asked:
    return ask(layers, "4,8,16", "8,16", "4", TERMS, 2, most_s)


def begun(folder: Path) -> Results:
    results = Results(folder)
    results.begin(TERMS, ABOUT)
    return results


def carried_out(asked: Asked, results: Results) -> list[str]:
    told: list[str] = []
    survey.carry_out(asked, results, CPU, told.append)
    return told


def test_every_cell_is_measured_once(tmp_path: Path) -> None:
    results = begun(tmp_path)
    assert len(carried_out(small(), results)) == 4
    found = results.measured()
    assert {*found} == {Cell(a, n, d) for a, d in small().rows for n in (4, 8, 16)}
    assert all(len(one["training_s"]) == 2 for one in found.values())
    assert {*results.paths()} == {("convolutional", 4), ("feed-forward", 4)}
    before = results.path.read_text()
    carried_out(small(), begun(tmp_path))
    assert results.path.read_text() == before


def test_a_killed_survey_goes_on(tmp_path: Path) -> None:
    results = begun(tmp_path)
    carried_out(small(), results)
    lines = results.path.read_bytes().splitlines(keepends=True)
    results.path.write_bytes(b"".join(lines[:6]) + lines[6][:20])
    results = begun(tmp_path)
    kept = len(results.measured()) + len(results.paths())
    assert kept == 5
    carried_out(small(), results)
    assert len(results.measured()) == 12
    assert all(json.loads(line) for line in results.path.read_text().splitlines())


def test_another_machine_or_size_is_refused(tmp_path: Path) -> None:
    results = begun(tmp_path)
    results.begin(TERMS, ABOUT)
    with pytest.raises(RecordError, match="threads 1, and now it is 2; choose another --out"):
        results.begin(TERMS, {**ABOUT, "threads": 2})
    with pytest.raises(RecordError, match="kernel 3, and now it is 5"):
        results.begin(TERMS._replace(kernel=5), ABOUT)


def test_nothing_measured_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="nothing is measured there yet"):
        Results(tmp_path).header()


def test_a_cell_beyond_the_memory_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = memory(Cell("feed-forward", 8, 16), TERMS, fused=False)
    monkeypatch.setattr(survey, "free_bytes", lambda device: needed / survey.SHARE)
    results = begun(tmp_path)
    told = carried_out(small("feed-forward"), results)
    large = memory(Cell("feed-forward", 16, 16), TERMS, fused=False)
    assert results.left_out() == {Cell("feed-forward", 16, 16): LeftOut("memory", large)}
    assert "n = 16 is left out: about 0.0 GiB of memory" in told[-1]
    monkeypatch.setattr(survey, "free_bytes", lambda device: 2 * large)
    carried_out(small("feed-forward"), results)
    assert not results.left_out()


def test_a_pass_beyond_the_time_is_marked_by_a_shorter_one() -> None:
    asked, short, long = small(most_s=1.0), *(Cell("self-attention", n, 16) for n in (64, 128))
    growth = operations(long, TERMS) / operations(short, TERMS)
    within = survey.too_large(asked, long, CPU, (short, 0.99 / growth))
    beyond = survey.too_large(asked, long, CPU, (short, 1.01 / growth))
    assert within is None
    assert beyond is not None
    assert beyond.reason == "time"
    assert beyond.estimate == pytest.approx(1.01)


def test_a_device_that_runs_out_is_no_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise measuring.TooLargeError("out of memory")

    monkeypatch.setattr(survey, "measure", full)
    results = begun(tmp_path)
    carried_out(small("feed-forward"), results)
    assert {why.reason for why in results.left_out().values()} == {"memory"}
    assert len(results.left_out()) == 6


def test_the_peak_is_what_is_alive_at_once() -> None:
    x = torch.zeros(1000, 250)  # a million bytes

    def run() -> torch.Tensor:
        first = x + 1
        second = first * 2
        del first
        return second - 1

    measuring.quiet_profiler()
    assert measuring.peak_bytes(run, CPU) == pytest.approx(2_000_000, abs=64)


def test_repeats_end_with_their_time() -> None:
    x = torch.zeros(10)
    assert len(measuring.seconds(lambda: x + 1, CPU, 3, 60.0)) == 3
    assert len(measuring.seconds(lambda: x + 1, CPU, 3, 0.0)) == 1
