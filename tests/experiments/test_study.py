"""Studies in settings, against the paper's Table 3 and against arithmetic."""

import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from experiments.files import shipped
from experiments.scaling import SCALED
from experiments.study import (
    Reference,
    Setting,
    Trial,
    changed_keys,
    expand,
    load_recipe,
    load_setting,
    load_study,
    parse_reference,
    trial_from_config,
    with_recipe,
)
from lit_transformer.config import DataConfig, RunConfig, TrainConfig
from lit_transformer.config_io import ConfigError, Given, build, flatten, keys, parse_set
from lit_transformer.data import corpora, vocab

# The paper's Table 3 with inherited cells filled in:
# id, group, N, d_model, d_ff, h, d_k, d_v, P_drop, eps_ls, steps.
TABLE_3 = """
base base 6 512 2048 8 64 64 0.1 0.1 100000
A1 A 6 512 2048 1 512 512 0.1 0.1 100000
A2 A 6 512 2048 4 128 128 0.1 0.1 100000
A3 A 6 512 2048 16 32 32 0.1 0.1 100000
A4 A 6 512 2048 32 16 16 0.1 0.1 100000
B1 B 6 512 2048 8 16 64 0.1 0.1 100000
B2 B 6 512 2048 8 32 64 0.1 0.1 100000
C1 C 2 512 2048 8 64 64 0.1 0.1 100000
C2 C 4 512 2048 8 64 64 0.1 0.1 100000
C3 C 8 512 2048 8 64 64 0.1 0.1 100000
C4 C 6 256 2048 8 32 32 0.1 0.1 100000
C5 C 6 1024 2048 8 128 128 0.1 0.1 100000
C6 C 6 512 1024 8 64 64 0.1 0.1 100000
C7 C 6 512 4096 8 64 64 0.1 0.1 100000
D1 D 6 512 2048 8 64 64 0.0 0.1 100000
D2 D 6 512 2048 8 64 64 0.2 0.1 100000
D3 D 6 512 2048 8 64 64 0.1 0.0 100000
D4 D 6 512 2048 8 64 64 0.1 0.2 100000
E E 6 512 2048 8 64 64 0.1 0.1 100000
big big 6 1024 4096 16 64 64 0.3 0.1 300000
"""
PAPER = {line.split()[0]: line.split()[1:] for line in TABLE_3.strip().splitlines()}
TRANSLATING = ("wmt14-en-de", "wmt14-en-fr", "multi30k-en-de", "multi30k-en-fr", "grammar")
SETTINGS = (*TRANSLATING, "grammar-trees", "wsj-sample")
OF_ONES_OWN = ("wsj", "wsj-semi")
"""Settings whose trees the user has."""

STUDY = """
name: mine
version: 1
description: A study.
rows:
  - {id: base}
  - {id: A, set: {model.heads: 4}}
"""
SETTING = """
name: here
description: A setting.
recipe: paper
set: {data.corpus: grammar, data.max_tokens: 64}
"""


def table3(setting: str, sets: Mapping[str, Given] | None = None) -> dict[str, Trial]:
    trials = expand(load_study("table3"), load_setting(setting), [1], [], sets or {})
    return {trial.arm: trial for trial in trials}


def cells(config: RunConfig) -> list[float]:
    m = config.model
    sizes = [m.layers, m.d_model, m.d_ff, m.heads, m.key_width, m.value_width]
    return [*sizes, m.dropout, config.optim.label_smoothing, config.train.steps]


class Files:
    """A study and a setting of the user's, from edited texts."""

    def __init__(self, folder: Path) -> None:
        self.study, self.setting = folder / "study.yaml", folder / "setting.yaml"
        self.study.write_text(STUDY)
        self.setting.write_text(SETTING)

    def rows(self, *rows: str) -> None:
        head = STUDY.partition("  - ")[0]
        self.study.write_text(head + "".join(f"  - {row}\n" for row in rows))

    def append(self, text: str) -> None:
        self.setting.write_text(SETTING + text)

    def expand(self, *sets: str, seeds: tuple[int, ...] = (1,)) -> list[Trial]:
        study, setting = load_study(str(self.study)), load_setting(str(self.setting))
        return expand(study, setting, seeds, [], dict(parse_set(text) for text in sets))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# The paper


