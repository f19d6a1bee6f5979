"""A page's report is there, or the build ends and says which one is not."""

from pathlib import Path

import pytest

from experiments.mirror import reports_path
from experiments.study import expand, load_setting, load_study
from guide import reports, results
from guide.reports import RESULTS, GuideError, Study

LISTED = """
[here-grammar]
study = "positions"
setting = "grammar"
seeds = 2

[later-grammar]
study = "attention"
setting = "grammar"
seeds = 1
pending = true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "results.toml").write_text(LISTED)
    return tmp_path


@pytest.mark.parametrize("name", ["here-grammar", "no-such-report"])
def test_a_report_that_is_missing_is_named_with_its_remedy(folder: Path, name: str) -> None:
    with pytest.raises(
        GuideError, match=f"docs/results/{name}/report.evidence.*README.md has the command"
    ):
        reports.read(name, folder)


def test_a_report_that_is_listed_as_not_run_yet_is_none(folder: Path) -> None:
    assert reports.read("later-grammar", folder) is None


@pytest.mark.parametrize("name", ["../results/table3-grammar", "", "a b"])
def test_a_name_leads_out_of_no_folder(name: str) -> None:
    with pytest.raises(GuideError, match="name of a folder"):
        reports.read(name, RESULTS)


def test_a_listed_study_lacks_nothing(folder: Path) -> None:
    (folder / "results.toml").write_text('[one]\nstudy = "table3"\n')
    with pytest.raises(GuideError, match=r"results\.toml: each result has .* seeds"):
        reports.studies(folder)


@pytest.mark.parametrize("study", reports.studies(RESULTS).values(), ids=lambda one: one.name)
def test_what_make_results_runs_can_be_run(study: Study) -> None:
    chosen, setting = load_study(study.study), load_setting(study.setting)
    if chosen.search is None:
        assert expand(chosen, setting, range(1, study.seeds + 1), [], {})
    assert study.name == f"{study.study}-{study.setting}"


@pytest.mark.parametrize("study", reports.studies(RESULTS).values(), ids=lambda one: one.name)
def test_what_has_been_run_is_not_pending_and_has_the_listed_seeds(study: Study) -> None:
    there = (RESULTS / study.name / "report.json").exists()
    assert there is not study.pending, "results.toml: `pending` is for what has no report yet"
    if there:
        report = reports.read(study.name, RESULTS)
        assert report is not None
        assert report.table.heading.command == " ".join(["ablate", *study.command])


def test_a_sweep_s_report_is_put_among_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, study = tmp_path / "root", Study("one-tiny", "one", "tiny", 2, False)
    asked: list[list[str]] = []

    def sweep(command: list[str], **_: object) -> None:
        asked.append(command[2:])
        made = reports_path(root) / "one" / "tiny"
        made.mkdir(parents=True)
        for name in results.FILES:
            (made / name).write_text(name)

    monkeypatch.setattr(results.subprocess, "run", sweep)
    (tmp_path / "results").mkdir()
    results.run(study, root, tmp_path / "results")
    sweep_words = ["sweep", "one", "--setting", "tiny", "--seeds", "2"]
    assert asked == [["ablate", *sweep_words, "--root", str(root)]]
    folder = tmp_path / "results" / "one-tiny"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        name: name for name in results.FILES
    }
    assert {"report.json", "report.evidence.json.bz2", "report.html"} <= {*results.FILES}


def test_an_unknown_result_is_not_run() -> None:
    with pytest.raises(GuideError, match="no result table9"):
        results.main(["table9"])
