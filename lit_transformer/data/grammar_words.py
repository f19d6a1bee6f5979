"""The lexicon's notation read: nouns, adjectives and verbs with their forms.

Cases are N, A, D, G.
"""

import re
from typing import Literal, NamedTuple, cast

Case = Literal["N", "A", "D", "G"]
Slot = Literal["m", "f", "n", "p"]
"""Column of a declension: a gender, or the plural of all three."""

GENDERS: dict[str, Slot] = {"der": "m", "die": "f", "das": "n"}
DOUBLED = {"begin", "get", "put", "run", "sit", "forget", "stop"}
"""English verbs that double their last letter before -ing and -ed."""


class Noun(NamedTuple):
    """A noun of both languages; `kind` says which verbs and adjectives go with it."""

    english: str
    english_plural: str
    gender: Slot
    nominative: str
    oblique: str
    genitive: str
    plural: str
    dative_plural: str
    kind: str

    def german(self, case: Case, plural: bool) -> str:
        if plural:
            return self.dative_plural if case == "D" else self.plural
        return {"N": self.nominative, "G": self.genitive}.get(case, self.oblique)


class Adjective(NamedTuple):
    """`stem` takes the endings of a declension; `german` stands alone in a predicate."""

    english: str
    comparative: str
    german: str
    stem: str
    german_comparative: str


class Verb(NamedTuple):
    """A verb of both languages, in one frame; `infinitive` is without the separable `prefix`."""

    frame: str
    base: str
    third: str
    past: str
    participle: str
    particle: str
    preposition: str
    prefix: str
    infinitive: str
    german_third: str
    german_participle: str
    auxiliary: str
    german_preposition: str
    case: Case


def with_s(word: str) -> str:
    """Plural of a noun, third person of a verb."""
    if re.search("[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search("(s|x|z|ch|sh|o)$", word) else "s")


def read_noun(entry: str, kind: str) -> Noun:
    english, article, nominative, ending, plural = entry.split()
    singular, _, irregular = english.partition("/")
    genitive = nominative + ending.removeprefix("-")
    weak = article == "der" and ending in ("-n", "-en")
    return Noun(
        singular,
        irregular or with_s(singular),
        GENDERS[article],
        nominative,
        genitive if weak else nominative,
        genitive,
        plural.removeprefix("-"),
        plural if plural[-1] in "ns" else plural + "n",
        kind,
    )


def compound(noun: Noun, english: str, german: str) -> Noun:
    """kitchen + table, Küchen + Tisch: kitchen table, Küchentisch."""
    return noun._replace(
        english=f"{english} {noun.english}",
        english_plural=f"{english} {noun.english_plural}",
        nominative=german + noun.nominative.lower(),
        oblique=german + noun.oblique.lower(),
        genitive=german + noun.genitive.lower(),
        plural=german + noun.plural.lower(),
        dative_plural=german + noun.dative_plural.lower(),
    )


def read_adjective(entry: str) -> Adjective:
    english, german = entry.split("=")
    english, comparative = english.split("/")
    german, _, german_comparative = german.partition("/")
    german, _, stem = german.partition(":")
    return Adjective(
        english,
        f"more {english}" if comparative == "more" else comparative,
        german,
        stem or german.removesuffix("e"),
        german_comparative or german + "er",
    )


def read_verb(entry: str, frame: str) -> Verb:
    english, german = (side.split() for side in entry.split("="))
    base, _, preposition = english[0].partition("@")
    base, _, particle = base.partition("+")
    past = english[1] if len(english) > 1 else regular_past(base)
    prefix, _, infinitive = german[0].rpartition("|")
    preposition_case = german.pop() if ":" in german[-1] else ":D" if frame == "dat" else ":A"
    german_preposition, _, case = preposition_case.partition(":")
    auxiliary = german.pop() if german[-1] == "sein" else "haben"
    third = german[1] if len(german) > 1 else german_stem(infinitive, "t")
    ge = "" if infinitive.startswith(("be", "er", "ver")) or infinitive.endswith("ieren") else "ge"
    return Verb(
        frame,
        base,
        "is" if base == "be" else with_s(base),
        past,
        english[2] if len(english) > 2 else past,
        particle,
        preposition,
        prefix,
        infinitive,
        third,
        german[2] if len(german) > 2 else prefix + ge + third,
        auxiliary,
        german_preposition,
        cast(Case, case),
    )


def german_stem(infinitive: str, ending: str) -> str:
    """kauf-t, fütter-t, arbeit-et; kauf-e, fütter-e."""
    stem = infinitive[: -2 if infinitive[-2] == "e" else -1]
    return stem + ("e" if ending == "t" and stem[-1] in "dt" else "") + ending


def regular_past(base: str) -> str:
    stem = (
        base + base[-1] if base in DOUBLED else re.sub("[^aeiou]y$", lambda m: m[0][0] + "i", base)
    )
    return stem + ("d" if base[-1] == "e" else "ed")


def gerund(base: str) -> str:
    stem = re.sub("(?<!e)e$", "", base)
    return stem + (base[-1] if base in DOUBLED else "") + "ing"
