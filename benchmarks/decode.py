"""Decoding: sentences a second of every contender, in turns, with the same weights.

    python benchmarks/decode.py --trial mlruns/trials/DIGEST --rounds 5 --json decode.json

The trial is a finished one with post-norm layers, scaled attention and sinusoids, trained on
Multi30k English-German with the workload's vocabulary: `base` of the setting multi30k-en-de. In
each round every contender translates the same sentences of test_2016_flickr. Ratios are of the same
rounds; how far translations agree is told beside them. `ours_shipped` is the search with this
project's length penalty; all others have none.
"""

import argparse
import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pairs
import turns
import workload as work
from turns import Answer, Contender, Quartiles

from lit_transformer import config_io, scoring
from lit_transformer.config import ModelConfig
from lit_transformer.data import vocab
from lit_transformer.record import Record

OURS, SHIPPED = "ours_decoding", "ours_shipped"
PEERS = "huggingface,ctranslate"
WARM_UP = 64
"""Sentences before the first round: libraries choose and load their kernels."""
SIZES = ("layers", "d_model", "d_ff", "heads")


def bring_weights(trial: Path, folder: Path) -> tuple[Path, dict[str, int]]:
    """The trial's weights and sizes where contenders find them -> the file, the sizes.

    ValueError where others cannot have the same model or read the same ids.
    """
    record = Record(trial)
    model = config_io.load(record.config).model
    sizes = {name: getattr(model, name) for name in SIZES}
    for name in ("d_k", "d_v", "attention", "positions", "window", "norm"):
        if getattr(model, name) != getattr(ModelConfig(), name):
            raise ValueError(f"{trial}: model.{name}={getattr(model, name)}: peers lack it")
    if record.vocabulary.read_bytes() != (work.WORKLOAD / "vocabulary.model").read_bytes():
        raise ValueError(f"{trial}: its vocabulary is not the workload's")
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "model.safetensors"
    shutil.copyfile(record.weights, file)
    file.with_suffix(".json").write_text(json.dumps(sizes))
    return file, sizes


def start(
    names: Sequence[str], weights: Path, beams: Sequence[int], threads: int
) -> list[Contender]:
    """Living contenders, each with the model, warm."""
    contenders = turns.start(names, threads)
    for contender in contenders:
        contender.call(
            "Decoding", workload=str(work.WORKLOAD), weights=str(weights), threads=threads
        )
        for beam in beams:
            contender.call("translate", first=0, count=WARM_UP, beam=beam)
    return contenders


def row(name: str, answers: dict[str, list[Answer]], sentences: int) -> dict[str, Any]:
    """One contender's result with one beam."""
    rates = [sentences / answer.seconds for answer in answers[name]]
    ours, shipped = ([sentences / a.seconds for a in answers[who]] for who in (OURS, SHIPPED))
    outputs, reference = answers[name][-1].result, answers[OURS][-1].result
    return {
        "sentences_per_second": turns.quartiles(rates)._asdict(),
        "every_rate": rates,
        "ours_is_faster_by": turns.ratios(ours, rates)._asdict(),
        "shipped_is_faster_by": turns.ratios(shipped, rates)._asdict(),
        "bleu": scoring.bleu(*texts(outputs)),
        "mean_length": statistics.mean(len(ids) for ids in outputs),
        "same_as_ours": statistics.mean(a == b for a, b in zip(outputs, reference, strict=True)),
        "peak_mib": answers[name][-1].peak_mib,
    }


def texts(outputs: Sequence[list[int]]) -> tuple[list[str], list[str]]:
    """Detokenized, a line each, and their references."""
    pieces = vocab.load(work.WORKLOAD / "vocabulary.model")
    references = (work.WORKLOAD / "test.target.txt").read_text("utf-8").splitlines()
    found = [" ".join(text.split()) for text in pieces.decode(outputs)]
    return found, references[: len(found)]


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured, as it goes into the JSON."""
    meta = pairs.meta(work.ensure(arguments.data))
    weights, sizes = bring_weights(arguments.trial, work.BENCH / "decode")
    names = [OURS, SHIPPED, *filter(None, arguments.peers.split(","))]
    beams = [int(beam) for beam in arguments.beam.split(",")]
    contenders = start(names, weights, beams, arguments.threads)
    shapes = turns.model_shapes(sizes["d_model"], sizes["d_ff"], meta["vocabulary_size"], 1024)
    rows: dict[str, dict[str, Any]] = {}
    peaks = []
    for beam in beams:
        answers, probed = turns.take_turns(
            contenders,
            arguments.rounds,
            lambda contender, _, beam=beam: contender.call(
                "translate", first=0, count=arguments.sentences, beam=beam
            ),
            lambda: turns.matrix_peak(shapes, arguments.threads),
        )
        rows[str(beam)] = {name: row(name, answers, arguments.sentences) for name in names}
        peaks += probed
    for contender in contenders:
        contender.close()
    return {
        "machine": turns.machine(),
        "settings": {
            key: value
            for key, value in vars(arguments).items()
            if key not in ("json", "data", "trial")
        },
        "model": sizes,
        "peak_gflops": [peak / 1e9 for peak in peaks],
        "beams": rows,
        "versions": {contender.name: contender.versions for contender in contenders},
    }


def show(found: dict[str, Any]) -> str:
    """The result as a table for each beam."""
    head = ["", "sentences/s", "spread", "ours/it", "spread", "shipped/it", "spread"]
    head += ["BLEU", "length", "as ours", "MiB"]
    machine, settings = found["machine"], found["settings"]
    lines = [
        f"{settings['sentences']} sentences, {settings['rounds']} rounds, "
        f"{settings['threads']} threads, {machine['date']}",
        f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['instructions'])}; "
        f"torch {machine['torch']}",
    ]
    for beam, rows in found["beams"].items():
        table = turns.table(head, [cells(name, result) for name, result in rows.items()])
        lines += ["", f"beam {beam}", "", table]
    peaks = found["peak_gflops"]
    return "\n".join([*lines, "", f"matrix peak: median {statistics.median(peaks):.0f} GFLOP/s"])


def cells(name: str, result: dict[str, Any]) -> list[str]:
    keys = ("sentences_per_second", "ours_is_faster_by", "shipped_is_faster_by")
    rate, ratio, shipped = (Quartiles(**result[key]) for key in keys)
    return [
        name,
        f"{rate.median:.0f}",
        f"{rate.low:.0f}-{rate.high:.0f}",
        f"{ratio.median:.2f}",
        f"{ratio.low:.2f}-{ratio.high:.2f}",
        f"{shipped.median:.2f}",
        f"{shipped.low:.2f}-{shipped.high:.2f}",
        f"{result['bleu']:.2f}",
        f"{result['mean_length']:.1f}",
        f"{result['same_as_ours']:.1%}",
        f"{result['peak_mib']:,.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trial", type=Path, required=True, help="directory of a finished trial")
    parser.add_argument("--beam", default="1,4")
    parser.add_argument("--peers", default=PEERS, help="names of files in peers/")
    parser.add_argument("--sentences", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--data", type=Path, help="folder of Multi30k's files")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    arguments = parser.parse_args()
    found = compare(arguments)
    print(show(found))
    if arguments.json:
        turns.write_json(arguments.json, found)


if __name__ == "__main__":
    main()
