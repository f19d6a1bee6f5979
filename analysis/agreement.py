"""Whether a rerun agrees with its original: in bits, along the curves, or statistically.

All is read from the two trials' directories, so that a tracker that is away changes no verdict.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, Literal, NamedTuple

from scipy.special import stdtrit

from experiments.mirror import directories
from experiments.rerun import STRENGTHS, WORDS, Asked, Difference, Strength
from experiments.study import Trial
from lit_transformer import config_io, scoring
from lit_transformer.config import RunConfig
from lit_transformer.data import corpora
from lit_transformer.data.cache import CorpusError
from lit_transformer.record import DAMAGE, POINT, REMEDY, Record, RecordError, read_lines, read_own

TOLERANCES = {"train.loss": 0.05, "valid.loss": 0.02}
"""Largest difference of a loss from the original's at the same step, as a part of that one.

One thread beside two, on a CPU: at most 0.026 and 0.001 in 300 updates of grammar's base. A batch's
loss is noisier than a whole part's.
"""
CURVES = (
    *("train.loss", "train.perplexity", "train.learning_rate", "train.gradient_norm"),
    *("valid.loss", "valid.perplexity", "valid.curve_bleu", "valid.curve_f1"),
)
"""Curves that two trainings with the same bits have in common; speed and memory are others."""
RARE = 0.01
"""Scores that chance makes so seldom, or more seldom, do not agree."""
FEWEST_SEEDS = 3
"""Finished trainings of an arm from which the spread of its seeds is taken."""
SAMPLES = 2000
"""Resamplings of the sentences."""
JSON_FORMAT = 1
"""Raised when a key of the JSON object is renamed or removed."""

Verdict = Literal["agreed", "not agreed", "cannot be judged"]


class Check(NamedTuple):
    """One comparison of the two."""

    strength: Strength
    what: str
    agrees: bool | None
    """None: it cannot be told."""
    detail: str


class Agreement(NamedTuple):
    """What was asked for, and what was found."""

    asked: Asked
    checks: tuple[Check, ...]

    @property
    def found(self) -> Strength | None:
        """The strongest agreement whose checks all hold; None: there is none."""
        return next((one for one in STRENGTHS if self._holds(one)), None)

    @property
    def verdict(self) -> Verdict:
        if self.found is not None and _rank(self.found) <= _rank(self.asked.strength):
            return "agreed"
        told = [c.agrees for c in self.checks if c.strength == self.asked.strength]
        return "not agreed" if False in told else "cannot be judged"

    def _holds(self, strength: Strength) -> bool:
        told = [c.agrees for c in self.checks if c.strength == strength and c.agrees is not None]
        return bool(told) and all(told)


def _rank(strength: Strength) -> int:
    return STRENGTHS.index(strength)


def compare(trial: Trial, old: Record, new: Record, root: Path, asked: Asked) -> Agreement:
    """Every comparison that the two directories allow. RecordError where one is damaged."""
    checks: list[Check] = []
    if old.state().is_over and new.state().is_over:
        checks += _bits(old, new)
        checks += _curves(old, new)
        if old.result() is not None and new.result() is not None:
            checks += _statistics(trial, old, new, root)
    return Agreement(asked, tuple(checks))


def sentence(agreement: Agreement) -> str:
    """The verdict as one line."""
    asked, found = WORDS[agreement.asked.strength], agreement.found
    failed = [c for c in agreement.checks if c.agrees is False]
    match agreement.verdict:
        case "agreed":
            assert found is not None
            more = "" if found == agreement.asked.strength else f"; asked for: {asked}"
            return f"agreed: {WORDS[found]}{more}"
        case "not agreed":
            short = f"; there is {WORDS[found]}" if found else ""
            named = "; ".join(f"{c.what}: {c.detail}" for c in failed)
            return f"not agreed: asked for {asked}{short}. {named}"
        case "cannot be judged":
            told = [f"{c.what}: {c.detail}" for c in agreement.checks if c.agrees is None]
            why = "; ".join(told) or "one of the two has not come to its end"
            return f"cannot be judged: asked for {asked}. {why}"


def as_object(
    agreement: Agreement, differences: Sequence[Difference], old: Record, new: Record
) -> dict[str, Any]:
    """The object of `ablate rerun --json`; see docs/json.md."""
    before, after = _scores(old), _scores(new)
    return {
        "format": JSON_FORMAT,
        "original": str(old.path),
        "rerun": str(new.path),
        "differences": [one._asdict() for one in differences],
        "asked": agreement.asked.strength,
        "reason": agreement.asked.reason,
        "found": agreement.found,
        "verdict": agreement.verdict,
        "sentence": sentence(agreement),
        "checks": [one._asdict() for one in agreement.checks],
        "scores": {
            name: {"old": before.get(name), "new": after.get(name)}
            for name in sorted({*before, *after})
        },
    }


def _scores(record: Record) -> dict[str, float]:
    """Those that JSON can hold."""
    scores = (record.result() or {}).get("scores", {})
    return {name: value for name, value in scores.items() if math.isfinite(value)}


def _bits(old: Record, new: Record) -> Iterator[Check]:
    for name in ("weights", "averaged"):
        sums = [_checksum(getattr(record, name)) for record in (old, new)]
        if None not in sums:
            detail = " and ".join(dict.fromkeys(f"sha256 {text[:12]}" for text in sums if text))
            yield Check("bits", name, sums[0] == sums[1], detail)
    before, after = (_points(record, CURVES) for record in (old, new))
    yield Check("bits", "curves", before == after, _counted(before, after, "point"))
    names = sorted({p.name for r in (old, new) for p in r.hypotheses.glob("*.txt")})
    mine, theirs = ({n: read_own(r.hypotheses / n) for n in names} for r in (old, new))
    if names:
        yield Check("bits", "hypotheses", mine == theirs, _counted(mine, theirs, "file"))


def _checksum(weights: Path) -> str | None:
    """As written beside the weights, which `train.keep` may have deleted."""
    content = read_own(weights.with_name(f"{weights.name}.sha256"))
    return None if content is None else content.decode("ascii", "replace").split(" ")[0]


def _counted(before: Mapping[Any, Any], after: Mapping[Any, Any], noun: str) -> str:
    names = {*before, *after}
    differing = sum(before.get(name) != after.get(name) for name in names)
    return f"{differing} of {len(names)} {noun}s differ" if differing else f"{len(names)} {noun}s"


def _points(record: Record, names: Sequence[str]) -> dict[tuple[str, int], float | str]:
    """(curve, step) -> value; text where it is not finite."""
    return {
        (name, line["step"]): line["values"][name]
        for line in read_lines(record.metrics, **POINT)
        for name in names
        if name in line["values"]
    }


def _curves(old: Record, new: Record) -> Iterator[Check]:
    """Every logged loss of the original against the rerun's at the same step."""
    for name, allowed in TOLERANCES.items():
        before, after = (_points(record, (name,)) for record in (old, new))
        if not before and not after:
            continue
        if before.keys() != after.keys():
            yield Check("curve", name, False, _counted(before, after, "point"))
            continue
        parts = {step: _part(before[name, step], after[name, step]) for _, step in before}
        step = max(parts, key=lambda step: parts[step])
        detail = f"at most {parts[step]:.2%} apart, at step {step:,}; {allowed:.0%} allowed"
        yield Check("curve", name, parts[step] <= allowed, detail)


