"""The lexicon as the generator uses it: words by kind, verbs by company, determiners by mood."""

from typing import NamedTuple

from lit_transformer.data import grammar_lexicon as lexicon
from lit_transformer.data.grammar_morphology import (
    ARTICLE,
    BARE,
    DIESER,
    EIN,
    MIXED,
    STRONG,
    WEAK,
    Table,
    leaves,
    node,
)
from lit_transformer.data.grammar_syntax import Pair
from lit_transformer.data.grammar_words import Verb, read_adjective, read_noun, read_verb


class Determiner(NamedTuple):
    """`endings` decline the determiner, `weak` the adjectives behind it."""

    tag: str
    english: str
    german: str
    endings: Table
    adjectives: Table


class Group(NamedTuple):
    """Verbs that share their frame and their company."""

    frame: str
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    verbs: tuple[Verb, ...]


def entries(text: str) -> list[str]:
    """What commas separate in a list of the lexicon."""
    return [" ".join(entry.split()) for entry in text.split(",")]


def pairs(text: str) -> list[tuple[str, str]]:
    """The entries of a list, split at their `=`."""
    return [(first, second) for first, second in (entry.split("=") for entry in entries(text))]


def read_group(key: str, verbs: str) -> Group:
    company, _, objects = key.partition(" > ")
    frame, *subjects = company.split()
    known = tuple(read_verb(entry, frame) for entry in entries(verbs))
    return Group(frame, tuple(subjects), tuple(objects.split()), known)


NOUNS = {
    kind: tuple(read_noun(entry, kind) for entry in entries(text))
    for kind, text in lexicon.NOUNS.items()
}
ADJECTIVES = {
    kind: tuple(read_adjective(entry) for entry in entries(text))
    for kinds, text in lexicon.ADJECTIVES.items()
    for kind in kinds.split()
}
GROUPS = tuple(read_group(key, verbs) for key, verbs in lexicon.VERBS.items())
BE = read_verb("be was been=sein ist gewesen sein", "be")


def first_parts() -> dict[str, list[tuple[str, str]]]:
    """For each English noun, the compounds' first parts that it takes."""
    parts: dict[str, list[tuple[str, str]]] = {}
    for line in lexicon.COMPOUNDS.split(";"):
        first, heads = line.split(":")
        english, german = first.strip().split("=")
        for head in heads.split():
            parts.setdefault(head, []).append((english, german))
    return parts


FIRST_PARTS = first_parts()
NUMBERS = [
    Determiner("CD", english, german, BARE, STRONG) for english, german in pairs(lexicon.NUMBERS)
]
THE = Determiner("DT", "the", "", ARTICLE, WEAK)
A = Determiner("DT", "a", "ein", EIN, MIXED)
NO_A = Determiner("DT", "a", "kein", EIN, MIXED)
NO = Determiner("DT", "no", "kein", EIN, MIXED)
NOTHING = Determiner("DT", "", "", BARE, STRONG)
NO_NOTHING = Determiner("DT", "", "kein", EIN, MIXED)
THIS = Determiner("DT", "this", "dies", DIESER, WEAK)
THESE = Determiner("DT", "these", "dies", DIESER, WEAK)
EVERY = Determiner("DT", "every", "jed", DIESER, WEAK)
ALL = Determiner("DT", "all", "all", DIESER, WEAK)
BOTH = Determiner("DT", "both", "beid", DIESER, WEAK)
MANY = Determiner("JJ", "many", "viel", DIESER, STRONG)
SOME = Determiner("DT", "some", "einig", DIESER, STRONG)
MY, OUR, HIS, HER, THEIR = (
    Determiner("PRP$", english, german, EIN, MIXED)
    for english, german in pairs("my=mein, our=unser, his=sein, her=ihr, their=ihr")
)
POOLS = {
    "any": (
        (THE, THE, THE, A, A, THIS, MY, HER, HIS, EVERY, OUR, THEIR),
        (THE, THE, NOTHING, THESE, MANY, *NUMBERS[:2], MY, ALL, SOME, HIS, BOTH, *NUMBERS[2:]),
        (THE, NOTHING, MY, HIS),
    ),
    "definite": ((THE, THE, THE, THIS, MY, HIS, HER), (THE, THE, THESE, MY, HER), (THE, THE, MY)),
    "kein": ((NO_A,), (NO_NOTHING,), (NO_NOTHING,)),
    "no": ((NO,), (NO,), (NO,)),
}
"""Determiners to choose from: singular, plural, and words without a plural."""
RANKS = {word: rank for rank, group in enumerate(entries(lexicon.ORDER)) for word in group.split()}
RARELY_PLURAL = {"place", "business", "event", "season", "shore", "surface"}
SUBJECT_FORMS = {"he": "m", "she": "f", "they": "p"}
OBJECT_FORMS = {"he": "him", "she": "her", "they": "them", "it": "it", "I": "me", "we": "us"}
FIRST_PERSON = {
    "I": (0, {"N": "ich", "A": "mich", "D": "mir"}),
    "we": (2, {"N": "wir", "A": "uns", "D": "uns"}),
}
NAMES = pairs(lexicon.NAMES)
STATIC = set(lexicon.STATIC.split())
CITIES = pairs(lexicon.CITIES)
UNITS = pairs(lexicon.UNITS)


def adverbial(words: str) -> str:
    """`yesterday`, `last week`, `in the morning` as a tree."""
    first, *others = words.split()
    if not others:
        return f"(ADVP (RB {first}))"
    if first not in ("in", "on", "am"):
        return node("NP", f"(JJ {first})", leaves("NN", " ".join(others)))
    article = "(DT the)" if others[0] == "the" else ""
    return f"(PP (IN {first}) {node('NP', article, f'(NN {others[-1]})')})"


TIMES = {
    time: [Pair(adverbial(english), adverbial(german)) for english, german in pairs(text)]
    for time, text in lexicon.TIMES.items()
}
FREQUENCIES = [Pair(*map(adverbial, pair)) for pair in pairs(lexicon.FREQUENCIES)]
MANNERS = [Pair(*map(adverbial, pair)) for pair in pairs(lexicon.MANNERS)]


def owned() -> dict[str, set[str] | None]:
    """For each kind, the nouns that somebody may have; None for all of them."""
    kinds: dict[str, set[str] | None] = {}
    for part in lexicon.OWNED.split(";"):
        names, colon, nouns = part.partition(":")
        kinds.update({name: set(nouns.split()) if colon else None for name in names.split()})
    return kinds


OWNED = owned()
