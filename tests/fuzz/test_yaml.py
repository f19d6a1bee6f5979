"""YAML files and what stands for them on the command line: a right answer or a message."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import experiments
from lit_transformer import config_io
from lit_transformer.config import RunConfig
from lit_transformer.config_io import DEEPEST, LARGEST_BYTES, ConfigError
from tests.fuzz.harm import CASES, NAMES, command, damaged, is_answer, names

SHIPPED = [path.read_bytes() for path in sorted(Path(experiments.__file__).parent.glob("*/*.yaml"))]
WHOLE = [*SHIPPED, config_io.dump(RunConfig()).encode()]
ODD = [
    *("9" * 30, "9" * 5_000, "-1", "1e999", ".nan", "-.inf", "0x" + "f" * 5_000, "1_0", "010"),
    *("true", "no", "null", "~", "2001-01-01", "1:30", "''", '"\\ud800"', '"\\0"', '"\\x1b[31m"'),
    *(
        "&a",
        "*a",
        "<<: *a",
        "&a [*a]",
        "[",
        "{",
        "]",
        "}",
        "- ",
        ": ",
        "? ",
        "#",
        "|",
        ">-",
        "%",
        "@",
    ),
    *("!!python/object/apply:os.system [exit]", "!!bool x", "!!int 0x", "!!binary a", "!!set {a}"),
    *("\t", "\r", "\n", "---\n", "...\n", "%YAML 1.1\n---\n", "\ufeff", "\x00", "\x85", "\u2028"),
    *(
        "model.heads: 4\n",
        "rows:\n",
        "scale: {width: 1e308}\n",
        "recipe: ../x\n",
        "data.corpus: files\n",
    ),
]
FRAGMENTS = [
    *(odd.encode("utf-8") for odd in ODD),
    b"\xff",
    b"\xed\xa0\x80",
    b"\xff\xfe",
    b"\xc0\xaf",
]
values = st.sampled_from(ODD) | names | st.integers().map(str) | st.floats().map(str)
words = st.text(st.characters(exclude_characters="\0"), max_size=30)
"""What an argument of a command can be."""
keys = st.sampled_from(sorted(config_io.flatten(RunConfig()))) | words

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@CASES
@given(st.binary(max_size=200) | damaged(WHOLE, FRAGMENTS) | damaged(WHOLE, FRAGMENTS))
def test_any_file_is_valid_or_refused_by_name(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "some.yaml"
    file.write_bytes(content)
    done = command("check", file, "--setting", "grammar")
    assert is_answer(done)
    assert done.status == 0 or str(file) in done.err or "in setting" in done.err
    assert file.read_bytes() == content


@CASES
@given(st.builds("{}={}".format, keys, values) | words)
def test_any_override_is_taken_or_refused(tmp_path: Path, text: str) -> None:
    given = ("--only", "base", "--root", tmp_path, "--set", text.replace("\0", ""))
    assert is_answer(command("status", "table3", "--setting", "grammar", *given))
    assert list(tmp_path.iterdir()) == []


@CASES
@given(st.sampled_from(["--seeds", "--only", "--setting"]), values | words)
def test_any_seeds_arms_and_settings_are_taken_or_refused(
    tmp_path: Path, option: str, text: str
) -> None:
    given = {"--seeds": "1", "--only": "base", "--setting": "grammar"}
    given[option] = text.replace("\0", "")
    options = [f"{name}={value}" for name, value in given.items()]
    assert is_answer(command("status", "table3", *options, "--root", tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (BOMB, "values, with aliases written out"),
        ("a: &a\n  b: *a\n", "unknown key a.b"),
        ("[" * 100_000, f"more than {DEEPEST} brackets inside each other"),
        ("model: " + "{a: " * 200 + "1" + "}" * 200, f"more than {DEEPEST} brackets"),
        ("- " * 5_000, "recursion"),
        ("#" * (LARGEST_BYTES + 1), "larger than"),
        ("model.heads: " + "9" * 4_000, "more than 64 bits"),
        ('data.folder: "a\\0b"', "NUL"),
        ('data.folder: "\\ud800"', "surrogates not allowed"),
        ("a: &a 1\nb: &a 2\n", "unknown key a"),
    ],
)
def test_a_file_that_would_take_all_memory_or_time_is_refused(
    tmp_path: Path, text: str, rule: str
) -> None:
    file = tmp_path / "some.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rule) as caught:
        config_io.load(file)
    assert str(file) in str(caught.value)


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="/dev/zero: larger than"):
        config_io.read_yaml(Path("/dev/zero"))


@pytest.mark.parametrize(
    "tag",
    [
        '!!python/object/apply:os.system ["touch CANARY"]',
        '!!python/object/new:os.system ["touch CANARY"]',
        "!!python/name:os.system",
        "!!python/module:os",
        '!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ["CANARY"]]',
        '!os.system "touch CANARY"',
    ],
)
def test_a_tag_runs_nothing(tmp_path: Path, tag: str) -> None:
    canary, file = tmp_path / "canary", tmp_path / "some.yaml"
    file.write_text(f"data.folder: {tag.replace('CANARY', str(canary))}\n")
    command("check", file)
    command("check", file, "--set", f"data.folder={tag.replace('CANARY', str(canary))}")
    assert sorted(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["name", "id", "group", "label", "description", "recipe"])
def test_names_that_mean_harm_are_refused_or_harmless(tmp_path: Path, key: str, name: str) -> None:
    text = config_io.CANONICAL.encode(name)
    study, setting = tmp_path / "study.yaml", tmp_path / "setting.yaml"
    row = {"id": "A", "group": "A", "label": "A", key: name}
    given = [
        f"{n}: {config_io.CANONICAL.encode(v)}"
        for n, v in row.items()
        if n in ("id", "group", "label")
    ]
    top = {"name": "x", "description": "x", "recipe": "paper"}
    lines = {n: text if n == key else value for n, value in top.items()}
    study.write_text(
        f"name: {lines['name']}\nversion: 1\ndescription: {lines['description']}\n"
        f"rows:\n  - {{{', '.join(given)}}}\n"
    )
    setting.write_text("".join(f"{n}: {value}\n" for n, value in lines.items()))
    done = command("status", study, "--setting", setting, "--root", tmp_path / "root")
    assert is_answer(done)
    assert sorted(tmp_path.iterdir()) == [setting, study]
