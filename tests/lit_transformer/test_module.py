"""An update against a plain loop over PyTorch's own loss, clipping and optimizer."""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from lit_transformer.data.datamodule import TranslationData
from lit_transformer.module import TransformerModule
from lit_transformer.record import Record, read_lines
from lit_transformer.training import train


def plain_loop(config, cache):
    """The same updates, written out -> final weights, norm of each gradient."""
    data = TranslationData(config, cache)
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(config.train.seed)
    model = TransformerModule(config, len(data.vocab), data.vocab.pad).model
    adam = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98), eps=1e-9)
    norms = []
    for step, update in enumerate(data.train_dataloader(), start=1):
        (batch,) = update.micro
        logits_NV = model(batch.source, batch.target) @ model.embedding.weight.T
        loss = functional.cross_entropy(logits_NV, batch.wanted_N, label_smoothing=0.1)
        adam.zero_grad()
        loss.backward()
        limit = config.optim.clip_norm or float("inf")
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), limit)))
        adam.param_groups[0]["lr"] = 16**-0.5 * min(step**-0.5, step * 10**-1.5)  # section 5.3
        adam.step()
    return model.state_dict(), norms


@pytest.mark.parametrize("clip_norm", [None, 0.1])
def test_updates_are_those_of_a_plain_loop(tiny, cache, tmp_path, clip_norm):
    changes = {"model.dropout": 0.0, "train.steps": 4, "train.log_every": 1}
    config = tiny({**changes, "optim.clip_norm": clip_norm})
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
