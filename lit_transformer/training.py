"""One configuration in, one Result out: fit, average, decode, score.

Each phase leaves its outcome in the trial's directory and is passed over by a later attempt, so
that a kill costs at most the phase, and in training at most `train.checkpoint_every` updates.
"""

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

from lit_transformer import checkpoints, heads, removing
from lit_transformer.allocator import keep_freed_memory
from lit_transformer.averaging import average, steps_to_average
from lit_transformer.callbacks import InterruptedTrialError, Journal, on_cpu_without_bfloat16
from lit_transformer.config import RunConfig
from lit_transformer.config_io import ConfigError, dump
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.environment import describe, device_name
from lit_transformer.evaluation import Evaluation, Progress, evaluate
from lit_transformer.model import cost
from lit_transformer.module import TransformerModule
from lit_transformer.observing import keep_maps
from lit_transformer.peers import ALONE, Peers
from lit_transformer.record import Record, write_bytes

MODELS = ("", ".averaged")
"""What is behind a part's name in the scores of the last and of the averaged model."""


@dataclass(frozen=True)
class Result:
    """What a finished trial says. Its fields are the keys of result.json."""

    scores: dict[str, float]
    """Metric's name -> value; see scoring.METRICS."""
    signatures: dict[str, str]
    """sacreBLEU's signature of each measure."""
    parameters: dict[str, int]
    """embedding, positions, non_embedding, total."""
    vocabulary_size: int
    vocabulary_sha256: str
    steps: int
    averaged_steps: list[int]
    """Updates whose weights the averaged model is the mean of."""
    skipped_pairs: int
    """Training pairs left out as longer than data.max_tokens or data.train_longest."""
    cut_sources: dict[str, int]
    """Part -> evaluation sources cut to data.max_tokens."""
    device: str
    devices: int
    threads: int
    """Of each device's process."""


def train(
    config: RunConfig,
    directory: Path,
    cache: Path,
    *,
    device: torch.device,
    threads: int,
    should_stop: Callable[[], bool],
    peers: Peers = ALONE,
) -> Result:
    """Train, or go on where an earlier attempt stopped. All peers have the same result.

    Raises DivergedError where a loss is not finite, InterruptedTrialError where
    `should_stop` said so, ConfigError where this device cannot do what the configuration asks.
    """
    started_s = time.perf_counter()
    record = Record(directory)
    peers.once(lambda: write_bytes(record.config, dump(config).encode()))
    set_up(config, device, threads, peers)
    progress = _stoppable(record.show_progress if peers.leads else unseen, should_stop)
    progress("preparing data", 0, 1)
    data = TranslationData(config, cache)
    data.prepare_data()
    data.setup("fit")
    peers.once(lambda: _describe(record, data, describe(device, config.train.devices, threads)))
    totals = _fit(config, record, data, device, progress, should_stop, peers)
    averaged_steps = peers.once(lambda: _average(config, record, data))
    module = build(config, data, peers).to(device)
    scores, signatures = _evaluate(module, data, record, progress)
    _measure_heads(module, data, record, progress)
    parameters = cost.parameters(config.model, len(data.vocab))
    scores["cost.parameters"] = float(parameters.total)
    for name in ("train_seconds", "source_tokens", "target_tokens", "flops"):
        scores[f"cost.{name}"] = float(totals[name])
    beside_training = time.perf_counter() - started_s - totals["seconds_of_this_attempt"]
    scores["cost.total_seconds"] = totals["train_seconds"] + beside_training
    peers.once(lambda: _clear(config, record))
    return Result(
        scores=scores,
        signatures=signatures,
        parameters={**parameters._asdict(), "total": parameters.total},
        vocabulary_size=len(data.vocab),
        vocabulary_sha256=data.vocab.checksum,
        steps=config.train.steps,
        averaged_steps=averaged_steps,
        skipped_pairs=data.parts["train"].skipped,
        cut_sources={part: data.parts[part].cut for part in data.evaluated},
        device=device_name(device),
        devices=config.train.devices,
        threads=threads,
    )


