"""What a person and a script are told of what a sweep will take."""

import time
from collections.abc import Sequence
from typing import Any

from experiments import display
from experiments.display import Columns
from experiments.planning import Comparison, Expected, Outlook
from lit_transformer.forecast import Span, total

MIB = 2**20
BUSY = 0.9
"""Share of its cores under which a process was kept from them by other work."""
UNKNOWN = "?"


def arms_table(outlook: Outlook) -> Columns:
    """A line for each arm that has trials to run."""
    heads = ("trials", "a trial", "range", "all", "last ends after", "memory", "GPU", "disk")
    table = Columns({"arm": "left", **dict.fromkeys(heads, "right")})
    by_arm: dict[str, list[Expected]] = {one.item.trial.arm: [] for one in outlook.trials}
    for one in outlook.to_run:
        by_arm[one.item.trial.arm].append(one)
    for arm, trials in by_arm.items():
        if trials:
            table.add_row(arm, *_cells(trials))
    return table


def _cells(trials: Sequence[Expected]) -> list[str]:
    made, gpu = trials[0].forecast, size(max(one.gpu_bytes for one in trials))
    if made is None:
        return [str(len(trials)), *[UNKNOWN] * 5, gpu, UNKNOWN]
    together = total(one.forecast.total_s for one in trials if one.forecast)
    ends = [one.ends_s.likely for one in trials if one.ends_s]
    return [
        str(len(trials)),
        duration(made.total_s.likely),
        span(made.total_s),
        duration(together.likely),
        duration(max(ends)),
        size(made.memory_bytes),
        gpu,
        size(made.kept_bytes),
    ]


def lines(outlook: Outlook) -> list[str]:
    """What is to be said of the whole."""
    told = []
    if known := [one for one in outlook.to_run if one.forecast]:
        wall, hours = outlook.wall_s, outlook.trial_s
        told += [
            f"the sweep: {duration(wall.likely)} ({span(wall)}), "
            f"{_count(outlook.place.beside, 'trial')} at once; "
            f"{hours.likely / 3600:.3g} trial-hours",
            f"memory: {size(outlook.memory_bytes)} at once; disk: "
            f"{size(outlook.kept_bytes)} when all is done, {size(outlook.most_bytes)} at most",
            *_whereabouts(outlook, known),
        ]
    if outlook.unknown:
        told.append(f"not measured, and in no sum: {_count(len(outlook.unknown), 'trial')}")
    return told


def _whereabouts(outlook: Outlook, known: Sequence[Expected]) -> list[str]:
    """What was measured where, and what that leaves open."""
    found = [one.calibration for one in known if one.calibration]
    first = found[0]
    where = f"{first.measured.device}, {_count(first.threads, 'thread')}"
    told = [f"measured on {first.host} ({where} a process, {first.beside} at once), {_day(found)}"]
    if not first.on_gpu:
        told.append(
            "no GPU was measured: times are those of this machine's cores, memory of a GPU is "
            "counted from sizes; give the same command where the sweep will run"
        )
    shares = [calibration.measured.pieces.core_share for calibration in found]
    share = sum(shares) / len(shares)
    if not first.on_gpu and share < BUSY:
        alone = f"in about {duration(share * outlook.wall_s.likely)}"
        told.append(
            f"the machine was busy: what was measured had {share:.0%} of its cores; with nothing "
            # Threads that wait for each other keep their cores busy, so their share says less.
            f"else at work the sweep ends {alone if first.threads == 1 else 'earlier'}; "
            "--fresh measures again"
        )
    return told


def _day(found: Sequence[Any]) -> str:
    days = [time.strftime("%Y-%m-%d", time.localtime(one.time)) for one in found]
    return min(days) if min(days) == max(days) else f"{min(days)} to {max(days)}"


