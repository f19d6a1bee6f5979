"""Configurations in and out: YAML, dotted overrides, error messages, digests.

A value travels as a dotted key with its origin (`model.heads` from "table3.yaml:12, row A1"), so
that every error can say where the value was written, which rule it breaks and what would do.
"""

import difflib
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import StringIO
from itertools import accumulate, count
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.scalarbool import ScalarBoolean

from lit_transformer.config import NUMERICS, RunConfig

Scalar = str | int | float | bool | None
SEED = "train.seed"
CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
"""Writes what a digest is the hash of."""
LARGEST_BYTES = 2**20
"""Of a YAML file."""
DEEPEST = 100
"""Brackets inside brackets in a YAML file."""
MOST_VALUES = 100_000
"""Values of a YAML file, each alias counted as what it stands for."""


class ConfigError(ValueError):
    """A configuration that cannot be run; the message is meant for the person who wrote it."""


class Given(NamedTuple):
    """A value that somebody wrote, and where."""

    value: object
    origin: str


class Key(NamedTuple):
    """One dotted key of the schema, as `ablate keys` shows it."""

    name: str
    type: str
    range: str
    default: Scalar
    meaning: str
    identity: bool
    task: str | None
    """What it is of; None: of every task."""


@dataclass(frozen=True)
class YamlFile:
    """A YAML file as plain dicts, lists and scalars, which still knows its lines."""

    path: Path
    data: Any
    marked: Any

    def line(self, *keys: str | int) -> int:
        """Line (from 1) of the entry under `keys`; the nearest parent's where it has none."""
        node, line = self.marked, 1
        for key in keys:
            try:
                position = node.lc.data[key]
                node = node[key]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
            line = position[0] + 1
        return line


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML 1.2 file. ConfigError on bad syntax, on equal keys, on what is not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise ConfigError(f"{path}: larger than {LARGEST_BYTES:,} bytes; is it a YAML file?")
        return parse_yaml(content.decode("utf-8"), path)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8; save the file as UTF-8") from None


def parse_yaml(text: str, path: Path) -> YamlFile:
    """The same of text that came from `path`."""
    try:
        marked = _marked(text)
        return YamlFile(path, _plain(marked, count()), marked)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}" if mark is not None else str(path)
        raise ConfigError(f"{where}: {_one_line(error.problem or error.context)}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {_one_line(error)}") from None
    except Exception as error:  # a tag that does not fit its value: ruamel tells it in many ways
        raise ConfigError(
            f"{path}: {type(error).__name__} ({_one_line(error)}) while it was read as YAML; "
            "write plain keys and values, without tags"
        ) from None


def parse_scalar(text: str, origin: str) -> object:
    """The value that `text` would have in a YAML file."""
    try:
        return _plain(_marked(text), count())
    except Exception:  # as above
        raise ConfigError(f"{origin}: {text!r} is not a YAML value; quote it") from None


def parse_set(text: str) -> tuple[str, Given]:
    """A `--set key=value` of the command line."""
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ConfigError(f"--set {text}: write it as key=value, for example train.steps=200")
    return name.strip(), Given(parse_scalar(value, f"--set {name}"), "--set")


def build(given: Mapping[str, Given]) -> RunConfig:
    """The defaults with `given` over them. ConfigError names origin, key, rule and remedy."""
    known = _names(RunConfig)
    leaves: dict[str, Given] = {}
    for name, entry in given.items():
        leaves.update(_spread(name, entry, known))
    for name, entry in leaves.items():
        if name not in known:
            raise ConfigError(f"{entry.origin}: {_unknown(name, known)}")
    tree: dict[str, Any] = {}
    for name, entry in leaves.items():
        *groups, last = name.split(".")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = entry.value
    try:
        config = RunConfig.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(error, leaves))) from None
    _refuse_other_task(config, leaves)
    return config


def _refuse_other_task(config: RunConfig, leaves: Mapping[str, Given]) -> None:
    """ConfigError where a key is set that the corpus's task knows nothing of."""
    task, corpus = config.data.task, config.data.corpus
    for key in _schema(RunConfig):
        entry = leaves.get(key.name)
        if entry is not None and key.task not in (None, task) and entry.value != key.default:
            raise ConfigError(
                f"{entry.origin}: {key.name} is of {key.task}, and data.corpus={corpus} is of "
                f"{task}; leave it out, or take a corpus of {key.task}"
            )


def load(path: Path) -> RunConfig:
    """A RunConfig from a YAML file of nested or dotted keys."""
    return build(written(read_yaml(path)))


