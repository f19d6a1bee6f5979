"""Lines of text files: what ends one, what is refused and in which words."""

import gzip
import re

import pytest

from lit_transformer.data.cache import CorpusError
from lit_transformer.data.text import Part, aligned, check_aligned, lines, write_pairs


def test_only_a_line_feed_ends_a_line(tmp_path):
    odd = "a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h\x00i\rj"
    (tmp_path / "a").write_bytes(f"{odd}\nsecond\r\nlast".encode())
    assert list(lines(tmp_path / "a")) == [odd, "second", "last"]


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "a").write_bytes("one\ntwo\n".encode("utf-8-sig"))
    assert list(lines(tmp_path / "a")) == ["one", "two"]


@pytest.mark.parametrize("name", ["a.gz", "a.txt"])
def test_gzip_is_known_by_its_content(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress("für\n\nelise\n".encode()))
    assert list(lines(tmp_path / name)) == ["für", "", "elise"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"", "a: the file is empty"),
        ("a.gz", b"", "a.gz: the file is empty"),
        ("a.gz", gzip.compress(b"", mtime=0), "a.gz: the file is empty"),
        ("a", b"good\nb\xe4d\n", "a:2: byte 2 of the line, 0xe4, is not UTF-8"),
        (
            "a",
            gzip.compress(b"good\n\xff\n", mtime=0),
            "a:2: byte 1 of the line, 0xff, is not UTF-8",
        ),
        ("a.gz", b"plain\n", "a.gz:1: the gzip data is damaged"),
        ("a", gzip.compress(b"one\ntwo\n" * 999, mtime=0)[:-9], "the gzip data is damaged"),
        ("a", gzip.compress(b"one\n", mtime=0)[:-6] + b"\0" * 6, "the gzip data is damaged"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CorpusError, match=re.escape(message)):
        list(lines(tmp_path / name))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(CorpusError, match=r"nowhere: No such file.*correct the path"):
        list(lines(tmp_path / "nowhere"))
    with pytest.raises(CorpusError, match="Is a directory"):
        list(lines(tmp_path))


def test_unequal_files_are_named_with_both_counts(tmp_path):
    (tmp_path / "a").write_text("1\n2\n3\n")
    (tmp_path / "b").write_text("1\n2")
    for check in (check_aligned, lambda one, other: list(aligned(one, other))):
        with pytest.raises(CorpusError, match=r"a has 3 lines and .*b has 2"):
            check(tmp_path / "a", tmp_path / "b")


def test_a_file_is_checked_again_after_it_changed(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text("1\n2\n")
    check_aligned(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b").write_text("1\n")
    with pytest.raises(CorpusError, match="2 lines"):
        check_aligned(tmp_path / "a", tmp_path / "b")


def test_empty_sentences_leave_training_and_stay_in_evaluation(tmp_path):
    (tmp_path / "a").write_text("1\n\n3\n4\n5\n")
    (tmp_path / "b").write_text("1\n2\n \u3000\n4\n5\n")
    training = Part(tmp_path / "a", tmp_path / "b", limit=4, keep_empty=False)
    assert list(training.pairs()) == [("1", "1"), ("4", "4")]
    assert training.counts == (len(training), 2) == (2, 2)
    evaluation = Part(tmp_path / "a", tmp_path / "b", limit=None, keep_empty=True)
    assert evaluation.sources() == ["1", "", "3", "4", "5"]
    assert evaluation.targets() == ["1", "2", " \u3000", "4", "5"]
    assert evaluation.counts == (5, 0)


def test_a_part_without_any_text_is_refused(tmp_path):
    (tmp_path / "a").write_text("\n\n")
    with pytest.raises(CorpusError, match="no pair has text"):
        list(Part(tmp_path / "a", tmp_path / "a", None, keep_empty=False).pairs())


def test_written_pairs_are_read_back_one_a_line(tmp_path):
    assert write_pairs(tmp_path / "a", tmp_path / "b", [("x\ny", "ü\u2028"), ("", "z")]) == 2
    assert list(aligned(tmp_path / "a", tmp_path / "b")) == [("x y", "ü\u2028"), ("", "z")]