def test_table3_is_the_papers_in_its_own_setting() -> None:
    trials = table3("wmt14-en-de")
    assert list(trials) == list(PAPER)
    for arm, (group, *expected) in PAPER.items():
        assert cells(trials[arm].config) == [float(cell) for cell in expected], arm
        assert trials[arm].group == group


def test_rows_change_nothing_that_table_3_does_not_show() -> None:
    """Beside its columns: E's positions, and the 20 averaged checkpoints of section 6.1 for big."""
    trials = table3("wmt14-en-de")
    shown = {
        *("model.layers", "model.d_model", "model.d_ff", "model.heads", "model.d_k", "model.d_v"),
        *("model.dropout", "optim.label_smoothing", "train.steps"),
    }
    changed = {arm: changed_keys(trial, trials["base"]) for arm, trial in trials.items()}
    others = {a: {k: v for k, v in keys.items() if k not in shown} for a, keys in changed.items()}
    assert {arm: keys for arm, keys in others.items() if keys} == {
        "E": {"model.positions": "learned"},
        "big": {"train.average_last": 20},
    }


def test_the_base_arm_is_the_defaults() -> None:
    assert table3("wmt14-en-de")["base"].config == RunConfig()


def test_the_recipe_paper_is_empty() -> None:
    assert load_recipe("paper").given == {}


@pytest.mark.parametrize("setting", [*TRANSLATING, "grammar-trees"])
def test_every_row_is_the_papers_times_the_scale(setting: str) -> None:
    scale, one = load_setting(setting).scale, Fraction(1)
    sizes = [scale.depth, scale.width, scale.width, one, scale.width, scale.width]
    factors = [*sizes, one, one, scale.steps]
    trials = table3(setting)
    for arm, (_, *paper) in PAPER.items():
        expected = [float(Fraction(c) * f) for c, f in zip(paper, factors, strict=True)]
        assert cells(trials[arm].config) == pytest.approx(expected), arm


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("study", [n for n in shipped("studies") if not load_study(n).search])
def test_every_shipped_study_expands_in_every_shipped_setting(study: str, setting: str) -> None:
    if (study, setting) == ("table2", "wsj-sample"):
        with pytest.raises(
            ConfigError, match=r"score: test\.averaged, and data\.corpus=wsj_sample"
        ):
            expand(load_study(study), load_setting(setting), [1, 2], [], {})
        return
    if study == "parsers" and setting in TRANSLATING:
        with pytest.raises(ConfigError, match=r"data\.words is of parsing, and data\.corpus=\w+"):
            expand(load_study(study), load_setting(setting), [1, 2], [], {})
        return
    trials = expand(load_study(study), load_setting(setting), [1, 2], [], {})
    assert len({trial.digest for trial in trials}) == len(trials)


@pytest.mark.slow
def test_every_vocabulary_of_a_study_can_be_made_of_the_built_in_corpus(tmp_path: Path) -> None:
    setting, made = load_setting("grammar"), set()
    for name in shipped("studies"):
        study = load_study(name)
        if study.search or name == "parsers":
            continue
        for trial in expand(study, setting, [1], [], {}):
            data = trial.config.data
            words = vocab.train(corpora.prepare(data, tmp_path), data, tmp_path)
            assert len(words) == data.vocabulary_size, trial.title
            made.add((data.tokenizer, data.vocabulary_size))
    assert {tokenizer for tokenizer, _ in made} == {"bpe", "unigram"}


