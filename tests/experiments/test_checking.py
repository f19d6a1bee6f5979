"""`ablate check` says what a file is, and refuses what could not be run."""

from pathlib import Path

import pytest

from experiments import files
from experiments.checking import check
from lit_transformer.config import RunConfig
from lit_transformer.config_io import ConfigError, dump
from lit_transformer.data.cache import CorpusError
from tests.toy import Toy, write_toy

KINDS = {"studies": "study", "settings": "setting", "recipes": "recipe"}
SHIPPED = sorted(Path(files.__file__).parent.glob("*/*.yaml"))


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return write_toy(tmp_path)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_file_is_valid(file: Path) -> None:
    if file.stem in ("wsj", "wsj-semi"):  # the user's trees are not there
        with pytest.raises(
            CorpusError, match=r"data\.trees\.train=.*(need data\.folder|no such file)"
        ):
            check(file, "wmt14-en-de")
        return
    setting = "grammar-trees" if file.stem == "parsers" else "wmt14-en-de"
    assert check(file, setting).startswith(f"{KINDS[file.parent.name]} {file.stem}")


def test_a_study_is_checked_in_a_setting(toy: Toy) -> None:
    expected = "study tiny, version 1: 2 arms, valid in toy"
    assert check(toy.study, str(toy.setting)) == expected


def test_a_setting_is_checked_with_the_paper_s_rows(toy: Toy) -> None:
    assert check(toy.setting, "grammar") == "setting toy: table3's 20 arms are valid in it"


def test_a_setting_whose_files_are_gone_is_refused(toy: Toy) -> None:
    (toy.folder / "valid.de").unlink()
    with pytest.raises(CorpusError, match=r"valid\.de: No such file"):
        check(toy.setting, "grammar")


def test_a_setting_whose_files_are_unequal_is_refused(toy: Toy) -> None:
    with (toy.folder / "valid.de").open("a") as file:
        file.write("noch einer\n")
    with pytest.raises(CorpusError, match=r"6 lines and .* has 7"):
        check(toy.setting, "grammar")


def test_a_configuration_says_what_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(dump(RunConfig()))
    assert check(file, "grammar") == "configuration: 0 keys changed"
    file.write_text("model.layers: 2\ndata.corpus: grammar\n")
    assert check(file, "grammar") == "configuration: 2 keys changed"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no keys; expected those of a study, a setting, a recipe or a configuration"),
        ("model.headz: 8", r"file.yaml:1: unknown key model.headz; did you mean model.heads\?"),
        ("model.heads: 7", "d_model=512 is not a multiple of 7"),
        ("model.heads: 8\nmodel.heads: 4", "file.yaml:2"),
        ("name: r\ndescription: d\nset: {model.layerz: 2}", "file.yaml:3: unknown key model.layer"),
        ("name: s\nversion: 1\ndescription: d\nrows: [{id: A, set: {a.b: 1}}]", "unknown key a.b"),
        ("[1, 2]", "no keys; expected those of a study"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "file.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        check(file, "grammar")
