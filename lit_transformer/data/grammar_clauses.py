"""Random clauses of the built-in corpus: verb and company, adverbs, negation, passive, copula.

`depth` is the number of clauses that may still nest in what is being drawn; `time` is past, present
or future. A clause that ends in an English subordinate clause gets no adverbial behind it, which
could be read into either: the German side would not be determined.
"""

from abc import abstractmethod

from lit_transformer.data.grammar_phrases import Phrases
from lit_transformer.data.grammar_syntax import NONE, Clause, Pair, Phrase, prepositional
from lit_transformer.data.grammar_vocabulary import (
    ADJECTIVES,
    BE,
    FREQUENCIES,
    GROUPS,
    MANNERS,
    NOUNS,
    STATIC,
    Group,
    adverbial,
)
from lit_transformer.data.grammar_words import Adjective, Verb

EMBEDDING = ("that", "whether", "tell", "to")
"""Frames with a complement clause."""
SUBJECT_KINDS = ("person",) * 15 + ("animal", "animal", "vehicle", "event", "crop", "music")
COPULA_KINDS = ("person", "person", "person", *ADJECTIVES)
PLAIN = {
    kind: [group for group in GROUPS if kind in group.subjects and group.frame not in EMBEDDING]
    for kind in NOUNS
}
NEGATABLE = ("acc", "give")
"""Frames in which `kein` may negate the object."""
FREE_PLACE = ("none", "acc")
TENSES = {
    "present": (
        *("present",) * 10,
        *("progressive", "progressive", "perfect", "perfect"),
        *("can", "can", "must", "must", "should", "want"),
    ),
    "past": (*("past",) * 14, "pluperfect", "could", "could", "had", "had", "wanted"),
    "future": ("future", "future", "future", "can", "must", "should"),
}
PLAIN_TENSE = {"present": "present", "past": "past", "future": "future"}
JUST_NOW = Pair("", adverbial("gerade"))
ALREADY = Pair(adverbial("already"), adverbial("schon"))
HARD = Pair(adverbial("hard"), adverbial("fleißig"))
DEGREES = (("very", "sehr"), ("too", "zu"), ("quite", "ziemlich"))


def da_compound(preposition: str) -> str:
    """darauf, davon: what stands for a thing behind a preposition."""
    return f"da{'r' if preposition[0] in 'aeiouäöü' else ''}{preposition}"


def describing(adjective: Adjective, degree: tuple[str, str] | None) -> Pair:
    if degree is None:
        return Pair(f"(ADJP (JJ {adjective.english}))", f"(ADJP (JJ {adjective.german}))")
    return Pair(
        f"(ADJP (RB {degree[0]}) (JJ {adjective.english}))",
        f"(ADJP (RB {degree[1]}) (JJ {adjective.german}))",
    )


def comparing(adjective: Adjective, other: Phrase, equal: bool) -> Pair:
    if equal:
        return Pair(
            f"(ADJP (RB as) (JJ {adjective.english}) (PP (IN as) {other.english}))",
            f"(ADJP (RB so) (JJ {adjective.german}) (PP (IN wie) {other.german}))",
        )
    *more, word = adjective.comparative.split()
    shown = f"(RBR more) (JJ {word})" if more else f"(JJR {word})"
    return Pair(
        f"(ADJP {shown} (PP (IN than) {other.english}))",
        f"(ADJP (JJR {adjective.german_comparative}) (PP (IN als) {other.german}))",
    )


