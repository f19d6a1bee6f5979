"""A trial from beginning to end: the same bits however often it is stopped, and what it leaves."""

import hashlib
import itertools
import math
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lit_transformer import attention_maps, observing, parsing, scoring, training
from lit_transformer.averaging import average
from lit_transformer.callbacks import (
    DivergedError,
    InterruptedTrialError,
    on_cpu_without_bfloat16,
)
from lit_transformer.checkpoints import is_whole, newest_whole, step_file
from lit_transformer.config_io import ConfigError, Given, build, load
from lit_transformer.data import trees
from lit_transformer.data.datamodule import TranslationData
from lit_transformer.objective import learning_rate
from lit_transformer.record import Record, read_lines
from lit_transformer.scoring import METRICS
from lit_transformer.training import train
from lit_transformer.translator import Translator
from tests.lit_transformer.conftest import TINY

CPU = torch.device("cpu")
OF_TIME = {
    *("train.target_tokens_per_second", "cost.train_seconds", "cost.total_seconds"),
    *(name for name in METRICS if name.endswith(".seconds_per_sentence")),
}


def never():
    return False


def run(config, directory, cache, should_stop=never):
    return train(config, directory, cache, device=CPU, threads=1, should_stop=should_stop)


def stop_after(calls):
    """Asked to stop from the n-th look on."""
    looks = itertools.count(1)
    return lambda: next(looks) >= calls


def curve(record, name):
    lines = read_lines(record.metrics)
    return [(line["step"], line["values"][name]) for line in lines if name in line["values"]]


def outcome(directory):
    """What must not depend on when a trial was stopped: weights, curves, translations."""
    record = Record(directory)
    points = [
        (line["step"], name, value)
        for line in read_lines(record.metrics)
        for name, value in line["values"].items()
        if name not in OF_TIME and not name.startswith("system/")
    ]
    return {
        "weights": hashlib.sha256(record.weights.read_bytes()).hexdigest(),
        "averaged": hashlib.sha256(record.averaged.read_bytes()).hexdigest(),
        "curves": sorted(points),
        "hypotheses": {path.name: path.read_text() for path in record.hypotheses.iterdir()},
        "attention": {path.name: path.read_bytes() for path in record.attention.glob("*")},
    }


def outcome_without_maps(directory):
    return {name: found for name, found in outcome(directory).items() if name != "attention"}


def timeless(scores):
    return {name: value for name, value in scores.items() if name not in OF_TIME}


# What a trial says


def test_scores_are_every_final_metric(trained):
    curves = {"valid.loss", "valid.curve_bleu"}
    mine = {name for name, metric in scoring.METRICS.items() if metric.task != "parsing"}
    finals = {name for name in mine if name.startswith(("valid.", "test.", "cost."))}
    assert set(trained.result.scores) == finals - curves
    assert all(isinstance(value, float) for value in trained.result.scores.values())


def test_curves_have_their_points(trained):
    record = Record(trained.directory)
    every_2, every_4 = list(range(2, 13, 2)), [4, 8, 12]
    for name, metric in scoring.METRICS.items():
        if name.startswith("train."):
            assert [step for step, _ in curve(record, name)] == every_2, metric
    for name in ("valid.loss", "valid.perplexity", "valid.curve_bleu"):
        assert [step for step, _ in curve(record, name)] == every_4
    for name in ("cost.target_tokens", "cost.train_seconds"):
        steps, spent = zip(*curve(record, name), strict=True)
        assert list(steps) == every_4
        assert sorted(spent) == list(spent)
        assert spent[-1] == trained.result.scores[name]
    expected = [(step, learning_rate(step, 16, trained.config.optim, 12)) for step in every_2]
    assert curve(record, "train.learning_rate") == expected


