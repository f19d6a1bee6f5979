"""Declensions and conjugations against forms written by hand."""

import pytest

from lit_transformer.data.grammar_morphology import english_verbs, german_verbs, german_zu
from lit_transformer.data.grammar_phrases import Phrases
from lit_transformer.data.grammar_syntax import Pair, tokens
from lit_transformer.data.grammar_vocabulary import (
    BOTH,
    EVERY,
    MANY,
    MY,
    NOTHING,
    THE,
    THIS,
    A,
    Determiner,
)
from lit_transformer.data.grammar_words import (
    Noun,
    Slot,
    compound,
    gerund,
    read_adjective,
    read_noun,
    read_verb,
    regular_past,
    with_s,
)

MAN = "man/men der Mann -es Männer"
STUDENT = "student der Student -en Studenten"
WOMAN = "woman/women die Frau - Frauen"
CHILD = "child/children das Kind -es Kinder"
MILK = "milk die Milch - -"


class Speechless(Phrases):
    """Noun phrases without relative clauses."""

    def relative(self, noun: Noun, slot: Slot, depth: int) -> Pair:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("determiner", "entry", "plural", "expected"),
    [
        (THE, MAN, False, "der alte Mann, den alten Mann, dem alten Mann, des alten Mannes"),
        (THE, WOMAN, False, "die alte Frau, die alte Frau, der alten Frau, der alten Frau"),
        (THE, CHILD, False, "das alte Kind, das alte Kind, dem alten Kind, des alten Kindes"),
        (THE, MAN, True, "die alten Männer, die alten Männer, den alten Männern, der alten Männer"),
        (A, MAN, False, "ein alter Mann, einen alten Mann, einem alten Mann, eines alten Mannes"),
        (A, WOMAN, False, "eine alte Frau, eine alte Frau, einer alten Frau, einer alten Frau"),
        (A, CHILD, False, "ein altes Kind, ein altes Kind, einem alten Kind, eines alten Kindes"),
        (MY, WOMAN, True, "meine alten Frauen, meine alten Frauen, meinen alten Frauen, meiner "
         "alten Frauen"),
        (THIS, STUDENT, False, "dieser alte Student, diesen alten Studenten, diesem alten "
         "Studenten, dieses alten Studenten"),
        (EVERY, CHILD, False, "jedes alte Kind, jedes alte Kind, jedem alten Kind, jedes alten "
         "Kindes"),
        (BOTH, CHILD, True, "beide alten Kinder, beide alten Kinder, beiden alten Kindern, beider "
         "alten Kinder"),
        (MANY, MAN, True, "viele alte Männer, viele alte Männer, vielen alten Männern, vieler "
         "alter Männer"),
        (NOTHING, MILK, False, "alte Milch, alte Milch, alter Milch, alter Milch"),
        (NOTHING, CHILD, True, "alte Kinder, alte Kinder, alten Kindern, alter Kinder"),
    ],
)  # fmt: skip
def test_noun_phrases_are_declined(determiner: Determiner, entry, plural, expected):
    noun = read_noun(entry, "person")
    slot: Slot = "p" if plural else noun.gender
    forms = [
        Speechless(0).german_determined(
            determiner, f"(JJ alt{determiner.adjectives[slot, case]})", noun, slot, case
        )
        for case in ("N", "A", "D", "G")
    ]
    assert ", ".join(" ".join(tokens(form)) for form in forms) == expected


def test_a_compound_is_one_german_word():
    table = compound(read_noun("table der Tisch -es Tische", "thing"), "kitchen", "Küchen")
    assert (table.english_plural, table.german("D", True)) == ("kitchen tables", "Küchentischen")


def test_comparatives_and_stems():
    expensive = read_adjective("expensive/more=teuer:teur/teurer")
    assert expensive == ("expensive", "more expensive", "teuer", "teur", "teurer")
    assert read_adjective("small/smaller=klein").german_comparative == "kleiner"
    assert read_adjective("tired/more=müde/müder").stem == "müd"


