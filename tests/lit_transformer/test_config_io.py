"""Messages with file, line, key and rule; YAML there and back; digests."""

import re
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lit_transformer import config_io
from lit_transformer.config import ModelConfig, RunConfig
from lit_transformer.config_io import (
    ConfigError,
    Given,
    build,
    differences,
    digest,
    dump,
    flatten,
    keys,
    load,
    parse,
    parse_set,
    read_yaml,
)

FILES = {
    f"data.files.{part}.{side}": f"{part}.{side}"
    for part in ("train", "valid")
    for side in ("source", "target")
}
CHECKSUMS = {"train.source": "a" * 64, "valid.source": "b" * 64}


def of(values):
    """The configuration with these dotted keys over the defaults."""
    return build({name: Given(value, "a test") for name, value in values.items()})


def complaint(values):
    """What the user is told of these values; nothing where they are right."""
    try:
        of(values)
    except ConfigError as error:
        return str(error)
    return ""


def message(text):
    """What the user is told of a file with this text."""
    with pytest.raises(ConfigError) as caught:
        parse(text, Path("my.yaml"))
    return str(caught.value)


# Errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model:\n  haeds: 4", "my.yaml:2: unknown key model.haeds; did you mean model.heads?"),
        ("\nheads: 4", "my.yaml:2: unknown key heads; did you mean model.heads?"),
        ("xyzzy: 4", "my.yaml:1: unknown key xyzzy"),
        ("model: 4", "my.yaml:1: model is a group of keys; give the keys in it, such as model."),
        ("data.files: x", "my.yaml:1: data.files is a group of keys; give the keys in it"),
        ("- 4", "my.yaml: expected keys such as model.heads, found a list or one value"),
        ("train:\n  steps: ten", "my.yaml:2: train.steps='ten': input should be a valid integer"),
        ("train.steps: 1.0", "my.yaml:1: train.steps=1.0: input should be a valid integer"),
        ("train.steps: true", "my.yaml:1: train.steps=True: input should be a valid integer"),
        ("train.steps: [1]", "my.yaml:1: train.steps=[1]: input should be a valid integer"),
        ("train.deterministic: 1", "my.yaml:1: train.deterministic=1: input should be a valid boo"),
        ("model.heads:", "my.yaml:1: model.heads=None: input should be a valid integer"),
        ("model.dropout: 1.0", "my.yaml:1: model.dropout=1.0: input should be less than 1"),
        ("optim.eps: .inf", "my.yaml:1: optim.eps=inf: input should be a finite number"),
        (
            "model.attention: scalled",
            "my.yaml:1: model.attention='scalled': input should be 'scaled', 'unscaled' or",
        ),
        (
            "train.steps: 9\nmodel:\n  heads: 7",
            "my.yaml:3: model.heads=7: model.d_model=512 is not a multiple of 7; "
            "set model.d_k and model.d_v explicitly",
        ),
        ("data.corpus: files", "my.yaml:1: data.files is missing: data.corpus=files needs data.fi"),
        (
            "data:\n  files: {train: {source: a, target: b}}\n  corpus: files",
            "my.yaml:2: data.files.valid: field required",
        ),
    ],
)
def test_an_error_names_line_key_value_and_rule(text, expected):
    assert message(text).startswith(expected)


def test_every_wrong_value_has_a_line_of_the_message():
    lines = message("model.layers: 0\ntrain.steps: 0").splitlines()
    assert [line.partition("=")[0] for line in lines] == [
        "my.yaml:1: model.layers",
        "my.yaml:2: train.steps",
    ]


def test_files_of_another_corpus_are_refused_with_both_remedies():
    with pytest.raises(ConfigError, match=r"data\.corpus=wmt14 has files .* data\.corpus=files"):
        of(FILES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model:\n  heads: 4\n  heads: 8", 'my.yaml:3: found duplicate key "heads"'),
        (
            "model.heads: 4\nmodel: {d_ff: 8,\n  heads: 8}",
            "my.yaml:3: model.heads is already given in my.yaml:1",
        ),
    ],
)
def test_a_key_that_is_written_twice_is_refused(text, expected):
    assert message(text).startswith(expected)


@pytest.mark.parametrize("text", ["a: [", "\tmodel: 1", "a: 1\nb", "a: 1\n---\nb: 2", "a: *x"])
def test_bad_syntax_names_the_line(text):
    assert re.match(r"my\.yaml:\d+: \S", message(text))


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda path: None, ": no such file"),
        (lambda path: path.mkdir(), ": cannot be read: Is a directory"),
        (
            lambda path: path.write_bytes(b"a: 1\nb: \xfc\n"),
            ":2: not UTF-8; save the file as UTF-8",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, prepare, expected):
    path = tmp_path / "my.yaml"
    prepare(path)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}{expected}"


