# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "torch==2.13.0",
#     "numpy==2.4.6",
#     "joeynmt==2.3.0",
#     "importlib_metadata==10.2.0",
#     "setuptools==79.0.1",
# ]
# ///
"""JoeyNMT with its own trainer, loss, optimizer and batches, which know no buckets.

The text it reads is the workload's ids as words, so that its vocabulary is the same. In the "paper"
places the dropout of attention weights and inside the feed-forward layers is set to 0 by hand. What
cannot be made equal: its loss gives no probability to padding and leaves out the constant of the
smoothed labels, it counts padding in the size of a batch, and its attention has biases.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pairs
import torch
from joeynmt.config import parse_global_args, set_validation_args
from joeynmt.prediction import prepare
from joeynmt.training import TrainManager
from joeynmt.transformer_layers import MultiHeadedAttention, PositionwiseFeedForward

ENDLESS = 10**9


def configuration(workload: Path, folder: Path, model: dict[str, Any]) -> dict[str, Any]:
    """What `joeynmt train` would read from a file."""
    words = pairs.write_words(workload, folder, ["<unk>", "<pad>", "<s>", "</s>"], "")
    side = {"level": "word", "voc_file": str(words.vocabulary), "max_length": -1}
    layers = {
        "type": "transformer",
        "num_layers": model["layers"],
        "num_heads": model["heads"],
        "embeddings": {"embedding_dim": model["d_model"], "scale": True},
        "hidden_size": model["d_model"],
        "ff_size": model["d_ff"],
        "dropout": model["dropout"],
        "layer_norm": "post",
        "activation": "relu",
    }
    return {
        "name": "benchmark",
        "model_dir": str(folder / "model"),
        "use_cuda": False,
        "random_seed": 1,
        "data": {
            "train": str(folder / "train"),
            "dataset_type": "plain",
            "src": {"lang": "source", **side},
            "trg": {"lang": "target", **side},
        },
        "testing": {},
        "training": {
            "normalization": "tokens",
            "label_smoothing": model["label_smoothing"],
            "optimizer": "adam",
            "adam_betas": [0.9, 0.98],
            "learning_rate": 1e-4,
            "scheduling": "noam",
            "learning_rate_warmup": 4000,
            "batch_size": model["batch_tokens"],
            "batch_type": "token",
            "epochs": ENDLESS,
            "logging_freq": ENDLESS,
            "validation_freq": ENDLESS,
        },
        "model": {
            "initializer": "xavier_uniform",
            "bias_initializer": "zeros",
            "embed_initializer": "xavier_uniform",
            "tied_embeddings": True,
            "tied_softmax": True,
            "encoder": layers,
            "decoder": layers,
        },
    }


class Training:
    """One optimizer update between two calls of `between`."""

    def __init__(self, workload: Path, model: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.folder = tempfile.TemporaryDirectory()
        folder = Path(self.folder.name)
        (folder / "model").mkdir()
        args = parse_global_args(configuration(workload, folder, model), mode="train")
        net, self.data, _, _ = prepare(args, rank=0, mode="train")
        if model["dropout_places"] == "paper":
            for layer in net.modules():
                if isinstance(layer, MultiHeadedAttention):
                    layer.dropout.p = 0.0
                elif isinstance(layer, PositionwiseFeedForward):
                    layer.pwff_layer[2].p = 0.0
        self.manager = TrainManager(
            rank=0,
            model=net,
            model_dir=args.model_dir,
            device=args.device,
            autocast=args.autocast,
            seed=args.seed,
            train_args=args.train,
            dev_args=set_validation_args(args.test),
        )

    def run(self, between: Callable[[], None]) -> None:
        whole = self.manager._train_step

        def heard(batch: Any) -> tuple[float, int]:
            between()
            self.batch = batch
            self.loss, correct = whole(batch)
            return self.loss, correct

        self.manager._train_step = heard
        # It writes a seed into the validation part, which it never reaches.
        self.manager.train_and_validate(self.data, self.data)

    def updated(self) -> dict[str, float]:
        return {
            "pairs": self.batch.nseqs,
            "tokens": self.batch.ntokens,
            "source_tokens": int(self.batch.src_length.sum()),
            "slots": self.batch.trg.numel(),
            "loss": self.loss,
        }