def compared_table(outlook: Outlook) -> Columns:
    """Finished trials that had a forecast: what was said, and what it took."""
    heads = (
        "seed",
        "forecast",
        "range",
        "took",
        "error",
        "updates",
        "updates took",
        "error of them",
    )
    table = Columns({"trial": "left", **dict.fromkeys(heads, "right")})
    for one in outlook.trials:
        if one.forecast and one.actual:
            made, actual = one.forecast, one.actual
            table.add_row(
                one.item.trial.arm,
                str(one.item.trial.seed),
                duration(made.total_s.likely),
                span(made.total_s),
                duration(actual.total_s),
                error(made.total_s.likely, actual.total_s),
                duration(made.train_s.likely),
                duration(actual.train_s),
                error(made.train_s.likely, actual.train_s),
            )
    return table


def compared_line(found: Comparison) -> str:
    told = (
        f"forecast of {_count(found.trials, 'finished trial')}: "
        f"{duration(found.forecast_s.likely)} ({span(found.forecast_s)}), "
        f"took {duration(found.actual_s)}: error {found.error:+.0%}"
    )
    if found.core_share is not None and found.core_share < BUSY:
        told += f"; the machine was busy: they had {found.core_share:.0%} of their cores"
    return told


def error(forecast_s: float, actual_s: float) -> str:
    return f"{forecast_s / actual_s - 1:+.0%}" if actual_s else ""


def duration(seconds: float) -> str:
    """As a person says it: 48 s, 12.5 min, 3.1 h, 4.0 d."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 90:
        return f"{minutes:.1f} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def span(found: Span) -> str:
    return f"{duration(found.low)} to {duration(found.high)}"


def size(count: float) -> str:
    """Bytes: 12 MiB, 3.4 GiB."""
    return f"{count / MIB:,.0f} MiB" if count < 1024 * MIB else f"{count / 1024 / MIB:,.1f} GiB"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def plan_json(outlook: Outlook) -> dict[str, Any]:
    """The object of `plan --json`: that of `sweep --dry-run --json`, and forecasts."""
    made = display.plan_json([one.item for one in outlook.trials])
    trials = [
        {**trial, "forecast": _trial_json(one)}
        for trial, one in zip(made["trials"], outlook.trials, strict=True)
    ]
    return {**made, "trials": trials, "forecast": _whole_json(outlook)}


def _trial_json(one: Expected) -> dict[str, Any] | None:
    if one.forecast is None or one.calibration is None:
        return None
    made = one.forecast
    return {
        "seconds": list(made.total_s),
        "update_seconds": list(made.train_s),
        "ends": None if one.ends_s is None else list(one.ends_s),
        "memory": made.memory_bytes,
        "gpu_memory": round(one.gpu_bytes),
        "gpu_measured": made.gpu_bytes > 0,
        "disk": made.kept_bytes,
        "disk_most": made.most_bytes,
        "measured": {
            "host": one.calibration.host,
            "device": one.calibration.measured.device,
            "threads": one.calibration.threads,
            "at_once": one.calibration.beside,
            "core_share": one.calibration.measured.pieces.core_share,
            "time": one.calibration.time,
        },
        "actual": None
        if one.actual is None
        else {
            "seconds": one.actual.total_s,
            "update_seconds": one.actual.train_s,
            "core_share": one.actual.core_share,
        },
    }


def _whole_json(outlook: Outlook) -> dict[str, Any]:
    found = outlook.comparison
    return {
        "to_run": len(outlook.to_run),
        "unknown": len(outlook.unknown),
        "at_once": outlook.place.beside,
        "wall_seconds": list(outlook.wall_s),
        "trial_seconds": list(outlook.trial_s),
        "memory": outlook.memory_bytes,
        "disk": outlook.kept_bytes,
        "disk_most": outlook.most_bytes,
        "comparison": None
        if found is None
        else {
            "trials": found.trials,
            "seconds": list(found.forecast_s),
            "actual_seconds": found.actual_s,
            "error": found.error,
            "core_share": found.core_share,
        },
    }
