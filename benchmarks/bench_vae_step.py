"""A training step of PhraseVAE: preparing its batch, and the step itself, on whatever device.

python benchmarks/bench_vae_step.py [--table FILE.npz] [--device cuda] [--batch-tokens 16384 32768]
    [--layers 1 1] [--width 256] [--phases vae decoder] [--steps 50] [--json FILE]

FILE.npz is a phrase table of `collect_phrases`; without it phrases are random, about as long as
POP909's. Preparing is timed alone, in seconds of the processor; in training on an accelerator it
happens ahead, in a thread. The step is the program's own, from batch to updated weights, bf16; on
an accelerator the clock is read when all steps are done. "waits" counts how often one step makes
the program wait for a CUDA device: it should be 0.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phrase_models.tokens import vocabulary
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import TrainingRun
from phrase_models.training.randomness import numpy_generator, seed_everything
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import build_training
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.training import VAETraining

NUM_RANDOM_PHRASES = 20_000
MEAN_NOTES = 9
MAX_TOKENS = 224


def random_table() -> PhraseTable:
    """Valid phrases of one program each, a note an onset or several."""
    rng = numpy_generator(0, "bench_vae_step")
    rows = []
    for size in np.minimum(1 + rng.poisson(MEAN_NOTES, NUM_RANDOM_PHRASES), 48):
        tokens = [vocabulary.program_id(int(rng.choice((0, 13, 25))))]
        onsets = np.sort(rng.choice(48, max(1, int(0.7 * size)), replace=False))
        for index, onset in enumerate(onsets.tolist()):
            tokens.append(vocabulary.onset_id(onset))
            notes = 1 + int(index < size - len(onsets))
            for pitch in sorted(rng.choice(60, notes, replace=False).tolist(), reverse=True):
                tokens += [vocabulary.pitch_id(36 + pitch), vocabulary.duration_id(6)]
        rows.append(tokens)
    return PhraseTable.build(rows)


def make_run(
    arguments: argparse.Namespace, phase: Any, batch_tokens: int
) -> tuple[VAETraining, TrainingRun]:
    encoder_layers, decoder_layers = arguments.layers
    architecture = VAEConfig(
        model_dim=arguments.width,
        feedforward_dim=4 * arguments.width,
        num_heads=arguments.width // 32,
        head_dim=32,
        num_encoder_layers=encoder_layers,
        num_decoder_layers=decoder_layers,
        num_queries=8,
        latent_dim=64,
        dropout=0.0,
        state_embeddings=True,
        bottleneck_hidden_dim=512,
        max_tokens=MAX_TOKENS,
    )
    seed_everything(0, "bench_vae_step")
    config = TrainingConfig(
        num_steps=100_000,
        batch_size=batch_tokens,
        learning_rate=5e-4,
        validate_every=100_000,
        checkpoint_every=100_000,
        precision="bf16",
    )
    objective = VAEObjectiveConfig(transposed_share=0.75, augmented_share=arguments.augmented)
    table = PhraseTable.load(arguments.table) if arguments.table else random_table()
    vae = PhraseVAE(architecture).to(arguments.device)
    task = build_training(vae, phase, objective, config, table, table)
    return task, TrainingRun(task, config, Path(tempfile.mkdtemp()))


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def count_waits(run: TrainingRun) -> int | None:
    """How often a step waits for the device; None where that cannot be known."""
    if run.device.type != "cuda":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run.train_step()
    torch.cuda.set_sync_debug_mode("default")
    found = [warning for warning in caught if "synchroniz" in str(warning.message)]
    for warning in found:
        print(f"  waits: {warning.filename}:{warning.lineno} {warning.message}")
    return len(found)


def measure(arguments: argparse.Namespace, phase: str, batch_tokens: int) -> dict[str, Any]:
    task, run = make_run(arguments, phase, batch_tokens)
    preparing = []
    for step in range(arguments.steps):
        started = time.thread_time()
        task.prepare(step)
        preparing.append(1e3 * (time.thread_time() - started))
    for _ in range(arguments.warm_up):
        run.train_step()
    waits = count_waits(run)
    if run.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    synchronise(run.device)
    started = time.perf_counter()
    for _ in range(arguments.steps):
        run.train_step()
    launched = time.perf_counter() - started
    synchronise(run.device)
    elapsed = time.perf_counter() - started
    return {
        "phase": phase,
        "batch_tokens": batch_tokens,
        "preparing_ms": float(np.median(preparing)),
        "preparing_ms_worst": max(preparing),
        "step_ms": 1e3 * elapsed / arguments.steps,
        "launching_ms": 1e3 * launched / arguments.steps,
        "tokens_per_s": batch_tokens * arguments.steps / elapsed,
        "waits": waits,
        "peak_gb": torch.cuda.max_memory_allocated() / 2**30 if run.device.type == "cuda" else None,
    }


def print_row(row: dict[str, Any]) -> None:
    waits = "" if row["waits"] is None else f"  waits {row['waits']}  {row['peak_gb']:.1f} GB"
    print(
        f"{row['phase']:12}{row['batch_tokens']:7d} tokens  preparing {row['preparing_ms']:6.2f} ms"
        f" (worst {row['preparing_ms_worst']:6.2f})  step {row['step_ms']:8.2f} ms"
        f" (launching {row['launching_ms']:8.2f})  {row['tokens_per_s']:10.0f} tokens/s{waits}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch-tokens", type=int, nargs="+", default=[16384, 32768])
    parser.add_argument("--phases", nargs="+", default=["vae", "decoder"])
    parser.add_argument("--layers", type=int, nargs=2, default=[1, 1], metavar=("ENC", "DEC"))
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--augmented", type=float, default=0.0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("medium")
    print(f"{arguments.device}, torch {torch.__version__}, {arguments.layers} layers", flush=True)
    rows = []
    for phase in arguments.phases:
        for batch_tokens in arguments.batch_tokens:
            rows.append(measure(arguments, phase, batch_tokens))
            print_row(rows[-1])
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
