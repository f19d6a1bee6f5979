"""A report verifies; one in which a number, a digit or a line was changed does not."""

import bz2
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analysis import (
    assembly,
    evidence,
    gathering,
    latex,
    recomputing,
    rendering,
    sentences,
    verification,
    verification_text,
)
from analysis.evidence import EvidenceError
from analysis.gathering import gather
from analysis.rates import known
from analysis.sources import Unpacked
from analysis.tables import Table
from analysis.verification import Difference, differences_of, verify
from experiments.store import StoreError
from lit_transformer.config_io import parse_set
from lit_transformer.data import corpora, translation, treebank, vocab
from lit_transformer.data.cache import CorpusError
from lit_transformer.record import Record
from tests.analysis.evident import Made, heading, made
from tests.toy import Toy, write_toy

Value = Any


def small(patch: pytest.MonkeyPatch) -> None:
    """The built-in corpora with a few sentences a part, which do for a test."""
    patch.setattr(sentences, "FEWEST", 1)
    draws = {
        part: corpora.Draw(n, s)
        for part, n, s in (("train", 20, 1), ("valid", 9, 2), ("test", 7, 3))
    }
    trees = {part: treebank.Draw(draw.pairs, draw.seed) for part, draw in draws.items()}
    patch.setattr(corpora, "GRAMMAR_PARTS", draws)
    patch.setattr(treebank, "GRAMMAR_PARTS", trees)


class Report:
    """A report of made-up trials, with its files, in a folder."""

    def __init__(self, source: Made, folder: Path, with_private_texts: bool = False) -> None:
        self.source, self.folder = source, folder
        self.table: Table = assembly.build(
            heading(source), source.trials, source, "valid", known([])
        )
        self.json, self.evidence = folder / "report.json", folder / "report.evidence.json.bz2"
        folder.mkdir(parents=True, exist_ok=True)
        curves = assembly.histories(self.table, source)
        heads = assembly.measured_heads(self.table, source)
        more = assembly.sections(self.table, [], curves, heads, source.trials, source)
        self.sections = more
        self.json.write_text(rendering.json_text(self.table, more), "utf-8")
        (folder / "report.md").write_text(rendering.markdown(self.table, None, more), "utf-8")
        (folder / "report.csv").write_text(rendering.csv_text(self.table), "utf-8")
        (folder / "report.tex").write_text(latex.document(self.table, more), "utf-8")
        found = gather(self.table, source.trials, source, with_private_texts)
        assert found is not None
        self.found = found
        assert evidence.write(self.found, self.evidence)

    def verified(self, *sets: str, cache: Path | None = None) -> verification.Outcome:
        given = dict(parse_set(text) for text in sets)
        return verify(self.json, None, given, cache or self.source.root / "mlruns" / "cache")


@pytest.fixture(scope="module")
def patched() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        small(patch)
        yield


@pytest.fixture(scope="module")
def grammar(patched: None, tmp_path_factory: pytest.TempPathFactory) -> Report:
    root = tmp_path_factory.mktemp("grammar")
    return Report(made(root, "table3", "grammar", ["base", "A1"], []), root / "report")


@pytest.fixture
def copy(grammar: Report, tmp_path: Path) -> Report:
    """A report of one's own to spoil."""
    return Report(grammar.source, tmp_path)


def where(outcome: verification.Outcome) -> list[str]:
    return [one.where for one in outcome.differences]


def test_a_report_verifies_and_says_what_from(grammar: Report, tmp_path: Path) -> None:
    outcome = grammar.verified(cache=tmp_path / "cache")
    assert outcome.differences == []
    assert outcome.files == ["report.md", "report.csv", "report.tex"]
    assert outcome.scores == {"hypotheses": 4 * 4 * 3, "loss": 4 * (4 * 2 + 1)}
    assert "verified: nothing differs" in verification_text.text(outcome)
    assert json.loads(verification_text.json_text(outcome))["verified"] is True


def test_what_heads_do_is_in_the_evidence(copy: Report) -> None:
    (found,) = (one for one in copy.sections if one.name == "heads")
    assert found.content["rows"][1]["heads"] == 3 * 1  # type: ignore[index]
    content = json.loads(copy.json.read_text("utf-8"))
    content["sections"]["heads"]["rows"][0]["measures"]["cross.entropy"]["values"][1] += 0.5
    copy.json.write_text(rendering.as_text(content), "utf-8")
    assert where(copy.verified()) == ["sections.heads.rows.0.measures.cross.entropy.values.1"]


