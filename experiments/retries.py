"""What a sweep does by itself when a trial has ended badly: whether it runs again, and how."""

from collections.abc import Mapping

from lit_transformer.config import RunConfig
from lit_transformer.record import Kind

AGAIN: Mapping[Kind, int] = {"killed": 8, "failed": 2, "waiting": 2}
"""How often one sweep starts a trial again that was killed by somebody else, that failed, or whose
process could not even begin. One that diverged or was configured badly would only do so again."""


def smaller(config: RunConfig, times: int) -> RunConfig:
    """The same updates in passes of half the tokens, and searches of half the sentences, so many
    times over; no pass is too small for a sentence of data.max_tokens."""
    train, decode = config.train, config.decode
    if times == 0:
        return config
    whole = min(train.micro_tokens or train.tokens_per_batch, train.tokens_per_batch)
    tokens = max(whole >> times, min(whole, config.data.max_tokens))
    sentences = max(decode.batch_sentences >> times, 1)
    return config.model_copy(
        update={
            "train": train.model_copy(update={"micro_tokens": tokens}),
            "decode": decode.model_copy(update={"batch_sentences": sentences}),
        }
    )


def fits_smaller(config: RunConfig, ends: int) -> bool:
    """Whether a trial that has run out of memory `ends` times can be made smaller still."""
    return smaller(config, ends) != smaller(config, ends - 1)