@pytest.mark.parametrize(
    ("tense", "finite", "right"),
    [
        ("present", "ruft", ""),
        ("past", "hat", "angerufen"),
        ("pluperfect", "hatte", "angerufen"),
        ("future", "wird", "anrufen"),
        ("must", "muss", "anrufen"),
        ("had", "musste", "anrufen"),
    ],
)
def test_a_separable_verb_is_conjugated(tense, finite, right):
    verb = read_verb("call=an|rufen ruft angerufen", "acc")
    verbs = german_verbs(verb, tense, 1, passive=False)
    assert (verbs.finite, " ".join(tokens(" ".join(verbs.right)))) == (finite, right)
    assert verbs.prefix == ("an" if tense == "present" else "")


def test_to_goes_between_prefix_and_stem():
    assert german_zu(read_verb("close=zu|machen", "acc")) == "(VB zuzumachen)"
    assert tokens(german_zu(read_verb("buy bought=kaufen", "acc"))) == ["zu", "kaufen"]


@pytest.mark.parametrize(
    ("entry", "first", "third", "participle", "auxiliary"),
    [
        ("buy bought=kaufen", "kaufe", "kauft", "gekauft", "haben"),
        ("work=arbeiten", "arbeite", "arbeitet", "gearbeitet", "haben"),
        ("feed fed=füttern", "füttere", "füttert", "gefüttert", "haben"),
        ("visit=besuchen", "besuche", "besucht", "besucht", "haben"),
        ("repair=reparieren", "repariere", "repariert", "repariert", "haben"),
        ("turn+on=an|machen", "mache", "macht", "angemacht", "haben"),
        ("know=wissen weiß gewusst", "weiß", "weiß", "gewusst", "haben"),
        ("go went gone=gehen geht gegangen sein", "gehe", "geht", "gegangen", "sein"),
    ],
)
def test_german_verbs_know_their_forms(entry, first, third, participle, auxiliary):
    verb = read_verb(entry, "acc")
    assert german_verbs(verb, "present", 0, passive=False).finite == first
    assert german_verbs(verb, "present", 1, passive=False).finite == third
    assert (verb.german_participle, verb.auxiliary) == (participle, auxiliary)


def test_the_passive_has_its_own_auxiliary():
    verb = read_verb("buy bought=kaufen", "acc")
    future = german_verbs(verb, "future", 2, passive=True)
    assert (future.finite, tokens(" ".join(future.right))) == ("werden", ["gekauft", "werden"])
    assert german_verbs(verb, "past", 1, passive=True).finite == "wurde"


@pytest.mark.parametrize(
    ("tense", "agreement", "passive", "do", "expected"),
    [
        ("present", 1, False, False, "writes"),
        ("present", 2, False, True, "do write"),
        ("past", 1, False, True, "did write"),
        ("progressive", 0, False, False, "am writing"),
        ("perfect", 1, False, False, "has written"),
        ("want", 1, False, True, "does want to write"),
        ("had", 1, False, False, "had to write"),
        ("past", 2, True, True, "were written"),
        ("future", 1, True, False, "will be written"),
    ],
)
def test_english_verbs_are_conjugated(tense, agreement, passive, do, expected):
    verb = read_verb("write wrote written=schreiben schreibt geschrieben", "acc")
    assert (
        " ".join(tokens(" ".join(english_verbs(verb, tense, agreement, passive, do)))) == expected
    )


def test_english_spelling():
    assert [with_s(word) for word in ("story", "day", "box", "dress", "bench", "go")] == [
        *("stories", "days", "boxes", "dresses", "benches", "goes")
    ]
    assert [regular_past(word) for word in ("stop", "cry", "play", "use", "open")] == [
        *("stopped", "cried", "played", "used", "opened")
    ]
    assert [gerund(word) for word in ("run", "write", "see", "buy", "get")] == [
        *("running", "writing", "seeing", "buying", "getting")
    ]
