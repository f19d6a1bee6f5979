"""The committed reports follow from their evidence, and a digit that is changed is found."""

import bz2
import json
import shutil
from pathlib import Path

import pytest

from analysis import verification

RESULTS = Path(__file__).parent.parent / "docs" / "results"
REPORTS = [path.parent for path in sorted(RESULTS.glob("*/report.evidence.json.bz2"))]


def test_there_are_some() -> None:
    assert "table3-grammar" in [folder.name for folder in REPORTS]


@pytest.mark.slow
@pytest.mark.parametrize("folder", REPORTS, ids=lambda folder: folder.name)
def test_a_committed_report_is_verified_but_for_a_digit_that_is_changed(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    report = copy / "report.json"
    content = json.loads(report.read_text("utf-8"))
    (row, *_) = content["rows"]
    row["ours"]["valid.perplexity"]["mean"] += 0.01
    del row["settings"]["model.relu_dropout"]  # as if it had come later
    report.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    outcome = verification.verify(report, None, {}, tmp_path / "cache")
    (difference,) = outcome.differences
    assert row["arm"] in difference.where
    assert "valid.perplexity" in difference.where
    assert float(difference.stated) == pytest.approx(float(difference.recomputed) + 0.01)
    assert outcome.values > 100


@pytest.mark.slow
def test_a_suggestion_that_was_not_what_was_trained_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(RESULTS / "search-recipe-grammar", copy)
    file = copy / "report.evidence.json.bz2"
    evidence = json.loads(bz2.decompress(file.read_bytes()))
    (search,) = evidence["searched"]
    assert search["found"][4]["values"]["model.dropout"] == 0
    search["found"][4]["values"]["model.dropout"] = 0.3
    file.write_bytes(bz2.compress(json.dumps(evidence).encode()))
    outcome = verification.verify(copy / "report.json", None, {}, tmp_path / "cache")
    told = [one for one in outcome.differences if "search, t4" in one.where]
    assert [one.where for one in told] == ["evidence, search, t4, what was suggested"]
    assert "0.3" in told[0].stated