def test_a_report_of_trials_that_have_not_measured_their_heads_verifies(copy: Report) -> None:
    """As older ones have not."""
    bare = copy.found.model_copy(deep=True)
    for directory in bare.directories.values():
        directory.__dict__["heads"] = {}
    sections = [one for one in copy.sections if one.name != "heads"]
    copy.json.write_text(rendering.json_text(copy.table, sections), "utf-8")
    for name in ("md", "tex"):
        (copy.folder / f"report.{name}").unlink()
    assert evidence.write(bare, copy.evidence)
    assert copy.verified().differences == []


def test_trees_are_verified_without_their_words(
    patched: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("trees")
    report = Report(made(root, "table4", "grammar-trees", [], []), root / "report")
    outcome = report.verified()
    assert outcome.differences == []
    assert outcome.scores["hypotheses"] == 2 * 4 * 8
    assert any(row.measures["valid.repaired"].mean for row in report.table.rows)
    written = " ".join(
        line
        for some in report.found.hypotheses.values()
        for row in some.lines
        for line in row
        if line
    )
    words = report.source.corpus(report.source.trials[0].config.data).parts["valid"].sources()
    told = {word.lower() for line in words for word in line.split() if word.isalpha()}
    assert not told & {symbol.lower() for symbol in written.split()} - {"to"}  # a tag


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def mine(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Trials on files of the user's own."""
    return made(tmp_path_factory.mktemp("mine"), str(toy.study), str(toy.setting), [], [])


def files_of(toy: Toy) -> list[str]:
    """The options that tell where the files are."""
    return [
        f"data.files.{part}.{side}={toy.folder}/{part}.{end}"
        for part in ("train", "valid", "test")
        for side, end in (("source", "en"), ("target", "de"))
    ]


@pytest.mark.parametrize("with_private_texts", [False, True])
def test_of_a_users_own_files_evidence_has_numbers_alone_unless_asked(
    mine: Made, toy: Toy, tmp_path: Path, with_private_texts: bool
) -> None:
    report = Report(mine, tmp_path, with_private_texts)
    told = {*re.findall(r"[a-z]+", report.found.model_dump_json())}
    assert ("katze" in told) is with_private_texts
    bare, whole = report.verified(), report.verified(*files_of(toy))
    assert bare.differences == whole.differences == []
    assert bare.scores["counts"] == 4 * 4 * 3
    assert whole.scores["hypotheses" if with_private_texts else "counts"] == 4 * 4 * 3


def test_files_that_are_others_are_refused(mine: Made, toy: Toy, tmp_path: Path) -> None:
    report = Report(mine, tmp_path)
    others = [text.replace("valid.de", "test.de") for text in files_of(toy)]
    with pytest.raises(CorpusError):
        report.verified(*others)
    (tmp_path / "valid.de").write_text("das hund\n" * 6)
    others = [
        text.replace(f"{toy.folder}/valid.de", f"{tmp_path}/valid.de") for text in files_of(toy)
    ]
    with pytest.raises(CorpusError, match=r"valid\.target: what is here has checksum"):
        report.verified(*others)


def test_paths_that_stand_in_evidence_are_not_followed(
    mine: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Report(mine, tmp_path)
    opened: list[object] = []
    monkeypatch.setattr(corpora, "prepare", lambda data, cache: opened.append(data))
    assert report.verified().differences == []
    assert opened == []


def test_counts_and_their_scores_must_agree(mine: Made, tmp_path: Path) -> None:
    report = Report(mine, tmp_path)
    found = spoil(
        report, lambda content: content["counts"]["valid"]["counts"][0]["ter"][0].reverse()
    )
    assert found[0] == "evidence, row base, seed 1, valid.ter"
    # A run whose sentences give another score than the recorded one is in no section of them.
    assert all(one.startswith(("sections.", "report.")) for one in found[1:])


def test_lengths_are_counted_again_by_the_vocabulary_of_the_trials(
    patched: None, tmp_path: Path
) -> None:
    source = made(tmp_path, "table3", "grammar", ["base"], ["data.vocabulary_size=200"])
    report, data = Report(source, tmp_path / "report"), source.trials[0].config.data
    cache, corpus = tmp_path / "mlruns" / "cache", source.corpus(data)
    words = vocab.train(corpus, data, cache)
    content = report.found.model_dump()
    for directory in content["directories"].values():
        directory["result"]["vocabulary_sha256"] = words.checksum
    content["lengths"] = {"valid": translation.lengths(corpus, words, data, "valid")}

    def check(number: int) -> recomputing.Check:
        found = evidence.Evidence.model_validate(content)
        unpacked = Unpacked(found, tmp_path / f"unpacked{number}", {}, cache)
        (one,) = (c for c in recomputing.checks(unpacked) if c.where == "lengths of valid")
        return one

    assert (check(1).how, check(1).holds) == ("configuration", True)
    content["lengths"]["valid"][2] = (99, 99)
    assert not check(2).holds
    for directory in content["directories"].values():
        directory["result"]["vocabulary_sha256"] = "of another sentencepiece"
    assert (check(3).how, check(3).holds) == ("nothing", True)


def test_a_report_of_before_has_no_later_sections_and_verifies(copy: Report) -> None:
    """Its evidence names no sections, nor has it lengths."""
    first = [one for one in copy.sections if one.name in evidence.FIRST]
    assert len(first) < len(copy.sections)
    copy.json.write_text(rendering.json_text(copy.table, first), "utf-8")
    copy.json.with_suffix(".md").write_text(rendering.markdown(copy.table, None, first), "utf-8")
    copy.json.with_suffix(".tex").write_text(latex.document(copy.table, first), "utf-8")
    text = json.loads(bz2.decompress(copy.evidence.read_bytes()))
    del text["about"]["sections"], text["lengths"]
    copy.evidence.write_bytes(bz2.compress(json.dumps(text).encode()))
    assert copy.verified().differences == []


def test_a_later_section_that_is_left_out_is_found(copy: Report) -> None:
    report = json.loads(copy.json.read_text("utf-8"))
    del report["sections"]["lengths"]
    copy.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    assert all(one.startswith("sections.lengths.") for one in where(copy.verified()))
    assert where(copy.verified())


def leaves(value: Value, place: tuple[Value, ...] = ()) -> Iterator[tuple[Value, ...]]:
    match value:
        case dict() | list() if value:
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                yield from leaves(inner, (*place, key))
        case _:
            yield place


def changed(leaf: Value) -> Value:
    match leaf:
        case bool():
            return not leaf
        case int():
            return leaf + 1
        case float():
            return float(f"{leaf:.17g}") * (1 + 1e-15) or 1e-300
        case str():
            return leaf + "0"
        case _:
            return "something"


def test_every_value_that_is_changed_is_found_and_named(grammar: Report) -> None:
    text = grammar.json.read_text("utf-8")
    report = json.loads(text)
    places = list(leaves(report))
    later = [place for place in places if place[0] == "sections"]
    places = [place for place in places if place[0] != "sections"] + later[::29]
    assert len(places) > 300
    for place in places:
        *path, last = place
        node = report
        for key in path:
            node = node[key]
        before, node[last] = node[last], changed(node[last])
        found = differences_of(grammar.json, json.dumps(report), grammar.table, grammar.sections)
        node[last] = before
        assert len(found) == 1, place
        assert found[0].stated != found[0].recomputed


def digits(text: str) -> list[re.Match[str]]:
    return list(re.finditer(r"(?<=[\d.])\d(?=[\d,\n])", text))


@pytest.mark.parametrize("number", range(6))
def test_a_digit_that_is_changed_in_any_number_is_found(copy: Report, number: int) -> None:
    text = copy.json.read_text("utf-8")
    all_of_them = digits(text)
    digit = all_of_them[number * (len(all_of_them) - 1) // 5]
    other = str((int(digit[0]) + 1) % 10)
    copy.json.write_text(text[: digit.start()] + other + text[digit.end() :], "utf-8")
    outcome = copy.verified()
    assert len(outcome.differences) == 1
    assert "NOT verified: 1 difference" in verification_text.text(outcome)


def test_a_changed_cell_is_named_by_row_metric_and_seed(copy: Report) -> None:
    text = copy.json.read_text("utf-8")
    score = copy.table.rows[1].measures["valid.bleu"].values[1]
    copy.json.write_text(text.replace(str(score), "99.5"), "utf-8")
    (found,) = copy.verified().differences
    assert found == Difference("row A1, valid.bleu, seed 2", "99.5", str(score))


def test_equal_values_in_another_text_are_no_report_of_ours(copy: Report) -> None:
    copy.json.write_text(copy.json.read_text("utf-8").replace('"format": 1', '"format":  1'))
    assert where(copy.verified()) == ["the JSON's text, line 2"]


def test_a_key_given_twice_is_found(copy: Report) -> None:
    text = copy.json.read_text("utf-8")
    copy.json.write_text(text.replace('"format": 1,', '"finished": 5,\n  "format": 1,'))
    assert len(copy.verified().differences) == 1


def test_a_value_that_is_left_out_or_added_is_found(copy: Report) -> None:
    report = json.loads(copy.json.read_text("utf-8"))
    del report["rows"][0]["trials"][1]["commit"]
    report["rows"][0]["opinion"] = "better"
    copy.json.write_text(json.dumps(report))
    assert where(copy.verified()) == ["row base, seed 2, commit", "row base, opinion"]


@pytest.mark.parametrize("name", ["report.md", "report.csv", "report.tex"])
def test_a_changed_file_beside_the_report_is_found(copy: Report, name: str) -> None:
    path = copy.folder / name
    path.write_text(path.read_text("utf-8").replace("A1", "A7", 1), "utf-8")
    assert [one.startswith(f"{name}, line ") for one in where(copy.verified())] == [True]


def spoil(report: Report, change: Any) -> list[str]:
    """What is told of the report after a change of its evidence."""
    content = report.found.model_dump()
    change(content)
    report.evidence.unlink()
    evidence.write(evidence.Evidence.model_validate(content), report.evidence)
    return where(report.verified())


def test_a_changed_hypothesis_is_found(copy: Report) -> None:
    digest = copy.source.trials[1].digest

    def change(content: Value) -> None:
        lines = content["hypotheses"]["test.averaged"]
        lines["lines"][3][lines["trials"].index(digest)] = "etwas ganz anderes"

    named = {f"evidence, row A1, seed 1, test.averaged.{name}" for name in ("bleu", "chrf", "ter")}
    named.add("evidence, row A1, seed 1, test.averaged in other tokens")
    assert {*spoil(copy, change)} == named


def test_a_score_changed_in_report_and_evidence_is_found(copy: Report) -> None:
    """Everywhere but in the hypotheses: in the tracker's row, result.json and scores/."""
    digest = copy.source.trials[0].digest

    def change(content: Value) -> None:
        directory = content["directories"][digest]
        directory["result"]["scores"]["valid.bleu"] = 99.5
        directory["scores"]["valid"]["scores"]["bleu"] = 99.5
        next(r for r in content["runs"] if r["row"]["digest"] == digest)["row"]["scores"][
            "valid.bleu"
        ] = 99.5

    assert "evidence, row base, seed 1, valid.bleu" in spoil(copy, change)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t, d: t["config"].update({"model.heads": 4}), "digest"),
        (lambda t, d: d["result"]["parameters"].update(total=7), "parameters"),
        (lambda t, d: d["scores"]["valid"].update(loss=1.0), "valid.perplexity"),
        (lambda t, d: d["scores"]["test"].update(truncated=[]), "test.truncated"),
        (lambda t, d: d["training"].update(flops=1.0), "cost.flops in result.json"),
        (lambda t, d: d["start"].update(commit="b0b"), "commit"),
        (lambda t, d: d["curves"][0]["values"].update({"valid.loss": 1.0}), "at step 1"),
        (lambda t, d: d.update(config=d["config"].replace("seed: 1", "seed: 3")), "config.yaml"),
        (lambda t, d: d["result"].clear(), "row base, seed 1"),
    ],
)
def test_evidence_that_does_not_hold_together_is_told(copy: Report, change: Any, told: str) -> None:
    first = copy.source.trials[0]
    found = spoil(copy, lambda c: change(c["trials"][0], c["directories"][first.digest]))
    assert any(told in one and one.startswith("evidence, row base") for one in found)


def _shadowed(found: evidence.Evidence) -> None:
    """A false score, and the true one behind it as a rerun's, which no table counts."""
    true = found.runs[0].model_copy(deep=True)
    found.runs[0].row["scores"]["valid.bleu"] += 20
    true.row["rerun_of"] = "x"
    found.runs.append(true.model_copy(update={"run_id": "f" * 32}))


def _hidden(found: evidence.Evidence) -> None:
    found.runs[0].row["kind"] = "diverged"


def _left_out(found: evidence.Evidence) -> None:
    del found.runs[0]


def _more_devices(found: evidence.Evidence) -> None:
    found.runs[0].row["devices"] = 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_shadowed, "evidence, row base, seed 1, valid.bleu as tracked (scores)"),
        (_hidden, "evidence, row base, seed 1"),
        (_left_out, "evidence, row base, seed 1"),
        (_more_devices, "evidence, row base, seed 1, devices"),
    ],
)
def test_evidence_that_hides_or_adorns_a_run_is_told(copy: Report, change: Any, told: str) -> None:
    forged = copy.found.model_copy(deep=True)
    assert (forged.runs[0].row["arm"], forged.runs[0].row["seed"]) == ("base", 1)
    change(forged)
    assert evidence.write(forged, copy.evidence)
    assert told in where(copy.verified())


