"""Whether a rerun agrees with its original, in directories written by hand."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import pytest

from analysis import agreement
from analysis.agreement import Agreement, Check, compare, sentence
from experiments.rerun import Asked, Strength
from experiments.study import Trial
from lit_transformer.config_io import build, digest, dump, load, parse_set
from lit_transformer.data import corpora
from lit_transformer.record import Record, append_line, write_bytes
from tests.toy import documented

LOSSES = [5.0, 4.0, 3.0]
REFERENCES = [f"the dog number {n} sees a cat" for n in range(20)]


class _Part:
    def targets(self) -> list[str]:
        return REFERENCES


class _Corpus:
    parts = {"valid": _Part()}  # noqa: RUF012


@pytest.fixture(autouse=True)
def _references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "prepare", lambda data, cache: _Corpus)


def finished(root: Path, seed: int, bleu: float, perplexity: float = 4.0) -> Trial:
    """A trial of arm A1 that has scored so, and its directory."""
    words = ("data.corpus=grammar", f"train.seed={seed}", "train.steps=30")
    config = build(dict(map(parse_set, words)))
    sums = {"grammar": "1"}
    trial = Trial(
        "mine", 1, "here", "A1", "A", None, None, seed, config, sums, digest(config, sums), {}
    )
    record = Record(root / "mlruns" / "trials" / trial.digest)
    write_bytes(record.config, dump(config).encode())
    about = {"study": "mine", "setting": "here", "arm": "A1", "seed": seed, "checksums": sums}
    record.write_json("trial.json", {"digest": trial.digest, **about})
    append_line(record.attempts, {"attempt": 1, "event": "start", "time": 1.0})
    for number, loss in enumerate(LOSSES, 1):
        values = {"train.loss": loss, "train.target_tokens_per_second": 9.0 * seed}
        append_line(record.metrics, {"step": 10 * number, "time": 2.0, "values": values})
    for weights in (record.weights, record.averaged):
        write_bytes(weights.with_name(f"{weights.name}.sha256"), b"c0ffee  a file\n")
    write_bytes(record.hypotheses / "valid.txt", "".join(f"{x}\n" for x in REFERENCES).encode())
    record.write_json(
        "result.json", {"scores": {"valid.bleu": bleu, "valid.perplexity": perplexity}}
    )
    return trial


def again(root: Path, trial: Trial, change: Callable[[Record], object]) -> Agreement:
    """The agreement with a copy in which something was changed."""
    old = Record(root / "mlruns" / "trials" / trial.digest)
    new = Record(old.path / "reruns" / "1")
    shutil.copytree(old.path, new.path)
    change(new)
    return compare(trial, old, new, root, Asked("bits", "nothing differs"))


def with_loss(factor: float) -> Callable[[Record], object]:
    def change(record: Record) -> None:
        lines = [json.loads(line) for line in record.metrics.read_text().splitlines()]
        lines[1]["values"]["train.loss"] *= factor
        record.metrics.write_text("".join(f"{json.dumps(line)}\n" for line in lines))

    return change


def with_scores(bleu: float, perplexity: float = 4.0) -> Callable[[Record], object]:
    def change(record: Record) -> None:
        with_loss(2.0)(record)
        scores = {"valid.bleu": bleu, "valid.perplexity": perplexity}
        record.write_json("result.json", {"scores": scores})

    return change


def with_lines(lines: list[str]) -> Callable[[Record], object]:
    def change(record: Record) -> None:
        with_loss(2.0)(record)
        (record.hypotheses / "valid.txt").write_text("".join(f"{x}\n" for x in lines))

    return change


def test_a_copy_has_the_same_bits_whatever_its_speed(tmp_path: Path) -> None:
    def slower(record: Record) -> None:
        record.metrics.write_text(record.metrics.read_text().replace("9.0", "3.0"))

    made = again(tmp_path, finished(tmp_path, 1, 30.0), slower)
    assert (made.found, made.verdict) == ("bits", "agreed")
    assert sentence(made) == "agreed: the same bits"


@pytest.mark.parametrize("name", ["model", "averaged"])
def test_other_weights_are_other_bits(tmp_path: Path, name: str) -> None:
    trial = finished(tmp_path, 1, 30.0)
    made = again(
        tmp_path,
        trial,
        lambda new: (new.path / f"{name}.safetensors.sha256").write_text("decade  a file\n"),
    )
    assert (made.found, made.verdict) == ("curve", "not agreed")
    assert sentence(made).startswith("not agreed: asked for the same bits; there is the same curve")
    assert "sha256 c0ffee and sha256 decade" in sentence(made)


@pytest.mark.parametrize(
    ("factor", "found"), [(1.0, "bits"), (1.049, "curve"), (0.951, "curve"), (1.051, "statistics")]
)
def test_a_curve_agrees_within_the_tolerance_at_every_point(
    tmp_path: Path, factor: float, found: Strength
) -> None:
    trial = finished(tmp_path, 1, 30.0)
    assert again(tmp_path, trial, with_loss(factor)).found == found


def test_a_curve_that_lacks_a_point_is_another(tmp_path: Path) -> None:
    trial = finished(tmp_path, 1, 30.0)

    def shorter(record: Record) -> None:
        record.metrics.write_text("".join(record.metrics.read_text().splitlines(True)[:-1]))

    made = again(tmp_path, trial, shorter)
    told = [c.detail for c in made.checks if c.strength == "curve"]
    assert told == ["1 of 3 points differ"]


@pytest.mark.parametrize(("away", "agrees"), [(0.99, True), (-0.99, True), (1.01, False)])
def test_seeds_allow_what_one_more_of_them_may_score(
    tmp_path: Path, away: float, agrees: bool
) -> None:
    """Student's t for two degrees of freedom at 99.5 % is 9.925, in any table."""
    scores = [30.0, 31.0, 32.5]
    trial, *_ = [finished(tmp_path, seed, bleu) for seed, bleu in enumerate(scores, 1)]
    half = 9.9248 * stdev(scores) * (1 + 1 / 3) ** 0.5
    made = again(tmp_path, trial, with_scores(fmean(scores) + away * half))
    told = {c.what: c.agrees for c in made.checks if c.strength == "statistics"}
    assert told == {"valid.bleu": agrees, "valid.perplexity": True}
    assert (made.found == "statistics") is agrees


