"""Files of a user's own, read to their ends, made into a vocabulary and tokenized."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import sweep
from experiments.study import trial_from_config
from lit_transformer.config import DataConfig, FilePair, FilesConfig, RunConfig, TokenizerKind
from lit_transformer.config_io import ConfigError
from lit_transformer.data import translation, vocab
from lit_transformer.data.cache import CorpusError
from lit_transformer.data.corpora import prepare
from tests.fuzz.harm import CASES, NAMES, damaged

PAIRS = 30
SOURCE = "".join(f"the dog sees tree {n} and the cat\n" for n in range(PAIRS)).encode()
TARGET = "".join(f"der Hund sieht Baum {n} und die Katze\n" for n in range(PAIRS)).encode()
FRAGMENTS = [
    *(
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc0\xaf",
        b"\xfe\xff",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\x1f\x8b",
    ),
    *(name.encode() + b"\n" for name in NAMES),
    *("\u2581 <s> </s> <unk> <pad> \u2581\u2581".encode(), ("e" + "\u0301" * 500).encode()),
    *("שלום \u202e עולם \u2066x".encode(), b"a b " * 60_000 + b"\n", b"ab" * 100_000 + b"\n"),
]
SIDES = ("train.en", "train.de", "valid.en", "valid.de")
texts = damaged([SOURCE, TARGET, gzip.compress(SOURCE), gzip.compress(TARGET)], FRAGMENTS)


def data(folder: Path, tokenizer: TokenizerKind = "bpe", size: int = 60) -> DataConfig:
    train, valid = (
        FilePair(source=str(folder / f"{part}.en"), target=str(folder / f"{part}.de"))
        for part in ("train", "valid")
    )
    files = FilesConfig(train=train, valid=valid)
    return DataConfig(
        corpus="files", files=files, tokenizer=tokenizer, vocabulary_size=size, max_tokens=40
    )


def prepared(folder: Path, config: DataConfig) -> list[int]:
    """Sentences of train and valid, each as ids of the vocabulary; nothing is changed by it."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    cache = folder.parent / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    try:
        sweep.check([trial_from_config(RunConfig(data=config))])
        corpus = prepare(config, cache)
        words = vocab.train(corpus, config, cache)
        parts = [translation.tokenize(corpus, words, config, p, cache) for p in ("train", "valid")]
    finally:
        assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    for part in parts:
        for number in range(len(part)):
            ids = [*part.source(number), *part.target(number)]
            assert set(ids) <= {*range(len(words))}
            assert part.source(number)[-1] == part.target(number)[-1] == words.eos
    return [len(part) for part in parts]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "corpus"
    made.mkdir()
    for side, text in zip(SIDES, (SOURCE, TARGET) * 2, strict=True):
        (made / side).write_bytes(text)
    return made


@CASES
@given(
    st.dictionaries(st.sampled_from(SIDES), texts, min_size=1, max_size=2),
    st.sampled_from([("bpe", 60), ("unigram", 30), ("bpe", 16), ("unigram", 2_000)]),
)
def test_any_text_is_tokenized_or_refused(
    folder: Path, harm: dict[str, bytes], kind: tuple[TokenizerKind, int]
) -> None:
    for side, text in zip(SIDES, (SOURCE, TARGET) * 2, strict=True):
        (folder / side).write_bytes(harm.get(side, text))
    message = ""
    try:
        train, valid = prepared(folder, data(folder, *kind))
        assert min(train, valid) > 0
    except (CorpusError, ConfigError) as error:
        message = str(error)
    assert not message or any(word in message for word in (str(folder), "files", "vocabulary"))


@CASES
@given(st.integers(0, 3), st.integers(0, 200))
def test_gzip_cut_short_is_refused_by_name(folder: Path, side: int, cut: int) -> None:
    whole = gzip.compress(SOURCE, mtime=0)
    file = folder / SIDES[side]
    file.write_bytes(whole[: min(cut, len(whole) - 1)])
    try:
        with pytest.raises(CorpusError, match=str(file)):
            prepared(folder, data(folder))
    finally:
        file.write_bytes((SOURCE, TARGET)[side % 2])


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "symbolic links"),
        (lambda path: path.symlink_to("/nowhere/at/all"), "No such file"),
        (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
        (lambda path: os.mkfifo(path), "no regular file"),
        (lambda path: path.write_bytes(b""), "the file is empty"),
    ],
)
def test_what_is_no_file_of_text_is_refused_by_name(
    folder: Path, make: Callable[[Path], object], rule: str
) -> None:
    path = folder / "train.en"
    path.unlink()
    make(path)
    with pytest.raises(CorpusError, match=rule) as caught:
        prepared(folder, data(folder))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("side", SIDES)
def test_sides_of_unequal_length_are_refused_with_both_counts(folder: Path, side: str) -> None:
    file = folder / side
    file.write_bytes(file.read_bytes() + b"one more\n")
    with pytest.raises(CorpusError, match=f"has {PAIRS + 1}\\b"):
        prepared(folder, data(folder))


def test_a_user_that_does_not_exist_is_a_message(folder: Path) -> None:
    with pytest.raises(CorpusError, match="no such user"):
        prepared(folder, data(Path("~nobody-of-this-name")))


def test_a_line_of_a_megabyte_is_left_out_and_counted(folder: Path) -> None:
    file = folder / "train.en"
    file.write_bytes(b"ab" * 2**19 + b"\n" + SOURCE[SOURCE.index(b"\n") + 1 :])
    assert prepared(folder, data(folder)) == [PAIRS - 1, PAIRS]