def test_a_counted_trial_without_evidence_is_told(copy: Report) -> None:
    digest = copy.source.trials[2].digest
    found = spoil(copy, lambda c: c["directories"].pop(digest) and [_dropped(c, digest)])
    assert "evidence, row base, seed 2" in found


def _dropped(content: Value, digest: str) -> None:
    for lines in content["hypotheses"].values():
        place = lines["trials"].index(digest)
        lines["trials"].pop(place)
        for row in lines["lines"]:
            row.pop(place)


@pytest.mark.parametrize(
    "content", [b"\xff", b"{", b'{"bleu": [["a"]]}', b"(S (NP (DT the))) (S)\n", b'"\\ud800"']
)
@pytest.mark.parametrize("name", ["counts/valid.json", "hypotheses/valid.txt", "trial.json"])
def test_a_damaged_trial_is_told_and_the_report_then_names_it(
    mine: Made, tmp_path: Path, name: str, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = mine.directory(mine.trials[0].digest) / name
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        report = Report(mine, tmp_path, with_private_texts=True)
    finally:
        path.write_bytes(whole)
    if "not in the evidence" in caplog.text:
        assert "evidence, row base, seed 1" in where(report.verified())
    else:  # a line of text is a line of text
        assert name == "hypotheses/valid.txt"


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["hypotheses"]["valid"]["lines"][0].pop(),
        lambda c: c["counts"]["valid"]["trials"].pop(),
        lambda c: c["runs"][0]["row"].clear(),
        lambda c: c["trials"][0]["config"].update({"model.heads": -1}),
        lambda c: c["directories"][c["trials"][0]["digest"]].update(config="&a [*a"),
        lambda c: c["directories"][c["trials"][0]["digest"]]["scores"]["valid"].clear(),
    ],
)
def test_evidence_that_makes_no_sense_is_told_or_refused(
    mine: Made, tmp_path: Path, change: Any
) -> None:
    report = Report(mine, tmp_path, with_private_texts=True)
    with contextlib.suppress(EvidenceError, StoreError):
        assert spoil(report, change)


