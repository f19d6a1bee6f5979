"""What pages show of a report is what the report says."""

import json
import re
from typing import Any, get_args

import pytest

from analysis.rebuilding import Rebuilt
from analysis.significance import Word
from guide import fragments, pictures, reports
from guide.reports import RESULTS, GuideError
from guide.words import EN, KO, WORDS, Words, translated

NAME = "table3-grammar"
BOTH = pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)


@pytest.fixture(scope="module")
def report() -> Rebuilt:
    found = reports.read(NAME, RESULTS)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def stated() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / NAME / "report.json").read_text("utf-8"))
    return content


def rows(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in markdown.splitlines()]


@BOTH
def test_a_table_has_the_report_s_numbers(
    report: Rebuilt, stated: dict[str, Any], words: Words
) -> None:
    _, _, *lines = rows(fragments.table(report, ["arm", "score"], [], words))
    expected = []
    for row in stated["rows"]:
        score = row["ours"]["valid.bleu"]
        expected.append([row["arm"], f"{score['mean']:.2f} ± {score['deviation']:.2f}"])
    assert [[arm, " ".join(score.split())] for arm, score in lines] == expected


def test_a_table_shows_the_columns_and_rows_that_are_asked_for(report: Rebuilt) -> None:
    head, _, *lines = rows(
        fragments.table(report, ["arm", "paper.bleu", "cost.flops"], ["base", "A1"], EN)
    )
    assert head == ["row", "paper: BLEU", "cost.flops"]
    assert [line[:2] for line in lines] == [["base", "25.8"], ["A1", "24.9"]]


@pytest.mark.parametrize(
    ("names", "arms", "message"),
    [
        (["arm", "speed"], [], "no column speed; there are arm"),
        (["arm"], ["A9"], "table3 has no row A9; there are base"),
    ],
)
def test_what_is_not_there_is_named(
    report: Rebuilt, names: list[str], arms: list[str], message: str
) -> None:
    with pytest.raises(GuideError, match=message):
        fragments.table(report, names, arms, EN)


@BOTH
def test_sentences_give_every_row_its_own_verdict(
    report: Rebuilt, stated: dict[str, Any], words: Words
) -> None:
    told = {}
    for line in fragments.outcome(report, [], words).splitlines():
        if line.startswith("- "):
            word, some = re.fullmatch(r"- \*\*(.*)\*\*: (.*)", line).groups()  # type: ignore[union-attr]
            told |= {
                arm: (word, float(apart)) for arm, apart in re.findall(r"`(\S+)` \((.*?)\)", some)
            }
    expected = {
        row["arm"]: (
            translated(words.verdicts, row["verdict"]["word"]),
            round(row["difference"]["valid.bleu"], 2),
        )
        for row in stated["rows"]
        if row["arm"] != "base"
    }
    assert {arm: (word.split(" ±")[0], apart) for arm, (word, apart) in told.items()} == expected


def test_a_section_that_is_missing_is_told_or_an_error(report: Rebuilt) -> None:
    assert fragments.section(report, "no-such", True, EN) == EN.no_section
    with pytest.raises(GuideError, match="no section no-such; there are claims"):
        fragments.section(report, "no-such", False, EN)


@BOTH
def test_a_section_is_the_report_s_in_the_page_s_words(report: Rebuilt, words: Words) -> None:
    found = next(one for one in report.sections if one.name == "claims")
    head, _, *lines = rows(fragments.section(report, "claims", False, words))
    assert head[0] == words.beside.get("claim", "claim")
    assert [line[2] for line in lines] == [
        translated(words.outcomes, cell.text) for cell in found.columns[2].cells
    ]


def test_a_section_has_its_own_heads_or_the_language_s(report: Rebuilt) -> None:
    english, korean = (
        rows(fragments.section(report, "costs", False, words))[0] for words in (EN, KO)
    )
    assert english[:2] == ["row", "training time seconds"]
    assert korean[:2] == ["행", "학습 시간(초)"]


def test_buckets_of_lengths_have_heads_in_the_language() -> None:
    found = reports.read("extrapolation-grammar", RESULTS)
    assert found is not None
    english, korean = (
        rows(fragments.section(found, "extrapolation", False, words))[0] for words in (EN, KO)
    )
    assert english[1:3] == ["BLEU, valid to 14", "BLEU, valid over 14"]
    assert korean[1:3] == ["검증 BLEU, 14토큰 이하", "검증 BLEU, 14토큰 초과"]
    assert not {*english} & {*korean}


@BOTH
def test_the_paper_s_sentences_have_the_report_s_outcomes(
    report: Rebuilt, stated: dict[str, Any], words: Words
) -> None:
    lines = fragments.claims(report, words).splitlines()
    claims = stated["sections"]["claims"]["sentences"]
    assert len(lines) == len(claims)
    for line, claim in zip(lines, claims, strict=True):
        assert claim["sentence"] in line
        assert line.endswith(f"**{translated(words.outcomes, claim['outcome'])}**")


@pytest.mark.parametrize(
    ("arm", "name", "places", "expected"),
    [
        ("base", "score", 1, lambda row: f"{row['ours']['valid.bleu']['mean']:.1f}"),
        ("A1", "difference", None, lambda row: f"{row['difference']['valid.bleu']:+.1f}"),
        ("A1", "model.heads", None, lambda row: str(row["settings"]["model.heads"])),
        ("A1", "paper.bleu", None, lambda row: str(row["paper"]["bleu"])),
    ],
)
def test_a_value_within_a_sentence_is_the_report_s(
    report: Rebuilt, stated: dict[str, Any], arm: str, name: str, places: int, expected: Any
) -> None:
    row = next(row for row in stated["rows"] if row["arm"] == arm)
    assert fragments.value(report, arm, name, places) == expected(row)


def test_a_value_that_no_row_has_is_an_error(report: Rebuilt) -> None:
    with pytest.raises(GuideError, match="row base has no colour"):
        fragments.value(report, "base", "colour", None)


@BOTH
def test_table_1_is_the_paper_s(words: Words) -> None:
    found = rows(fragments.layer_types(words))
    assert found[0] == [*words.layers]
    assert found[2:] == [
        ["Self-Attention", "$O(n^2 d)$", "$O(1)$", "$O(1)$"],
        ["Recurrent", "$O(n d^2)$", "$O(n)$", "$O(n)$"],
        ["Convolutional", "$O(k n d^2)$", "$O(1)$", r"$O(\log_k(n))$"],
        ["Self-Attention (restricted)", "$O(r n d)$", "$O(1)$", "$O(n/r)$"],
    ]


@pytest.mark.parametrize("kind", get_args(pictures.Kind))
def test_pictures_are_the_report_s_in_the_page_s_words(
    report: Rebuilt, kind: pictures.Kind
) -> None:
    english, korean = (pictures.figures(report, kind, [], words) for words in (EN, KO))
    assert english.count("<svg role") == korean.count("<svg role") > 0
    assert re.search("[가-힣]", korean)
    assert not re.search("[가-힣]", english)


def test_every_verdict_has_a_korean_word() -> None:
    assert {*get_args(Word)} <= {*KO.verdicts}
    assert translated(KO.verdicts, "the same ±0.5") == "같음 ±0.5"
    assert translated(KO.verdicts, "of another kind") == "of another kind"


@pytest.mark.parametrize("field", ["heads", "differences", "curves"])
def test_both_languages_name_the_same(field: str) -> None:
    assert {*getattr(EN, field)} == {*getattr(KO, field)}
