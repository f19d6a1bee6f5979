"""A sentence's attention maps, from a model and from what its search wrote."""

from collections.abc import Sequence

import numpy as np

from lit_transformer import attention_maps, attention_page
from lit_transformer.attention_maps import MOST_TOKENS, LeftOut, Maps, Sentence
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.data.vocab import Vocab
from lit_transformer.decoding import Hypothesis
from lit_transformer.model.looking import look
from lit_transformer.model.transformer import Transformer
from lit_transformer.record import Record, write_bytes


def observe(
    model: Transformer,
    vocab: Vocab,
    number: int,
    source: Sequence[int],
    hypothesis: Hypothesis,
    text: str,
) -> Sentence | LeftOut:
    """Of the `number`-th sentence, whose ids `source` end with the end mark. The model is in
    evaluation mode."""
    written = [*hypothesis.ids, *([] if hypothesis.truncated else [vocab.eos])]
    longest = max(len(source), len(written))
    if longest > MOST_TOKENS:
        return LeftOut(number, f"{longest} tokens on a side, and maps are made up to {MOST_TOKENS}")
    read = [vocab.bos, *written[:-1]]
    encoder, decoder, cross = look(model, source, read)
    maps = Maps(
        None if encoder is None else encoder.cpu().numpy(),
        None if decoder is None else decoder.cpu().numpy(),
        cross.cpu().numpy(),
    )
    if not all(np.isfinite(weights).all() for weights in maps.parts().values()):
        return LeftOut(number, "the model's weights give no numbers")
    return Sentence(
        number=number,
        source=tuple(vocab.pieces(source)),
        read=tuple(vocab.pieces(read)),
        written=tuple(vocab.pieces(written)),
        text=text,
        maps=maps,
    )


def keep_maps(
    model: Transformer,
    data: TranslationData,
    record: Record,
    hypotheses: Sequence[Hypothesis],
    texts: Sequence[str],
) -> None:
    """Leave those of the first validation sentences, and a page of them, in the trial's
    directory."""
    count = min(data.config.train.attention_sentences, len(texts))
    if not count:
        return
    source = data.parts["valid"].source
    found = [
        observe(model, data.vocab, n + 1, source(n).tolist(), hypotheses[n], texts[n])
        for n in range(count)
    ]
    page = attention_page.page("of the valid part", found)
    write_bytes(record.attention / "maps.html", page.encode())
    attention_maps.write(record, found)