def test_what_the_evidence_lacks_is_told_as_not_recomputed(mine: Made, tmp_path: Path) -> None:
    """As of trials that are older than counts and losses."""
    (Record(mine.directory(mine.trials[0].digest)).counts / "valid.json").unlink()
    report = Report(mine, tmp_path)
    outcome = report.verified()
    assert outcome.differences == []
    assert outcome.scores["nothing"] == 3
    assert "3  scores not recomputed" in verification_text.text(outcome)


def test_the_same_evidence_gives_the_same_bytes(copy: Report, tmp_path: Path) -> None:
    before = copy.evidence.read_bytes()
    again = Report(copy.source, tmp_path / "again").evidence.read_bytes()
    assert before == again


def test_nothing_of_the_machine_is_in_the_evidence(copy: Report) -> None:
    text = copy.found.model_dump_json()
    assert "of-somebody" not in text
    assert str(copy.source.root) not in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cut short"),
        (b"not packed at all", "damaged"),
        (b"BZh9", "cut short"),
    ],
)
def test_a_file_that_is_no_evidence_is_one_message(copy: Report, content: bytes, told: str) -> None:
    copy.evidence.write_bytes(content)
    with pytest.raises(EvidenceError, match=told):
        copy.verified()


def test_evidence_that_is_cut_short_or_has_a_flipped_bit_is_refused(copy: Report) -> None:
    whole = copy.evidence.read_bytes()
    refused = 0
    for place in range(0, len(whole), max(1, len(whole) // 40)):
        flipped = bytes([*whole[:place], whole[place] ^ 16, *whole[place + 1 :]])
        for content in (whole[:place], flipped, whole + whole[:place] + b"\0"):
            copy.evidence.write_bytes(content)
            try:
                found = evidence.read(copy.evidence)
            except EvidenceError:
                refused += 1
            else:  # some bits of the packing say nothing
                assert content is flipped
                assert found == copy.found
    assert refused > 100


def test_evidence_that_unpacks_to_too_much_is_refused(
    copy: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "LARGEST", 1000)
    with pytest.raises(EvidenceError, match="holds more than 1,000 bytes"):
        copy.verified()
    assert not evidence.write(copy.found, copy.evidence)
    monkeypatch.setattr(gathering, "LARGEST", 1000)
    assert gather(copy.table, copy.source.trials, copy.source, False) is None
    monkeypatch.setattr(gathering, "LARGEST", 2**28)
    monkeypatch.setattr(gathering, "MOST_TRIALS", 3)
    assert gather(copy.table, copy.source.trials, copy.source, False) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["directories"].update({"../../../../etc": c["directories"].popitem()[1]}),
        lambda c: c["hypotheses"].update({"../valid": c["hypotheses"].pop("valid")}),
        lambda c: c["trials"][0].update(digest="/etc/passwd"),
        lambda c: c.update(format=2),
        lambda c: c.update(trials=[]),
        lambda c: c.update(stranger=1),
    ],
)
def test_names_that_are_none_of_ours_are_refused(copy: Report, change: Any) -> None:
    content = copy.found.model_dump()
    change(content)
    copy.evidence.write_bytes(bz2.compress(json.dumps(content).encode()))
    with pytest.raises(EvidenceError, match="no evidence of a report"):
        copy.verified()


