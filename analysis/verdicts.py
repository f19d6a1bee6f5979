"""Verdicts as words: what the tests of `significance.py` and `sentences.py` say."""

from analysis.sentences import MOST_RUNS, RESAMPLES
from analysis.significance import LEVEL, MARGIN, Sentences, Verdict, Welch
from analysis.tables import Table
from experiments.space import TUNED


def word(verdict: Verdict) -> str:
    """As the table prints it: `the same ±0.5` where it is within the margin."""
    return f"the same ±{MARGIN:g}" if verdict.word == "the same" else verdict.word


def meaning(verdict: Verdict) -> str:
    """What the verdict rests on."""
    test, p, p_same = verdict.test, verdict.p, verdict.p_same
    if test is None or p is None or p_same is None:
        untested = {"no score": "no score", "diverged": "a seed of one diverged: no test"}
        tested = untested.get(verdict.word, "fewer than two seeds: no test")
    else:
        tested = (
            f"{_apart(test)}; after Holm's correction {probability(p)}, "
            f"of {MARGIN:g} or more {probability(p_same)}"
        )
    return "; ".join(filter(None, [tested, _resampled(verdict.sentences)]))


def probability(p: float) -> str:
    """p 0.031, p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p {p:.3f}"


def how(table: Table) -> list[str]:
    """How the verdicts were come by."""
    tested = [row.verdict for row in table.rows if row.verdict and row.verdict.test]
    if table.is_search or (not tested and table.sequential):
        return []
    if not tested:
        others = len(table.rows) - 1
        text = "Verdicts need two seeds of base and of the row: one seed has no interval."
        return [text] if others and table.finished else []
    rows = f"{len(tested)} row" + ("" if len(tested) == 1 else "s")
    if any(row.group == TUNED for row in table.rows):
        rows += ", those at their best among themselves"
    found = [
        f"Verdicts: Welch's t-test over the seeds' {table.scorer.upper()} against "
        f"{table.base_name}'s, Holm's "
        f"correction over {rows}, level {100 * LEVEL:g} %; the same: two one-sided tests with a "
        f"margin of {MARGIN:g} points, corrected likewise. They speak of these sentences."
    ]
    if any(verdict.sentences for verdict in tested):
        found.append(
            f"Other sentences of the source: {RESAMPLES:,} resamples common to all rows, beside "
            "each verdict in the page and in JSON, not corrected."
        )
    elif len(table.runs) > MOST_RUNS:
        found.append(f"Sentences are not resampled in a table of more than {MOST_RUNS} runs.")
    return found


def verdict_object(verdict: Verdict) -> dict[str, object]:
    """As JSON has it."""
    test, sentences = verdict.test, verdict.sentences
    return {
        "word": verdict.word,
        "interval": test and interval(test),
        "error": test and digits(test.error),
        "freedom": test and digits(test.freedom),
        "p_alone": test and digits(test.p),
        "p": digits(verdict.p),
        "p_same": digits(verdict.p_same),
        "sentences": sentences
        and {name: digits(number) for name, number in sentences._asdict().items()},
    }


def interval(test: Welch) -> list[float | None] | None:
    """Of the difference, as JSON and CSV have it."""
    return test.interval and [digits(end) for end in test.interval]


def digits(number: float | None) -> float | None:
    """Six of them: special functions differ in later ones from processor to processor."""
    return None if number is None else float(f"{number:.6g}")


def _apart(test: Welch) -> str:
    if test.interval is None:
        return "the seeds do not differ: no test"
    low, high = test.interval
    return f"difference {test.difference:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"


def _resampled(sentences: Sentences | None) -> str:
    if sentences is None:
        return ""
    text = f"on other sentences these models {probability(sentences.p)}"
    if sentences.p_both is not None:
        text += f", seeds and sentences {probability(sentences.p_both)}"
    return f"{text}, not corrected"
