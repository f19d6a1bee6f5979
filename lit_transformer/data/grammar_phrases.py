"""Random noun phrases, verbs and adverbs of the built-in corpus, each in both languages at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random
from typing import NamedTuple, TypeVar, cast

from lit_transformer.data import grammar_lexicon as lexicon
from lit_transformer.data.grammar_morphology import (
    ARTICLE,
    BARE,
    DIESER,
    EIN,
    MIXED,
    PERSONAL,
    STRONG,
    WEAK,
    Adjective,
    Case,
    Noun,
    Slot,
    Table,
    Verb,
    compound,
    leaves,
    node,
    read_adjective,
    read_noun,
    read_verb,
)
from lit_transformer.data.grammar_syntax import NONE, Pair, Phrase, prepositional

T = TypeVar("T")


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
    return [cast(tuple[str, str], tuple(entry.split("="))) for entry in entries(text)]


NOUNS = {
    kind: tuple(read_noun(entry, kind) for entry in entries(text))
    for kind, text in lexicon.NOUNS.items()
}
ADJECTIVES = {
    kind: tuple(read_adjective(entry) for entry in entries(text))
    for kinds, text in lexicon.ADJECTIVES.items()
    for kind in kinds.split()
}
GROUPS = tuple(
    Group(
        frame,
        tuple(subjects.split()),
        tuple(objects.split()),
        tuple(read_verb(entry, frame) for entry in entries(verbs)),
    )
    for frame, subjects, objects, verbs in lexicon.VERBS
)
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
NUMBERS = [Determiner("CD", *word.split("="), BARE, STRONG) for word in lexicon.NUMBERS.split()]
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
NAMES = [cast(tuple[str, Slot], tuple(name.split("="))) for name in lexicon.NAMES.split()]
CITIES = [city.split("=") for city in lexicon.CITIES.split()]
UNITS = [unit.split("=") for unit in lexicon.UNITS.split()]


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


def personal(english: str, slot: str, case: Case) -> Phrase:
    """A pronoun; for `it` and `they`, the slot of what it stands for decides the German one."""
    shown = english if case == "N" else OBJECT_FORMS[english]
    if english in FIRST_PERSON:
        agreement, forms = FIRST_PERSON[english]
        german = forms[case]
    else:
        agreement = 2 if slot == "p" else 1
        german = PERSONAL[cast(Slot, slot), case]
    tree = f"(NP (PRP {german}))"
    return Phrase(f"(NP (PRP {shown}))", tree, agreement, english, slot, True, "")


def determined(determiner: Determiner, adjectives: str, noun_words: str, plural: bool) -> str:
    """English determiner, adjectives and noun, with `an` before a vowel."""
    nouns = noun_words.split()
    noun = " ".join(
        [leaves("NN", " ".join(nouns[:-1])), f"({'NNS' if plural else 'NN'} {nouns[-1]})"]
    )
    rest = f"{adjectives} {noun}".strip()
    word = determiner.english
    if word == "a" and rest[rest.rindex("(", 0, rest.index(")")) :].split()[1][0] in "aeiou":
        word = "an"
    return node("NP", f"({determiner.tag} {word})" if word else "", rest)


class Phrases(ABC):
    """Draws phrases from a random generator."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed).random

    @abstractmethod
    def relative(self, noun: Noun, slot: Slot, depth: int) -> Pair:
        """A relative clause on `noun` as (SBAR ...), without commas."""

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def choose(self, items: Sequence[T]) -> T:
        """Each as likely."""
        return items[int(self.random() * len(items))]

    def pick(self, items: Sequence[T]) -> T:
        """The first ones more often: of n, the first comes with probability sqrt(1 / n)."""
        draw = self.random()
        return items[int(draw * draw * len(items))]

    def noun_phrase(self, kind: str, case: Case, depth: int, mood: str) -> Phrase:
        """`depth` clauses may nest in it; `mood` names the determiners to choose from."""
        if kind == "person" and mood in ("any", "definite"):
            draw = self.random()
            if draw < 0.16:
                english = self.choose(("he", "she", "they", "I", "we"))
                return personal(english, SUBJECT_FORMS.get(english, ""), case)
            if draw < 0.3:
                name, slot = self.pick(NAMES)
                tree = f"(NP (NNP {name}))"
                return Phrase(tree, tree, 1, "he" if slot == "m" else "she", slot, False, "")
        phrase = self.common(kind, case, depth, mood)
        if mood == "any" and not phrase.relative and self.chance(0.06):
            return self.coordinated(phrase, self.common(kind, case, 0, mood))
        return phrase

    def coordinated(self, one: Phrase, other: Phrase) -> Phrase:
        english = f"(NP {one.english} (CC and) {other.english})"
        german = f"(NP {one.german} (CC und) {other.german})"
        return Phrase(english, german, 2, "they", "p", False, "")

    def common(self, kind: str, case: Case, depth: int, mood: str) -> Phrase:
        """A noun with determiner, adjectives and what follows it."""
        noun = self.pick(NOUNS[kind])
        plural = bool(noun.plural) and self.chance(0.08 if kind in RARELY_PLURAL else 0.28)
        determiner = self.pick(POOLS[mood][1 if plural else 0 if noun.plural else 2])
        if determiner.tag == "PRP$" and not is_owned(noun):
            determiner = THE
        if noun.english in FIRST_PARTS and self.chance(0.3):
            noun = compound(noun, *self.pick(FIRST_PARTS[noun.english]))
        slot: Slot = "p" if plural else noun.gender
        adjectives = self.adjectives(kind, slot, case, determiner.adjectives)
        words = noun.english_plural if plural else noun.english
        english = determined(determiner, adjectives.english, words, plural)
        german = self.german_determined(determiner, adjectives.german, noun, slot, case)
        phrase = Phrase(english, german, 2 if plural else 1, echo(noun, plural), slot, False, "")
        return self.extended(phrase, noun, slot, depth, determiner) if depth else phrase

    def german_determined(
        self, determiner: Determiner, adjectives: str, noun: Noun, slot: Slot, case: Case
    ) -> str:
        word = determiner.german + determiner.endings[slot, case]
        tag = "NNS" if slot == "p" else "NN"
        article = f"({determiner.tag} {word})" if word else ""
        return node("NP", article, adjectives, f"({tag} {noun.german(case, slot == 'p')})")

    def adjectives(self, kind: str, slot: Slot, case: Case, endings: Table) -> Pair:
        """None, one or two, the first of them perhaps with `very`."""
        choice = ADJECTIVES.get(kind, ())
        if not choice or not self.chance(0.4):
            return NONE
        first = self.pick(choice)
        second = self.pick(choice) if self.chance(0.15) else first
        chosen = [first, second] if RANKS[first.english] != RANKS[second.english] else [first]
        chosen.sort(key=lambda adjective: RANKS[adjective.english])
        ending = endings[slot, case]
        english = " ".join([f"(JJ {adjective.english})" for adjective in chosen])
        german = " ".join([f"(JJ {adjective.stem}{ending})" for adjective in chosen])
        if len(chosen) == 1 and self.chance(0.15):
            return Pair(f"(ADJP (RB very) {english})", f"(ADJP (RB sehr) {german})")
        return Pair(english, german)

    def extended(
        self, phrase: Phrase, noun: Noun, slot: Slot, depth: int, determiner: Determiner
    ) -> Phrase:
        """With a genitive, a prepositional phrase or a relative clause behind it, or nothing."""
        draw = self.random()
        if draw < 0.2:
            clause = self.relative(noun, slot, depth - 1)
            english = node("NP", phrase.english, clause.english)
            return phrase._replace(english=english, relative=clause.german)
        if draw < 0.3 and determiner is THE and is_owned(noun):
            owner = self.common("place" if noun.kind == "opening" else "person", "G", 0, "definite")
            english = node("NP", phrase.english, node("PP", "(IN of)", owner.english))
            return phrase._replace(english=english, german=node("NP", phrase.german, owner.german))
        if draw < 0.38 and noun.kind == "person":
            other = self.company()
            english = node("NP", phrase.english, other.english)
            return phrase._replace(english=english, german=node("NP", phrase.german, other.german))
        return phrase

    def company(self) -> Pair:
        if self.chance(0.5):
            what = self.common("clothes", "D", 0, "any")
            return Pair(node("PP", "(IN with)", what.english), prepositional("mit", what))
        where = self.common("place", "D", 0, "definite")
        return Pair(node("PP", "(IN from)", where.english), prepositional("aus", where))

    def place(self) -> Pair:
        """Where something happens: German dative."""
        draw = self.random()
        if draw < 0.14:
            english, german = self.pick(CITIES)
            return Pair(f"(PP (IN in) (NP (NNP {english})))", f"(PP (IN in) (NP (NNP {german})))")
        if draw < 0.22:
            shore = self.common("shore", "G", 0, "definite")
            bank = node("NP", "(NP (DT the) (NN bank))", node("PP", "(IN of)", shore.english))
            return Pair(f"(PP (IN on) {bank})", f"(PP (IN am) (NP (NN Ufer) {shore.german}))")
        if draw < 0.34:
            return self.at((("on", "auf"), ("under", "unter")), "surface", "D")
        if draw < 0.48:
            choice = (("behind", "hinter"), ("outside", "vor"), ("beside", "neben"))
            return self.at(choice, self.choose(("place", "business")), "D")
        return self.at((("in", "in"),), self.choose(("place", "place", "business")), "D")

    def direction(self) -> Pair:
        """Where someone goes: cities with `nach`, `to` with `zu`, `into` with an accusative."""
        draw = self.random()
        if draw < 0.2:
            english, german = self.pick(CITIES)
            return Pair(f"(PP (TO to) (NP (NNP {english})))", f"(PP (IN nach) (NP (NNP {german})))")
        kind = self.choose(("place", "place", "business"))
        if draw < 0.5:
            return self.at((("to", "zu"),), kind, "D")
        return self.at((("into", "in"),), kind, "A")

    def at(self, choice: Sequence[tuple[str, str]], kind: str, case: Case) -> Pair:
        english, german = self.choose(choice)
        where = self.common(kind, case, 0, "definite" if self.chance(0.7) else "any")
        return Pair(f"(PP (IN {english}) {where.english})", prepositional(german, where))

    def when(self, time: str) -> Pair:
        """An adverbial that fits the past, the present or the future."""
        draw = self.random()
        if draw < 0.15:
            return self.beside_event()
        if draw < 0.3 and time == "past":
            (number, zahl), (unit, einheit) = self.number(), self.pick(UNITS)
            english = f"(ADVP (NP (CD {number}) (NNS {unit})) (RB ago))"
            return Pair(english, f"(PP (IN vor) (NP (CD {zahl}) (NNS {einheit})))")
        return self.pick(TIMES[time])

    def number(self) -> tuple[str, str]:
        number = self.pick(NUMBERS)
        return number.english, number.german

    def beside_event(self) -> Pair:
        choice: tuple[tuple[str, str, Case], ...]
        choice = (("after", "nach", "D"), ("before", "vor", "D"), ("during", "während", "G"))
        english, german, case = self.choose(choice)
        event = self.common("event", case, 0, "definite")
        return Pair(f"(PP (IN {english}) {event.english})", prepositional(german, event))


def owned() -> dict[str, set[str] | None]:
    """For each kind, the nouns that somebody may have; None for all of them."""
    kinds: dict[str, set[str] | None] = {}
    for part in lexicon.OWNED.split(";"):
        names, colon, nouns = part.partition(":")
        kinds.update({name: set(nouns.split()) if colon else None for name in names.split()})
    return kinds


OWNED = owned()


def is_owned(noun: Noun) -> bool:
    names = OWNED.get(noun.kind, set())
    return names is None or noun.english in names


def echo(noun: Noun, plural: bool) -> str:
    """The pronoun that refers back to a noun in English; none to a child or a girl."""
    if plural:
        return "they"
    if noun.kind == "person":
        return {"m": "he", "f": "she"}.get(noun.gender, "")
    return "it"
