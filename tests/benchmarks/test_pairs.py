"""Batches of a hand-made workload."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pairs
import pytest

SENTENCES = {
    "source": [[5, 3], [6, 7, 8, 3], [9, 3], [4, 5, 6, 3], [7, 3]],
    "target": [[9, 8, 3], [7, 3], [6, 5, 3], [4, 9, 8, 3], [7, 6, 3]],
}
MARKS = {"pad": 0, "unk": 1, "bos": 2, "eos": 3}


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    for side, rows in SENTENCES.items():
        np.save(tmp_path / f"train.{side}.ids.npy", np.concatenate(rows).astype(np.int32))
        ends = np.cumsum([0, *map(len, rows)])
        np.save(tmp_path / f"train.{side}.offsets.npy", ends)
    (tmp_path / "meta.json").write_text(json.dumps({"vocabulary_size": 10, **MARKS}))
    return tmp_path


def test_sentences_are_read_back(workload: Path) -> None:
    part = pairs.read(workload, "train")
    for side, rows in zip(part, SENTENCES.values(), strict=True):
        assert [side[i].tolist() for i in range(len(side))] == rows


def test_batches_hold_each_pair_once_an_epoch_within_the_budget(workload: Path) -> None:
    part = pairs.read(workload, "train")
    found, batches = 0, []
    for batch in pairs.bucketed(part, tokens=7, seed=1):
        assert max(side.lengths[batch].sum() for side in part) <= 7
        batches.append(batch)
        found += len(batch)
        if found == 5:
            break
    assert sorted(np.concatenate(batches).tolist()) == [0, 1, 2, 3, 4]


def test_random_batches_have_a_fixed_number_of_sentences(workload: Path) -> None:
    part = pairs.read(workload, "train")
    assert [len(b) for b in islice(pairs.unsorted(part, sentences=2, seed=1), 5)] == [2] * 5


def test_rows_are_padded_and_shifted(workload: Path) -> None:
    target = pairs.read(workload, "train").target
    indices = np.array([1, 3])
    assert pairs.padded(target, indices, 0, None).tolist() == [[7, 3, 0, 0], [4, 9, 8, 3]]
    assert pairs.padded(target, indices, 0, 2).tolist() == [[2, 7, 0, 0], [2, 4, 9, 8]]


def test_a_step_counts_real_tokens_and_slots(workload: Path) -> None:
    part = pairs.read(workload, "train")
    assert pairs.counts(part, np.array([1, 3])) == {
        "pairs": 2,
        "tokens": 6,
        "source_tokens": 8,
        "slots": 8,
    }


def test_ids_become_words_with_the_toolkits_marks(workload: Path, tmp_path: Path) -> None:
    words = pairs.write_words(workload, tmp_path, ["<unk>", "<blank>", "<s>", "</s>"], " </s>")
    assert words.source.read_text().splitlines()[1] == "w6 w7 w8 </s>"
    assert words.target.read_text().splitlines()[1] == "w7"
    vocabulary = words.vocabulary.read_text().split()
    assert vocabulary == ["<unk>", "<blank>", "<s>", "</s>", *(f"w{i}" for i in range(4, 10))]