def test_scores_belong_to_the_hypotheses_and_the_last_weights(trained, mirrored):
    record, scores = Record(trained.directory), trained.result.scores
    for part in ("valid", "test"):
        references = (mirrored / f"{part}.target").read_text().splitlines()
        for name in (part, f"{part}.averaged"):
            text = (record.hypotheses / f"{name}.txt").read_text()
            assert text.count("\n") == len(references)
            found = scoring.score(text.splitlines(), references)
            for metric in ("bleu", "chrf", "ter"):
                assert scores[f"{name}.{metric}"] == getattr(found, metric)
            assert trained.result.signatures == found.signatures
    assert scores["valid.perplexity"] == curve(record, "valid.perplexity")[-1][1]
    assert scores["valid.perplexity"] != scores["valid.averaged.perplexity"]


def test_the_directory_tells_what_was_run(trained):
    record, result = Record(trained.directory), trained.result
    assert load(record.config) == trained.config
    vocabulary = hashlib.sha256(record.vocabulary.read_bytes()).hexdigest()
    assert (result.vocabulary_sha256, result.vocabulary_size) == (vocabulary, 64)
    assert (result.steps, result.averaged_steps, result.threads) == (12, [8, 10, 12], 1)
    assert (result.skipped_pairs, result.cut_sources) == (0, {"valid": 0, "test": 0})
    trained_numbers = sum(tensor.numel() for tensor in load_file(record.weights).values())
    assert result.parameters["total"] == trained_numbers == result.scores["cost.parameters"]
    assert set(record.read_json("environment.json")["versions"]) >= {"torch", "sacrebleu"}


def test_attention_is_kept_of_the_first_sentences_as_they_were_written(trained, mirrored):
    record = Record(trained.directory)
    sources = (mirrored / "valid.source").read_text().splitlines()
    hypotheses = (record.hypotheses / "valid.txt").read_text().splitlines()
    found = attention_maps.read(record)
    assert [one.number for one in found] == [1, 2, 3]
    for one, source, hypothesis in zip(found, sources, hypotheses, strict=False):
        assert "".join(one.source) == "▁" + source.replace(" ", "▁") + "</s>"
        assert one.text == hypothesis
        assert one.read == ("<s>", *one.written[:-1])
        written = "".join(one.written).removesuffix("</s>").replace("▁", " ")
        assert " ".join(written.split()) == hypothesis
        assert one.maps.encoder_LHSS.shape == (1, 2, len(one.source), len(one.source))
    assert "Sentence 3" in (record.attention / "maps.html").read_text()


@pytest.mark.parametrize(("kept", "limit"), [(0, 100), (2, 1)])
def test_no_maps_where_none_are_asked_for_or_sentences_are_too_long(
    tiny, trained, cache, tmp_path, monkeypatch, kept, limit
):
    monkeypatch.setattr(observing, "MOST_TOKENS", limit)
    none = {"train.attention_sentences": kept, "train.head_sentences": 0}
    config, record = tiny(none), Record(tmp_path)
    run(config, tmp_path, cache)
    assert attention_maps.read(record) == []
    assert record.attention.exists() is (kept > 0)
    if kept:
        told = record.read_json("attention/maps.json")["left_out"]
        assert [one["number"] for one in told] == [1, 2]
        assert all("and maps are made up to 1" in one["reason"] for one in told)
    assert outcome_without_maps(tmp_path) == outcome_without_maps(trained.directory)


def test_a_corpus_without_a_test_part_has_no_test_scores(tiny, cache, tmp_path):
    config = tiny({})
    files = config.data.files.model_copy(update={"test": None})
    data = config.data.model_copy(update={"files": files})
    result = run(config.model_copy(update={"data": data}), tmp_path, cache)
    assert not [name for name in result.scores if name.startswith("test")]
    names = sorted(path.name for path in Record(tmp_path).hypotheses.iterdir())
    assert names == ["valid.averaged.txt", "valid.txt"]


def test_another_seed_is_another_trial(tiny, trained, cache, tmp_path):
    run(tiny({"train.seed": 2}), tmp_path, cache)
    assert outcome(tmp_path)["weights"] != outcome(trained.directory)["weights"]


