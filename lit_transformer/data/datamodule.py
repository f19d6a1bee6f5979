"""The corpus of a run as Lightning wants it: prepared once, read memory-mapped."""

from pathlib import Path
from typing import final

import pytorch_lightning as pl

from lit_transformer.config import RunConfig
from lit_transformer.config_io import ConfigError
from lit_transformer.data import corpora, translation, vocab
from lit_transformer.data.batching import UpdateLoader


@final
class TranslationData(pl.LightningDataModule):
    """Corpus, vocabulary and tokenized parts. Usable after `setup`."""

    def __init__(self, config: RunConfig, cache: Path) -> None:
        super().__init__()
        self.config, self.cache = config, cache
        self.vocab: vocab.Vocab
        self.corpus: corpora.Corpus
        self.parts: dict[str, translation.TokenizedPart]

    def prepare_data(self) -> None:
        """Fetch, train the vocabulary and tokenize, each once per cache."""
        data = self.config.data
        self.corpus = corpora.prepare(data, self.cache)
        self.vocab = vocab.train(self.corpus, data, self.cache)

    def setup(self, stage: str) -> None:
        self.parts = {
            part: translation.tokenize(self.corpus, self.vocab, self.config.data, part, self.cache)
            for part in corpora.PARTS
            if part in self.corpus.parts
        }

        self._check_positions()

    def _check_positions(self) -> None:
        """ConfigError where a table of positions is shorter than a reference, which is not cut."""
        model = self.config.model
        if model.positions != "learned":
            return
        for part in self.evaluated:
            longest = int(self.parts[part].target_lengths.max())
            if longest > model.max_positions:
                raise ConfigError(
                    f"model.max_positions={model.max_positions}: a reference of {part} has "
                    f"{longest} tokens; raise it to that"
                )

    def train_dataloader(self, rank: int = 0) -> UpdateLoader:
        """The updates, as the device of this rank sees them."""
        train = self.config.train
        return UpdateLoader(
            self.parts["train"],
            steps=train.steps,
            tokens=train.tokens_per_batch,
            micro_tokens=train.micro_tokens,
            seed=train.seed,
            bos=self.vocab.bos,
            rank=rank,
            devices=train.devices,
        )

    @property
    def evaluated(self) -> list[str]:
        """The parts that are scored, the table's own first."""
        return [part for part in corpora.PARTS if part != "train" and part in self.parts]
