"""Word order for the built-in corpus: one clause, written out in both languages.

English keeps subject, verb, object. German puts the finite verb second in a main clause (behind
whatever comes first), first in a question and last in a subordinate clause; the rest of the verb
closes the clause, and a relative clause or a complement follows it. Every German subordinate clause
comes with a comma on each side; `clean` drops the ones that meet other punctuation.
"""

import re
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from lit_transformer.data.grammar_morphology import (
    CONTRACTIONS,
    english_verbs,
    german_verbs,
    german_zu,
    node,
)
from lit_transformer.data.grammar_words import Verb

COMMA = "(, ,)"
Order = Literal["second", "first", "final", "zu"]


class Pair(NamedTuple):
    """The same constituent in both languages; empty strings for none."""

    english: str
    german: str


NONE = Pair("", "")


class Phrase(NamedTuple):
    """A noun phrase in one case. `relative` is its German relative clause, which may move away."""

    english: str
    german: str
    agreement: int
    pronoun: str
    """What refers back to it in English ("it"); empty: nothing safe."""
    slot: str
    is_pronoun: bool
    relative: str

    @property
    def whole(self) -> str:
        """German with the relative clause in its place."""
        if not self.relative:
            return self.german
        return node("NP", self.german, COMMA, self.relative, COMMA)


@dataclass(slots=True)
class Clause:
    """The parts of a clause, in the order in which each language wants them."""

    subject: Phrase
    verb: Verb
    tense: str
    passive: bool = False
    not_: bool = False
    """English has `not`."""
    nicht: bool = False
    """German has `nicht` (not where `kein` negates)."""
    adverb: Pair = NONE
    """often, already: before the English main verb, early in the German clause."""
    time: Pair = NONE
    fronted: bool = False
    """The time comes first."""
    english: list[str] = field(default_factory=list)
    """What follows the English verb."""
    pronouns: list[str] = field(default_factory=list)
    middle: list[str] = field(default_factory=list)
    """German objects, before `nicht`."""
    late: list[str] = field(default_factory=list)
    """German manner, place, prepositional objects and predicates, after `nicht`."""
    relative: str = ""
    """Relative clause of the last German object, which follows the verb."""
    end: Pair = NONE
    """A complement clause."""

    @property
    def has_tail(self) -> bool:
        """An English clause ends it: nothing may follow that could be read into that clause."""
        return bool(self.relative or self.end.english)


def english(clause: Clause, inverted: bool) -> str:
    """The clause as (S ...), or (SQ ...) with the auxiliary before the subject."""
    agreement = clause.subject.agreement
    do = clause.not_ or inverted
    first, *others = english_verbs(clause.verb, clause.tense, agreement, clause.passive, do)
    time = "" if clause.fronted else clause.time.english
    inner = [*clause.english, time, clause.end.english]
    for verb in reversed(others):
        inner = [node("VP", verb, *inner)]
    no = "(RB not)" if clause.not_ else ""
    if inverted:
        return node("SQ", first, clause.subject.english, no, clause.adverb.english, *inner)
    if others or clause.verb.base == "be":
        predicate = node("VP", first, no, clause.adverb.english, *inner)
    else:
        predicate = node("VP", clause.adverb.english, first, *inner)
    front = clause.time.english if clause.fronted else ""
    return node("S", front, clause.subject.english, predicate)


def german(clause: Clause, order: Order, front: str) -> str:
    """The clause as (S ...). `front` takes the first place of a main clause; empty: the subject."""
    front = front or (clause.time.german if clause.fronted and order == "second" else "")
    time = "" if clause.fronted else clause.time.german
    core = [*clause.pronouns, time, clause.adverb.german, *clause.middle]
    core += ["(RB nicht)" if clause.nicht else "", *clause.late]
    relative = f"{COMMA} {clause.relative} {COMMA}" if clause.relative else ""
    end = f"{COMMA} {clause.end.german} {COMMA}" if clause.end.german else ""
    subject = clause.subject.whole
    if order == "zu":
        return node("S", node("VP", *core, german_zu(clause.verb), relative, end))
    verbs = german_verbs(clause.verb, clause.tense, clause.subject.agreement, clause.passive)
    if order == "final":
        finite = f"({verbs.tag} {verbs.prefix}{verbs.finite})"
        return node("S", subject, node("VP", *core, *verbs.right, finite, relative, end))
    finite = f"({verbs.tag} {verbs.finite})"
    particle = f"(RP {verbs.prefix})" if verbs.prefix else ""
    rest = [part for part in (*core, *verbs.right, particle, relative, end) if part]
    places = [front or subject, finite, subject if front else ""]
    if order == "first":
        places = [front, finite, subject]
    return node("S", *places, node("VP", *rest) if rest else "")


def prepositional(preposition: str, phrase: Phrase) -> str:
    """A German prepositional phrase, with `im` for `in dem` unless a relative clause follows."""
    opening = re.match(r"((?:\(NP )+)\(DT (\w+)\) ", phrase.german)
    if opening and not phrase.relative:
        short = CONTRACTIONS.get(f"{preposition} {opening[2]}")
        if short:
            return f"(PP (IN {short}) {opening[1]}{phrase.german[opening.end() :]})"
    return f"(PP (IN {preposition}) {phrase.german})"


def clean(tree: str) -> str:
    """Without commas that meet another mark, and with a capital at the beginning."""
    tree = re.sub(r" \(, ,\)(?=[ )]*(?:\([A-Z]+ )*\([,.] [,.?]\))", "", tree)
    first = re.search(r" ([^() ])", tree)
    assert first is not None
    return tree[: first.start(1)] + first[1].upper() + tree[first.end(1) :]


def tokens(tree: str) -> list[str]:
    """The leaves of a tree."""
    return re.findall(r" ([^() ]+)\)", tree)


def text(tree: str) -> str:
    """A tree's sentence as raw text."""
    return re.sub(r" ([,.?])", r"\1", " ".join(tokens(tree)))