def test_a_parser_is_trained_like_a_translator(tmp_path):
    nouns, adjectives = ("dog", "cat", "tree", "man"), ("old", "big", "red", "wet", "odd")
    for part, chosen in (("train", nouns), ("valid", nouns[:1])):
        pairs = itertools.product(chosen, adjectives)
        tree = "( (S (NP (DT the) (NN {})) (VP (VBZ is) (ADJP (JJ {}))) (. .)))\n"
        (tmp_path / f"{part}.mrg").write_text("".join(tree.format(*pair) for pair in pairs))
    own = {f"data.trees.{part}": str(tmp_path / f"{part}.mrg") for part in ("train", "valid")}
    changes = {**TINY, **own, "data.corpus": "treebank", "data.vocabulary_size": 50}
    config = build({name: Given(value, "a test") for name, value in changes.items()})
    result = run(config, tmp_path / "whole", tmp_path / "cache")
    mine = {name for name, metric in scoring.METRICS.items() if metric.task != "translation"}
    finals = {name for name in mine if name.startswith(("valid.", "cost."))}
    assert set(result.scores) == finals - {"valid.loss", "valid.curve_f1"}
    record = Record(tmp_path / "whole")
    assert [step for step, _ in curve(record, "valid.curve_f1")] == [4, 8, 12]
    written = list(trees.read((record.hypotheses / "valid.txt").read_text(), Path("valid.txt")))
    assert [tree.words for tree in written] == [
        ["the", "dog", "is", word, "."] for word in adjectives
    ]
    assert set(result.signatures.values()) == {parsing.SIGNATURE}

    bound = config.model_copy(
        update={"decode": config.decode.model_copy(update={"constraint": "trees"})}
    )
    scores = run(bound, tmp_path / "bound", tmp_path / "cache").scores
    counts = [scores[f"valid.{name}"] for name in ("well_formed", "repaired", "wrong_length")]
    assert counts == [5, 0, 0]
    assert scores["valid.f1"] == scores["valid.f1_strict"] == scores["valid.f1_evalb"]

    (one, *_) = attention_maps.read(Record(tmp_path / "bound"))
    assert one.source[-1] == "</s>"
    assert {"(S", ")S", "(NP", "XX"} & {*one.written}
    assert not any("<|" in piece for piece in one.written)

    parser = Translator(tmp_path / "whole", task="parsing", averaged=False, device=CPU)
    assert parser.parse(["", "  "]) == [None, None]
    found = parser.parse(["the dog is ( old )", "", "  cat  "])
    assert [tree and tree.words for tree in found] == [
        *(["the", "dog", "is", "-LRB-", "old", "-RRB-"], None, ["cat"]),
    ]

    outputs = parser.outputs(["the dog is ( old )", "", "  cat  "])
    maps = parser.maps(outputs, [str(tree) for tree in found])
    assert [one.number for one in maps] == [1, 3]
    assert maps[1].written[-1] == "</s>"

    with pytest.raises(InterruptedTrialError):
        run(config, tmp_path / "again", tmp_path / "cache", stop_after(6))
    run(config, tmp_path / "again", tmp_path / "cache")
    assert outcome(tmp_path / "again") == outcome(tmp_path / "whole")


# Stopped and resumed


@pytest.mark.parametrize("first", [3, 8])
def test_a_trial_stopped_again_and_again_ends_in_the_same_bits(trained, tmp_path, first):
    reasons = []
    for looks in itertools.count(first):  # more each time, so that it ends
        try:
            result = run(trained.config, tmp_path, trained.cache, stop_after(looks))
            break
        except InterruptedTrialError as stopped:
            reasons.append(str(stopped))
    assert any("after update" in reason for reason in reasons)
    assert any("while decoding" in reason for reason in reasons)
    assert outcome(tmp_path) == outcome(trained.directory)
    assert timeless(result.scores) == timeless(trained.result.scores)


