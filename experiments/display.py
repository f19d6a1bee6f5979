"""What a person sees of a sweep: the plan before it, its progress, and what to do after it."""

import math
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text

from experiments.description import Identity
from experiments.rerun import WORDS, Asked, Difference
from experiments.sweep import Planned
from lit_transformer.terminal import printable

JSON_FORMAT = 1
"""Raised when a key of the JSON object is renamed or removed."""
GAP = "  "
"""Between two columns."""
STALE_NAMED = 12
"""Stale trials that are named one by one before the rest is counted."""
SAY_EVERY_S = 30.0
"""Without a terminal: seconds between two lines about trials under way."""


@final
class Columns:
    """Rows of text under heads, as rich's Table draws them without lines.

    Table measures and wraps every cell in several passes, which takes half a second for a thousand
    trials. It is left to do so where a row is wider than the screen.
    """

    def __init__(self, heads: Mapping[str, Literal["left", "right"]]) -> None:
        self._heads = heads
        self._rows: list[Sequence[str]] = []

    def add_row(self, *cells: str) -> None:
        self._rows.append([printable(cell) for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [list(self._heads), *self._rows]
        columns = list(zip(*lines, strict=True))
        widths = [max(map(cell_len, column)) for column in columns]
        if sum(widths) + len(GAP) * (len(widths) - 1) > options.max_width:
            yield self._wrapped()
            return
        sides = [side == "right" for side in self._heads.values()]
        padded = [
            [
                " " * (width - cell_len(cell)) + cell
                if right
                else cell + " " * (width - cell_len(cell))
                for cell in column
            ]
            for column, width, right in zip(columns, widths, sides, strict=True)
        ]
        head, *rest = (GAP.join(cells) + "\n" for cells in zip(*padded, strict=True))
        yield Segment(head, Style(bold=True))
        yield Segment("".join(rest))

    def _wrapped(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, side in self._heads.items():
            table.add_column(name, justify=side, overflow="fold")
        for row in self._rows:
            table.add_row(*map(escape, row))
        return table


def plan_table(planned: Sequence[Planned]) -> Columns:
    """The plan, a line a trial: what it is, what it costs, how it stands; its devices where any
    trial has several."""
    devices = [item.trial.config.train.devices for item in planned]
    several = max(devices, default=1) > 1
    table = Columns(
        {
            "trial": "left",
            "seed": "right",
            "parameters": "right",
            "operations": "right",
            **({"devices": "right"} if several else {}),
            "digest": "left",
            "state": "left",
        }
    )
    for item, count in zip(planned, devices, strict=True):
        state = item.state
        table.add_row(
            item.trial.arm,
            str(item.trial.seed),
            f"{item.parameters:,}",
            f"{item.flops:.2e}",
            *([str(count)] if several else []),
            item.trial.digest,
            f"{state.kind}: {state.reason}" if state.reason else state.kind,
        )
    return table


def status_table(planned: Sequence[Planned]) -> Columns:
    """How every trial stands, a line each."""
    names = ("trial", "seed", "state", "attempts", "reason or progress", "log")
    table = Columns(dict.fromkeys(names, "left"))
    for item in planned:
        state = item.state
        told = _words(item) if state.kind == "running" else state.reason
        log = str(item.record.log) if state.attempts else ""
        table.add_row(
            item.trial.arm, str(item.trial.seed), state.kind, str(state.attempts), told, log
        )
    return table


def drawn_tree(brackets: str) -> str:
    """A tree for a terminal, its root on top."""
    from nltk.tree import Tree  # here, since its import is felt
    from nltk.tree.prettyprinter import TreePrettyPrinter

    return str(TreePrettyPrinter(Tree.fromstring(brackets)).text(unicodelines=True))


def comparison(before: Mapping[str, float], after: Mapping[str, float]) -> Table:
    """Two results of one configuration, side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("score")
    for name in ("old", "new", "difference"):
        table.add_column(name, justify="right")
    for name in sorted({*before, *after}):
        old, new = before.get(name, math.nan), after.get(name, math.nan)
        table.add_row(escape(printable(name)), f"{old:,.6g}", f"{new:,.6g}", f"{new - old:+,.6g}")
    return table


def differences_table(found: Sequence[Difference], asked: Asked) -> Group:
    """What is not as in the original, and how strong an agreement will be asked for."""
    table = Columns(dict.fromkeys(("differs", "original", "now"), "left"))
    for one in found:
        table.add_row(one.what, one.then, one.now)
    asks = Text(printable(f"asks for {WORDS[asked.strength]}: {asked.reason}"))
    return Group(table if found else Text("nothing known differs from the original"), asks)


def plan_summary(planned: Sequence[Planned]) -> str:
    states = [item.state for item in planned]
    costs = [item.flops for item in planned if not item.is_over]
    diverged = sum(state.kind == "diverged" for state in states)
    pruned = sum(item.settled and item.state.kind == "pruned" for item in planned)
    done = f"{len(planned) - len(costs) - diverged - pruned} done"
    if pruned:
        done += f", {pruned} pruned"
    if diverged:
        done += f", {diverged} diverged (a result: `ablate rerun DIGEST` trains one again)"
    return f"{len(planned)} trials: {done}, {len(costs)} to run, {sum(costs):.2e} operations"


def elsewhere(planned: Sequence[Planned]) -> str:
    """What to say of trials that another process has when a sweep is done; empty: none."""
    count = sum(item.state.kind == "running" for item in planned)
    if not count:
        return ""
    trials = "1 trial is" if count == 1 else f"{count} trials are"
    return f"{trials} being trained by another process; the same command later goes on"


def stale_note(stale: Sequence[Identity]) -> str:
    """What to say of trials that no table of these rows counts."""
    named = [f"{who.arm} seed {who.seed} (digest {who.digest})" for who in stale[:STALE_NAMED]]
    rest = len(stale) - len(named)
    more = f" and {rest} more" if rest else ""
    return (
        "stale, of a row or setting that was edited since or of another --set, and not counted: "
        f"{', '.join(named)}{more}"
    )


def status_json(planned: Sequence[Planned], stale: Sequence[Identity]) -> dict[str, Any]:
    """The object of `status --json`; see docs/json.md."""
    named = [{"arm": who.arm, "seed": who.seed, "digest": who.digest} for who in stale]
    return {**plan_json(planned), "stale": named}


def plan_json(
    planned: Sequence[Planned],
    sequential: Mapping[str, Any] | None = None,
    searches: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The object of `sweep --dry-run --json`; see docs/json.md."""
    return {
        "format": JSON_FORMAT,
        "sequential": sequential,
        "searches": list(searches),
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
                "devices": item.trial.config.train.devices,
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
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

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
            rows.add_row(Text(item.trial.title), bar, Text(printable(_words(item))))
        return Group(rows)


def _words(item: Planned) -> str:
    progress = item.record.progress()
    if progress is None:
        return "starting"
    return f"{progress['phase']} {progress['done']}/{progress['total']}"
