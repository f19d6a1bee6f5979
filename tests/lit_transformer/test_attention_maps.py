"""A head's numbers, and the files of maps: there and back, and refused where they are damaged."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lit_transformer.attention_maps import (
    PARTS,
    LeftOut,
    distance,
    entropy,
    labels,
    read,
    write,
)
from lit_transformer.attention_page import WORDS, draw
from lit_transformer.data.cache import sha256
from lit_transformer.record import Record, RecordError
from tests.lit_transformer.sentences import sentence


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Maps of two sentences, and a third that is too long."""
    record = Record(tmp_path)
    write(record, [sentence(1), LeftOut(2, "too long"), sentence(3, words=5)])
    return record


def about(record: Record) -> dict:
    return json.loads((record.attention / "maps.json").read_text("utf-8"))


def test_entropy_is_that_of_even_and_of_single_looks() -> None:
    even, single = np.full((4, 4), 1 / 4), np.eye(4)
    half = np.array([[0.5, 0.5, 0, 0]] * 4)
    found = entropy(np.stack([even, single, half])[None])
    np.testing.assert_allclose(found, [[math.log(4), 0, math.log(2)]], atol=1e-12)


def test_distance_is_counted_in_tokens_from_the_rows_own_place() -> None:
    itself, last = np.eye(3), np.array([[0, 0, 1]] * 3)
    even = np.full((3, 3), 1 / 3)
    # Even looks: 0 + 1 + 2, 1 + 0 + 1 and 2 + 1 + 0 tokens, each a third.
    found = distance(np.stack([itself, last, even])[None])
    np.testing.assert_allclose(found, [[0, (2 + 1 + 0) / 3, (3 + 2 + 3) / 9]])
    assert distance(np.array([[[[0.0, 0, 0, 1]]]])) == 3  # one output piece, four of the source


@pytest.mark.parametrize(
    "without", [{"encoder_LHSS"}, {"decoder_LHTT"}, {"encoder_LHSS", "decoder_LHTT"}]
)
def test_a_stack_without_self_attention_has_no_map(tmp_path: Path, without: set[str]) -> None:
    whole = sentence(1)
    some = whole._replace(maps=whole.maps._replace(**dict.fromkeys(without)))
    write(Record(tmp_path), [some])
    (found,) = read(Record(tmp_path))
    parts = {part for part in PARTS if not any(name.startswith(part) for name in without)}
    assert {*found.maps.parts()} == parts
    assert {*about(Record(tmp_path))["sentences"][0]["heads"]} == parts
    drawing = draw("base", found)
    assert [panel.title for panel in drawing.parts] == [WORDS[p][0] for p in PARTS if p in parts]
    assert (drawing.layers, drawing.heads) == (2, 2)


def test_what_is_written_is_read(record: Record) -> None:
    found = read(record)
    for mine, theirs in zip(found, [sentence(1), sentence(3, words=5)], strict=True):
        assert mine[:-1] == theirs[:-1]
        for a, b in zip(mine.maps, theirs.maps, strict=True):
            np.testing.assert_allclose(a, b, atol=2**-11)  # of a float16 below 1
            np.testing.assert_allclose(a.sum(axis=-1), 1, atol=2e-3)


def test_the_json_tells_words_numbers_and_what_is_left_out(record: Record) -> None:
    told = about(record)
    assert told["left_out"] == [{"number": 2, "reason": "too long"}]
    one = told["sentences"][0]
    assert one["read"] == ["<s>", *one["written"][:-1]]
    for part, weights in zip(PARTS, sentence(1).maps, strict=True):
        np.testing.assert_allclose(one["heads"][part]["entropy"], entropy(weights), atol=1e-4)
        np.testing.assert_allclose(one["heads"][part]["distance"], distance(weights), atol=1e-4)


def test_equal_maps_are_equal_bytes(record: Record, tmp_path: Path) -> None:
    again = Record(tmp_path / "again")
    write(again, [sentence(1), LeftOut(2, "too long"), sentence(3, words=5)])
    for name in ("maps.json", "maps.safetensors"):
        assert (again.attention / name).read_bytes() == (record.attention / name).read_bytes()


def test_rows_and_columns_have_the_words_they_stand_for() -> None:
    one = sentence()
    for part, weights in zip(PARTS, one.maps, strict=True):
        assert tuple(map(len, labels(one, part))) == weights.shape[2:]
    assert labels(one, "cross") == (one.written, one.source)
    assert labels(one, "decoder") == (one.written, one.read)


def test_a_trial_without_maps_has_none(tmp_path: Path) -> None:
    assert read(Record(tmp_path)) == []


def spoil_weights(record: Record) -> None:
    path = record.attention / "maps.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def lose_weights(record: Record) -> None:
    (record.attention / "maps.safetensors").unlink()


@pytest.mark.parametrize("harm", [spoil_weights, lose_weights])
def test_weights_that_are_not_the_ones_described_are_named(record: Record, harm) -> None:
    harm(record)
    with pytest.raises(RecordError, match=r"maps\.safetensors: missing, or not what maps\.json"):
        read(record)


def swap_weights(record: Record, change) -> None:
    """Other tensors, with their right checksum."""
    path = record.attention / "maps.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    told = about(record)
    record.write_json("attention/maps.json", {**told, "sha256": sha256(path)})


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: tensors.pop("1.cross"),
        lambda tensors: tensors.update({"1.cross": tensors["3.cross"]}),
        lambda tensors: tensors.update({"1.cross": -tensors["1.cross"]}),
        lambda tensors: tensors.update({"1.cross": tensors["1.cross"] * np.float16(np.nan)}),
        lambda tensors: tensors.update({"1.cross": np.zeros(3, np.float16)}),
    ],
)
def test_maps_that_fit_no_sentence_are_refused(record: Record, change) -> None:
    swap_weights(record, change)
    with pytest.raises(RecordError, match=r"maps\.json: does not describe maps of format 1"):
        read(record)


@pytest.mark.parametrize(
    "change",
    [
        {"number": "1"},
        {"source": 5},
        {"written": ["a"]},
        {"read": [1, 2, 3]},
        {"text": None},
        {"source": []},
    ],
)
def test_words_that_fit_no_maps_are_refused(record: Record, change: dict) -> None:
    told = about(record)
    told["sentences"][0].update(change)
    record.write_json("attention/maps.json", told)
    with pytest.raises(RecordError, match=r"maps\.json: does not describe maps"):
        read(record)


@pytest.mark.parametrize("change", [{"format": 2}, {"sentences": [1]}, {"sentences": [{}]}])
def test_a_file_of_another_kind_is_refused(record: Record, change: dict) -> None:
    record.write_json("attention/maps.json", {**about(record), **change})
    with pytest.raises(RecordError, match=r"maps\.json: does not describe maps"):
        read(record)
