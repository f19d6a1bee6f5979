"""A row's model drawn as `ablate explain` draws it."""

from experiments import explain_display
from experiments.study import expand, load_setting, load_study, parse_reference


def drawing(arm: str, setting: str) -> str:
    """As SVG, the file that `ablate explain ARM --setting SETTING --out FILE.svg` writes.

    ConfigError for a row or a setting that is not there.
    """
    named = parse_reference(arm)
    (trial,) = expand(load_study(named.study), load_setting(setting), [1], [named.arm], {})
    sizes = explain_display.sizes_of(trial, None)
    return explain_display.drawing(trial, f"{arm} in {trial.setting}", sizes)
