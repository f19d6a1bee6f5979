"""The built-in corpus: English-German sentence pairs with their trees, written by a grammar.

A synchronous grammar draws a sentence once and writes it in both languages. What it has:

- Clauses inside clauses: relative clauses on subject, object, prepositional object and possessor
  (`whose`); complements with that / dass and whether / ob, embedded questions, infinitives with
  `zu`; adverbial clauses with because / weil, when / als or wenn, before / bevor and others.
- German word order: the finite verb second in main clauses, first in questions, last in subordinate
  clauses; participles and infinitives at the end; separable verbs (`ruft ... an`, `anrufen`,
  `anzurufen`, `angerufen`); inversion behind a fronted adverbial or clause; relative and complement
  clauses behind the verb.
- Agreement: verbs in number and person, across relative clauses; determiners and adjectives in
  gender, case and number (strong, weak and mixed declension, weak nouns); relative pronouns with
  their antecedent; `it` as er, sie, es or ihn by the gender of a noun in another clause.
- Case by verb, by preposition and by meaning: in the garden, `im Garten`; into the garden, `in den
  Garten`.
- Tenses, modal verbs, passives, comparatives, coordination, numbers, compounds (kitchen table,
  `Küchentisch`), negation with `nicht` or `kein`.
- One English word, several German ones: know (kennen, wissen), eat (essen, fressen), leave
  (verlassen, abfahren), run (laufen, leiten), bank (Bank, Ufer), hard (hart, schwierig, fleißig),
  light (leicht, hell), to (zu, nach), before (vor, bevor), when (als, wenn, wann).

An English sentence has one German translation, with rare exceptions; a German one may have several
sources. Both trees use the labels of the Penn Treebank, the German ones too. All text is original.

In reading order: `grammar_lexicon` has the words, `grammar_words` reads them, `grammar_morphology`
inflects them, `grammar_syntax` orders a clause, `grammar_vocabulary` sorts words by what they go
with; `grammar_phrases`, `grammar_clauses` and `grammar_complements` draw parts at random, and this
module sentences.
"""

from collections.abc import Iterator
from typing import NamedTuple, final

from lit_transformer.data.grammar_complements import THINGS, WITH_GAP, Complements, subordinate
from lit_transformer.data.grammar_morphology import node
from lit_transformer.data.grammar_phrases import personal
from lit_transformer.data.grammar_syntax import (
    COMMA,
    Clause,
    Pair,
    clean,
    english,
    german,
    text,
    tokens,
)
from lit_transformer.data.grammar_vocabulary import TIMES

VERSION = "1"
"""Raised when the same seed would write other sentences."""
SHORTEST, LONGEST = 4, 30
"""Words of a source sentence, punctuation aside."""

CONJUNCTIONS = {
    "past": (
        *(("because", "weil"), ("when", "als"), ("although", "obwohl"), ("before", "bevor")),
        *(("while", "während"), ("after", "nachdem"), ("until", "bis")),
    ),
    "present": (
        *(("because", "weil"), ("when", "wenn"), ("if", "wenn"), ("although", "obwohl")),
        *(("while", "während"), ("before", "bevor")),
    ),
    "future": (("if", "wenn"), ("when", "wenn"), ("because", "weil"), ("before", "bevor")),
}
"""Those of the future have a clause in the present."""
ENDPOINTS = ("before", "until", "after")
"""What they begin with is a moment: nothing that is going on or is not."""


class Example(NamedTuple):
    """A sentence in both languages, as raw text and as a tree in Penn brackets."""

    source: str
    target: str
    source_tree: str
    target_tree: str


def examples(count: int, seed: int) -> Iterator[Example]:
    """The first `count` pairs of the stream that a seed begins: the same for one VERSION."""
    writer = Writer(seed)
    for _ in range(count):
        yield writer.example()


def main(clause: Clause) -> Pair:
    return Pair(english(clause, inverted=False), german(clause, "second", ""))


def ended(pair: Pair, mark: str) -> Pair:
    """With a full stop or question mark inside the outermost bracket."""
    return Pair(f"{pair.english[:-1]} (. {mark}))", f"{pair.german[:-1]} (. {mark}))")


