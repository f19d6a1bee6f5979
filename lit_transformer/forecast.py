"""How long a trial takes, and how much room, from pieces that a calibration has measured.

A trial is a start, so many updates, points of validation, checkpoints and searches, and each piece
has its price. Arithmetic alone: nothing here needs torch.
"""

from collections.abc import Iterable
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from lit_transformer.config import RunConfig

MODELS = 2
"""Models of a trial that are scored: the last, and the mean of the last checkpoints."""
KEPT = 2
"""Checkpoints to resume from that lie on the disk at once; a third while it is written."""
CURVE_POINT_BYTES = 4_000
"""A point of the curves: its line in the trial's directory, and its rows in MLflow's database."""


class Span(NamedTuple):
    """A forecast, with the range that it comes from."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Span":
        return Span(self.low * factor, self.likely * factor, self.high * factor)


def total(spans: Iterable[Span]) -> Span:
    """As if all were at their low end, or at their high end, together: what moves one trial's time
    moves the others' as well."""
    given = list(spans)
    return Span(*(sum(one[case] for one in given) for case in range(3)))


STEPS = Span(1.0, 1.3, 2.0)
ROWS = Span(1.0, 1.05, 1.5)
"""Steps of a search's batches, and sentences summed over steps, in those of outputs as long as the
references.

A batch goes on until its last sentence is done, and a sentence until no other output can win. With
a beam of 4, a model of the setting grammar had 1.3 times the steps and 1.06 times the sentences;
greedily, that one and one of grammar-trees 1.0 to 1.7 times and 0.99 times. What has learnt next to
nothing may go on to every limit (5.4 and 6 times, after 100 updates); no range has room for that.
"""


class Read(BaseModel):
    """A value that is read from a file: strict, frozen, unknown keys refused."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


class Searches(Read):
    """Seconds of searches whose outputs are as long as the references."""

    steps_s: float
    """For the steps of their batches, whoever is in them."""
    rows_s: float
    """And for each sentence in a step."""

    def times(self, count: int) -> Span:
        pairs = zip(STEPS, ROWS, strict=True)
        return Span(*(count * (self.steps_s * s + self.rows_s * r) for s, r in pairs))


class Pieces(Read):
    """What the parts of a trial take, with its neighbours at work: seconds, bytes."""

    start_s: float
    """Until the first update, and what that one takes more than others."""
    update_s: tuple[float, ...]
    """An update of mean size with all that lies between two; the mean of each round."""
    point_s: float
    """A point of the validation curve without its search: the loss, and the measure."""
    point_search: Searches
    """Of such a point."""
    checkpoint_s: float
    weights_s: float
    """To write the weights once."""
    reading_s: float
    """To read them once."""
    scoring_s: float
    """One model's losses and measures of every part that is scored."""
    scoring_search: Searches
    """Of every part, by one model."""
    heads_s: float
    """To measure every head."""
    memory_bytes: int
    """Most that the process had in memory; of several devices, the sum."""
    gpu_bytes: int
    """Most that tensors took of a GPU; 0 without one."""
    checkpoint_bytes: int
    weights_bytes: int
    core_share: float
    """Of the time of its cores, while updates were measured: near 1 where nothing else wanted them,
    on a CPU."""
    text_bytes: int
    """Outputs of every part by both models, and the vocabulary."""


class Measured(Read):
    """What a calibration leaves. Its fields are the keys of calibration.json."""

    device: str
    pieces: Pieces


class Forecast(NamedTuple):
    """What a trial takes."""

    total_s: Span
    """`cost.total_seconds` of its result."""
    train_s: Span
    """Of this, its updates, with the making of their batches: a little more than
    `cost.train_seconds`."""
    memory_bytes: int
    gpu_bytes: int
    kept_bytes: int
    """On the disk when it has finished, as `train.keep` says."""
    most_bytes: int
    """On the disk while it runs."""


def forecast(config: RunConfig, pieces: Pieces) -> Forecast:
    train_s = _updates(config, pieces)
    points = _points(config.train.steps, config.train.valid_every)
    searches_s = [pieces.point_search.times(points), pieces.scoring_search.times(MODELS)]
    weights = MODELS * pieces.weights_bytes
    steps_kept = _averaged(config) * pieces.weights_bytes
    beside = pieces.text_bytes + _curve_points(config) * CURVE_POINT_BYTES
    kept = {"nothing": 0, "model": weights, "checkpoints": weights + steps_kept}[config.train.keep]
    saved = _points(config.train.steps, config.train.checkpoint_every)
    if config.train.keep == "checkpoints":
        kept += saved * pieces.checkpoint_bytes
    running = weights + steps_kept + min(saved, KEPT + 1) * pieces.checkpoint_bytes
    return Forecast(
        total_s=total([train_s, _beside(config, pieces), *searches_s]),
        train_s=train_s,
        memory_bytes=pieces.memory_bytes,
        gpu_bytes=pieces.gpu_bytes,
        kept_bytes=kept + beside,
        most_bytes=max(kept, running) + beside,
    )


def _updates(config: RunConfig, pieces: Pieces) -> Span:
    """Low and high: as if all were like those of the quickest round, and of the slowest."""
    rounds = pieces.update_s
    each = Span(min(rounds), sum(rounds) / len(rounds), max(rounds))
    return each.times(config.train.steps)


def _beside(config: RunConfig, pieces: Pieces) -> Span:
    """All that is neither an update nor a search."""
    train = config.train
    averaged = _averaged(config)
    seconds = (
        pieces.start_s
        + _points(train.steps, train.valid_every) * pieces.point_s
        + _points(train.steps, train.checkpoint_every) * pieces.checkpoint_s
        + (averaged + MODELS) * (pieces.weights_s + pieces.reading_s)
        + MODELS * pieces.scoring_s
        + pieces.heads_s
    )
    return Span(seconds, seconds, seconds)


def _averaged(config: RunConfig) -> int:
    """How many checkpoints the averaged model is the mean of."""
    train = config.train
    return min(train.average_last, _points(train.steps, train.average_every))


def _curve_points(config: RunConfig) -> int:
    train = config.train
    return _points(train.steps, train.log_every) + _points(train.steps, train.valid_every)


def _points(steps: int, every: int) -> int:
    """How often it happens: every so many updates, and after the last."""
    return -(-steps // every)
