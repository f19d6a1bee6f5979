# /// script
# requires-python = ">=3.11"
# dependencies = [
#     "torch==2.13.0",
#     "numpy==2.4.6",
#     "configargparse==1.9.0",
#     "ctranslate2==4.8.5",
#     "tensorboard==2.21.0",
#     "flask==3.1.3",
#     "waitress==3.0.2",
#     "pyonmttok==1.38.1",
#     "pyyaml==6.0.3",
#     "sacrebleu==2.6.0",
#     "rapidfuzz==3.14.6",
#     "pyahocorasick==2.3.1",
#     "six==1.17.0",
#     "spacy==3.8.18",
# ]
#
# [tool.benchmarks]
# without-dependencies = ["OpenNMT-py==3.5.1"]
# stand-ins = ["fasttext"]
# ///
"""OpenNMT-py with its own trainer, loss, optimizer and batches.

The text it reads is the workload's ids as words, so that its vocabulary is the same. In the "paper"
places its attention dropout is set to 0 by an option and the one inside its feed-forward layers by
hand. What cannot be made equal: version 3 has pre-norm layers only, and counts padding in the size
of a batch. It declares an older torch, so it is installed without its dependencies.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pairs
import torch
import yaml
from onmt import train_single
from onmt.bin.train import _get_parser
from onmt.constants import CorpusTask
from onmt.inputters.dynamic_iterator import build_dynamic_dataset_iter
from onmt.model_builder import build_model
from onmt.modules.position_ffn import PositionwiseFeedForward
from onmt.trainer import build_trainer
from onmt.utils.optimizers import Optimizer
from onmt.utils.parse import ArgumentParser

ENDLESS = 10**9


def options(workload: Path, folder: Path, model: dict[str, Any]) -> Any:
    """What `onmt_train` would read from a configuration file."""
    words = pairs.write_words(workload, folder, ["<unk>", "<blank>", "<s>", "</s>"], " </s>")
    inner = model["dropout"] if model["dropout_places"] == "torch" else 0.0
    settings = {
        "data": {"corpus_1": {"path_src": str(words.source), "path_tgt": str(words.target)}},
        "src_vocab": str(words.vocabulary),
        "tgt_vocab": str(words.vocabulary),
        "share_vocab": True,
        "vocab_size_multiple": 1,
        "save_model": str(folder / "model"),
        "encoder_type": "transformer",
        "decoder_type": "transformer",
        "layers": model["layers"],
        "heads": model["heads"],
        "hidden_size": model["d_model"],
        "word_vec_size": model["d_model"],
        "transformer_ff": model["d_ff"],
        "position_encoding": True,
        "share_embeddings": True,
        "share_decoder_embeddings": True,
        "dropout": [model["dropout"]],
        "attention_dropout": [inner],
        "label_smoothing": model["label_smoothing"],
        "param_init": 0,
        "param_init_glorot": True,
        "optim": "adam",
        "adam_beta2": 0.98,
        "learning_rate": 1.0,
        "decay_method": "noam",
        "warmup_steps": 4000,
        "max_grad_norm": 0,
        "model_dtype": "fp32",
        "batch_type": "tokens",
        "batch_size": model["batch_tokens"],
        "normalization": "tokens",
        "accum_count": [1],
        "accum_steps": [0],
        "num_workers": 0,
        "world_size": 1,
        "gpu_ranks": [],
        "train_steps": ENDLESS,
        "report_every": ENDLESS,
        "seed": 1,
    }
    file = folder / "train.yaml"
    file.write_text(yaml.safe_dump(settings))
    found, _ = _get_parser().parse_known_args(["-config", str(file)])
    ArgumentParser.validate_train_opts(found)
    ArgumentParser.update_model_opts(found)
    ArgumentParser.validate_model_opts(found)
    return found


class Training:
    """One optimizer update between two calls of `between`."""

    def __init__(self, workload: Path, model: dict[str, Any], threads: int) -> None:
        torch.set_num_threads(threads)
        self.folder = tempfile.TemporaryDirectory()
        opt = options(workload, Path(self.folder.name), model)
        train_single.configure_process(opt, -1)
        _, vocabs, transforms = train_single._init_train(opt)
        net = build_model(opt, opt, vocabs, None, -1)
        if model["dropout_places"] == "paper":
            for layer in net.modules():
                if isinstance(layer, PositionwiseFeedForward):
                    layer.dropout_1.p = 0.0
        self.trainer = build_trainer(opt, -1, net, vocabs, Optimizer.from_opt(net, opt))
        self.batches = build_dynamic_dataset_iter(opt, transforms, vocabs, task=CorpusTask.TRAIN)

    def run(self, between: Callable[[], None]) -> None:
        whole = self.trainer._gradient_accumulation

        def heard(batches: list[Any], normalization: float, total: Any, report: Any) -> None:
            between()
            loss, words = total.loss, total.n_words
            whole(batches, normalization, total, report)
            (self.batch,) = batches
            self.loss = (total.loss - loss) / (total.n_words - words)

        self.trainer._gradient_accumulation = heard
        self.trainer.train(self.batches, ENDLESS, save_checkpoint_steps=0)

    def updated(self) -> dict[str, float]:
        target = self.batch["tgt"][:, 1:, 0]
        return {
            "pairs": len(target),
            "tokens": int((target != self.trainer.train_loss.padding_idx).sum()),
            "source_tokens": int(self.batch["srclen"].sum()),
            "slots": target.numel(),
            "loss": self.loss,
        }
