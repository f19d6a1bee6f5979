"""Translate or parse with a finished trial: only its own directory is needed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, assert_never, final

import torch

from lit_transformer import checkpoints, config_io
from lit_transformer.attention_maps import LeftOut, Sentence
from lit_transformer.config import Task
from lit_transformer.data import treebank, vocab
from lit_transformer.data.cache import sha256
from lit_transformer.data.trees import Tree
from lit_transformer.decoding import Constraint, Hypothesis, search
from lit_transformer.model.stepping import Stepper
from lit_transformer.model.transformer import Transformer
from lit_transformer.observing import observe
from lit_transformer.parsing import read
from lit_transformer.record import REMEDY, Record, RecordError
from lit_transformer.wellformed import TreesOnly

VERBS: Mapping[Task, str] = {
    "translation": "use `ablate translate`",
    "parsing": "use `ablate parse`",
}


class Output(NamedTuple):
    """What a search has made of a sentence."""

    words: list[str]
    source: list[int]
    """Ids, with the end mark."""
    hypothesis: Hypothesis


NOTHING = Output([], [], Hypothesis([], 0.0, 0.0, False))
"""Of a sentence without words, to a parser."""


@final
class Translator:
    """A trial's model, vocabulary and search.

    ValueError where the trial is of another task, or its weights were not kept.
    """

    def __init__(
        self, directory: Path, *, task: Task, averaged: bool, device: torch.device
    ) -> None:
        record = Record(directory)
        weights = record.averaged if averaged else record.weights
        if not weights.exists():
            raise ValueError(
                f"{weights}: not there; only a finished trial with train.keep=model has weights"
            )
        self.config = config_io.load(record.config)
        if self.config.data.task != task:
            verb = VERBS[self.config.data.task]
            raise ValueError(f"{directory}: its data.corpus is of {self.config.data.task}; {verb}")
        self.vocab = _vocabulary(record)
        self.device = device
        try:
            model = Transformer(self.config.model, len(self.vocab), self.vocab.pad)
            model.load_state_dict(checkpoints.load_weights(weights))
        except RuntimeError:
            raise ValueError(f"{weights}: not of the model in {record.config}; {REMEDY}") from None
        self.model = Stepper(model.to(device).eval())

    def translate(self, sentences: Sequence[str]) -> list[str]:
        """Detokenized translations, in order. A sentence over data.max_tokens is cut to it."""
        return self.texts(self.outputs(sentences))

    def parse(self, sentences: Sequence[str]) -> list[Tree | None]:
        """A tree over exactly the words of each sentence, which stand between spaces; None where
        there are none. The search writes nothing but trees, whatever decode.constraint says."""
        return self.trees(self.outputs(sentences))

    def outputs(self, sentences: Sequence[str]) -> list[Output]:
        """What the search makes of each sentence, in order."""
        match self.config.data.task:
            case "translation":
                return self._search(sentences, None)
            case "parsing":
                return self._search_trees(sentences)
            case _ as never:
                assert_never(never)

    def texts(self, outputs: Sequence[Output]) -> list[str]:
        """Of a translation."""
        return self.vocab.decode([output.hypothesis.ids for output in outputs])

    def trees(self, outputs: Sequence[Output]) -> list[Tree | None]:
        """Of a parse."""
        form = treebank.linear(self.config.data)
        return [
            read(form, self.vocab.decode_symbols(one.hypothesis.ids), one.words).tree
            if one.words
            else None
            for one in outputs
        ]

    def maps(self, outputs: Sequence[Output], texts: Sequence[str]) -> list[Sentence | LeftOut]:
        """Where every head looked while it wrote these, whose `texts` are shown with them."""
        return [
            observe(self.model.model, self.vocab, number, output.source, output.hypothesis, text)
            for number, (output, text) in enumerate(zip(outputs, texts, strict=True), start=1)
            if output.words
        ]

    def _search_trees(self, sentences: Sequence[str]) -> list[Output]:
        """Nothing is searched where there are no words."""
        words = [_as_in_a_treebank(sentence).split() for sentence in sentences]
        form = treebank.linear(self.config.data)
        some = [" ".join(one) for one in words if one]
        found = iter(self._search(some, TreesOnly(self.vocab, form, some, self.device)))
        return [next(found) if one else NOTHING for one in words]

    def _search(self, sentences: Sequence[str], constraint: Constraint | None) -> list[Output]:
        limit = self.config.data.max_tokens - 1
        sources = [[*ids[:limit], self.vocab.eos] for ids in self.vocab.encode(sentences)]
        found = search(
            self.model,
            sources,
            self.config.decode,
            pad=self.vocab.pad,
            bos=self.vocab.bos,
            eos=self.vocab.eos,
            device=self.device,
            progress=None,
            constraint=constraint,
        )
        return [
            Output(sentence.split(), source, hypothesis)
            for sentence, source, hypothesis in zip(sentences, sources, found, strict=True)
        ]


def _as_in_a_treebank(sentence: str) -> str:
    """With the treebank's words for brackets."""
    return sentence.replace("(", "-LRB-").replace(")", "-RRB-")


def _vocabulary(record: Record) -> vocab.Vocab:
    """The trial's vocabulary, if it is the one that it was trained with."""
    known = record.read_json("vocabulary.json", sha256=str)
    try:
        whole = known is not None and known["sha256"] == sha256(record.vocabulary)
    except OSError:
        whole = False
    if not whole:
        raise RecordError(f"{record.vocabulary}: is not as it was trained; {REMEDY}")
    return vocab.load(record.vocabulary)
