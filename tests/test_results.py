"""The committed reports follow from their evidence, and a digit that is changed is found."""

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