@pytest.mark.parametrize("setting", OF_ONES_OWN)
def test_the_paper_s_parser_is_four_layers_of_width_1024(setting: str, tmp_path: Path) -> None:
    for section in range(2, 24):
        (tmp_path / f"{section:02}").mkdir()
        (tmp_path / f"{section:02}" / "wsj.mrg").write_text("( (S (NN a)))")
    sets = {"data.folder": str(tmp_path)}
    if setting == "wsj-semi":
        sets["data.trees.train"] = str(tmp_path / "0*" / "*.mrg")
    given = {key: Given(value, "--set") for key, value in sets.items()}
    (trial,) = expand(load_study("table4"), load_setting(setting), [1], [], given)
    model, decode = trial.config.model, trial.config.decode
    assert (model.layers, model.d_model, model.d_ff, model.heads) == (4, 1024, 2048, 8)
    assert (decode.beam, decode.alpha, decode.extra_length) == (21, 0.3, 300)
    assert trial.config.data.vocabulary_size == {"wsj": 16_000, "wsj-semi": 32_000}[setting]
    assert set(trial.checksums) == {"train", "valid", "test"}


def test_shipped_files_are_named_as_they_are_called() -> None:
    assert {*SETTINGS, *OF_ONES_OWN} == set(shipped("settings"))
    assert [load_setting(name).name for name in shipped("settings")] == shipped("settings")
    assert [load_study(name).name for name in shipped("studies")] == shipped("studies")
    assert [load_recipe(name).name for name in shipped("recipes")] == shipped("recipes")


# Scale and order


def test_every_interval_of_training_is_scaled() -> None:
    intervals = {f"train.{name}" for name in TrainConfig.model_fields if name.endswith("_every")}
    assert intervals | {"train.steps"} == {key for key, by in SCALED.items() if by == "steps"}
    assert set(SCALED) <= {key.name for key in keys()}


def test_a_derived_width_stays_derived() -> None:
    trials = table3("grammar")
    assert (trials["base"].config.model.d_k, trials["base"].config.model.key_width) == (None, 8)
    assert (trials["B1"].config.model.d_k, trials["B1"].config.model.d_v) == (2, None)


def test_what_the_setting_and_the_command_line_name_is_literal(files: Files) -> None:
    files.append("  # more\nscale: {width: 0.5, steps: 1/10}\n")
    files.setting.write_text(files.setting.read_text().replace("64}", "64, train.valid_every: 7}"))
    base, _ = files.expand("model.d_ff=100")
    assert (base.config.model.d_model, base.config.model.d_ff) == (256, 100)
    assert (base.config.train.steps, base.config.train.valid_every) == (10_000, 7)


def test_a_row_wins_over_the_setting_and_is_scaled(files: Files) -> None:
    files.rows("{id: base}", "{id: A, set: {model.d_model: 1024}}")
    files.setting.write_text(
        SETTING.replace("64}", "64, model.d_model: 24}") + "scale: {width: 1/4}"
    )
    base, wide = files.expand()
    assert (base.config.model.d_model, wide.config.model.d_model) == (24, 256)


def test_the_command_line_wins_over_a_row(files: Files) -> None:
    files.rows("{id: A, set: {model.heads: 4}}")
    (trial,) = files.expand("model.heads=2")
    assert trial.config.model.heads == 2
    assert trial.overrides == {"model.heads": 2}