# Values


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("optim.eps: 1e-4", "optim.eps", 0.0001),
        ("optim.rate_factor: 2", "optim.rate_factor", 2.0),
        ("data.source_language: no", "data.source_language", "no"),
        ("data.folder: 2026-01-01", "data.folder", "2026-01-01"),
        ("train.steps: 1_000", "train.steps", 1000),
        ("train.steps: 010", "train.steps", 10),
        ("train.deterministic: &x true", "train.deterministic", True),
        ("model: {heads: 4}", "model.heads", 4),
        ("model:\n  heads: 4", "model.heads", 4),
    ],
)
def test_yaml_says_what_it_seems_to_say(text, key, value):
    found = flatten(parse(text, Path("my.yaml")))[key]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["", "# nothing", "model:", "data.files:", "data: {files: }"])
def test_what_is_left_empty_is_the_default(text):
    assert parse(text, Path("my.yaml")) == RunConfig()


def test_a_file_knows_the_lines_of_its_entries(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("rows:\n  - id: base\n  - id: A\n    set:\n      model.heads: 1\n")
    file = read_yaml(path)
    assert file.data == {"rows": [{"id": "base"}, {"id": "A", "set": {"model.heads": 1}}]}
    assert file.line("rows") == 1
    assert file.line("rows", 1) == 3
    assert file.line("rows", 1, "set", "model.heads") == 5
    assert file.line("rows", 1, "absent") == 3


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("train.steps=200", "train.steps", 200),
        (" train.steps = 200", "train.steps", 200),
        ("optim.eps=1e-4", "optim.eps", 1e-4),
        ("optim.clip_norm=null", "optim.clip_norm", None),
        ("optim.clip_norm=", "optim.clip_norm", None),
        ("train.deterministic=true", "train.deterministic", True),
        ("data.source_language=no", "data.source_language", "no"),
        ("data.folder=a=b", "data.folder", "a=b"),
        ("data.folder='1'", "data.folder", "1"),
        ("model={heads: 4}", "model", {"heads": 4}),
    ],
)
def test_set_takes_what_yaml_takes(text, key, value):
    assert parse_set(text) == (key, Given(value, "--set"))


@pytest.mark.parametrize("text", ["train.steps", "=3", ""])
def test_set_without_key_or_value_shows_the_form(text):
    with pytest.raises(ConfigError, match=rf"^--set {text}: write it as key=value, for example"):
        parse_set(text)


def test_set_of_what_is_no_yaml_value_names_the_key():
    with pytest.raises(ConfigError, match=r"^--set data\.folder: '\[x' is not a YAML value; quote"):
        parse_set("data.folder=[x")


def test_an_error_of_set_says_so():
    with pytest.raises(ConfigError, match=r"^--set: unknown key train\.step; did you mean train\."):
        build(dict([parse_set("train.step=200")]))


# The schema as users see it


def test_keys_are_every_leaf_in_order():
    names = [key.name for key in keys()]
    files = [name for name in names if name.startswith("data.files.")]
    trees = [name for name in names if name.startswith("data.trees.")]
    for corpus, own, other in (("files", files, trees), ("treebank", trees, files)):
        config = of({"data.corpus": corpus, **dict.fromkeys(own, "x")})
        assert [n for n in flatten(config) if n.count(".") > 1 or n in names] == [
            name for name in names if name not in other
        ]
    assert {key.name: key.default for key in keys() if key.name not in files + trees} == {
        name: value
        for name, value in flatten(RunConfig()).items()
        if name not in ("data.files", "data.trees")
    }


def test_every_key_has_a_meaning_and_every_number_a_range():
    for key in keys():
        assert re.search(r"\w{3}.*\.$", key.meaning), key
        if re.search("integer|number", key.type):
            assert re.fullmatch(r"(>=?|<=?) \d+(, < \d+)?", key.range), key


@pytest.mark.parametrize("key", [key for key in keys() if key.range], ids=lambda key: key.name)
def test_the_range_is_what_is_enforced(key):
    step = 1 if "integer" in key.type else 0.25
    for part in key.range.split(", "):
        sign, number = part.split()
        bound = int(number)
        inside = {">=": bound, ">": bound + step, "<": bound - step}[sign]
        outside = {">=": bound - step, ">": bound, "<": bound}[sign]
        with pytest.raises(ConfigError, match=rf"{key.name}={outside}: input should be"):
            of({key.name: outside})
        assert "input should be" not in complaint({key.name: inside})


def strategy(key):
    """Values that a key of this type may have."""
    values = {
        "integer": st.sampled_from([2**power for power in range(4, 20)]),
        "number": st.floats(0, 1, exclude_min=True, exclude_max=True),
        "text": st.text(st.characters(exclude_categories=["Cs", "Cc"])) | st.just("no"),
        "true or false": st.booleans(),
    }
    name = key.type.removesuffix(" or null")
    found = values[name] if name in values else st.sampled_from(name.split(" | "))
    return found if name == key.type else found | st.none()


