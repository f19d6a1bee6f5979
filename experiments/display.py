"""What a person sees of a sweep: the plan before it, its progress, and what to do after it."""

import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self, final

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from experiments.sweep import Planned

JSON_FORMAT = 1
"""Raised when a key of the JSON object is renamed or removed."""
SAY_EVERY_S = 30.0
"""Without a terminal: seconds between two lines about trials under way."""


def plan_table(planned: Sequence[Planned]) -> Table:
    """The plan, a line a trial: what it is, what it costs, how it stands."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("trial", "left"),
        ("seed", "right"),
        ("parameters", "right"),
        ("operations", "right"),
        ("digest", "left"),
        ("state", "left"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for item in planned:
        state = item.state
        table.add_row(
            escape(item.trial.arm),
            str(item.trial.seed),
            f"{item.parameters:,}",
            f"{item.flops:.2e}",
            item.trial.digest,
            escape(f"{state.kind}: {state.reason}" if state.reason else state.kind),
        )
    return table


def status_table(planned: Sequence[Planned]) -> Table:
    """How every trial stands, a line each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("trial", "seed", "state", "attempts", "reason or progress", "log"):
        table.add_column(name, overflow="fold")
    for item in planned:
        state = item.state
        told = _words(item) if state.kind == "running" else state.reason
        log = str(item.record.log) if state.attempts else ""
        cells = (item.trial.arm, str(item.trial.seed), state.kind, str(state.attempts), told, log)
        table.add_row(*(escape(cell) for cell in cells))
    return table


def comparison(before: Mapping[str, float], after: Mapping[str, float]) -> Table:
    """Two results of one configuration, side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("score")
    for name in ("old", "new", "difference"):
        table.add_column(name, justify="right")
    for name in sorted({*before, *after}):
        old, new = before.get(name, math.nan), after.get(name, math.nan)
        table.add_row(name, f"{old:,.6g}", f"{new:,.6g}", f"{new - old:+,.6g}")
    return table


def plan_summary(planned: Sequence[Planned]) -> str:
    done = sum(item.state.kind == "finished" for item in planned)
    left = sum(item.flops for item in planned if item.state.kind != "finished")
    return (
        f"{len(planned)} trials: {done} done, {len(planned) - done} to run, {left:.2e} operations"
    )


def elsewhere(planned: Sequence[Planned]) -> str:
    """What to say of trials that another process has when a sweep is done; empty: none."""
    count = sum(item.state.kind == "running" for item in planned)
    if not count:
        return ""
    trials = "1 trial is" if count == 1 else f"{count} trials are"
    return f"{trials} being trained by another process; the same command later goes on"


def plan_json(planned: Sequence[Planned]) -> dict[str, Any]:
    """The object of `sweep --dry-run --json` and of `status --json`; see docs/json.md."""
    return {
        "format": JSON_FORMAT,
        "trials": [
            {
                "study": item.trial.study,
                "setting": item.trial.setting,
                "arm": item.trial.arm,
                "group": item.trial.group,
                "seed": item.trial.seed,
                "digest": item.trial.digest,
                "directory": str(item.record.path),
                "parameters": item.parameters,
                "operations": item.flops,
                **item.state._asdict(),
                "progress": item.record.progress() if item.state.kind == "running" else None,
            }
            for item in planned
        ],
    }


@final
class Screen:
    """Progress of the whole and of each trial under way; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=1, transient=True)
        self._began_s = time.monotonic()
        self._said_s = self._began_s

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, planned: Sequence[Planned], running: Sequence[str]) -> None:
        under_way = [item for item in planned if item.trial.digest in running]
        if self._console.is_terminal:
            self._live.update(self._picture(planned, under_way))
        elif time.monotonic() - self._said_s > SAY_EVERY_S:
            self._said_s = time.monotonic()
            for item in under_way:
                self.say(f"running   {item.trial.title}: {_words(item)}")

    def _picture(self, planned: Sequence[Planned], under_way: Sequence[Planned]) -> Group:
        done = sum(item.record.result_file.exists() for item in planned)
        elapsed = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - self._began_s))
        rows = Table.grid(padding=(0, 2))
        rows.add_row(
            Text("sweep", "bold"),
            ProgressBar(total=len(planned), completed=done, width=30),
            f"{done} of {len(planned)} trials, {elapsed}",
        )
        for item in under_way:
            progress = item.record.progress() or {"done": 0, "total": 1}
            bar = ProgressBar(total=max(progress["total"], 1), completed=progress["done"], width=30)
            rows.add_row(Text(item.trial.title), bar, Text(_words(item)))
        return Group(rows)


def _words(item: Planned) -> str:
    progress = item.record.progress()
    if progress is None:
        return "starting"
    return f"{progress['phase']} {progress['done']}/{progress['total']}"