def test_a_recipe_lies_under_the_setting_and_is_scaled(files: Files, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    values = "{model.d_model: 64, optim.beta2: 0.9, optim.warmup_steps: 3}"
    recipe.write_text(f"name: r\ndescription: d\nset: {values}\n")
    text = SETTING.replace("recipe: paper", f"recipe: {recipe}\nscale: {{width: 1/2}}")
    files.setting.write_text(text.replace("64}", "64, optim.warmup_steps: 5}"))
    config = files.expand()[0].config
    assert (config.model.d_model, config.optim.beta2, config.optim.warmup_steps) == (32, 0.9, 5)


def test_a_size_that_is_not_whole_names_row_key_value_and_factor(files: Files) -> None:
    files.rows("{id: base}", "{id: odd, set: {model.layers: 5}}")
    files.append("scale: {depth: 1/2}\n")
    message = r"study.yaml:7, row odd \(5 times scale.depth=1/2\): model.layers=5/2 is not a whole"
    with pytest.raises(ConfigError, match=message):
        files.expand()


def test_a_base_that_is_not_whole_names_the_key(files: Files) -> None:
    files.append("scale: {steps: 1/1000}\n")
    with pytest.raises(
        ConfigError, match=r"row base, .*the paper's base .*train.average_every=3/2"
    ):
        files.expand()


def test_a_size_that_loses_need_not_be_whole(files: Files) -> None:
    files.append("scale: {depth: 1/5}\n")
    assert files.expand("model.layers=3")[0].config.model.layers == 3


@pytest.mark.parametrize(
    ("written", "factor"),
    [("1/4", Fraction(1, 4)), ("0.1", Fraction(1, 10)), ("2", Fraction(2)), ("1e-3", "1/1000")],
)
def test_a_factor_is_exact(files: Files, written: str, factor: Fraction | str) -> None:
    files.append(f"scale: {{width: {written}}}\n")
    assert load_setting(str(files.setting)).scale.width == Fraction(factor)


@pytest.mark.parametrize(
    "written", ["1/0", "0", "-1", "true", "quarter", ".inf", "1e99999/2", "[]"]
)
def test_a_factor_that_is_none_is_refused(files: Files, written: str) -> None:
    files.append(f"scale: {{width: {written}}}\n")
    with pytest.raises(ConfigError, match=r"setting.yaml:\d: scale.width: a factor is"):
        load_setting(str(files.setting))


def test_a_rows_warm_up_rate_batch_and_vocabulary_are_the_paper_s_as_well(files: Files) -> None:
    values = "optim.warmup_steps: 400, optim.peak_steps: 4000, optim.rate_factor: 2, "
    values += "train.tokens_per_batch: 32768, data.vocabulary_size: 18500"
    files.rows("{id: base}", f"{{id: R, set: {{{values}}}}}")
    files.append("scale: {warmup: 3/40, rate: 0.7, batch: 1/10, vocabulary: 12/185}\n")
    base, row = (trial.config for trial in files.expand())
    assert (base.optim.warmup_steps, base.optim.rate_factor) == (300, 0.7)
    assert base.optim.peak_steps is None
    assert (base.train.tokens_per_batch, base.data.vocabulary_size) == (2_500, 2_400)
    optim = row.optim
    assert (optim.warmup_steps, optim.peak_steps, optim.rate_factor) == (30, 300, 1.4)
    assert (row.train.tokens_per_batch, row.data.vocabulary_size) == (3_277, 1_200)


@pytest.mark.parametrize(
    ("written", "scaled"), [(0.8659, 0.60613), (2.354, 1.6478), (1e-05, 7e-06)]
)
def test_a_rate_is_scaled_as_decimals_are(files: Files, written: float, scaled: float) -> None:
    """Floating point has 2.354 * 7 / 10 at 1.6478000000000002."""
    files.rows(f"{{id: R, set: {{optim.rate_factor: {written}}}}}")
    files.append("scale: {rate: 7/10}\n")
    assert files.expand()[0].config.optim.rate_factor == scaled


@pytest.mark.parametrize("written", [".inf", ".nan"])
def test_a_rate_that_is_no_number_is_refused_by_its_place(files: Files, written: str) -> None:
    files.rows(f"{{id: R, set: {{optim.rate_factor: {written}}}}}")
    files.append("scale: {rate: 7/10}\n")
    with pytest.raises(ConfigError, match=r"study.yaml:\d+.*optim.rate_factor"):
        files.expand()


@pytest.mark.parametrize(("written", "scaled"), [(0, 0), (1, 1), (10, 1), (20, 2), (60, 4)])
def test_a_warm_up_is_rounded_but_none_is_lost(files: Files, written: int, scaled: int) -> None:
    """30 and 60 times 3/40 lie between: 1.5 and 4.5 go to the even."""
    files.rows(f"{{id: R, set: {{optim.warmup_steps: {written}}}}}")
    files.append("scale: {warmup: 3/40}\n")
    assert files.expand()[0].config.optim.warmup_steps == scaled


# Recipes


@pytest.mark.parametrize("setting", ["grammar", "multi30k-en-de", "wmt14-en-de"])
def test_the_walk_leads_from_recipe_to_recipe(setting: str) -> None:
    """Of which the settings leave everything as it is, but for its size."""
    study, where = load_study("recipes"), load_setting(setting)
    walk = {trial.arm: trial.config for trial in expand(study, where, [1], [], {})}
    for arm, recipe in (("base", "paper"), ("batch", "t2t-v1"), ("beta2", "t2t-v3")):
        base, *_ = expand(load_study("table3"), with_recipe(where, recipe), [1], ["base"], {})
        assert walk[arm] == base.config, arm
    by_arm = {arm.id: arm for arm in study.arms}
    for arm in study.arms[1:]:
        assert arm.after is not None
        before = by_arm[arm.after].given
        assert {*before} <= {*arm.given}
        assert before != arm.given


def test_recipes_are_what_the_code_has() -> None:
    """tensor2tensor's transformer_base_v1, _v2 and _v3; the paper's values come out of v1's rate,
    5000 * 0.1 * 0.002."""
    v1, v3 = (build(load_recipe(name).given) for name in ("t2t-v1", "t2t-v3"))
    assert (v1.optim.warmup_steps, v1.optim.rate_factor, v1.optim.beta2) == (4000, 1.0, 0.98)
    assert (v3.optim.warmup_steps, v3.optim.rate_factor, v3.optim.beta2) == (8000, 2.0, 0.997)
    assert (v1.model.norm, v3.model.norm) == ("post", "pre")
    rates = [(c.model.dropout, c.model.attention_dropout, c.model.relu_dropout) for c in (v1, v3)]
    assert rates == [(0.1, 0.0, 0.0), (0.1, 0.1, 0.1)]
    for config in (v1, v3):
        assert config.train.tokens_per_batch == 8 * 4096
        assert config.data.vocabulary_size == 2**15


def test_a_setting_on_another_recipe_has_another_name(files: Files, tmp_path: Path) -> None:
    setting = load_setting(str(files.setting))
    assert with_recipe(setting, "paper") == setting
    other = with_recipe(setting, "t2t-v1")
    assert other.name == f"{setting.name}.t2t-v1"
    study = load_study(str(files.study))
    assert expand(study, other, [1], [], {})[0].config.model.positions == "concatenated"


# Rows that go on from others


def test_a_row_has_the_values_of_the_row_that_it_goes_on_from(files: Files) -> None:
    files.rows(
        "{id: base, set: {model.layers: 2}}",
        "{id: A, after: base, set: {model.heads: 4}}",
        "{id: B, after: A, set: {model.layers: 3}}",
        "{id: C, after: A, grid: {model.dropout: [0.2, 0.3]}}",
    )
    found = {t.arm: (t.config.model.layers, t.config.model.heads, t.after) for t in files.expand()}
    assert found == {
        "base": (2, 8, None),
        "A": (2, 4, "base"),
        "B": (3, 4, "A"),
        "C-1": (2, 4, "A"),
        "C-2": (2, 4, "A"),
    }


def test_a_row_goes_on_from_an_earlier_one_alone(files: Files) -> None:
    files.rows("{id: first, after: second}", "{id: second}")
    with pytest.raises(ConfigError, match=r":6, row first: after: no row second stands before it"):
        files.expand()


# Rows that hold lists


def test_a_grid_is_a_product_with_numbered_ids(files: Files) -> None:
    files.rows(
        "{id: G, group: X, label: l, set: {optim.beta2: 0.9}, "
        "grid: {model.layers: [1, 2], model.heads: [2, 4]}}"
    )
    trials = files.expand()
    assert [trial.arm for trial in trials] == ["G-1", "G-2", "G-3", "G-4"]
    models = [(t.config.model.layers, t.config.model.heads) for t in trials]
    assert models == [(1, 2), (1, 4), (2, 2), (2, 4)]
    assert {(t.group, t.label, t.config.optim.beta2) for t in trials} == {("X", "l", 0.9)}


def test_a_zip_walks_its_lists_together(files: Files) -> None:
    files.rows("{id: Z, zip: {model.layers: [1, 2], model.heads: [2, 4]}}")
    models = [(t.config.model.layers, t.config.model.heads) for t in files.expand()]
    assert models == [(1, 2), (2, 4)]


def test_groups_written_as_mappings_are_scaled_as_well(files: Files) -> None:
    files.rows("{id: M, set: {model: {d_model: 64, d_ff: 128}}}")
    files.append("scale: {width: 1/2}\n")
    model = files.expand()[0].config.model
    assert (model.d_model, model.d_ff) == (32, 64)


BROKEN_ROWS = [
    ("{id: R, gruop: X}", r":6: unknown key rows.0.gruop; did you mean group\?"),
    ("{group: X}", r":6: rows.0.id is missing"),
    ("{id: 'a/b'}", r":6: rows.0.id='a/b': string should match"),
    (f"{{id: {'x' * 41}}}", r":6: rows.0.id=.*at most 40"),
    (f"{{id: {'x' * 39}, grid: {{model.layers: [1]}}}}", r":6: id x*-1 is longer than 40"),
    ("{id: R, zip: {model.layers: [1], model.heads: [1, 2]}}", r":6: row R: zip's .* unequal"),
    ("{id: R, grid: {model.layers: []}}", r":6: row R: model.layers has an empty list"),
    ("{id: R, grid: {model.layers: [1]}, zip: {model.heads: [1]}}", r":6: row R: has grid and zip"),
    ("{id: R, grid: {model.layers: [1]}, set: {model.layers: 2}}", r":6: row R: model.layers is"),
    ("{id: R, grid: {model: [{layers: 1}]}, set: {model.layers: 2}}", r"row R: model.layers is in"),
    (
        "{id: R, set: {model.layers: 1, model: {layers: 2}}}",
        r":6, row R: model.layers is given twi",
    ),
    (
        "{id: R, grid: {model.layers: 3}}",
        r":6: rows.0.grid.model.layers=3: input should be a valid",
    ),
    ("{id: R, grid: {train.steps: [" + "1, " * 1001 + "]}}", r"1001 arms; a study may have 1000"),
]


@pytest.mark.parametrize(("row", "message"), BROKEN_ROWS)
def test_a_broken_row_is_refused_with_its_place(files: Files, row: str, message: str) -> None:
    files.rows(row)
    with pytest.raises(ConfigError, match=message):
        load_study(str(files.study))


def test_the_count_is_checked_before_the_product(files: Files) -> None:
    lists = ", ".join(f"k{n}: [{'1, ' * 20}]" for n in range(12))
    files.rows(f"{{id: R, grid: {{{lists}}}}}")
    with pytest.raises(ConfigError, match=f"{20**12} arms"):
        load_study(str(files.study))


def test_ids_are_unique_also_after_numbering(files: Files) -> None:
    files.rows("{id: R-1}", "{id: R, grid: {model.layers: [1, 2]}}")
    with pytest.raises(ConfigError, match=r":7: id R-1 is there already"):
        load_study(str(files.study))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"study.yaml: expected keys"),
        ("- 1", r"study.yaml: expected keys"),
        (STUDY.replace("version: 1", "version: one"), r":3: version='one': input should be a val"),
        (STUDY.replace("version: 1", "version: 0"), r":3: version=0: input should be greater than"),
        (STUDY.replace("name: mine", "name: ../mine"), r":2: name='../mine': string should match"),
        (STUDY.partition("rows:")[0], r"rows is missing"),
    ],
)
def test_a_broken_study_is_refused_with_its_place(files: Files, text: str, message: str) -> None:
    files.study.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_study(str(files.study))


