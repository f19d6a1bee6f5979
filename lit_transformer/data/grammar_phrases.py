"""Random noun phrases, verbs and adverbs of the built-in corpus, each in both languages at once."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random
from typing import TypeVar, cast

from lit_transformer.data.grammar_morphology import PERSONAL, Table, leaves, node
from lit_transformer.data.grammar_syntax import NONE, Pair, Phrase, prepositional
from lit_transformer.data.grammar_vocabulary import (
    ADJECTIVES,
    CITIES,
    FIRST_PARTS,
    FIRST_PERSON,
    NAMES,
    NOUNS,
    NUMBERS,
    OBJECT_FORMS,
    OWNED,
    POOLS,
    RANKS,
    RARELY_PLURAL,
    SUBJECT_FORMS,
    THE,
    TIMES,
    UNITS,
    Determiner,
)
from lit_transformer.data.grammar_words import Case, Noun, Slot, compound

T = TypeVar("T")

EVENT_PREPOSITIONS: tuple[tuple[str, str, Case], ...] = (
    ("after", "nach", "D"),
    ("before", "vor", "D"),
    ("during", "während", "G"),
)


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


def determined(determiner: Determiner, adjectives: str, noun: str, plural: bool) -> str:
    """English determiner, adjectives and noun, with `an` before a vowel."""
    *modifiers, head = noun.split()
    nouns = f"{leaves('NN', ' '.join(modifiers))} ({'NNS' if plural else 'NN'} {head})"
    rest = f"{adjectives} {nouns}".split()
    following = next(part for part in rest if part[0] != "(")
    word = "an" if determiner.english == "a" and following[0] in "aeiou" else determiner.english
    return node("NP", f"({determiner.tag} {word})" if word else "", *rest)


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
        if not choice or not self.chance(0.35):
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
        if draw < 0.18:
            clause = self.relative(noun, slot, depth - 1)
            english = node("NP", phrase.english, clause.english)
            return phrase._replace(english=english, relative=clause.german)
        if draw < 0.26 and determiner is THE and is_owned(noun):
            owner = self.common("place" if noun.kind == "opening" else "person", "G", 0, "definite")
            english = node("NP", phrase.english, node("PP", "(IN of)", owner.english))
            return phrase._replace(english=english, german=node("NP", phrase.german, owner.german))
        if draw < 0.33 and noun.kind == "person":
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
            number, (unit, german_unit) = self.pick(NUMBERS), self.pick(UNITS)
            english = f"(ADVP (NP (CD {number.english}) (NNS {unit})) (RB ago))"
            return Pair(english, f"(PP (IN vor) (NP (CD {number.german}) (NNS {german_unit})))")
        return self.pick(TIMES[time])

    def beside_event(self) -> Pair:
        english, german, case = self.choose(EVENT_PREPOSITIONS)
        event = self.common("event", case, 0, "definite")
        return Pair(f"(PP (IN {english}) {event.english})", prepositional(german, event))


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