@pytest.mark.parametrize(
    "given",
    [
        {"optim.optimizer": "adamw", "optim.weight_decay": 0.1, "optim.schedule": "cosine"},
        {"optim.optimizer": "sgd", "optim.schedule": "linear", "model.tied_embeddings": "none"},
        {"optim.optimizer": "adafactor", "optim.warmup_steps": 0},
    ],
    ids=lambda given: given["optim.optimizer"],
)
def test_so_it_does_with_any_optimizer(tiny, cache, tmp_path, given):
    """Their states are part of a checkpoint."""
    config = tiny({"train.attention_sentences": 0, **given})
    run(config, tmp_path / "whole", cache)
    with pytest.raises(InterruptedTrialError, match="after update"):
        run(config, tmp_path / "again", cache, stop_after(9))
    run(config, tmp_path / "again", cache)
    assert outcome(tmp_path / "again") == outcome(tmp_path / "whole")


def train_and_die(config, directory, cache, flushes):
    """For a process of its own: SIGKILL at the n-th flush, in the middle of writing a file."""
    flush, left = os.fsync, itertools.count(flushes - 1, -1)

    def flush_or_die(descriptor):
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(descriptor)

    os.fsync = flush_or_die
    run(config, directory, cache)


@pytest.mark.slow
@pytest.mark.parametrize("flushes", [24, 41])
def test_a_killed_trial_ends_in_the_same_bits(trained, tmp_path, flushes):
    arguments = (trained.config, tmp_path, trained.cache, flushes)
    process = multiprocessing.get_context("spawn").Process(target=train_and_die, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert newest_whole(Record(tmp_path).checkpoints) is not None
    assert not Record(tmp_path).weights.exists()
    run(trained.config, tmp_path, trained.cache)
    assert outcome(tmp_path) == outcome(trained.directory)


def test_a_damaged_checkpoint_is_passed_over(trained, tmp_path, caplog):
    with pytest.raises(InterruptedTrialError):
        run(trained.config, tmp_path, trained.cache, stop_after(13))
    newest = newest_whole(Record(tmp_path).checkpoints)
    newest.write_bytes(newest.read_bytes()[:-1])
    run(trained.config, tmp_path, trained.cache)
    assert f"{newest.name} does not match its checksum" in caplog.text
    assert outcome(tmp_path) == outcome(trained.directory)


@pytest.mark.parametrize("break_it", [lambda f: f.write_bytes(f.read_bytes()[:-1]), Path.unlink])
def test_a_damaged_snapshot_of_the_mean_is_made_again(
    trained, tmp_path, caplog, monkeypatch, break_it
):
    with monkeypatch.context() as patch:
        patch.setattr(training, "_average", None)
        with pytest.raises(TypeError):
            run(trained.config, tmp_path, trained.cache)  # killed after its last update
    record = Record(tmp_path)
    assert record.weights.exists()
    break_it(step_file(record.checkpoints, 12, ".safetensors"))
    run(trained.config, tmp_path, trained.cache)
    assert "step-000000012.safetensors is not whole; going back to before it" in caplog.text
    assert outcome(tmp_path) == outcome(trained.directory)


def test_a_table_of_positions_that_a_reference_exceeds_is_refused_before_training(tiny, cache):
    config = tiny({"model.positions": "learned", "model.max_positions": 40, "data.max_tokens": 16})
    data = TranslationData(config, cache)
    data.prepare_data()
    data.setup("fit")
    longest = max(int(data.parts[part].target_lengths.max()) for part in data.evaluated)
    short = config.model_copy(
        update={"model": config.model.model_copy(update={"max_positions": longest - 1})}
    )
    data = TranslationData(short, cache)
    data.prepare_data()
    with pytest.raises(ConfigError, match=rf"max_positions={longest - 1}: .* {longest} tokens"):
        data.setup("fit")


def test_a_stop_that_is_asked_for_while_validating_leaves_a_checkpoint(trained, tmp_path):
    record = Record(tmp_path)
    with pytest.raises(InterruptedTrialError, match="after update 4; its checkpoint is written"):
        run(trained.config, tmp_path, trained.cache, lambda: bool(curve(record, "valid.loss")))
    assert newest_whole(record.checkpoints) == step_file(record.checkpoints, 4, ".ckpt")


def test_sigterm_stops_after_the_update(trained, tmp_path, request):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    request.addfinalizer(lambda: signal.signal(signal.SIGTERM, before))
    looks = itertools.count(1)

    def should_stop():
        if next(looks) == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return bool(received)

    with pytest.raises(InterruptedTrialError, match="its checkpoint is written"):
        run(trained.config, tmp_path, trained.cache, should_stop)
    assert newest_whole(Record(tmp_path).checkpoints) is not None


def test_what_is_done_is_not_done_again(trained, tmp_path, monkeypatch):
    directory = shutil.copytree(trained.directory, tmp_path / "copy")
    for name in ("Trainer", "evaluate", "average"):
        monkeypatch.setattr(training.pl if name == "Trainer" else training, name, None)
    again = run(trained.config, directory, trained.cache)
    assert timeless(again.scores) == timeless(trained.result.scores)
    assert outcome(directory) == outcome(trained.directory)


def test_a_resumed_trial_needs_its_own_vocabulary(trained, tmp_path):
    Record(tmp_path).write_json("vocabulary.json", {"sha256": "another", "size": 64})
    with pytest.raises(ConfigError, match="not the one this trial began with; restore it, or rem"):
        run(trained.config, tmp_path, trained.cache)


# What is kept


def test_every_checkpoint_may_be_kept_and_scored_anew(tiny, trained, cache, tmp_path):
    config, record = tiny({"train.keep": "checkpoints"}), Record(tmp_path)
    run(config, tmp_path, cache)
    assert outcome(tmp_path) == outcome(trained.directory)
    kept = {path.name for path in record.checkpoints.glob("*.ckpt")}
    assert kept == {f"step-{step:09d}.ckpt" for step in (3, 6, 9, 12)}
    files = [step_file(record.checkpoints, step, ".safetensors") for step in (8, 10, 12)]
    for name, mean in average(files).items():
        assert torch.equal(load_file(record.averaged)[name], mean)

    metrics = record.metrics.read_bytes()
    for path in (record.weights, record.averaged, tmp_path / "training.json"):
        path.unlink()
    shutil.rmtree(tmp_path / "scores")
    run(config, tmp_path, cache)  # killed after the last update: nothing is trained again
    assert record.metrics.read_bytes() == metrics
    assert outcome(tmp_path) == outcome(trained.directory)


@pytest.mark.parametrize(("keep", "whole"), [("nothing", False), ("model", True)])
def test_weights_are_kept_where_the_configuration_says_so(tiny, cache, tmp_path, keep, whole):
    run(tiny({"train.keep": keep, "train.steps": 2}), tmp_path, cache)
    record = Record(tmp_path)
    assert not record.checkpoints.exists()
    assert is_whole(record.weights) is is_whole(record.averaged) is whole
    assert bool(list(tmp_path.glob("*.safetensors"))) is whole
    assert len(list(tmp_path.glob("*.safetensors.sha256"))) == 2


@pytest.mark.parametrize("keep", ["nothing", "model"])
def test_a_kill_at_the_very_end_costs_no_training(tiny, cache, tmp_path, monkeypatch, keep):
    """Before result.json is written, and after the weights were deleted as the knob says."""
    config = tiny({"train.keep": keep, "train.steps": 2})
    before = run(config, tmp_path, cache)
    for name in ("Trainer", "evaluate", "average"):
        monkeypatch.setattr(training.pl if name == "Trainer" else training, name, None)
    assert timeless(run(config, tmp_path, cache).scores) == timeless(before.scores)


# What is computed


def test_accumulated_gradients_are_those_of_the_whole_update(tiny, cache, tmp_path):
    weights = []
    for micro in (None, 40):
        changes = {"model.dropout": 0.0, "train.steps": 4, "train.micro_tokens": micro}
        run(tiny(changes), tmp_path / str(micro), cache)
        weights.append(load_file(Record(tmp_path / str(micro)).weights))
    for name, whole in weights[0].items():
        torch.testing.assert_close(weights[1][name], whole, atol=1e-5, rtol=1e-5)


def test_the_loss_after_20_updates_is_what_it_was(tiny, cache, tmp_path):
    # A change of this number is a change of the arithmetic: CHANGELOG.md says why.
    changes = {"train.steps": 20, "model.dropout": 0.0, "optim.rate_factor": 0.3}
    run(tiny(changes), tmp_path, cache)
    assert curve(Record(tmp_path), "train.loss")[-1] == (20, pytest.approx(2.903482, abs=1e-5))


def test_the_mirror_language_is_learnt(tiny, cache, tmp_path):
    changes = {
        "model.d_model": 32,
        "model.d_ff": 64,
        "model.dropout": 0.0,
        "optim.warmup_steps": 50,
        "optim.rate_factor": 0.5,
        "train.steps": 300,
        "train.tokens_per_batch": 400,
        "train.valid_every": 100,
        "train.checkpoint_every": 100,
        "decode.alpha": 0.6,
    }
    scores = run(tiny(changes), tmp_path, cache).scores
    losses = [loss for _, loss in curve(Record(tmp_path), "valid.loss")]
    assert losses[-1] == min(losses)
    assert scores["valid.perplexity"] < 6  # of 12 words and an end mark, all equally frequent
    assert scores["valid.bleu"] > 15


# What is refused


def test_a_loss_that_is_no_number_ends_the_trial(tiny, cache, tmp_path):
    with pytest.raises(DivergedError, match=r"^train\.loss is (nan|inf) at update \d+$"):
        run(tiny({"optim.rate_factor": 1e20}), tmp_path, cache)
    record = Record(tmp_path)
    assert curve(record, "train.loss")[-1][1] in ("nan", "inf")
    assert not record.weights.exists()


def test_a_model_that_the_last_update_ruined_has_diverged(tiny, cache, tmp_path):
    with pytest.raises(DivergedError, match=r"^valid\.loss is (nan|inf) at update 1$"):
        run(tiny({"optim.rate_factor": 1e30, "train.steps": 1}), tmp_path, cache)
    assert not Record(tmp_path).weights.exists()


def test_a_model_that_training_has_made_worse_has_diverged(tiny, cache, tmp_path):
    told = r"^valid\.loss is [\d.]+ after the last update; a uniform guess has 4\.16, and the mod"
    with pytest.raises(DivergedError, match=told):
        run(tiny({"optim.rate_factor": 30.0}), tmp_path, cache)
    record = Record(tmp_path)
    assert not record.weights.exists()
    assert curve(record, "valid.loss")[-1][1] > math.log(64)
    assert [step for step, _ in curve(record, "valid.curve_bleu")] == [4, 8, 12]


def test_a_model_that_has_hardly_learnt_has_not(tiny, cache, tmp_path):
    scores = run(tiny({"train.steps": 1}), tmp_path, cache).scores
    assert scores["valid.perplexity"] > 64


def test_a_model_that_no_memory_holds_is_a_bad_configuration(tiny, cache, tmp_path):
    """Smaller passes would not help it."""
    with pytest.raises(ConfigError, match=r"^model: its 66,0\S+ parameters alone do not fit"):
        run(tiny({"model.d_ff": 10**12}), tmp_path, cache)


def test_bfloat16_is_refused_where_it_would_be_emulated(tiny, cache, tmp_path, monkeypatch):
    config = tiny({"train.precision": "bfloat16"})
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(ConfigError, match=r"^train\.precision=bfloat16: .*precision=float32 or a"):
        run(config, tmp_path, cache)
    assert not on_cpu_without_bfloat16(torch.device("cuda"))


@pytest.mark.skipif(on_cpu_without_bfloat16(CPU), reason="this processor has no bfloat16")
def test_bfloat16_keeps_weights_in_float32(tiny, trained, cache, tmp_path):
    run(tiny({"train.precision": "bfloat16"}), tmp_path, cache)
    record = Record(tmp_path)
    assert {tensor.dtype for tensor in load_file(record.weights).values()} == {torch.float32}
    for name in ("train.loss", "valid.loss"):
        rounded = [value for _, value in curve(record, name)]
        exact = [value for _, value in curve(Record(trained.directory), name)]
        assert rounded != exact
        assert rounded == pytest.approx(exact, rel=0.05)
