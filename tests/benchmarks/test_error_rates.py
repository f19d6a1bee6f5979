"""The published error rates: the page has what was measured, and what is kept holds its level."""

import json
from pathlib import Path
from typing import Any

import error_rates
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
RATES = ROOT / "benchmarks" / "results" / "error_rates.json"
PAGE = ROOT / "docs" / "statistics.md"


@pytest.fixture(scope="module")
def rates() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RATES.read_text("utf-8"))
    return found


def test_the_page_has_the_tables_of_what_was_measured(rates: dict[str, Any]):
    assert error_rates.tables(rates) in PAGE.read_text("utf-8")


@pytest.mark.parametrize(
    ("truth", "method"),
    [
        (error_rates.TRUTHS[0], "Welch"),
        (error_rates.TRUTHS[1], "Welch"),
        (error_rates.TRUTHS[2], "seeds and sentences"),
    ],
)
def test_what_is_kept_holds_five_per_cent_within_one_and_a_half(
    rates: dict[str, Any], truth: error_rates.Truth, method: str
):
    """Three standard errors of the simulation are allowed on top."""
    noise = 3 * (5 * 95 / rates["settings"]["studies"]) ** 0.5
    found = [one[method] for one in rates["two sources"] if one["truth"] == truth.name]
    assert len(found) == len(error_rates.SEEDS) * len(error_rates.RATIOS)
    assert all(abs(rate - 5) <= 1.5 + noise for rate in found)


def test_a_study_s_verdicts_are_wrong_in_at_most_five_per_cent(rates: dict[str, Any]):
    noise = 3 * (5 * 95 / rates["settings"]["studies"]) ** 0.5
    assert all(one["Welch"] <= 5 + noise for one in rates["study"] if one["unequal"] <= 0.5)


def test_every_number_is_made_anew():
    found = error_rates.measure(2, np.random.default_rng(1))
    assert found.keys() == {"two sources", "one seed", "spreads", "study", "the same"}
    assert all(0 <= one["seeds and sentences"] <= 100 for one in found["two sources"])


def test_resampled_runs_are_those_that_reports_make():
    """The benchmark multiplies many runs at once; a report takes each run's own counts."""
    drawn = error_rates.sentences.weights(error_rates.SENTENCES)
    truth = error_rates.TRUTHS[2]
    one, _ = next(error_rates.pairs(truth, 2, 1.0, drawn, np.random.default_rng(3)))
    apart = np.random.default_rng(4).normal(size=error_rates.SENTENCES)
    whole = error_rates.sentences.resampled(
        [apart[:, None]], drawn, lambda sums: sums[..., 0] / error_rates.SENTENCES
    )
    assert whole.scores_RN[0] == pytest.approx(drawn @ apart / error_rates.SENTENCES)
    assert one.scores_RN.shape == (2, error_rates.sentences.RESAMPLES)
    assert one.scores_RN.mean(1) == pytest.approx(one.scores_R, abs=0.5)
