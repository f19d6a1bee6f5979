"""Training cost as the paper's Table 2 has it."""

import pytest

from analysis import published, rates
from analysis.counting import Run, read_runs
from analysis.rates import DEVICE_SECONDS, RATED, Rate, known, of, parse, priced
from lit_transformer.config_io import ConfigError
from tests.analysis.example import run, stored, trials

P100 = "Tesla P100-SXM2-16GB"


def trained(seconds: float, devices: int | None, device_name: str) -> Run:
    [trial] = trials("wmt14-en-de", ["base"], [1])
    record = run(trial, 27, 5) | {"score.cost.train_seconds": seconds}
    [found] = read_runs(stored([record | {"devices": devices, "device_name": device_name}]))
    return found


@pytest.mark.parametrize(
    ("hours", "system"), [(12, "transformer-base"), (3.5 * 24, "transformer-big")]
)
def test_the_paper_s_hours_on_eight_p100_cost_what_it_prints(hours: float, system: str) -> None:
    scores = priced(trained(hours * 3600, 8, P100), known([])).scores
    printed = published.load().table2[system].flops_both
    assert scores[DEVICE_SECONDS] == hours * 3600 * 8
    assert f"{scores[RATED]:.1e}" == f"{printed:.1e}"


def test_a_device_without_a_rate_has_a_time_and_no_operations() -> None:
    scores = priced(trained(10, 2, "AMD EPYC"), known([])).scores
    assert scores[DEVICE_SECONDS] == 20
    assert RATED not in scores


def test_a_run_that_does_not_tell_its_devices_costs_nothing_known() -> None:
    found = trained(10, None, P100)
    assert priced(found, known([])) == found


def test_what_the_user_states_comes_before_the_paper() -> None:
    assert of(P100, known(parse(["p100=4.5"]))) == Rate("p100", 4.5, "stated with --rate")


@pytest.mark.parametrize(
    ("words", "name", "same"),
    [
        ("P100", P100, True),
        ("p100-sxm2", P100, True),
        ("M40", "Tesla TM40", False),
        ("A10", "NVIDIA A100", False),
        ("AMD EPYC", "AMD EPYC 7763 64-Core Processor", True),
    ],
)
def test_words_of_a_name_are_whole(words: str, name: str, same: bool) -> None:
    assert (rates.of(name, [Rate(words, 1, "")]) is not None) == same


@pytest.mark.parametrize("text", ["H100", "=3", "H100=", "H100=0", "H100=-1", "H100=nan", "a=inf"])
def test_a_rate_that_cannot_be_says_how_to_write_it(text: str) -> None:
    with pytest.raises(ConfigError, match="write words of a device's name"):
        parse([text])
