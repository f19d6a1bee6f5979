"""WMT14: the real loading code on a made-up copy with the hub's columns and file layout."""

import importlib.util

import pytest

from lit_transformer.config import DataConfig
from lit_transformer.data import wmt14
from lit_transformer.data.corpora import CorpusError, check, checksums, prepare

pyarrow = pytest.importorskip("pyarrow", reason="needs the extra wmt14")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra wmt14")
pytest.importorskip("datasets", reason="needs the extra wmt14")

FILES = {
    "train-00000-of-00002": range(4),
    "train-00001-of-00002": range(4, 7),
    "validation-00000-of-00001": range(3),
    "test-00000-of-00001": range(2),
}


def write_rows(path, rows):
    pair = pyarrow.struct([(name, pyarrow.string()) for name in rows[0]])
    parquet.write_table(pyarrow.table({"translation": pyarrow.array(rows, type=pair)}), path)


@pytest.fixture
def hub(tmp_path):
    """A folder with the hub's layout and sentences such as `en train 3`."""
    for other in ("de", "fr"):
        folder = tmp_path / "hub" / f"{other}-en"
        folder.mkdir(parents=True)
        for name, numbers in FILES.items():
            stem = name.partition("-")[0]
            rows = [{other: f"{other} {stem} {i}", "en": f"en {stem} {i}"} for i in numbers]
            write_rows(folder / f"{name}.parquet", rows)
    return tmp_path / "hub"


def configured(hub, source="en", target="de"):
    return DataConfig(
        corpus="wmt14", source_language=source, target_language=target, folder=str(hub)
    )


@pytest.mark.parametrize(
    ("source", "target"), [("en", "de"), ("de", "en"), ("en", "fr"), ("fr", "en")]
)
def test_both_pairs_are_read_in_both_directions(hub, tmp_path, source, target):
    data = configured(hub, source, target)
    check(data)
    parts = prepare(data, tmp_path / "cache").parts
    assert {name: len(part) for name, part in parts.items()} == {"train": 7, "valid": 3, "test": 2}
    assert list(parts["train"].pairs())[6] == (f"{source} train 6", f"{target} train 6")
    assert parts["valid"].targets()[0] == f"{target} validation 0"


def test_text_is_written_once(hub, tmp_path, monkeypatch):
    first = prepare(configured(hub), tmp_path / "cache")
    monkeypatch.setattr(wmt14, "_rows", None)
    assert prepare(configured(hub), tmp_path / "cache") == first


def test_a_line_feed_or_a_missing_side_shifts_nothing(hub, tmp_path):
    rows = [{"de": "a\nb\u2028c", "en": "x"}, {"de": None, "en": "y"}, {"de": "z", "en": "z"}]
    write_rows(hub / "de-en" / "validation-00000-of-00001.parquet", rows)
    valid = prepare(configured(hub), tmp_path / "cache").parts["valid"]
    assert list(valid.pairs()) == [("x", "a b\u2028c"), ("y", ""), ("z", "z")]


def test_identity_is_the_pinned_revision_or_the_files_bytes(hub):
    fetched = DataConfig(corpus="wmt14")
    assert checksums(fetched) == {"wmt/wmt14 de-en": wmt14.REVISION}
    local = checksums(configured(hub))
    assert list(local) == [f"{name}.parquet" for name in FILES]
    write_rows(hub / "de-en" / "test-00000-of-00001.parquet", [{"de": "a", "en": "b"}])
    changed = checksums(configured(hub))
    assert [n for n in local if local[n] != changed[n]] == ["test-00000-of-00001.parquet"]


def test_a_missing_library_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(wmt14, "find_spec", lambda name: None)
    with pytest.raises(CorpusError, match=r"pip install '\.\[wmt14\]'"):
        check(DataConfig(corpus="wmt14"))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("validation-00000-of-00001", r"no file validation-\*\.parquet; data\.folder must have"),
        ("train-00000-of-00002", r"1 files train-\*\.parquet, but the last is train-00001"),
    ],
)
def test_a_missing_file_is_found_before_training(hub, missing, message):
    (hub / "de-en" / f"{missing}.parquet").unlink()
    with pytest.raises(CorpusError, match=message):
        check(configured(hub))


def test_other_columns_are_refused(hub, tmp_path):
    table = pyarrow.table({"input": ["a"], "output": ["b"]})
    parquet.write_table(table, hub / "de-en" / "test-00000-of-00001.parquet")
    with pytest.raises(CorpusError, match=r"a row of test lacks translation\.en or"):
        prepare(configured(hub), tmp_path / "cache")


def test_a_torn_file_is_refused_and_nothing_is_kept(hub, tmp_path):
    path = hub / "de-en" / "train-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorpusError, match="train cannot be read"):
        prepare(configured(hub), tmp_path / "cache")
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".lock"]