def set_up(config: RunConfig, device: torch.device, threads: int, peers: Peers) -> None:
    """Make this process one that trains. ConfigError: see `train`."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    _refuse_emulation(config, device)
    _refuse_other_peers(config, peers)
    if config.train.deterministic:  # asked of cuBLAS by torch; read when it is first used
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(config.train.deterministic)


def unseen(phase: str, done: int, total: int) -> None:
    """Progress of a peer that does not lead."""


def _stoppable(show: Progress, should_stop: Callable[[], bool]) -> Progress:
    """Show progress at most about twice a second, and stop between two steps when asked."""
    shown = [("", 0.0)]

    def progress(phase: str, done: int, total: int) -> None:
        if should_stop() and phase != "training":  # training stops by itself, with a checkpoint
            raise InterruptedTrialError(f"asked to stop while {phase}")
        last_phase, last_s = shown[0]
        now_s = time.monotonic()
        if phase != last_phase or now_s - last_s > 0.5:
            shown[0] = (phase, now_s)
            show(phase, done, total)

    return progress


def _refuse_emulation(config: RunConfig, device: torch.device) -> None:
    if config.train.precision == "bfloat16" and on_cpu_without_bfloat16(device):
        raise ConfigError(
            "train.precision=bfloat16: this processor has no bfloat16 instructions and would be "
            "a hundred times slower; use train.precision=float32 or a GPU"
        )


def _refuse_other_peers(config: RunConfig, peers: Peers) -> None:
    if config.train.devices != peers.count:
        raise ConfigError(
            f"train.devices={config.train.devices}: there are {peers.count} processes to train "
            "with; start the trial with `ablate run` or `ablate sweep`"
        )


def _describe(record: Record, data: TranslationData, environment: dict[str, Any]) -> None:
    """What stands in the directory before the first update."""
    write_bytes(record.vocabulary, data.vocab.path.read_bytes())
    _check_vocabulary(record, data)
    record.write_json("environment.json", environment)


def _check_vocabulary(record: Record, data: TranslationData) -> None:
    """A resumed trial must find the vocabulary it began with."""
    known = record.read_json("vocabulary.json", sha256=str)
    if known is not None and known["sha256"] != data.vocab.checksum:
        raise ConfigError(
            f"{record.vocabulary}: the cached vocabulary is not the one this trial began with; "
            f"restore it, or remove {record.path} to train afresh"
        )
    record.write_json("vocabulary.json", {"sha256": data.vocab.checksum, "size": len(data.vocab)})


def _fit(
    config: RunConfig,
    record: Record,
    data: TranslationData,
    device: torch.device,
    progress: Progress,
    should_stop: Callable[[], bool],
    peers: Peers,
) -> dict[str, float]:
    """Train to the last update -> tokens, seconds and operations. Leaves model.safetensors."""
    done = peers.once(lambda: _fitted(config, record, data))
    if done is not None:
        return {**done, "seconds_of_this_attempt": 0.0}
    _seed(config.train.seed)
    module = build(config, data, peers)
    if not peers.leads:  # equal weights, but dropout of its own
        _seed(int(np.random.SeedSequence([config.train.seed, peers.rank]).generate_state(1)[0]))
    journal = Journal(record, data, progress, should_stop, peers)
    resumed = peers.once(lambda: checkpoints.newest_whole(record.checkpoints, _averaged(config)))
    trainer = make_trainer(config, record, device, [journal])
    loader = data.train_dataloader(peers.rank)
    before_s = _seconds_in(resumed)
    trainer.fit(module, loader, ckpt_path=resumed)
    totals = {
        "train_seconds": journal.train_seconds,
        "source_tokens": journal.source_tokens,
        "target_tokens": journal.target_tokens,
        "flops": _flops(config, data, journal.target_tokens),
    }
    peers.once(lambda: _save_fitted(record, module, totals))
    return {**totals, "seconds_of_this_attempt": journal.train_seconds - before_s}


def make_trainer(
    config: RunConfig, record: Record, device: torch.device, callbacks: list[pl.Callback]
) -> pl.Trainer:
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        max_steps=config.train.steps,
        precision="bf16-mixed" if config.train.precision == "bfloat16" else "32-true",
        callbacks=callbacks,
        plugins=[LightningEnvironment(), checkpoints.AtomicCheckpointIO()],
        default_root_dir=record.path,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _fitted(config: RunConfig, record: Record, data: TranslationData) -> dict[str, float] | None:
    """The totals of a training that an earlier attempt has brought to its end, and whose models
    can be scored or have been."""
    done = record.read_json("training.json")
    if done is None or _is_scored(record, data):
        return done
    folder = record.checkpoints
    files = [checkpoints.step_file(folder, step, ".safetensors") for step in _averaged(config)]
    has_mean = checkpoints.is_whole(record.averaged) or all(map(checkpoints.is_whole, files))
    return done if has_mean and checkpoints.is_whole(record.weights) else None


def _averaged(config: RunConfig) -> list[int]:
    """The updates whose weights the averaged model is the mean of."""
    train = config.train
    return steps_to_average(train.steps, train.average_every, train.average_last)


def _is_scored(record: Record, data: TranslationData) -> bool:
    """Whether every score is there: the weights may then be gone, as `train.keep` says."""
    names = (f"{part}{suffix}" for part in data.evaluated for suffix in MODELS)
    return all(record.read_json(f"scores/{name}.json") is not None for name in names)


def _save_fitted(record: Record, module: TransformerModule, totals: dict[str, float]) -> None:
    checkpoints.save_weights(module.model, record.weights)
    record.write_json("training.json", totals)


def build(config: RunConfig, data: TranslationData, peers: Peers) -> TransformerModule:
    try:
        return TransformerModule(config, len(data.vocab), data.vocab.pad, peers)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        size = cost.parameters(config.model, len(data.vocab)).total
        raise ConfigError(
            f"model: its {size:,} parameters alone do not fit into memory; lower model.d_model, "
            "model.d_ff or model.layers"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory, of the device or of the host, was too small."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "DefaultCPUAllocator: can't allocate memory" in str(error)  # a RuntimeError in torch


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _seconds_in(checkpoint: Path | None) -> float:
    """Seconds of training that earlier attempts spent on what this one resumes."""
    if checkpoint is None:
        return 0.0
    content = checkpoints.AtomicCheckpointIO().load_checkpoint(checkpoint)
    return float(content["callbacks"]["Journal"]["train_seconds"])


def _flops(config: RunConfig, data: TranslationData, target_tokens: int) -> float:
    pairs = data.parts["train"]
    return cost.training_flops(
        config.model,
        len(data.vocab),
        float(pairs.source_lengths.mean()),
        float(pairs.target_lengths.mean()),
        target_tokens,
    )


def _average(config: RunConfig, record: Record, data: TranslationData) -> list[int]:
    """Leave averaged.safetensors -> the updates that went into it."""
    steps = _averaged(config)
    if not _is_scored(record, data) and not checkpoints.is_whole(record.averaged):
        files = [checkpoints.step_file(record.checkpoints, step, ".safetensors") for step in steps]
        checkpoints.save_tensors(average(files), record.averaged)
    return steps


def _evaluate(
    module: TransformerModule, data: TranslationData, record: Record, progress: Progress
) -> tuple[dict[str, float], dict[str, str]]:
    """Score the last and the averaged model on every part; what is done stays done."""
    scores: dict[str, float] = {}
    signatures: dict[str, str] = {}
    for weights, suffix in zip((record.weights, record.averaged), MODELS, strict=True):
        for part in data.evaluated:
            name = f"{part}{suffix}"
            read = partial(record.read_json, f"scores/{name}.json", scores=dict, signatures=dict)
            found = module.peers.once(read)
            if found is None:
                module.model.load_state_dict(checkpoints.load_weights(weights))
                result = evaluate(module, data, part, progress, f"decoding {name}")
                if name == "valid":  # before its scores, which say that all of this is done
                    module.peers.once(partial(_keep_maps, module, data, record, result))
                found = module.peers.once(partial(_save_scores, record, name, result))
            scores.update({f"{name}.{key}": float(value) for key, value in found["scores"].items()})
            signatures.update(found["signatures"])
    return scores, signatures


def _keep_maps(
    module: TransformerModule, data: TranslationData, record: Record, result: Evaluation
) -> None:
    keep_maps(module.model, data, record, result.found, result.hypotheses)


def _measure_heads(
    module: TransformerModule, data: TranslationData, record: Record, progress: Progress
) -> None:
    """Of the last model; what is done stays done."""
    sentences, once = data.config.train.head_sentences, module.peers.once
    is_due = once(lambda: not record.heads.exists() and record.weights.exists())
    if sentences and is_due:
        module.model.load_state_dict(checkpoints.load_weights(record.weights))
        found = removing.measure(module, data, sentences, progress)
        if found is not None:
            once(lambda: heads.write(record, found))


def _save_scores(record: Record, name: str, result: Evaluation) -> dict[str, Any]:
    text = "".join(f"{line}\n" for line in result.hypotheses)
    write_bytes(record.hypotheses / f"{name}.txt", text.encode())
    counts = json.dumps(result.counts, separators=(",", ":"))  # a line, not one a number
    write_bytes(record.counts / f"{name}.json", counts.encode())
    found = {
        "scores": result.scores,
        "signatures": result.signatures,
        "loss": result.loss,
        "truncated": result.truncated,
        "tokenized": {name: one._asdict() for name, one in result.tokenized.items()},
    }
    record.write_json(f"scores/{name}.json", found)
    return found


def _clear(config: RunConfig, record: Record) -> None:
    """Remove what `train.keep` does not name."""
    if config.train.keep != "checkpoints":
        checkpoints.remove_tree(record.checkpoints)
    if config.train.keep == "nothing":
        for file in (record.weights, record.averaged):
            file.unlink(missing_ok=True)  # its checksum stays, for a rerun to be compared with