def parse(text: str, path: Path) -> RunConfig:
    """A RunConfig from the text of such a file."""
    return build(written(parse_yaml(text, path)))


def written(file: YamlFile) -> dict[str, Given]:
    """The dotted keys of a file of nested or dotted keys, each with its line."""
    if file.data is None:
        return {}
    if not isinstance(file.data, dict):
        raise ConfigError(
            f"{file.path}: expected keys such as model.heads, found a list or one value"
        )
    found: dict[str, Given] = {}
    for name, value, line in _leaves(file):
        if name in found:  # once nested and once dotted, which are different keys to YAML
            raise ConfigError(
                f"{file.path}:{line}: {name} is already given in {found[name].origin}"
            )
        found[name] = Given(value, f"{file.path}:{line}")
    return found


def dump(config: RunConfig) -> str:
    """The whole configuration as YAML, no default left implicit."""
    stream = StringIO()
    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.dump(config.model_dump(), stream)
    return stream.getvalue()


def as_yaml(value: Scalar) -> str:
    """A scalar as YAML writes it; text plain."""
    return value if isinstance(value, str) else json.dumps(value)


def flatten(config: BaseModel) -> dict[str, Scalar]:
    """Every leaf as a dotted key, in the order of the schema. An absent group is one None."""
    flat: dict[str, Scalar] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            flat.update({f"{name}.{rest}": leaf for rest, leaf in flatten(value).items()})
        else:
            flat[name] = value
    return flat


def differences(before: RunConfig, after: RunConfig) -> dict[str, tuple[Scalar, Scalar]]:
    """Dotted keys whose values differ -> (before, after)."""
    old, new = flatten(before), flatten(after)
    names = dict.fromkeys([*old, *new])
    return {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}


def digest(config: RunConfig, checksums: Mapping[str, str]) -> str:
    """What identifies a trial: 16 hexadecimal digits.

    A hash of the keys that differ from the defaults (a new knob leaves old digests alone), the
    corpus's checksums and NUMERICS. Keys that are not identity stay out.
    """
    return seed_digests(config, checksums, [config.train.seed])[0]


def seed_digests(
    config: RunConfig, checksums: Mapping[str, str], seeds: Sequence[int]
) -> list[str]:
    """The digests of one configuration with each of these seeds in place of its own."""
    defaults, outside = _defaults(RunConfig), _outside(RunConfig)
    if checksums and config.data.files is not None:
        outside |= {n for n in flatten(config) if n.startswith("data.files.")}  # contents count
    changed = {
        name: value
        for name, value in flatten(config).items()
        if name not in outside and value != defaults.get(name)
    }
    found = []
    for seed in seeds:
        changed.pop(SEED, None)
        if seed != defaults[SEED]:
            changed[SEED] = seed
        content = {"numerics": NUMERICS, "config": changed, "checksums": dict(checksums)}
        found.append(hashlib.sha256(CANONICAL.encode(content).encode()).hexdigest()[:16])
    return found


def keys() -> list[Key]:
    """Every dotted key of the schema, in its order."""
    return list(_schema(RunConfig))


@cache
def _schema(config: type[RunConfig]) -> tuple[Key, ...]:
    return tuple(_keys(config, "", True))


@cache
def _names(config: type[RunConfig]) -> frozenset[str]:
    return frozenset(key.name for key in _schema(config))


@cache
def _defaults(config: type[RunConfig]) -> Mapping[str, Scalar]:
    return flatten(config())


@cache
def _outside(config: type[RunConfig]) -> frozenset[str]:
    """Keys that are not identity."""
    return frozenset(key.name for key in _schema(config) if not key.identity)