# Trials


def test_all_arms_of_a_seed_come_before_the_next_seed(files: Files) -> None:
    trials = files.expand(seeds=(3, 1))
    assert [(t.arm, t.seed, t.config.train.seed) for t in trials] == [
        *(("base", 3, 3), ("A", 3, 3), ("base", 1, 1), ("A", 1, 1))
    ]
    assert trials[0].title == "mine/base seed 3"


def test_only_keeps_the_studys_order() -> None:
    trials = expand(load_study("table3"), load_setting("grammar"), [1], ["E", "A1"], {})
    assert [trial.arm for trial in trials] == ["A1", "E"]


def test_an_arm_that_is_none_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no arm Bg1; did you mean .*it has base, A1, A2"):
        expand(load_study("table3"), load_setting("grammar"), [1], ["Bg1"], {})


def test_an_unknown_key_names_file_line_and_row(files: Files) -> None:
    files.rows("{id: base}", "{id: A, set: {model.headz: 4}}")
    message = r"study.yaml:7, row A: unknown key model.headz; did you mean model.heads\?"
    with pytest.raises(ConfigError, match=message):
        files.expand()


def test_a_combination_that_cannot_be_names_the_row(files: Files) -> None:
    with pytest.raises(
        ConfigError, match=r"row base, in setting here: --set: model.heads=7: model.d_mod"
    ):
        files.expand("model.heads=7")


