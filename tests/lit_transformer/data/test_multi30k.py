"""Multi30k: fetched from a real web server that may fail, or read from a folder."""

import gc
import gzip
import hashlib
import re

import pytest

from lit_transformer.config import DataConfig
from lit_transformer.data import fetching, multi30k
from lit_transformer.data.corpora import CorpusError, check, checksums, prepare

# pooch leaves the connection of a refused request to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

DATA = DataConfig(corpus="multi30k")
NAMES = {f"{stem}.{side}.gz" for stem in multi30k.STEMS.values() for side in ("en", "de")}


@pytest.fixture
def served(server, monkeypatch):
    """The server with a made-up Multi30k of two sentences, whose checksums are declared."""
    sums = {}
    for name in multi30k.SHA256:
        body = gzip.compress(f"one {name}\ntwo {name}\n".encode(), mtime=0)
        server.put(name, body)
        sums[name] = hashlib.sha256(body).hexdigest()
    monkeypatch.setattr(multi30k, "SHA256", sums)
    monkeypatch.setattr(fetching, "RETRIES", 0)
    monkeypatch.setenv(multi30k.URL_VARIABLE, server.url)
    yield server
    gc.collect()


def test_files_are_fetched_once_with_a_progress_bar(served, tmp_path, capfd):
    parts = prepare(DATA, tmp_path).parts
    assert list(parts["valid"].pairs()) == [
        (f"{number} val.en.gz", f"{number} val.de.gz") for number in ("one", "two")
    ]
    assert set(served.asked) == NAMES
    assert "100%" in capfd.readouterr().err
    prepare(DATA, tmp_path)
    assert len(served.asked) == len(NAMES)


def test_another_language_fetches_only_what_is_missing(served, tmp_path):
    prepare(DATA, tmp_path)
    served.asked.clear()
    french = DataConfig(corpus="multi30k", source_language="fr", target_language="en")
    assert prepare(french, tmp_path).parts["test"].sources()[0] == "one test_2016_flickr.fr.gz"
    assert {name.split(".")[1] for name in served.asked} == {"fr"}


def test_a_missing_file_names_address_and_remedies(served, tmp_path):
    del served.replies["val.de.gz"]
    with pytest.raises(CorpusError, match=r"raw/val\.de\.gz: cannot be fetched: 404") as caught:
        prepare(DATA, tmp_path)
    assert multi30k.URL_VARIABLE in str(caught.value)
    assert "data.folder" in str(caught.value)


def test_another_content_is_refused_and_not_kept(served, tmp_path):
    served.put("train.en.gz", gzip.compress(b"something else\n"))
    with pytest.raises(CorpusError, match=r"train\.en\.gz: cannot be fetched: SHA256 hash"):
        prepare(DATA, tmp_path)
    assert not (tmp_path / "multi30k" / "train.en.gz").exists()


def test_a_body_that_ends_early_is_refused_and_not_kept(served, tmp_path):
    whole = served.replies["train.en.gz"].body
    served.put("train.en.gz", whole[:-5], claimed=len(whole))
    with pytest.raises(CorpusError, match=r"train\.en\.gz: cannot be fetched"):
        prepare(DATA, tmp_path)
    assert not list((tmp_path / "multi30k").glob("train.en*"))


def test_a_failed_fetch_is_tried_again(served, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "RETRIES", 1)
    served.fail_once("train.en.gz")
    prepare(DATA, tmp_path)
    assert served.asked.count("train.en.gz") == 2


def test_a_partial_earlier_download_is_not_trusted(served, tmp_path):
    whole = served.replies["train.en.gz"].body
    (tmp_path / "multi30k").mkdir()
    (tmp_path / "multi30k" / "train.en.gz").write_bytes(whole[:20])
    (tmp_path / "multi30k" / "tmpabandoned").write_bytes(whole[:20])
    assert len(prepare(DATA, tmp_path).parts["train"]) == 2
    assert (tmp_path / "multi30k" / "train.en.gz").read_bytes() == whole


def test_a_server_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "RETRIES", 0)
    monkeypatch.setenv(multi30k.URL_VARIABLE, "http://127.0.0.1:9/")
    with pytest.raises(CorpusError, match=r"http://127\.0\.0\.1:9/.*cannot be fetched"):
        prepare(DATA, tmp_path)


def test_a_cache_that_cannot_be_written_is_named(served, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="cache cannot be used"):
        prepare(DATA, tmp_path / "file")


def test_a_folder_is_read_in_place_and_nothing_is_fetched(served, tmp_path):
    for name in NAMES:
        (tmp_path / name).write_bytes(served.replies[name].body)
    data = DataConfig(corpus="multi30k", folder=str(tmp_path))
    check(data)
    assert len(prepare(data, tmp_path / "cache").parts["train"]) == 2
    assert served.asked == []
    assert not (tmp_path / "cache").exists()


def test_a_folder_with_a_missing_or_another_file_is_refused(served, tmp_path):
    for name in NAMES:
        (tmp_path / name).write_bytes(served.replies[name].body)
    data = DataConfig(corpus="multi30k", folder=str(tmp_path))
    (tmp_path / "val.de.gz").write_bytes(b"another")
    with pytest.raises(CorpusError, match=r"val\.de\.gz: sha256 is .*, expected"):
        check(data)
    (tmp_path / "val.de.gz").unlink()
    with pytest.raises(CorpusError, match=r"val\.de\.gz: No such file.*data\.folder must hold"):
        check(data)


def test_identity_needs_no_file_and_ignores_where_files_lie():
    assert checksums(DATA) == checksums(DataConfig(corpus="multi30k", folder="/nowhere"))
    assert set(checksums(DATA)) == NAMES
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in checksums(DATA).values())


@pytest.mark.parametrize("language", ["de", "fr"])
def test_the_real_files_have_the_declared_checksums(shared_data, tmp_path, language):
    folder = str(shared_data / "multi30k")
    data = DataConfig(corpus="multi30k", target_language=language, folder=folder)
    check(data)
    parts = prepare(data, tmp_path).parts
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 29_000,
        "valid": 1_014,
        "test": 1_000,
    }
    assert parts["train"].counts.empty == 0
