"""Named corpora and the user's own: identity, checks before training, parts."""

import gzip
import re
import shutil

import pytest
from pydantic import ValidationError

from lit_transformer.config import DataConfig, FilePair, FilesConfig
from lit_transformer.data import grammar, wmt14
from lit_transformer.data.cache import MANIFEST
from lit_transformer.data.corpora import (
    GRAMMAR_PARTS,
    PARTS,
    CorpusError,
    at_hand,
    check,
    checksums,
    origin,
    prepare,
    title,
)

GRAMMAR = DataConfig(corpus="grammar")


def test_the_users_files_are_read_as_they_are(write_corpus, tmp_path):
    data = write_corpus(train=[("a b", "c"), ("", "d"), ("e", "f")])
    check(data)
    corpus = prepare(data, tmp_path / "cache")
    assert list(corpus.parts) == ["train", "valid"]
    assert list(corpus.parts["train"].pairs()) == [("a b", "c"), ("e", "f")]
    assert corpus.parts["train"].counts == (2, 1)
    assert len(corpus.parts["valid"]) == 7
    assert not (tmp_path / "cache").exists()


def test_a_test_part_is_optional(write_corpus, tmp_path):
    files = write_corpus().files
    data = DataConfig(corpus="files", files=files.model_copy(update={"test": files.valid}))
    assert list(prepare(data, tmp_path).parts) == list(PARTS)
    assert len(checksums(data)) == 6


def test_checksums_follow_the_bytes_and_not_the_path(write_corpus, tmp_path):
    data = write_corpus()
    before = checksums(data)
    (tmp_path / "moved").mkdir()
    moved = {}
    for part in ("train", "valid"):
        pair = {}
        for side in ("source", "target"):
            pair[side] = str(shutil.copy(tmp_path / f"{part}.{side}", tmp_path / "moved"))
        moved[part] = FilePair(**pair)
    assert checksums(DataConfig(corpus="files", files=FilesConfig(**moved))) == before
    with (tmp_path / "train.source").open("a") as file:
        file.write("more\n")
    after = checksums(data)
    assert [name for name in before if before[name] != after[name]] == ["train.source"]


def test_identity_follows_direction_and_length(tmp_path):
    base = {"corpus": "grammar"}
    first = prepare(DataConfig(**base), tmp_path)
    shorter = prepare(DataConfig(**base, train_sentences=10), tmp_path)
    other_vocabulary = prepare(DataConfig(**base, vocabulary_size=99), tmp_path)
    assert first.identity == other_vocabulary.identity != shorter.identity
    assert len(shorter.parts["train"]) == 10
    assert len(shorter.parts["valid"]) == GRAMMAR_PARTS["valid"].pairs


@pytest.mark.parametrize("side", ["source", "target"])
def test_unequal_files_are_found_before_training(write_corpus, tmp_path, side):
    data = write_corpus()
    with (tmp_path / f"valid.{side}").open("a") as file:
        file.write("one more\n")
    with pytest.raises(CorpusError, match=r"8 lines|has 8") as caught:
        check(data)
    assert "has 7" in str(caught.value)
    assert "valid.source" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "train.target: the file is empty"),
        (b"ok\n\xfc\n", "train.target:2: byte 1 of the line, 0xfc, is not UTF-8"),
        (gzip.compress(b"ok\n", mtime=0)[:-5], "train.target:2: the gzip data is damaged"),
    ],
)
def test_bad_files_are_found_before_training(write_corpus, tmp_path, content, message):
    data = write_corpus(train=[("a", "b"), ("c", "d")])
    (tmp_path / "train.target").write_bytes(content)
    with pytest.raises(CorpusError, match=re.escape(message)):
        check(data)


def test_a_missing_file_is_named_by_check_and_by_checksums(write_corpus, tmp_path):
    data = write_corpus()
    (tmp_path / "train.source").unlink()
    for function in (check, checksums):
        with pytest.raises(CorpusError, match=r"train\.source: No such file"):
            function(data)


