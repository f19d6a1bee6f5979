"""Training: tokens a second of every contender, in turns, on the same sentences and sizes.

    python benchmarks/train_step.py --size small --places paper --rounds 7 --threads 2 \\
        --peers torch_bucketed,marian,opennmt,joeynmt,torch_tutorial --json small.json

Each takes one optimizer update a round. Only target tokens that are not padding count. `ours` and
`ours_bare` always take part.
"""

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pairs
import turns
import workload as work
from turns import Answer, Contender, Quartiles

from lit_transformer.config import ModelConfig
from lit_transformer.model import cost

SIZES = {
    "small": {"layers": 3, "d_model": 256, "d_ff": 1024, "heads": 4},
    "base": {"layers": 6, "d_model": 512, "d_ff": 2048, "heads": 8},
}
PEERS = "torch_bucketed,marian,opennmt,joeynmt,torch_tutorial"
OURS, BARE, MEMORY_PEER = "ours", "ours_bare", "torch_bucketed"
WARM_UP = 2
"""Updates of each contender before the first round: libraries choose and load their kernels."""


def model_of(size: str, places: str, batch_tokens: int) -> dict[str, Any]:
    """What a contender's Training is told."""
    return {
        **SIZES[size],
        "dropout": 0.1,
        "dropout_places": places,
        "label_smoothing": 0.1,
        "batch_tokens": batch_tokens,
    }


def operations(model: dict[str, Any], vocabulary_size: int, step: dict[str, float]) -> float:
    """Of one update, padding left out, as the project counts them from a configuration."""
    config = ModelConfig(**{key: model[key] for key in ("layers", "d_model", "d_ff", "heads")})
    source, target = (step[key] / step["pairs"] for key in ("source_tokens", "tokens"))
    return cost.training_flops(config, vocabulary_size, source, target, step["tokens"])


def start(names: Sequence[str], model: dict[str, Any], threads: int) -> list[Contender]:
    """Living contenders, each with its model, warm."""
    contenders = turns.start(names, threads)
    for contender in contenders:
        begin(contender, model, threads)
    return contenders


def begin(contender: Contender, model: dict[str, Any], threads: int) -> None:
    contender.call("Training", workload=str(work.WORKLOAD), model=model, threads=threads)
    for _ in range(WARM_UP):
        contender.call("step")


def row(
    answers: Sequence[Answer], probed: Sequence[float], model: dict[str, Any], vocabulary_size: int
) -> dict[str, Any]:
    """One contender's result. Shares are of the matrix peak; `best` is of the best step against the
    best reading of all rounds."""
    steps = [answer.result for answer in answers]
    rates = [step["tokens"] / answer.seconds for step, answer in zip(steps, answers, strict=True)]
    work_rates = [
        operations(model, vocabulary_size, step) / answer.seconds
        for step, answer in zip(steps, answers, strict=True)
    ]
    return {
        "tokens_per_second": turns.quartiles(rates)._asdict(),
        "every_rate": rates,
        "share_of_peak": turns.ratios(work_rates, probed)._asdict(),
        "best_share_of_peak": max(work_rates) / max(probed),
        "padding": 1 - sum(s["tokens"] for s in steps) / sum(s["slots"] for s in steps),
        "tokens_per_step": statistics.mean(step["tokens"] for step in steps),
        "loss": steps[-1]["loss"],
        "peak_mib": answers[-1].peak_mib,
    }


def alone_mib(name: str, model: dict[str, Any], threads: int, steps: int) -> float:
    """Peak memory of a contender in a run of its own."""
    (contender,) = turns.start([name], threads)
    begin(contender, model, threads)
    peak = 0.0
    for _ in range(steps):
        peak = contender.call("step").peak_mib
    contender.close()
    return peak