def test_rows_that_are_equal_in_a_setting_are_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match="mine: rows base and A are the same configuration"):
        files.expand("model.heads=4")


@pytest.mark.parametrize("place", ["row", "setting", "set"])
def test_seeds_come_from_one_place(files: Files, place: str) -> None:
    if place == "row":
        files.rows("{id: base, set: {train.seed: 3}}")
    if place == "setting":
        files.setting.write_text(SETTING.replace("64}", "64, train.seed: 3}"))
    with pytest.raises(ConfigError, match=r"train.seed is not set here; seeds come from --seeds"):
        files.expand(*(["train.seed=3"] if place == "set" else []))


@pytest.mark.parametrize(("seeds", "message"), [((), "at least one"), ((1, 1), "each seed once")])
def test_seeds_are_some_and_differ(files: Files, seeds: tuple[int, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        files.expand(seeds=seeds)


def test_a_seed_out_of_range_is_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match=r"--seeds: train.seed=-1"):
        files.expand(seeds=(-1,))


def test_changed_keys_are_the_rows_own_after_scaling() -> None:
    trials = table3("multi30k-en-de")
    changed = changed_keys(trials["C5"], trials["base"])
    assert changed == {"model.d_model": 256, "model.d_k": 32, "model.d_v": 32}
    assert changed_keys(trials["base"], trials["base"]) == {}


def test_a_cell_that_equals_bases_is_blank(files: Files) -> None:
    files.rows("{id: base}", "{id: A, set: {model.heads: 8, model.layers: 2}}")
    base, other = files.expand()
    assert other.overrides == {"model.heads": 8, "model.layers": 2}
    assert changed_keys(other, base) == {"model.layers": 2}


def test_a_users_files_are_read_once(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[DataConfig] = []

    def checksums(data: DataConfig) -> dict[str, str]:
        asked.append(data)
        return {}

    monkeypatch.setattr("lit_transformer.data.corpora.checksums", checksums)
    files.expand(seeds=(1, 2))
    assert len(asked) == 1


def test_a_bare_configuration_is_a_trial_of_its_own() -> None:
    listed = table3("grammar", {"train.steps": Given(9, "--set")})["A1"]
    trial = trial_from_config(listed.config)
    assert (trial.study, trial.setting, trial.seed) == ("single", "grammar", 1)
    assert trial.digest == listed.digest == trial.arm
    defaults = flatten(RunConfig())
    assert trial.overrides["model.heads"] == 1
    assert all(value != defaults[key] for key, value in trial.overrides.items())


# Names


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("table3/C5", Reference("table3", "C5")),
        ("mine/study.yaml/G-1", Reference("mine/study.yaml", "G-1")),
        ("./s.yaml/base", Reference("./s.yaml", "base")),
    ],
)
def test_a_reference_names_study_and_arm(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize("text", ["table3", "table3/", "/C5", "mine/study.yaml", ""])
def test_a_reference_without_an_arm_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write it as STUDY/ARM"):
        parse_reference(text)


def test_a_name_that_is_none_of_the_shipped_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"gramar: none of the shipped settings.*mean grammar\?"):
        load_setting("gramar")