def _part(old: float | str, new: float | str) -> float:
    """How far apart two losses are, as a part of the first."""
    if old == new:
        return 0.0
    if isinstance(old, str) or isinstance(new, str) or old == 0:
        return math.inf
    return abs(new - old) / abs(old)


def _statistics(trial: Trial, old: Record, new: Record, root: Path) -> Iterator[Check]:
    seeds = _of_other_seeds(trial, root)
    before, after = _scores(old), _scores(new)
    measure = f"valid.{scoring.MEASURES[trial.config.data.task]}"
    enough = len(seeds) + 1 >= FEWEST_SEEDS
    for name in (measure, "valid.perplexity"):
        if name not in before or name not in after:
            yield Check("statistics", name, None, "one of the two has no finite score")
        elif enough:
            others = [one[name] for one in seeds if name in one]
            yield _by_seeds(name, [before[name], *others], after[name])
        elif name == "valid.bleu":
            yield _by_sentences(trial, old, new, root)
        else:
            told = f"{len(seeds) + 1} of {FEWEST_SEEDS} seeds, too few to know their spread"
            yield Check("statistics", name, None, told)


def _by_seeds(name: str, known: Sequence[float], value: float) -> Check:
    """Whether one more training may well have scored so: Student's prediction interval."""
    n = len(known)
    if n < FEWEST_SEEDS:
        return Check("statistics", name, None, f"{n} finite scores of seeds are too few")
    half = float(stdtrit(n - 1, 1 - RARE / 2)) * stdev(known) * math.sqrt(1 + 1 / n)
    low, high = fmean(known) - half, fmean(known) + half
    detail = f"{value:.2f}; {n} seeds allow {low:.2f} to {high:.2f} ({1 - RARE:.0%})"
    return Check("statistics", name, low <= value <= high, detail)


