"""What pages show of the measured Table 1 is what its report says."""

import json
import re
from typing import Any

import pytest

from analysis.complexity import Survey
from guide import layers, pictures, reports
from guide.reports import RESULTS, GuideError
from guide.words import EN, WORDS, Words

NAME = "complexity"
BOTH = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)


@pytest.fixture(scope="module")
def survey() -> Survey:
    return reports.measured(NAME, RESULTS)


@pytest.fixture(scope="module")
def stated() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / NAME / "complexity.json").read_text("utf-8"))
    return content


def rows(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()]


@BOTH
def test_exponents_are_the_report_s(survey: Survey, stated: dict[str, Any], words: Words) -> None:
    names = ["layer", "complexity", "training"]
    head, _, *lines = rows(layers.exponents(survey, "n64", names, words))
    assert head == [words.growth[name] for name in names]
    assert [line[2] for line in lines] == [
        f"{row['training']:.2f} {row['training.interval']}" for row in stated["growth"]["n64"]
    ]
    assert lines[0][:2] == ["self-attention", "O(n² d)"]


@pytest.mark.parametrize(
    ("section", "names", "message"),
    [
        ("n65", [], "no exponents n65; there are n64, n1024, d"),
        ("n64", ["speed"], "no column speed; there are layer"),
    ],
)
def test_what_is_not_there_is_named(
    survey: Survey, section: str, names: list[str], message: str
) -> None:
    with pytest.raises(GuideError, match=message):
        layers.exponents(survey, section, names, EN)


def test_a_folder_without_measurements_is_named_with_its_remedy() -> None:
    with pytest.raises(GuideError, match="ablate complexity --out docs/results/table3-grammar"):
        reports.measured("table3-grammar", RESULTS)


@BOTH
def test_crossings_are_the_report_s(survey: Survey, stated: dict[str, Any], words: Words) -> None:
    head, _, *lines = rows(layers.crossings(survey, words))
    found = {
        (int(line[0].replace(",", "")), rival): cell
        for line in lines
        for rival, cell in zip(head[1:], line[1:], strict=True)
    }
    for one in stated["crossings"]:
        assert found.pop((one["width"], one["faster"])) == f"{one['length']:,.0f}"
    # Where lines do not cross, one is ahead throughout.
    seconds = {(c["layer"], c["length"], c["width"]): c["training_s"] for c in stated["cells"]}
    for (width, rival), cell in found.items():
        shared = [
            n
            for layer, n, d in seconds
            if layer == "self-attention" and d == width and (rival, n, d) in seconds
        ]
        slower = [seconds["self-attention", n, width] > seconds[rival, n, width] for n in shared]
        expected = words.always if all(slower) else words.not_until.format(length=max(shared))
        assert cell == expected
        assert len({*slower}) == 1


def test_the_fastest_are_the_report_s(survey: Survey, stated: dict[str, Any]) -> None:
    for line, told in zip(layers.fastest(survey).splitlines(), stated["winners"], strict=True):
        spans = re.findall(r"`(\S+)` ([\d,]+?)(?:–([\d,]+))?(?:, |$)", line)
        words = [f"{name} (n = {a}{f' to {b}' if b else ''})" for name, a, b in spans]
        assert f"Fastest: {', '.join(words)}." in told


@BOTH
def test_paths_are_the_report_s_under_the_page_s_heads(
    survey: Survey, stated: dict[str, Any], words: Words
) -> None:
    head, _, *lines = rows(layers.paths(survey, words))
    assert head[1] == f"{words.layers[2]} {words.growth['complexity']}"
    found = {line[0]: line[-1] for line in lines}
    longest = {one["layer"]: one["longest"] for one in stated["paths"] if one["length"] == 64}
    assert found["self-attention-restricted"] == str(longest["self-attention-restricted"])
    assert found["recurrent-lstm"] == str(longest["recurrent-lstm"])


@BOTH
def test_what_was_measured_where_is_told(
    survey: Survey, stated: dict[str, Any], words: Words
) -> None:
    told = layers.provenance(survey, words)
    for part in (str(len(stated["cells"])), "AMD EPYC", stated["runs"][0]["commit"][:7]):
        assert part in told


def test_a_picture_has_the_widths_that_are_asked_for_and_one_key(survey: Survey) -> None:
    drawn = pictures.layer_times(survey, ["d = 64", "d = 512"], EN)
    assert drawn.count("<svg role") == 2
    assert drawn.count("recurrent-gru") == 1
    with pytest.raises(GuideError, match="no panel d = 65; there are d = 64"):
        pictures.layer_times(survey, ["d = 65"], EN)
