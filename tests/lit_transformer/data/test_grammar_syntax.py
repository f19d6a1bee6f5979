"""Sentences put together by hand, with the translations that a person would write."""

from lit_transformer.data.grammar import ended, main
from lit_transformer.data.grammar_clauses import BE, describing
from lit_transformer.data.grammar_complements import NOBODY, subordinate
from lit_transformer.data.grammar_phrases import personal
from lit_transformer.data.grammar_syntax import (
    COMMA,
    Clause,
    Pair,
    Phrase,
    clean,
    english,
    german,
    prepositional,
    text,
)
from lit_transformer.data.grammar_words import read_adjective, read_verb

CALL = read_verb("call=an|rufen ruft angerufen", "acc")
BUY = read_verb("buy bought=kaufen", "acc")
WAIT = read_verb("wait@for=warten wartet gewartet auf:A", "prep")
KNOW = read_verb("know knew known=wissen weiß gewusst", "that")
THE_WOMAN = Phrase("(NP (DT the) (NN woman))", "(NP (DT die) (NN Frau))", 1, "she", "f", False, "")
MEN = Phrase("(NP (DT the) (NNS men))", "(NP (DT die) (NNS Männer))", 2, "they", "p", False, "")
THE_DOG = "(NP (DT the) (NN dog))", "(NP (DT den) (NN Hund))"
YESTERDAY = Pair("(ADVP (RB yesterday))", "(ADVP (RB gestern))")


def clause(subject: Phrase, verb, tense: str, **parts) -> Clause:
    """With the dog as its object, unless something else is said."""
    built = Clause(subject, verb, tense, **parts)
    built.english = built.english or [THE_DOG[0]]
    built.middle = built.middle or [THE_DOG[1]]
    return built


def written(pair: Pair, mark: str = ".") -> tuple[str, str]:
    done = ended(pair, mark)
    return text(clean(done.english)), text(clean(done.german))


def test_main_clause():
    assert written(main(clause(THE_WOMAN, CALL, "present"))) == (
        "The woman calls the dog.",
        "Die Frau ruft den Hund an.",
    )


def test_perfect_with_a_plural_subject():
    assert written(main(clause(MEN, CALL, "past"))) == (
        "The men called the dog.",
        "Die Männer haben den Hund angerufen.",
    )


def test_modal_verb():
    assert written(main(clause(MEN, CALL, "must"))) == (
        "The men must call the dog.",
        "Die Männer müssen den Hund anrufen.",
    )


def test_inversion_behind_a_fronted_adverbial():
    built = clause(THE_WOMAN, CALL, "past", time=YESTERDAY, fronted=True)
    assert written(main(built)) == (
        "Yesterday the woman called the dog.",
        "Gestern hat die Frau den Hund angerufen.",
    )


def test_time_stands_before_the_german_object():
    assert written(main(clause(THE_WOMAN, CALL, "past", time=YESTERDAY))) == (
        "The woman called the dog yesterday.",
        "Die Frau hat gestern den Hund angerufen.",
    )


def test_negation_stands_behind_the_object():
    built = clause(THE_WOMAN, CALL, "present", not_=True, nicht=True)
    assert written(main(built)) == (
        "The woman does not call the dog.",
        "Die Frau ruft den Hund nicht an.",
    )


def test_negation_stands_before_a_predicate():
    old = describing(read_adjective("old/older=alt/älter"), ("very", "sehr"))
    built = Clause(MEN, BE, "past", not_=True, nicht=True, english=[old.english], late=[old.german])
    assert written(main(built)) == (
        "The men were not very old.",
        "Die Männer waren nicht sehr alt.",
    )


def test_question():
    built = clause(THE_WOMAN, CALL, "present")
    pair = Pair(english(built, inverted=True), german(built, "first", ""))
    assert written(pair, "?") == ("Does the woman call the dog?", "Ruft die Frau den Hund an?")


def test_that_clause():
    what = subordinate("that", "dass", clause(MEN, CALL, "present"))
    built = Clause(THE_WOMAN, KNOW, "present", end=what)
    assert written(main(built)) == (
        "The woman knows that the men call the dog.",
        "Die Frau weiß, dass die Männer den Hund anrufen.",
    )


def test_future_in_a_fronted_clause():
    why = subordinate("because", "weil", clause(MEN, BUY, "future"))
    built = clause(THE_WOMAN, CALL, "past")
    pair = Pair(
        f"(S {why.english} {COMMA} {english(built, inverted=False)})",
        german(built, "second", f"{why.german} {COMMA}"),
    )
    assert written(pair) == (
        "Because the men will buy the dog, the woman called the dog.",
        "Weil die Männer den Hund kaufen werden, hat die Frau den Hund angerufen.",
    )


def test_a_relative_clause_follows_the_verb():
    who = "(SBAR (WHNP (WDT der)) (S (VP (VBZ schläft))))"
    built = clause(THE_WOMAN, CALL, "past", relative=who)
    assert written(main(built))[1] == "Die Frau hat den Hund angerufen, der schläft."


def test_a_relative_clause_stays_at_its_subject():
    who = "(SBAR (WHNP (WDT die)) (S (VP (VBZ schläft))))"
    built = clause(THE_WOMAN._replace(relative=who), CALL, "past")
    assert written(main(built))[1] == "Die Frau, die schläft, hat den Hund angerufen."


def test_infinitive_with_to():
    inner = clause(NOBODY, CALL, "infinitive")
    pair = Pair(english(inner, inverted=False), german(inner, "zu", ""))
    try_ = read_verb("try=versuchen", "to")
    assert written(main(Clause(MEN, try_, "past", end=pair))) == (
        "The men tried to call the dog.",
        "Die Männer haben versucht, den Hund anzurufen.",
    )


def test_passive():
    by = Pair("(PP (IN by) (NP (PRP him)))", "(PP (IN von) (NP (PRP ihm)))")
    built = Clause(MEN, CALL, "past", passive=True, english=[by.english], late=[by.german])
    assert written(main(built)) == (
        "The men were called by him.",
        "Die Männer wurden von ihm angerufen.",
    )


def test_pronouns_by_case_and_gender():
    forms = [personal("it", slot, case).german for slot in "mfn" for case in "NAD"]
    expected = ["er", "ihn", "ihm", "sie", "sie", "ihr", "es", "es", "ihm"]
    assert forms == [f"(NP (PRP {form}))" for form in expected]
    assert personal("they", "p", "D") == (
        *("(NP (PRP them))", "(NP (PRP ihnen))", 2, "they", "p", True, ""),
    )


def test_prepositions_contract_before_an_article():
    garden = Phrase("", "(NP (DT dem) (NN Garten))", 1, "it", "m", False, "")
    assert prepositional("in", garden) == "(PP (IN im) (NP (NN Garten)))"
    assert prepositional("hinter", garden) == f"(PP (IN hinter) {garden.german})"
    whose = garden._replace(relative="(SBAR ...)")
    assert prepositional("in", whose) == f"(PP (IN in) {garden.german})"
