"""An update against a plain loop over PyTorch's own loss, clipping and optimizer."""

from typing import get_args

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from lit_transformer.config import OptimizerKind
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.module import TransformerModule
from lit_transformer.record import Record, read_lines
from lit_transformer.training import train


def machine(optim, parameters):
    """The optimizer as torch has it, not fused."""
    decay = {"weight_decay": optim.weight_decay}
    match optim.optimizer:
        case "adam":
            return torch.optim.Adam(parameters, betas=(0.9, 0.98), eps=1e-9, **decay)
        case "adamw":
            return torch.optim.AdamW(parameters, betas=(0.9, 0.98), eps=1e-9, **decay)
        case "sgd":
            return torch.optim.SGD(parameters, momentum=optim.momentum, **decay)
        case "adafactor":
            return torch.optim.Adafactor(parameters, foreach=True, **decay)


def plain_loop(config, cache):
    """The same updates, written out -> final weights, norm of each gradient."""
    data = TranslationData(config, cache)
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(config.train.seed)
    model = TransformerModule(config, len(data.vocab), data.vocab.pad).model
    updating = machine(config.optim, model.parameters())
    norms = []
    for step, update in enumerate(data.train_dataloader(), start=1):
        (batch,) = update.micro
        logits_NV = model(batch.source, batch.target) @ model.output_weight.T
        loss = functional.cross_entropy(logits_NV, batch.wanted_N, label_smoothing=0.1)
        updating.zero_grad()
        loss.backward()
        limit = config.optim.clip_norm or float("inf")
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), limit)))
        updating.param_groups[0]["lr"] = 16**-0.5 * min(step**-0.5, step * 10**-1.5)  # section 5.3
        updating.step()
    return model.state_dict(), norms


OPTIMIZERS = [
    *({"optim.optimizer": kind, "optim.weight_decay": 0.1} for kind in get_args(OptimizerKind)),
    {"optim.optimizer": "sgd", "optim.momentum": 0.0},
    {"optim.clip_norm": 0.1},
    {"model.tied_embeddings": "none"},
    {},
]


@pytest.mark.parametrize("given", OPTIMIZERS, ids=lambda given: " ".join(map(str, given.values())))
def test_updates_are_those_of_a_plain_loop(tiny, cache, tmp_path, given):
    changes = {"model.dropout": 0.0, "train.steps": 4, "train.log_every": 1}
    config = tiny({**changes, **given})
    cpu = torch.device("cpu")
    train(config, tmp_path, cache, device=cpu, threads=1, should_stop=lambda: False)
    expected, norms = plain_loop(config, cache)
    found = load_file(Record(tmp_path).weights)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)
    values = [line["values"] for line in read_lines(Record(tmp_path).metrics)]
    logged = [v["train.gradient_norm"] for v in values if "train.gradient_norm" in v]
    assert logged == pytest.approx(norms, rel=1e-4)
