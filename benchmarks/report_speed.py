"""Time and memory of `ablate report` against the number of runs.

    python benchmarks/report_speed.py --runs 100,1000,10000 --rounds 3 --json report_speed.json

Each root holds a study of many arms with 20 seeds, all finished: 47 parameters, 40 metrics and 19
tags a run, the curves with 10 points each, and the trials' directories. The rows get into the store
by SQL; `--check` sends a few trials through MLflow as well and compares every row. The roots lie
under .bench/many/ and are made once (10,000 runs: two minutes, 1 GB).

A report is a process of its own that runs the verb as the command line does: it reads the store and
the directories and writes all its files. Told apart are its start (Python and all imports, as far
as they can go before the verb) and the verb, and of the verb its parts. Without `--check` nothing
is compared; the numbers of the table are the tests' concern.
"""

import argparse
import contextlib
import io
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import many_trials
import turns

SEEDS, POINTS = 20, 10
AT_MOST = {"after start-up, s": 2.0, "peak, MiB": 954.0}
"""What 10,000 runs may take; 1 GB."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="100,1000,10000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=turns.ENVIRONMENTS / "many")
    parser.add_argument("--check", action="store_true", help="compare SQL's rows with MLflow's")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.check:
        many_trials.check()
    counts = [int(count) for count in given.runs.split(",")]
    roots = {count: _root(given.folder, count) for count in counts}
    rounds: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    for number in range(given.rounds + 1):
        for count, many in roots.items():
            measured = report(many)
            if number:  # the first one fills the caches
                rounds[count].append(measured)
    found = {count: middle(some) for count, some in rounds.items()}
    names = list(dict.fromkeys(name for one in found.values() for name in one))
    rows = [[name, *(f"{found[count].get(name, 0):.3f}" for count in counts)] for name in names]
    print(turns.table(("runs", *(f"{count:,}" for count in counts)), rows))
    if given.json:
        settings = {"seeds": SEEDS, "points": POINTS, "rounds": given.rounds, "at most": AT_MOST}
        turns.write_json(given.json, {"settings": settings, **turns.machine(), "rounds": rounds})


def _root(folder: Path, count: int) -> many_trials.Many:
    assert count % SEEDS == 0, f"{count} runs: a multiple of {SEEDS}"
    return many_trials.make(folder / f"report-{count}", count // SEEDS, SEEDS, POINTS, 0.0)


def report(many: many_trials.Many) -> dict[str, float]:
    """What the process says of itself, and the whole as seen from here."""
    words = ["report", str(many.study), "--setting", many_trials.SETTING, "--root", str(many.root)]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "child", *words], check=True, stdout=subprocess.PIPE, text=True
    )
    whole = time.perf_counter() - began
    inside: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    after = inside["after start-up, s"]
    return {"whole, s": whole, "start-up, s": whole - after, **inside}


def middle(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def child(words: Sequence[str]) -> None:
    """Run the verb; print, as JSON, what it took."""
    import ablate
    from analysis import assembly, evidence, latex, rendering, runs, tables
    from analysis import report as pages
    from experiments import study

    parts: dict[str, float] = {}
    for what, module, name in (
        ("study and trials", study, "expand"),
        ("store: runs", runs, "rows"),
        ("table", tables, "build"),
        ("versions", assembly, "_versions"),
        ("store: curves", runs, "history"),
        ("samples", assembly, "_samples"),
        ("report.csv", rendering, "csv_text"),
        ("report.json", rendering, "json_text"),
        ("report.tex", latex, "document"),
        ("report.md, twice", rendering, "markdown"),
        ("evidence: gathered", assembly, "gather"),
        ("evidence: packed", evidence, "write"),
        ("overview.md", rendering, "overview"),
        ("pictures", pages, "_pictures"),
        ("report.html, filled in", pages, "_page"),
    ):
        _time(module, name, parts, what)
    with contextlib.redirect_stdout(io.StringIO()):
        began = time.perf_counter()
        ablate.app(list(words), standalone_mode=False)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"after start-up, s": seconds, "peak, MiB": peak, **parts}))


def _time(module: ModuleType, name: str, parts: dict[str, float], what: str) -> None:
    """Add the seconds of every call of a function to `parts`."""
    function: Callable[..., Any] = getattr(module, name)

    def timed(*words: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*words)
        finally:
            parts[what] = parts.get(what, 0.0) + time.perf_counter() - began

    setattr(module, name, timed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2:])
    else:
        main()