class Clauses(Phrases):
    """Draws clauses."""

    @abstractmethod
    def embedding(self, time: str, depth: int, subject: Phrase) -> Clause:
        """A clause whose verb has a clause as its complement."""

    def clause(self, time: str, depth: int) -> Clause:
        """Any clause."""
        if self.chance(0.2):
            kind = self.choose(COPULA_KINDS)
            return self.copula(time, kind, self.noun_phrase(kind, "N", depth, "any"))
        kind = self.choose(SUBJECT_KINDS)
        if kind == "person" and depth and self.chance(0.28):
            subject = self.noun_phrase(kind, "N", depth - 1, "any")
            return self.embedding(time, depth, subject)
        group = self.choose(PLAIN[kind])
        if group.frame == "acc" and self.chance(0.14):
            passive = self.passive(time, depth, group)
            if passive:
                return passive
        subject = self.noun_phrase(kind, "N", depth, "any")
        return self.verbal(time, depth, subject, kind, group)

    def about(self, time: str, depth: int, kind: str, subject: Phrase) -> Clause:
        """A clause on a given subject, which is of that kind."""
        if not PLAIN[kind] or (kind in ADJECTIVES and self.chance(0.25)):
            return self.copula(time, kind, subject)
        if kind == "person" and depth and self.chance(0.15):
            return self.embedding(time, depth, subject)
        return self.verbal(time, depth, subject, kind, self.choose(PLAIN[kind]))

    def tense(self, time: str, verb: Verb, kind: str, agreement: int) -> str:
        tense = self.choose(TENSES[time])
        if kind not in ("person", "animal") and tense not in ("perfect", "pluperfect"):
            return PLAIN_TENSE[time]
        if tense == "progressive" and (verb.base in STATIC or verb.frame in EMBEDDING):
            return "present"
        if tense == "present" and verb.base == verb.past and agreement != 1:
            return "progressive"  # they put: the past is the same word
        return tense

    def started(self, time: str, subject: Phrase, kind: str, verb: Verb) -> Clause:
        """A clause of subject and verb, with the adverbs that its tense brings."""
        clause = Clause(subject, verb, self.tense(time, verb, kind, subject.agreement))
        if clause.tense == "progressive":
            clause.adverb = JUST_NOW
        return clause

    def verbal(self, time: str, depth: int, subject: Phrase, kind: str, group: Group) -> Clause:
        clause = self.started(time, subject, kind, self.pick(group.verbs))
        mood = self.negation(clause)
        self.fill(clause, depth, group, mood)
        self.adjuncts(clause)
        return clause

    def negation(self, clause: Clause) -> str:
        """Negates some clauses; returns the determiners that an object may take then."""
        if clause.tense in ("must", "had") or not self.chance(0.14):
            self.frequency(clause)
            return "any"
        draw = self.random()
        if clause.verb.frame in NEGATABLE and draw < 0.5:
            clause.not_ = draw < 0.35
            return "kein" if clause.not_ else "no"
        clause.not_ = clause.nicht = True
        return "definite"

    def frequency(self, clause: Clause) -> None:
        if clause.tense == "perfect":
            clause.adverb = ALREADY if self.chance(0.6) else NONE
        elif clause.tense in ("present", "past") and self.chance(0.1):
            clause.adverb = self.pick(FREQUENCIES)

    def fill(self, clause: Clause, depth: int, group: Group, mood: str) -> None:
        """Adds what the verb's frame asks for."""
        verb = clause.verb
        match group.frame:
            case "acc" | "dat" | "prep":
                self.add_object(clause, self.choose(group.objects), depth, mood)
            case "give":
                self.add_gift(clause, self.choose(group.objects), depth, mood)
            case "go":
                self.add_place(clause, self.direction())
            case "live":
                self.add_place(clause, self.place())
            case "put":
                self.add_object(clause, group.objects[0], 0, mood)
                choice = (("on", "auf"), ("on", "auf"), ("under", "unter"))
                self.add_place(clause, self.at(choice, "surface", "A"))
            case _:
                if verb.particle:
                    clause.english.append(f"(PRT (RP {verb.particle}))")

    def add_object(self, clause: Clause, kind: str, depth: int, mood: str) -> None:
        verb = clause.verb
        self.add_phrase(clause, self.noun_phrase(kind, verb.case, depth, mood))

    def add_phrase(self, clause: Clause, phrase: Phrase) -> None:
        """The verb's object, with the verb's preposition or particle in their places."""
        verb = clause.verb
        particle = f"(PRT (RP {verb.particle}))" if verb.particle else ""
        if verb.preposition:
            clause.english.append(f"(PP (IN {verb.preposition}) {phrase.english})")
        else:
            parts = [phrase.english, particle] if phrase.is_pronoun else [particle, phrase.english]
            clause.english += parts
        clause.relative = phrase.relative
        if verb.german_preposition and phrase.is_pronoun and phrase.pronoun == "it":
            clause.late.append(f"(ADVP (RB {da_compound(verb.german_preposition)}))")
        elif verb.german_preposition:
            clause.late.append(prepositional(verb.german_preposition, phrase))
        else:
            (clause.pronouns if phrase.is_pronoun else clause.middle).append(phrase.german)

    def add_gift(self, clause: Clause, kind: str, depth: int, mood: str) -> None:
        """gives the man the book, gives the book to the man: the same German."""
        to = bool(clause.verb.preposition) or self.chance(0.3)
        receiver = self.noun_phrase("person", "D", 0, "any")
        gift = self.noun_phrase(kind, "A", 0 if to else depth, mood)
        if to:
            clause.english += [gift.english, f"(PP (TO to) {receiver.english})"]
        else:
            clause.english += [receiver.english, gift.english]
        (clause.pronouns if receiver.is_pronoun else clause.middle).append(receiver.german)
        clause.middle.append(gift.german)
        clause.relative = gift.relative

    def add_place(self, clause: Clause, place: Pair) -> None:
        clause.english.append(place.english)
        clause.late.append(place.german)

    def adjuncts(self, clause: Clause) -> None:
        """Sometimes a manner and a place, behind the object."""
        verb = clause.verb
        if clause.has_tail or verb.base in STATIC:
            return
        if verb.base == "work" and self.chance(0.4):
            self.add_place(clause, HARD)
        elif verb.frame == "acc" and self.chance(0.1):
            self.add_place(clause, self.pick(MANNERS))
        if verb.frame in FREE_PLACE and self.chance(0.14):
            self.add_place(clause, self.place())

    def timed(self, clause: Clause, time: str, front: float) -> Clause:
        """Sometimes adds when it happens, with that probability in the first place."""
        if clause.adverb.german or clause.verb.base in STATIC or clause.tense == "perfect":
            return clause
        if clause.verb is BE and self.chance(0.7):
            return clause
        fronted = self.chance(front)
        if self.chance(0.4) and (fronted or not clause.relative):
            clause.time = self.when(time)
            clause.fronted = fronted
        return clause

    def copula(self, time: str, kind: str, subject: Phrase) -> Clause:
        """is old, is older than, is in the garden."""
        clause = Clause(subject, BE, PLAIN_TENSE[time])
        clause.not_ = clause.nicht = self.chance(0.14)
        draw = self.random()
        adjective = self.pick(ADJECTIVES[kind])
        if draw < 0.2:
            other = self.common(kind, "N", 0, "definite")
            predicate = comparing(adjective, other, equal=draw < 0.06)
        elif draw < 0.35 and kind in ("person", "animal", "thing", "clothes", "text", "vehicle"):
            predicate = self.place()
        else:
            degrees = DEGREES[:2] if clause.not_ else DEGREES  # nobody is "not quite old"
            degree = self.choose(degrees) if self.chance(0.4) else None
            predicate = describing(adjective, degree)
        self.add_place(clause, predicate)
        return clause

    def passive(self, time: str, depth: int, group: Group) -> Clause | None:
        """was bought by the woman; None for a verb that has no passive."""
        verb = self.pick(group.verbs)
        if verb.base in STATIC or verb.preposition or group.objects == ("season",):
            return None
        subject = self.noun_phrase(self.choose(group.objects), "N", depth, "any")
        clause = Clause(subject, verb, PLAIN_TENSE[time], passive=True)
        clause.not_ = clause.nicht = self.chance(0.1)
        if verb.particle:
            clause.english.append(f"(PRT (RP {verb.particle}))")
        agent = self.noun_phrase(self.choose(group.subjects), "D", 0, "any")
        agents = Pair(f"(PP (IN by) {agent.english})", prepositional("von", agent))
        self.add_place(clause, agents)
        return clause
