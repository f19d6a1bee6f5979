"""What each head does on the first validation sentences, and what the model loses without it.

A head is removed from the trained model by zeroing what it adds; nothing is trained again (Michel
et al. 2019, "Are Sixteen Heads Really Better than One?").
"""

# H heads, L layers

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from lightning_fabric.utilities import move_data_to_device

from lit_transformer import checkpoints, config_io, heads
from lit_transformer.attention_maps import PARTS, Part
from lit_transformer.config_io import ConfigError
from lit_transformer.data.batching import Batch, cut, make_batch
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.evaluation import Progress
from lit_transformer.heads import Head, Heads, Numbers, Removal
from lit_transformer.model.attention import MultiHeadAttention
from lit_transformer.model.looking import attentions, spreads, without
from lit_transformer.module import TransformerModule
from lit_transformer.record import REMEDY, Record

PLACES = 6
"""Decimal places of the numbers that are kept."""


@torch.no_grad()
def measure(
    module: TransformerModule, data: TranslationData, sentences: int, progress: Progress
) -> Heads | None:
    """Of the first `sentences` of the valid part, at least one. None where there is nothing to
    tell: a model without heads, or whose losses are no finite numbers. All peers have the same.
    """
    batches = _batches(module, data, sentences)
    layers = {part: stack for part, stack in zip(PARTS, attentions(module.model), strict=True)}
    every: list[Head] = [
        (part, layer, head)
        for part, stack in layers.items()
        for layer, attention in enumerate(stack)
        for head in range(attention.heads)
    ]
    if not every:
        return None
    module.eval()
    tokens = sum(len(batch.wanted_N) for batch in batches)
    total, done = heads.passes(len(every)), 0

    def losses(removals: Sequence[Iterable[Head]]) -> list[float]:
        """Without each of these in turn."""
        nonlocal done
        found = []
        for removal in module.peers.share(removals):
            with without(_by_attention(layers, removal)):
                sums = [float(module.loss(batch, 0.0)[1]) for batch in batches]
            found.append(sum(sums) / tokens)
            progress("measuring heads", min(done + len(found) * module.peers.count, total), total)
        done += len(removals)
        return module.peers.collect(found)

    whole, *single = losses([(), *((head,) for head in every)])
    importance = dict(zip(every, (loss - whole for loss in single), strict=True))
    parts = _numbers(module, batches, layers, importance)
    order, counts = heads.by_importance(parts), heads.counts(len(every))
    cumulative = losses([order[:count] for count in counts])
    if not np.isfinite([whole, *single, *cumulative]).all():
        return None
    pairs = zip([0, *counts], [whole, *cumulative], strict=True)
    return Heads(
        sentences=min(sentences, len(data.parts["valid"])),
        source_tokens=sum(len(batch.source.ids_N) for batch in batches),
        target_tokens=tokens,
        parts=parts,
        removed=[Removal(count, round(loss, PLACES)) for count, loss in pairs],
    )


def measure_trial(directory: Path, cache: Path, sentences: int, progress: Progress) -> Heads:
    """Of a finished trial's last weights, on this CPU; leaves `heads.json` in its directory.

    ConfigError where its weights were not kept or are of another model, or there is nothing to
    measure.
    """
    record = Record(directory)
    if not record.weights.exists():
        raise ConfigError(
            f"{record.weights}: not there; only a finished trial with train.keep=model has weights"
        )
    config = config_io.load(record.config)
    data = TranslationData(config, cache)
    data.prepare_data()
    data.setup("fit")
    known = record.read_json("vocabulary.json", sha256=str)
    if known is None or known["sha256"] != data.vocab.checksum:
        raise ConfigError(
            f"{record.vocabulary}: the cached vocabulary is not the one this trial was trained "
            f"with; {REMEDY}"
        )
    module = TransformerModule(config, len(data.vocab), data.vocab.pad)
    try:
        module.model.load_state_dict(checkpoints.load_weights(record.weights))
    except (RuntimeError, ValueError):
        raise ConfigError(
            f"{record.weights}: not of the model in {record.config}; {REMEDY}"
        ) from None
    found = measure(module, data, sentences, progress)
    if found is None:
        raise ConfigError(f"{directory}: its model has no heads, or its losses are no numbers")
    heads.write(record, found)
    return found


def _batches(module: TransformerModule, data: TranslationData, sentences: int) -> list[Batch]:
    pairs = data.parts["valid"]
    count = min(sentences, len(pairs))
    sources, targets = pairs.source_lengths[:count], pairs.target_lengths[:count]
    order = np.lexsort((sources, targets))
    train = data.config.train
    longest = int(max(sources.max(), targets.max()))
    tokens = max(train.micro_tokens or train.tokens_per_batch, longest)
    return [
        move_data_to_device(make_batch(pairs, piece, data.vocab.bos), module.device)
        for piece in cut(order, sources, targets, tokens)
    ]


def _by_attention(
    layers: dict[Part, list[MultiHeadAttention]], removal: Iterable[Head]
) -> dict[MultiHeadAttention, list[int]]:
    found: dict[MultiHeadAttention, list[int]] = {}
    for part, layer, head in removal:
        found.setdefault(layers[part][layer], []).append(head)
    return found


def _numbers(
    module: TransformerModule,
    batches: Sequence[Batch],
    layers: dict[Part, list[MultiHeadAttention]],
    importance: dict[Head, float],
) -> dict[Part, Numbers]:
    sums = [spreads(module.model, batch.source, batch.target) for batch in batches]
    tokens = {
        "encoder": sum(len(batch.source.ids_N) for batch in batches),
        **dict.fromkeys(("decoder", "cross"), sum(len(batch.wanted_N) for batch in batches)),
    }
    found: dict[Part, Numbers] = {}
    for part, stack in layers.items():
        if stack:
            sums_LH2 = torch.stack(
                [torch.stack([one[a] for one in sums]).sum(dim=0) for a in stack]
            )
            entropy_LH, distance_LH = (
                (sums_LH2 / tokens[part]).cpu().numpy().round(PLACES).transpose(2, 0, 1)
            )
            grown = [
                [importance[part, layer, head] for head in range(attention.heads)]
                for layer, attention in enumerate(stack)
            ]
            found[part] = Numbers(entropy_LH, distance_LH, np.array(grown).round(PLACES))
    return found