def test_a_path_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_study(str(tmp_path / "none.yaml"))


def test_a_setting_may_be_read_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_setting("grammar").name == "grammar"


def test_studies_are_expanded_without_torch() -> None:
    script = "import sys, experiments.study; sys.exit('torch' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, check=False).returncode == 0


# Table 2, and what a setting says of a study's row


@pytest.mark.parametrize("setting", ["wmt14-en-de", "multi30k-en-de", "grammar"])
def test_table2_trains_what_table3_trains(setting: str) -> None:
    trials = expand(load_study("table2"), load_setting(setting), [1], [], {})
    theirs = table3(setting)
    assert {trial.arm: trial.digest for trial in trials} == {
        arm: theirs[arm].digest for arm in ("base", "big")
    }


@pytest.mark.parametrize("setting", ["wmt14-en-fr", "multi30k-en-fr"])
def test_big_has_its_own_dropout_in_french_in_table2_alone(setting: str) -> None:
    base, big = expand(load_study("table2"), load_setting(setting), [1], [], {})
    assert (base.config.model.dropout, big.config.model.dropout) == (0.1, 0.1)
    assert big.overrides["model.dropout"] == 0.1
    assert (base.config.train.average_last, big.config.train.average_last) == (5, 20)
    assert table3(setting)["big"].config.model.dropout == 0.3