@st.composite
def configurations(draw):
    groups = "data.files.", "data.trees."
    own = {key.name: strategy(key) for key in keys() if not key.name.startswith(groups)}
    values = draw(st.fixed_dictionaries({}, optional=own))
    if values.get("data.corpus") == "files":
        text = strategy(next(key for key in keys() if key.type == "text"))
        values |= draw(st.fixed_dictionaries(dict.fromkeys(FILES, text)))
    try:
        return of(values)
    except ConfigError:
        assume(False)


@settings(max_examples=40, deadline=None)
@given(configurations())
def test_a_written_configuration_reads_back_equal(config):
    again = parse(dump(config), Path("config.yaml"))
    assert again == config
    assert flatten(again) == flatten(config)
    assert digest(again, CHECKSUMS) == digest(config, CHECKSUMS)


def test_differences_are_the_changed_keys():
    assert differences(RunConfig(), of({"model.heads": 4, "train.steps": 9})) == {
        "model.heads": (8, 4),
        "train.steps": (100_000, 9),
    }
    files = of({"data.corpus": "files", **FILES})
    assert differences(RunConfig(), files)["data.files.train.source"] == (None, "train.source")


@pytest.mark.parametrize(
    ("corpus", "key", "value"),
    [("grammar", "data.tags", "kept"), ("grammar_trees", "data.target_language", "fr")],
)
def test_a_key_that_the_task_lacks_is_refused(corpus, key, value):
    with pytest.raises(
        ConfigError, match=rf"{key} is of \w+, and data.corpus={corpus} is of \w+; l"
    ):
        of({"data.corpus": corpus, key: value})
    default = {"data.tags": "normalised", "data.target_language": "de"}[key]
    assert of({"data.corpus": corpus, key: default}).data.corpus == corpus


# Digests


def test_digests_stay_what_they_were():
    # Finished trials are found by these. If they change without NUMERICS, all of them are lost.
    changed = of({"model.heads": 4, "optim.eps": 1e-4, "data.corpus": "grammar"})
    assert digest(RunConfig(), {}) == "0bc875694c485dd8"
    assert digest(changed, {"grammar": "1"}) == "ace285116d2d6bee"


def test_a_new_knob_leaves_old_digests_alone(monkeypatch):
    class WiderModel(ModelConfig):
        bias: bool = False

    class Newer(RunConfig):
        model: WiderModel = WiderModel()

    before = digest(of({"model.heads": 4}), CHECKSUMS)
    monkeypatch.setattr(config_io, "RunConfig", Newer)
    assert digest(of({"model.heads": 4}), CHECKSUMS) == before
    assert digest(of({"model.heads": 4, "model.bias": True}), CHECKSUMS) != before


@pytest.mark.parametrize("key", keys(), ids=lambda key: key.name)
def test_a_digest_counts_identity_and_nothing_else(key):
    files = {"data.corpus": "files", **FILES} if key.name.startswith("data.files.") else {}
    if key.name.startswith("data.trees."):
        files = {"data.corpus": "treebank", "data.trees.train": "t", "data.trees.valid": "v"}
    elif key.task == "parsing":
        files = {"data.corpus": "grammar_trees"}
    if key.name.startswith("data.files.test"):
        files |= {"data.files.test.source": "x", "data.files.test.target": "x"}
    others = {"integer": 512, "number": 0.75, "text": "fr", "true or false": True}
    name = key.type.removesuffix(" or null")
    value = others[name] if name in others else name.split(" | ")[-1]
    if value == key.default or value in ("files", "treebank"):
        value = name.split(" | ")[0] if " | " in name else 1024
    if key.name == "data.train_longest":
        value = 100  # below data.max_tokens
    same = digest(of(files), {}) == digest(of({**files, key.name: value}), {})
    assert same is not key.identity


def test_a_digest_knows_no_order_and_no_kind_of_number():
    one = of({"model.dropout": 0, "model.heads": 4})
    other = of({"model.heads": 4, "model.dropout": 0.0})
    turned = dict(reversed(CHECKSUMS.items()))
    assert digest(one, CHECKSUMS) == digest(other, turned)
    assert re.fullmatch("[0-9a-f]{16}", digest(one, CHECKSUMS))


def test_a_value_that_equals_the_default_is_no_difference():
    assert digest(of({"model.heads": 8, "train.seed": 1}), {}) == digest(RunConfig(), {})


def test_checksums_and_numerics_are_part_of_a_digest(monkeypatch):
    digests = {digest(RunConfig(), c) for c in ({}, CHECKSUMS, {**CHECKSUMS, "train.source": "c"})}
    monkeypatch.setattr(config_io, "NUMERICS", 1)
    assert len(digests | {digest(RunConfig(), {})}) == 4


def test_of_the_users_files_only_the_contents_count():
    here = of({"data.corpus": "files", **FILES})
    there = of({"data.corpus": "files", **{key: f"there/{path}" for key, path in FILES.items()}})
    assert digest(here, CHECKSUMS) == digest(there, CHECKSUMS)
    assert digest(here, CHECKSUMS) != digest(here, {**CHECKSUMS, "train.source": "c"})
