"""What is new in a directory."""

from itertools import pairwise
from pathlib import Path

from experiments.outbox import BATCH, fingerprint, new_points
from lit_transformer.record import append_line
from tests.experiments.directories import end, identity, make_trial


def write_lines(path: Path, count: int, names: int) -> None:
    for step in range(1, count + 1):
        values = {f"train.{n}": float(step) for n in range(names)}
        append_line(path, {"step": step, "time": float(step), "values": values})


def test_batches_are_not_too_long_and_leave_nothing_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_lines(path, 350, 7)
    batches = list(new_points(path, 0))
    assert [len(points) for _, points in batches] == [994, 994, 462]
    assert all(len(points) <= BATCH for _, points in batches)
    assert len({(p.name, p.step) for _, points in batches for p in points}) == 350 * 7


def test_each_offset_is_where_the_next_batch_begins(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    write_lines(path, 350, 7)
    batches = list(new_points(path, 0))
    for (offset, _), (_, points) in pairwise(batches):
        assert next(new_points(path, offset))[1] == points
    assert batches[-1][0] == path.stat().st_size
    assert list(new_points(path, path.stat().st_size)) == []


def test_a_name_that_mlflow_refuses_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    names = ("system/gpu_0", "valid.bleu", "100%", "x" * 251)
    append_line(path, {"step": 1, "time": 1.0, "values": dict.fromkeys(names, 1.0)})
    ((_, points),) = new_points(path, 0)
    assert [point.name for point in points] == ["system/gpu_0", "valid.bleu"]


def test_a_fingerprint_changes_with_what_there_is_to_send(tmp_path: Path) -> None:
    record = make_trial(tmp_path, identity())
    seen = [fingerprint(record.path)]
    end(record, "killed")
    seen.append(fingerprint(record.path))
    write_lines(record.metrics, 1, 1)
    seen.append(fingerprint(record.path))
    record.result_file.touch()
    seen.append(fingerprint(record.path))
    record.write_json("attention/heads.json", {})
    seen.append(fingerprint(record.path))
    assert len({tuple(found) for found in seen}) == 5
    assert fingerprint(record.path) == seen[-1]