def test_trials_of_other_rows_are_no_seeds_of_this_one(tmp_path: Path) -> None:
    trial = finished(tmp_path, 1, 30.0)
    for seed in (2, 3):
        other = Record(tmp_path / "mlruns" / "trials" / finished(tmp_path, seed, 30.0).digest)
        config = load(other.config)
        train = config.train.model_copy(update={"steps": 31})
        write_bytes(other.config, dump(config.model_copy(update={"train": train})).encode())
    made = again(tmp_path, trial, with_scores(30.0))
    (told,) = [c.detail for c in made.checks if c.what == "valid.perplexity"]
    assert told == "1 of 3 seeds, too few to know their spread"


def test_one_seed_is_judged_by_its_sentences(tmp_path: Path) -> None:
    """Of n sentences that differ, the rarest case has a chance of 2 in 2 to the n."""
    trial = finished(tmp_path, 1, 30.0)
    one = again(tmp_path, trial, with_lines([*REFERENCES[:-7], *["the cat"] * 7]))
    told = {c.what: c.agrees for c in one.checks if c.strength == "statistics"}
    assert told == {"valid.bleu": True, "valid.perplexity": None}
    shutil.rmtree(tmp_path / "mlruns" / "trials" / trial.digest / "reruns")
    assert again(tmp_path, trial, with_lines(["a tree"] * 20)).found is None


def test_equal_scores_agree_however_many_sentences_differ(tmp_path: Path) -> None:
    """As of two models that have learnt nothing, whose every exchange of sentences scores 0."""
    trial = finished(tmp_path, 1, 0.0)
    record = Record(tmp_path / "mlruns" / "trials" / trial.digest)
    (record.hypotheses / "valid.txt").write_text("x y z u v\n" * len(REFERENCES))
    made = again(tmp_path, trial, with_lines(["u v w x y"] * len(REFERENCES)))
    (check,) = [c for c in made.checks if c.what == "valid.bleu"]
    assert check.agrees
    assert check.detail == "resampled sentences differ as much in 100.0% of 2,000 cases"


def test_a_trial_without_an_end_cannot_be_judged(tmp_path: Path) -> None:
    made = again(tmp_path, finished(tmp_path, 1, 30.0), lambda new: new.result_file.unlink())
    assert made.verdict == "cannot be judged"
    assert "has not come to its end" in sentence(made)


@pytest.mark.parametrize(
    ("asked", "found", "verdict"),
    [
        ("bits", ["bits"], "agreed"),
        ("curve", ["bits"], "agreed"),
        ("statistics", ["curve"], "agreed"),
        ("bits", ["curve", "statistics"], "not agreed"),
        ("curve", ["statistics"], "not agreed"),
        ("statistics", [], "not agreed"),
    ],
)
def test_a_stronger_agreement_than_asked_for_agrees(
    asked: Strength, found: list[Strength], verdict: str
) -> None:
    strengths: tuple[Strength, ...] = ("bits", "curve", "statistics")
    checks = tuple(Check(s, "what", s in found, "") for s in strengths)
    assert Agreement(Asked(asked, ""), checks).verdict == verdict


def test_what_cannot_be_told_agrees_with_nothing() -> None:
    made = Agreement(Asked("statistics", ""), (Check("statistics", "valid.f1", None, "few"),))
    assert (made.found, made.verdict) == (None, "cannot be judged")
    assert sentence(made).endswith("valid.f1: few")


def test_the_object_has_the_keys_of_its_page(tmp_path: Path) -> None:
    trial = finished(tmp_path, 1, 30.0)
    made = again(tmp_path, trial, with_loss(1.5))
    old = Record(tmp_path / "mlruns" / "trials" / trial.digest)
    told = agreement.as_object(made, [], old, Record(old.path / "reruns" / "1"))
    assert {*json.loads(json.dumps(told))} == documented("ablate rerun")[0]