def _by_sentences(trial: Trial, old: Record, new: Record, root: Path) -> Check:
    lines = [_lines(record.hypotheses / "valid.txt") for record in (old, new)]
    try:
        corpus = corpora.prepare(trial.config.data, root / "mlruns" / "cache")
        references = corpus.parts["valid"].targets()
    except CorpusError as error:
        return Check("statistics", "valid.bleu", None, f"the corpus is gone: {error}")
    if {len(some) for some in lines} != {len(references)}:
        return Check("statistics", "valid.bleu", None, "the translations are of another text")
    differing = sum(a != b for a, b in zip(*lines, strict=True))
    if 2.0 ** (1 - differing) > RARE:  # the rarest that so few sentences can be
        told = f"{differing} of {len(references):,} sentences differ"
        return Check("statistics", "valid.bleu", True, told)
    chance = scoring.p_value(lines[0], lines[1], references, SAMPLES)
    detail = f"resampled sentences differ as much in {chance:.1%} of {SAMPLES:,} cases"
    return Check("statistics", "valid.bleu", chance > RARE, detail)


def _lines(path: Path) -> list[str]:
    try:
        return (read_own(path) or b"").decode("utf-8").split("\n")[:-1]
    except UnicodeDecodeError:
        raise RecordError(f"{path}: not UTF-8; {REMEDY}") from None


def _of_other_seeds(trial: Trial, root: Path) -> list[dict[str, float]]:
    """The scores of finished trials of the same configuration with other seeds."""
    found: list[dict[str, float]] = []
    for directory in directories(root):
        record = Record(directory)
        try:
            if directory.parent.name != "reruns" and _is_sibling(trial, record):
                found.append(_scores(record))
        except DAMAGE:
            continue  # a damaged one is no reason to judge none
    return [scores for scores in found if scores]


def _is_sibling(trial: Trial, record: Record) -> bool:
    about = record.read_json("trial.json") or {}
    named = (trial.study, trial.setting, trial.arm, dict(trial.checksums))
    if tuple(about.get(n) for n in ("study", "setting", "arm", "checksums")) != named:
        return False
    config = config_io.load(record.config)
    return config.train.seed != trial.seed and _seedless(config) == _seedless(trial.config)


def _seedless(config: RunConfig) -> RunConfig:
    train = config.train.model_copy(update={"seed": 0})
    return config.model_copy(update={"train": train})