def compare(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is measured, as it goes into the JSON."""
    vocabulary_size = pairs.meta(work.ensure(arguments.data))["vocabulary_size"]
    model = model_of(arguments.size, arguments.places, arguments.batch_tokens)
    names = [OURS, BARE, *filter(None, arguments.peers.split(","))]
    shapes = turns.model_shapes(
        model["d_model"], model["d_ff"], vocabulary_size, arguments.batch_tokens
    )
    contenders = start(names, model, arguments.threads)
    answers, probed = turns.take_turns(
        contenders,
        arguments.rounds,
        lambda contender, _: contender.call("step"),
        lambda: turns.matrix_peak(shapes, arguments.threads),
    )
    for contender in contenders:
        contender.close()
    rows = {name: row(answers[name], probed, model, vocabulary_size) for name in names}
    for contender in contenders:
        rows[contender.name]["imported_mib"] = contender.imported_mib
    for name in names if arguments.memory_steps else ():
        rows[name]["alone_mib"] = alone_mib(name, model, arguments.threads, arguments.memory_steps)
    rates = {name: found["every_rate"] for name, found in rows.items()}
    for name in names:
        rows[name]["ours_is_faster_by"] = turns.ratios(rates[OURS], rates[name])._asdict()
    return {
        "machine": turns.machine(),
        "settings": {
            key: value for key, value in vars(arguments).items() if key not in ("json", "data")
        },
        "model": model,
        "peak_gflops": [peak / 1e9 for peak in probed],
        "contenders": rows,
        "versions": {contender.name: contender.versions for contender in contenders},
    }


def show(found: dict[str, Any]) -> str:
    """The result as a table, and what was measured beside it."""
    head = ["", "tokens/s", "spread", "of peak", "best step", "padding"]
    head += ["MiB", "imports", "ours/it", "spread"]
    rows = []
    for name, result in found["contenders"].items():
        rate, ratio = (
            Quartiles(**result[key]) for key in ("tokens_per_second", "ours_is_faster_by")
        )
        rows.append(
            [
                name,
                f"{rate.median:,.0f}",
                f"{rate.low:,.0f}-{rate.high:,.0f}",
                f"{result['share_of_peak']['median']:.0%}",
                f"{result['best_share_of_peak']:.0%}",
                f"{result['padding']:.1%}",
                f"{result.get('alone_mib', result['peak_mib']):,.0f}",
                f"{result['imported_mib']:,.0f}",
                f"{ratio.median:.2f}",
                f"{ratio.low:.2f}-{ratio.high:.2f}",
            ]
        )
    return "\n".join([heading(found), "", turns.table(head, rows), "", *beside(found)])


def heading(found: dict[str, Any]) -> str:
    machine, settings = found["machine"], found["settings"]
    return (
        f"{settings['size']}, dropout in the {settings['places']} places, {settings['rounds']} "
        f"rounds, {settings['threads']} threads, {machine['date']}\n"
        f"{machine['cpu']}, {machine['cores']} cores, {' '.join(machine['instructions'])}; "
        f"torch {machine['torch']}, BLAS {machine['blas']}\n" + "\n".join(machine["torch_config"])
    )


def beside(found: dict[str, Any]) -> list[str]:
    rows, peaks = found["contenders"], found["peak_gflops"]
    lines = [
        f"matrix peak of the rounds: median {statistics.median(peaks):.0f}, "
        f"{min(peaks):.0f} to {max(peaks):.0f} GFLOP/s",
        f"the whole product's step takes {1 / rows[BARE]['ours_is_faster_by']['median']:.3f} "
        "of the bare loop's time",
    ]
    memory = {name: r.get("alone_mib", r["peak_mib"]) for name, r in rows.items()}
    if MEMORY_PEER in rows:
        share = memory[OURS] / memory[MEMORY_PEER]
        lines.append(f"peak memory: {share:.2f} of {MEMORY_PEER}'s")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--places", choices=("paper", "torch"), default="paper")
    parser.add_argument("--peers", default=PEERS, help="names of files in peers/")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--memory-steps", type=int, default=0, help="in a run of its own; 0: none")
    parser.add_argument("--data", type=Path, help="folder of Multi30k's files")
    parser.add_argument("--json", type=Path, help="file for all that was measured")
    arguments = parser.parse_args()
    found = compare(arguments)
    print(show(found))
    if arguments.json:
        turns.write_json(arguments.json, found)


if __name__ == "__main__":
    main()