@pytest.mark.parametrize(
    ("corpus", "source", "target"),
    [
        ("multi30k", "en", "cs"),
        ("multi30k", "de", "de"),
        ("wmt14", "de", "fr"),
        ("grammar", "en", "fr"),
    ],
)
def test_languages_that_a_corpus_lacks_are_refused(corpus, source, target):
    data = DataConfig(corpus=corpus, source_language=source, target_language=target)
    for function in (check, checksums):
        with pytest.raises(CorpusError, match=rf"data.target_language={target}: {corpus} has en"):
            function(data)


def test_a_folder_that_would_be_ignored_is_refused(write_corpus):
    for data in (GRAMMAR, write_corpus()):
        with pytest.raises(CorpusError, match=r"data\.folder=x: .* reads no folder"):
            check(data.model_copy(update={"folder": "x"}))


def test_a_corpus_without_a_name_is_refused():
    with pytest.raises(ValidationError, match="grammar"):
        DataConfig.model_validate({"corpus": "wmt15"})


def test_the_generated_corpus_has_its_sizes_and_no_source_twice(tmp_path):
    parts = prepare(GRAMMAR, tmp_path).parts
    sources = {name: part.sources() for name, part in parts.items()}
    assert {name: len(found) for name, found in sources.items()} == {
        name: draw.pairs for name, draw in GRAMMAR_PARTS.items()
    }
    evaluation = sources["valid"] + sources["test"]
    assert len(set(evaluation)) == len(evaluation)
    assert not set(evaluation) & set(sources["train"])
    drawn = grammar.examples(3, GRAMMAR_PARTS["train"].seed)
    assert [(e.source, e.target) for e in drawn] == list(parts["train"].pairs())[:3]


def test_the_generated_corpus_is_generated_once(tmp_path, monkeypatch):
    first = prepare(GRAMMAR, tmp_path)
    monkeypatch.setattr(grammar, "examples", None)
    assert prepare(GRAMMAR, tmp_path) == first


def test_the_generated_corpus_is_identified_by_version_and_sizes(monkeypatch):
    before = checksums(GRAMMAR)
    monkeypatch.setattr(grammar, "VERSION", "another")
    assert checksums(GRAMMAR) != before
    assert {part: before[part] for part in PARTS} == {
        "train": "16000 pairs, seed 1",
        "valid": "500 pairs, seed 2",
        "test": "500 pairs, seed 3",
    }


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match=r"cache cannot be used.*--root"):
        prepare(GRAMMAR, tmp_path / "file")


def test_a_corpus_is_named_with_its_terms() -> None:
    sample = DataConfig(corpus="wsj_sample")
    assert title(sample) == "wsj_sample"
    assert "non-commercial" in origin(sample)
    assert title(DataConfig(corpus="multi30k")) == "multi30k en-de"
    assert origin(DataConfig(corpus="multi30k")) == ""


def test_what_would_be_fetched_is_not_at_hand(tmp_path):
    multi30k = DataConfig(corpus="multi30k")
    wsj = DataConfig(corpus="wsj_sample")
    hub = DataConfig(corpus="wmt14")
    assert [at_hand(data, tmp_path) for data in (multi30k, wsj, hub)] == [None] * 3
    for name in ("multi30k", "wsj_sample"):
        (tmp_path / name).mkdir()
    for name in checksums(multi30k):
        (tmp_path / "multi30k" / name).touch()
    (tmp_path / "wsj_sample" / "treebank.zip").touch()
    folder = wmt14.place(hub, tmp_path)
    folder.mkdir()
    (folder / MANIFEST).touch()
    assert at_hand(multi30k, tmp_path).folder == str(tmp_path / "multi30k")
    assert (at_hand(wsj, tmp_path), at_hand(hub, tmp_path)) == (wsj, hub)


@pytest.mark.parametrize("corpus", ["grammar", "grammar_trees"])
def test_what_the_code_writes_is_always_at_hand(corpus, tmp_path):
    data = DataConfig(corpus=corpus)
    assert at_hand(data, tmp_path) == data