def of_rows(tmp_path: Path, rows: str) -> Setting:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\ndescription: d\nrecipe: paper\nscale: {width: 1/4}\n"
        f"set: {{data.corpus: grammar}}\nrows: {rows}\n"
    )
    return load_setting(str(path))


def test_what_a_setting_says_of_a_row_is_literal_and_below_set(tmp_path: Path) -> None:
    setting = of_rows(tmp_path, "{table3/C6: {model.d_ff: 100}, other/C6: {model.d_ff: 1}}")
    study = load_study("table3")
    [trial] = expand(study, setting, [1], ["C6"], {})
    assert trial.config.model.d_ff == 100
    [trial] = expand(study, setting, [1], ["C6"], {"model.d_ff": Given(7, "--set")})
    assert trial.config.model.d_ff == 7


def test_a_setting_that_names_no_arm_of_the_study_is_refused(tmp_path: Path) -> None:
    setting = of_rows(tmp_path, "{table2/bgi: {model.dropout: 0.1}}")
    with pytest.raises(ConfigError, match=r"rows: table2 has no arm bgi; did you mean big\?"):
        expand(load_study("table2"), setting, [1], [], {})


def test_a_slip_in_a_setting_s_row_names_its_line(tmp_path: Path) -> None:
    setting = of_rows(tmp_path, "{table2/big: {model.dropuot: 0.1}}")
    with pytest.raises(ConfigError, match=r"mine.yaml:6, row table2/big.*model.dropout"):
        expand(load_study("table2"), setting, [1], [], {})