@pytest.mark.parametrize("content", ["", "[]", '{"rows": 1}', "[" * 100_000, "{", "\0"])
def test_a_file_that_is_no_report_is_one_message(copy: Report, content: str) -> None:
    copy.json.write_text(content)
    with pytest.raises(EvidenceError, match=r"report\.json"):
        copy.verified()


def test_runs_that_end_while_a_report_is_made_are_not_in_its_evidence(
    grammar: Report,
) -> None:
    source = grammar.source
    ended = source.found.pop()
    try:
        table = assembly.build(heading(source), source.trials, source, "valid", known([]))
    finally:
        source.found.append(ended)
    found = gather(table, source.trials, source, with_private_texts=False)
    assert found is not None
    assert ended.run_id not in {run.run_id for run in found.runs}
    assert len(found.runs) == len(source.trials) - 1


def test_evidence_of_other_arithmetic_names_the_commit(copy: Report) -> None:
    with pytest.raises(EvidenceError, match=r"NUMERICS 1, and this is .* code of commit c0ffee"):
        spoil(copy, lambda content: content.update(numerics=1))


def test_verifying_needs_neither_torch_nor_mlflow_nor_a_network() -> None:
    code = (
        "import sys; import analysis.verification; "
        "print(*sorted({'torch', 'mlflow', 'pooch', 'datasets'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == ""


def test_a_key_that_came_after_the_report_is_no_difference_at_its_default(grammar) -> None:
    content = json.loads(grammar.json.read_text("utf-8"))
    for row in content["rows"]:
        del row["settings"]["model.norm"]
    text = rendering.as_text(content)
    assert differences_of(grammar.json, text, grammar.table, grammar.sections) == []
    for row in content["rows"]:
        del row["settings"]["data.corpus"]  # grammar, and no default
    found = differences_of(
        grammar.json, rendering.as_text(content), grammar.table, grammar.sections
    )
    assert [one.stated for one in found] == ["nothing"] * len(content["rows"])
