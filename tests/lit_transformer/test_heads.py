"""Numbers of heads: their file there and back, refused where damaged; order and removal by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from lit_transformer import heads
from lit_transformer.heads import Heads, Numbers, Removal, by_importance, counts, passes
from lit_transformer.record import Record, RecordError


def numbers(importance: list[list[float]]) -> Numbers:
    shape = np.shape(importance)
    return Numbers(np.full(shape, 0.5), np.full(shape, 2.0), np.array(importance))


HEADS = Heads(
    sentences=3,
    source_tokens=20,
    target_tokens=25,
    parts={"encoder": numbers([[0.3, -0.1]]), "cross": numbers([[0.2, 0.3]])},
    removed=[Removal(0, 2.0), Removal(1, 1.9), Removal(2, 2.05), Removal(3, 2.3), Removal(4, 5.0)],
)


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path)
    heads.write(record, HEADS)
    return record


def test_what_is_written_is_read(record: Record) -> None:
    found = heads.read(record)
    assert found is not None
    assert found._replace(parts={}) == HEADS._replace(parts={})
    assert [*found.parts] == ["encoder", "cross"]
    for part, expected in HEADS.parts.items():
        np.testing.assert_array_equal(found.parts[part], expected)


def test_a_trial_that_measured_none_has_none(tmp_path: Path) -> None:
    assert heads.read(Record(tmp_path)) is None


def test_the_least_important_come_first_and_equal_ones_as_they_stand() -> None:
    assert by_importance(HEADS.parts) == [
        ("encoder", 0, 1),
        ("cross", 0, 0),
        ("encoder", 0, 0),
        ("cross", 0, 1),
    ]


@pytest.mark.parametrize(
    ("growth", "expected"), [(0.0, 0), (0.04, 1), (0.06, 2), (0.29, 2), (0.31, 3), (9.0, 4)]
)
def test_heads_can_go_until_the_loss_has_grown_so_far(growth: float, expected: int) -> None:
    assert HEADS.removable(growth) == expected


def test_what_costs_more_halfway_ends_it_though_more_removals_were_cheaper() -> None:
    bump = HEADS._replace(removed=[Removal(0, 2.0), Removal(2, 2.5), Removal(4, 2.0)])
    assert bump.removable(0.1) == 0


@pytest.mark.parametrize(
    ("heads_", "expected"),
    [(1, [1]), (6, [1, 2, 3, 4, 5, 6]), (16, [*range(1, 17)]), (72, None), (288, None)],
)
def test_the_curve_goes_evenly_up_to_all_heads(heads_: int, expected: list[int] | None) -> None:
    found = counts(heads_)
    assert expected in (None, found)
    assert found[-1] == heads_
    assert len(found) == min(heads_, heads.POINTS)
    gaps = np.diff([0, *found])
    assert max(gaps) - min(gaps) <= 1
    assert passes(heads_) == 1 + heads_ + len(found)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"sentences": 0},
        {"sentences": "3"},
        {"heads": {}},
        {"heads": {"nobody": {}}},
        {"heads": []},
        {"removed": []},
        {"removed": [{"heads": 0, "loss": 1.0}]},
        {"removed": [{"heads": n, "loss": "inf"} for n in range(5)]},
        {"removed": 5},
    ],
)
def test_a_file_of_another_kind_is_refused(record: Record, change: dict) -> None:
    told = json.loads(record.heads.read_text())
    record.write_json("attention/heads.json", {**told, **change})
    with pytest.raises(RecordError, match=r"heads\.json: does not describe heads of format 1"):
        heads.read(record)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("entropy", [[-1.0, 0.0]]),
        ("entropy", [[1.0]]),
        ("distance", ["far"]),
        ("importance", [["nan", 0.0]]),
        ("importance", [0.0, 0.0]),
    ],
)
def test_numbers_that_no_head_has_are_refused(record: Record, name: str, values: list) -> None:
    told = json.loads(record.heads.read_text())
    told["heads"]["encoder"][name] = values
    record.write_json("attention/heads.json", told)
    with pytest.raises(RecordError, match=r"heads\.json: does not describe heads"):
        heads.read(record)
