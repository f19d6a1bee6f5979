"""What a sweep will take, a trial at a time and as a whole, beside what finished trials took."""

import heapq
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments import calibrating, sharing
from experiments.calibrating import Calibration, Place
from experiments.runners.local import Slot
from experiments.sweep import Planned, Root, order, prepare
from lit_transformer.forecast import Forecast, Span, forecast, total
from lit_transformer.record import NUMBER, POINT, RecordError, read_lines

CORES = "system/cpu_utilization_percentage"


class Actual(NamedTuple):
    """What a finished trial took, as its result says."""

    total_s: float
    train_s: float
    core_share: float | None
    """Of the time of its cores, while it trained, as its curves say; None where they do not."""


class Expected(NamedTuple):
    """A trial with its forecast; None where its shape was never measured."""

    item: Planned
    is_over: bool
    calibration: Calibration | None
    forecast: Forecast | None
    actual: Actual | None
    """Of a trial that was measured before it started; else nothing was forecast."""
    ends_s: Span | None
    """Seconds from the sweep's start to the trial's end; None for one that is over."""

    @property
    def gpu_bytes(self) -> float:
        """Measured where there was a GPU, else counted from the configuration."""
        measured = self.forecast.gpu_bytes if self.forecast else 0
        return measured or sharing.memory(self.item)


class Comparison(NamedTuple):
    """Forecasts beside what happened, over the finished trials that had one."""

    trials: int
    forecast_s: Span
    actual_s: float
    core_share: float | None
    """Mean of the trials'."""

    @property
    def error(self) -> float:
        """Forecast less actual, as a share of the actual."""
        return self.forecast_s.likely / self.actual_s - 1


class Outlook(NamedTuple):
    """The whole plan."""

    place: Place
    trials: list[Expected]

    @property
    def to_run(self) -> list[Expected]:
        return [one for one in self.trials if not one.is_over]

    @property
    def unknown(self) -> list[Expected]:
        """Trials to run of which nothing is known."""
        return [one for one in self.to_run if one.forecast is None]

    @property
    def trial_s(self) -> Span:
        """Seconds of all trials to run, one after the other."""
        return total(one.forecast.total_s for one in self.to_run if one.forecast)

    @property
    def wall_s(self) -> Span:
        """Seconds until the last of them has ended."""
        ends = [one.ends_s for one in self.to_run if one.ends_s]
        return Span(*(max(end) for end in zip(*ends, strict=True))) if ends else Span(0, 0, 0)

    @property
    def kept_bytes(self) -> int:
        return sum(one.forecast.kept_bytes for one in self.to_run if one.forecast)

    @property
    def most_bytes(self) -> int:
        """On the disk at once: of the largest ones that run together, and of all that finished."""
        extra = [f.most_bytes - f.kept_bytes for one in self.to_run if (f := one.forecast)]
        return self.kept_bytes + sum(heapq.nlargest(self.place.beside, extra))

    @property
    def memory_bytes(self) -> int:
        """Of the largest trials that may run together; what they share is counted for each."""
        each = [one.forecast.memory_bytes for one in self.to_run if one.forecast]
        return sum(heapq.nlargest(self.place.beside, each))

    @property
    def comparison(self) -> Comparison | None:
        known = [(one.forecast, one.actual) for one in self.trials]
        pairs = [(made, actual) for made, actual in known if made and actual]
        if not pairs:
            return None
        spans, actuals = zip(*pairs, strict=True)
        return Comparison(
            len(pairs),
            total(span.total_s for span in spans),
            sum(actual.total_s for actual in actuals),
            _mean([one.core_share for one in actuals if one.core_share is not None]),
        )


def look_ahead(
    planned: Sequence[Planned], root: Root, slots: Sequence[Slot], at_once: int | None
) -> Outlook:
    """What is known of a plan from the calibrations that are there; nothing is measured."""
    where = calibrating.place(planned, slots, at_once)
    known = {item.trial.digest: calibrating.recall(item, root, where) for item in planned}
    forecasts = {
        item.trial.digest: forecast(item.trial.config, found.measured.pieces)
        for item in planned
        if (found := known[item.trial.digest])
    }
    over = {item.trial.digest: item.is_over for item in planned}
    waiting = [item for item in order(planned) if not over[item.trial.digest]]
    ends = _ends(waiting, forecasts, len(slots), where.beside)
    return Outlook(
        where,
        [
            Expected(
                item,
                over[item.trial.digest],
                known[item.trial.digest],
                forecasts.get(item.trial.digest),
                _actual(item, known[item.trial.digest]),
                ends.get(item.trial.digest),
            )
            for item in planned
        ],
    )


def measure(
    planned: Sequence[Planned],
    root: Root,
    slots: Sequence[Slot],
    at_once: int | None,
    fresh: bool,
    say: Callable[[str], None],
) -> None:
    """Calibrate what a forecast of the trials still to run lacks; all of it where `fresh`."""
    where = calibrating.place(planned, slots, at_once)
    items = calibrating.lacking(planned, root, where, fresh)
    if not items:
        return
    prepare([item.trial for item in items], root, say)
    shapes = "1 shape" if len(items) == 1 else f"{len(items)} shapes"
    each = "1 thread" if where.threads == 1 else f"{where.threads} threads"
    say(f"measuring {shapes}, {where.beside} at once with {each} each; what is done is remembered")
    calibrating.calibrate(items, root, where, slots, say)


def _ends(
    waiting: Sequence[Planned], forecasts: dict[str, Forecast], slots: int, at_once: int
) -> dict[str, Span]:
    """When each trial ends, in seconds from the sweep's start; none of an unknown one."""
    known = [item for item in waiting if item.trial.digest in forecasts]
    devices = [item.trial.config.train.devices for item in known]
    spans = [forecasts[item.trial.digest].total_s for item in known]
    by_case = [
        schedule([span[case] for span in spans], devices, slots, at_once) for case in range(3)
    ]
    ends = zip(*by_case, strict=True)
    return {item.trial.digest: Span(*end) for item, end in zip(known, ends, strict=True)}


def schedule(
    seconds: Sequence[float], devices: Sequence[int], slots: int, at_once: int
) -> list[float]:
    """When trials end that are started in this order, each as soon as it has its devices."""
    free, running, now, ends = slots, list[tuple[float, int]](), 0.0, []
    for lasts, takes in zip(seconds, devices, strict=True):
        while free < takes or len(running) >= at_once:
            now, given = heapq.heappop(running)
            free += given
        free -= takes
        heapq.heappush(running, (now + lasts, takes))
        ends.append(now + lasts)
    return ends


def _actual(item: Planned, calibration: Calibration | None) -> Actual | None:
    """What a finished trial took, where it was measured before."""
    if calibration is None or item.state.kind != "finished":
        return None
    try:
        result = item.record.result(threads=int)
        first = next(item.record.read_attempts(), None)
        lines = [line["values"].get(CORES) for line in read_lines(item.record.metrics, **POINT)]
    except RecordError:
        return None
    if result is None or first is None or result["threads"] != calibration.threads:
        return None
    seconds = [result["scores"].get(f"cost.{name}_seconds") for name in ("total", "train")]
    if calibration.time > first["time"] or not all(isinstance(s, NUMBER) for s in seconds):
        return None
    percent = _mean([value for value in lines if isinstance(value, NUMBER)])
    share = None if percent is None else percent / (100 * calibration.threads)
    return Actual(seconds[0], seconds[1], share)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
