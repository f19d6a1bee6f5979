"""A made-up search, and made-up rows that were tuned: what reports show of them."""

from analysis import tables
from analysis.tables import Table
from experiments.searched import Searched, Suggestion
from experiments.space import SUGGESTED, TUNED
from tests.analysis.example import heading, run, stored, trials

RATE = {"key": "optim.rate_factor", "low": 0.1, "high": 10.0, "log": True}
DROPOUT = {"key": "model.dropout", "low": 0.0, "high": 0.4, "step": 0.1}
KIND = {"key": "model.positions", "choices": ["sinusoidal", "learned"]}
BLANK = {"whole": False, "low": 0.0, "high": 0.0, "step": None, "log": False, "choices": []}


def searched(objectives: list[str], row: str = "", count: int = 8) -> Searched:
    """Every third is pruned; of the others the first objective is 20 and its number."""
    space = [{**BLANK, "when": {}, **one} for one in (RATE, DROPOUT, KIND)]
    about = {"sampler": {"name": "tpe"}, "pruner": {"name": "median"}, "set": {}}
    found = []
    for number in range(count):
        values = {
            "optim.rate_factor": float(f"{0.2 * 1.4**number:.4g}"),
            "model.dropout": round(0.1 * (number % 4), 12),
            "model.positions": KIND["choices"][number % 2],
        }
        pruned = number % 3 == 2
        reached = () if pruned else (20.0 + number, 1e9 * (1 + number % 2))[: len(objectives)]
        end = "pruned" if pruned else "complete"
        found.append(Suggestion(number, values, f"{number:016x}", "", (1.0, 2.0), end, reached))
    return Searched(
        {**about, "objectives": objectives, "space": space},
        row,
        0 if row else 1,
        {"trials": count, "seconds": None},
        0.0,
        tuple(found),
    )


def tuned_table(lost: str = "", without: str = "") -> Table:
    """Base and two rows with three seeds, as they stand and at their best; of `lost` a seed has
    diverged, and `without` is not there."""
    some = trials("grammar", ["base", "A1", "C1"], [1, 2, 3])
    best = [
        _renamed(trial, f"{trial.arm}.best", f"b{trial.digest[1:]}")
        for trial in trials("grammar", ["base", "A1", "C1"], [1, 2, 3])
    ]
    points = {"base": 30.0, "A1": 28.0, "C1": 25.0, "base.best": 33.0, "A1.best": 32.5}
    both = [trial for trial in (*some, *best) if trial.arm != without]
    records = [run(t, points[t.arm] + 0.2 * t.seed * t.seed, 2.0) for t in both if t.arm in points]
    for record in records:
        if (record["arm"], record["seed"]) == (lost, 3):
            record["kind"] = "diverged"
    found = [searched(["score"], row) for row in ("base", "A1", "C1")]
    return tables.build(heading("grammar"), both, stored(records), None, searched=found)


def search_table(search: Searched, since: str = "") -> Table:
    """The table of a search: trials of Table 3 stand for its suggestions; of what was pruned,
    `since` was trained to its end, with a score above all others."""
    some = trials("grammar", [], [1])[: len(search.found)]
    names = [search.name(one) for one in search.found]
    named = [_renamed(trial, name, trial.digest) for trial, name in zip(some, names, strict=True)]
    ends = {search.name(one): one for one in search.found}
    for trial in named:
        object.__setattr__(trial, "group", SUGGESTED)
    order = sorted(named, key=lambda t: (ends[t.arm].end, -sum(ends[t.arm].objectives[:1])))
    records = []
    for trial in order:
        one = ends[trial.arm]
        record = run(trial, sum(one.objectives[:1]), 2.0) | {"score.test.bleu": 10.0}
        if trial.arm == since:
            record |= {"score.valid.bleu": 99.0}
        elif one.end != "complete":
            record |= {"kind": "pruned"}
        records.append(record)
    return tables.build(heading("grammar"), order, stored(records), None, searched=[search])


def _renamed(trial: object, arm: str, digest: str) -> object:
    for name, value in {"arm": arm, "digest": digest, "group": TUNED}.items():
        object.__setattr__(trial, name, value)
    return trial