@final
class Writer(Complements):
    """Draws sentences."""

    def example(self) -> Example:
        while True:
            pair = self.sentence()
            words = [token for token in tokens(pair.english) if token not in ",.?"]
            if SHORTEST <= len(words) <= LONGEST:
                trees = clean(pair.english), clean(pair.german)
                return Example(text(trees[0]), text(trees[1]), *trees)

    def sentence(self) -> Pair:
        draw = self.random()
        time = self.choose(("present", "past", "past", "future"))
        if draw < 0.1:
            return ended(self.question(time), "?")
        if draw < 0.28:
            return ended(self.with_adverbial(time), ".")
        if draw < 0.4:
            return ended(self.with_pronoun(time), ".")
        if draw < 0.46:
            return ended(self.coordination(time), ".")
        return ended(main(self.timed(self.clause(time, self.choose((1, 2))), time, 0.4)), ".")

    def coordination(self, time: str) -> Pair:
        first = main(self.timed(self.clause(time, 0), time, 0.2))
        second = main(self.timed(self.clause(time, 0), time, 0.2))
        return self.joined(first, second)

    def joined(self, first: Pair, second: Pair) -> Pair:
        """and / und, or but / aber; German has a comma only before the latter."""
        but = self.chance(0.6)
        english_word, german_word = ("but", "aber") if but else ("and", "und")
        comma = COMMA if but else ""
        return Pair(
            node("S", first.english, COMMA, f"(CC {english_word})", second.english),
            node("S", first.german, comma, f"(CC {german_word})", second.german),
        )

    def with_adverbial(self, time: str) -> Pair:
        """A main clause with because, when, if ... behind or before it."""
        words = self.pick(CONJUNCTIONS[time])
        inner = "present" if time == "future" and words[0] != "because" else time
        first = self.clause(time, self.choose((0, 1)))
        before = self.chance(0.35)
        if not before:
            self.timed(first, time, 0.4)
        second = self.second_clause(first, inner)
        while words[0] in ENDPOINTS and (second.not_ or second.adverb.german):
            second = self.second_clause(first, inner)
        if words[0] == "after" and second.tense == "past":
            second.tense = "pluperfect"
        return self.subordinated(first, subordinate(*words, second), before)

    def second_clause(self, first: Clause, time: str) -> Clause:
        """Its subject may be a pronoun for the first clause's subject."""
        subject = first.subject
        if subject.pronoun in ("he", "she") and self.chance(0.5):
            pronoun = personal(subject.pronoun, subject.slot, "N")
            return self.timed(self.about(time, 0, "person", pronoun), time, 0.0)
        return self.timed(self.clause(time, self.choose((0, 1))), time, 0.0)

    def subordinated(self, first: Clause, clause: Pair, before: bool) -> Pair:
        if before:
            return Pair(
                node("S", clause.english, COMMA, english(first, inverted=False)),
                german(first, "second", f"{clause.german} {COMMA}"),
            )
        pair = main(first)
        return Pair(
            node("S", pair.english, clause.english),
            node("S", pair.german, COMMA, clause.german, COMMA),
        )

    def with_pronoun(self, time: str) -> Pair:
        """`it` or `they` in a second clause, for the only thing in the first."""
        kind = self.choose(THINGS)
        buyer = self.noun_phrase("person", "N", 0, "any")
        groups = [group for group in WITH_GAP[kind] if group.subjects == ("person",)]
        first = self.started(time, buyer, "person", self.pick(self.choose(groups).verbs))
        thing = self.common(kind, first.verb.case, 0, "definite" if self.chance(0.6) else "any")
        self.add_phrase(first, thing)
        if first.tense not in ("perfect", "progressive") and self.chance(0.3):
            first.time = self.pick(TIMES[time])
        if self.chance(0.5):
            it = personal(thing.pronoun, thing.slot, "N")
            second = self.copula("past" if time == "past" else "present", kind, it)
            words = self.choose((("because", "weil"), ("although", "obwohl")))
            return self.subordinated(first, subordinate(*words, second), before=False)
        before = self.chance(0.3)
        inner = "present" if before and time == "future" else time
        owner = self.noun_phrase("person", "N", 0, "any")
        second = self.started(inner, owner, "person", self.pick(self.choose(groups).verbs))
        self.add_phrase(second, personal(thing.pronoun, thing.slot, second.verb.case))
        if before or self.chance(0.4):
            words = ("before", "bevor") if before else ("because", "weil")
            return self.subordinated(first, subordinate(*words, second), before=False)
        return self.joined(main(first), main(second))

    def question(self, time: str) -> Pair:
        draw = self.random()
        if draw < 0.4:
            clause = self.timed(self.clause(time, 1), time, 0.0)
            return Pair(english(clause, inverted=True), german(clause, "first", ""))
        if draw < 0.5:
            clause, opening = self.asked_subject(time, 0)
            return Pair(
                node("SBARQ", opening.english, english(clause, inverted=False)),
                german(clause, "second", opening.german),
            )
        if draw < 0.75:
            clause, opening = self.asked_object(time, 0)
        else:
            clause, opening = self.asked_adverb(time, 0)
        return Pair(
            node("SBARQ", opening.english, english(clause, inverted=True)),
            german(clause, "second", opening.german),
        )