def nearest(name: str, known: Collection[str]) -> str:
    """`; did you mean ...?` for the closest known name, or nothing."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:  # the right word in the wrong group
        close = [n for n in names if n.rpartition(".")[2] == name.rpartition(".")[2]][:1]
    return f"; did you mean {close[0]}?" if close else ""


def _unknown(name: str, known: Collection[str]) -> str:
    if inside := sorted(key for key in known if key.startswith(f"{name}.")):
        return f"{name} is a group of keys; give the keys in it, such as {inside[0]}"
    return f"unknown key {name}{nearest(name, known)}"


def _keys(model: type[BaseModel], prefix: str, identity: bool) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        marks: Mapping[str, Any] = extra if isinstance(extra, dict) else {}
        own = identity and marks.get("identity") is not False
        group = _group(field.annotation)
        if group is not None:
            yield from _keys(group, f"{prefix}{name}.", own)
            continue
        default = None if field.is_required() else field.default
        meaning = " ".join((field.description or "").split())
        about = _type_name(field.annotation), _range(field), default, meaning, own
        yield Key(prefix + name, *about, marks.get("task"))


def _group(annotation: Any) -> type[BaseModel] | None:
    """The BaseModel behind `Group` or `Group | None`."""
    options = get_args(annotation) if _is_union(annotation) else (annotation,)
    for option in options:
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _bare(annotation: Any) -> Any:
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _type_name(annotation: Any) -> str:
    if _is_union(annotation):
        return " or ".join(_type_name(option) for option in get_args(annotation))
    annotation = _bare(annotation)
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type):
        return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}[
            annotation.__name__
        ]
    return " | ".join(get_args(annotation))


def _range(field: FieldInfo) -> str:
    """The bounds among a field's constraints, as `>= 1, < 2`."""
    found = list(field.metadata)
    for option in get_args(field.annotation) if _is_union(field.annotation) else ():
        for constraint in getattr(option, "__metadata__", ()):
            found += getattr(constraint, "metadata", [constraint])
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return ", ".join(
        f"{sign} {getattr(constraint, bound)}"
        for constraint in found
        for bound, sign in signs.items()
        if getattr(constraint, bound, None) is not None
    )


def _spread(name: str, entry: Given, known: Collection[str]) -> dict[str, Given]:
    """A group given as a mapping becomes its dotted leaves; one given as null is absent."""
    if entry.value is None and any(key.startswith(f"{name}.") for key in known):
        return {}
    if name in known or not isinstance(entry.value, dict):
        return {name: entry}
    spread: dict[str, Given] = {}
    for inner, value in entry.value.items():
        spread.update(_spread(f"{name}.{inner}", Given(value, entry.origin), known))
    return spread


def _leaves(file: YamlFile) -> Iterator[tuple[str, object, int]]:
    def walk(node: object, path: tuple[str | int, ...]) -> Iterator[tuple[str, object, int]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, (*path, key))
        else:
            yield ".".join(str(part) for part in path), node, file.line(*path)

    yield from walk(file.data, ())


def _explain(error: ValidationError, given: Mapping[str, Given]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        location = ".".join(str(part) for part in problem["loc"] if not _is_branch(part))
        rule = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "value_error":
            named = [n for n in given if n in rule] or [n for n in given if n.startswith(location)]
            origins = dict.fromkeys(given[n].origin for n in named)
            yield f"{', '.join(origins)}: {rule}" if origins else rule
            continue
        entry = given.get(location)
        group = location.rpartition(".")[0] + "."
        beside = entry or next((g for name, g in given.items() if name.startswith(group)), None)
        origin = f"{beside.origin}: " if beside else ""
        value = f"={entry.value!r}" if entry else ""
        yield f"{origin}{location}{value}: {rule[:1].lower()}{rule[1:]}"


def _is_branch(part: int | str) -> bool:
    """pydantic adds the tag of a union's branch to a location; it is no key."""
    return isinstance(part, str) and ("[" in part or part in ("int", "float", "str", "bool"))


def _marked(text: str) -> Any:
    """What ruamel makes of YAML. ValueError where it is nested too deeply for it."""
    steps = ({"[": 1, "{": 1, "]": -1, "}": -1}.get(sign, 0) for sign in text)
    if max(accumulate(steps), default=0) > DEEPEST:  # it would take seconds to fail
        raise ValueError(f"more than {DEEPEST} brackets inside each other")
    yaml = YAML(typ="rt")
    yaml.composer.warn_double_anchors = False  # YAML allows them
    return yaml.load(text)


def _plain(node: Any, number: Iterator[int]) -> Any:
    """Builtin types in place of ruamel's; `number` counts them. ValueError on what none can be."""
    if next(number) == MOST_VALUES:
        raise ValueError(f"more than {MOST_VALUES:,} values, with aliases written out")
    if isinstance(node, CommentedMap):
        return {_text(str(key)): _plain(value, number) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        return [_plain(value, number) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, ScalarBoolean):  # of an anchor; a kind of int
        return bool(node)
    if isinstance(node, int) and abs(node) >= 2**63:
        raise ValueError("an integer of more than 64 bits")
    for kind in (int, float):
        if isinstance(node, kind):
            return kind(node)
    return _text(str(node))


def _text(text: str) -> str:
    """The same. ValueError where it is half of a surrogate pair or has a NUL: no path can."""
    text.encode()
    if "\0" in text:
        raise ValueError("a text with the character NUL")
    return text


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
