"""From packed songs to trained models on one GPU, in steps that resume.

    python -m benchmarks.gpu_headline vae     PACK WORK NAME --seconds 240
    python -m benchmarks.gpu_headline latents PACK WORK NAME [--encoder-alone]
    python -m benchmarks.gpu_headline ldm     PACK WORK NAME --recipe sample --seed 0 --seconds 240
    python -m benchmarks.gpu_headline songs   PACK WORK NAME --recipe sample --seed 0
    python -m benchmarks.gpu_headline bring   WORK OUT FILE ...

PACK is made by `benchmarks.headline_pack`. Every step leaves a folder under WORK and does nothing
where that is complete. How many optimiser steps fit into the seconds is measured first, so that
the learning rate ends where it should. Nothing here needs an orchestrator, a tracker or a table
library.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks.drawn_plans import read_plans
from benchmarks.headline_recipes import (
    DENOISERS,
    NOISE_SCHEDULES,
    SAMPLER,
    SAMPLERS,
    TRANSPOSED,
    VAES,
    denoiser_training,
    vae_training,
)
from benchmarks.packed_songs import held_out_phrases, read_slots, slots_of_songs
from benchmarks.transposed_songs import TransposedBatches, songs_in_other_keys
from phrase_models.codec import PhraseCodec
from phrase_models.diffusion.dataset import LatentDataset, LatentSong, read_dataset
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import SongPlan
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.diffusion.pretrained import load_ldm, save_ldm
from phrase_models.diffusion.sampling import draw_songs
from phrase_models.diffusion.training import DiffusionTraining
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.texture import texture_of_slots
from phrase_models.metrics.note_matching import count_bar, pool
from phrase_models.score.song import parse_section_layout
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import decode_unit
from phrase_models.training.config import TrainingConfig
from phrase_models.training.hardware import prepare_torch
from phrase_models.training.loop import Trainable, TrainingRun
from phrase_models.training.randomness import numpy_generator, seed_everything
from phrase_models.training.specification import HardwareConfig
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig, VAEPhase
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phases import build_training, start_phase
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.pretrained import load_vae, save_vae
from phrase_models.vae.refinement_config import RefinementConfig
from phrase_models.vae.training import VAETraining

TIMED_STEPS, WARM_STEPS = 60, 40
SNAPSHOTS = 4
"""Averaged weights of a denoiser are kept at so many places, evenly over the training."""
NUM_SONGS = 200
SAFETY = 0.95
SHARD_BYTES = 15 * 2**20


# --------------------------------------------------------------------------- time
def steps_that_fit(
    make: Callable[[TrainingConfig], Trainable], training: TrainingConfig, seconds: float
) -> int:
    """Optimiser steps that fit into `seconds`, measured on throwaway weights."""
    short = training.model_copy(
        update={"num_steps": WARM_STEPS + TIMED_STEPS, "validate_every": 10**9}
    )
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(make(short), short, Path(folder))
        for _ in range(WARM_STEPS):
            run.train_step()
        _synchronise()
        started = time.perf_counter()
        for _ in range(TIMED_STEPS):
            run.train_step()
        _synchronise()
        each = (time.perf_counter() - started) / TIMED_STEPS
    say(f"{each * 1000:.1f} ms a step")
    return max(TIMED_STEPS, int(SAFETY * seconds / each))


def _synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def say(text: str) -> None:
    """One line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def run_all(
    trainable: Trainable, training: TrainingConfig, state: Path, snapshot: Callable[[int], None]
) -> dict[str, object]:
    """Train to the end, resuming; `snapshot` is called with the number of each kept place."""
    run = TrainingRun(trainable, training, state)
    run.restore()
    places = [round(training.num_steps * (k + 1) / SNAPSHOTS) for k in range(SNAPSHOTS)]
    while not run.finished:
        run.train_step()
        last = run.step == training.num_steps
        if run.step % training.log_every == 0 or last:
            run.log()
        if run.step % training.validate_every == 0 or last:
            run.validate()
            say(run.metrics.path.read_text().splitlines()[-1][:300])
        if run.step % training.checkpoint_every == 0 or run.finished:
            run.save()
        if run.step in places:
            with run.average.in_place(run.module) if run.average else torch.no_grad():
                snapshot(places.index(run.step))
    run.take_best()
    return {"steps": run.step, "best_step": run.best_step, "best_score": run.best_score}


# --------------------------------------------------------------------------- VAE
def train_vae(
    pack: Path, work: Path, name: str, seconds: float, device: str, *, small: bool
) -> None:
    """The three trainings of PhraseVAE and the tuning of its decoder."""
    folder = work / name
    architecture = VAES[name]
    train = PhraseTable.load(pack / "phrase-train.npz")
    held_out = PhraseTable.load(pack / "phrase-validation.npz")
    bars = PhraseTable.load(pack / "bar-train.npz")
    previous: Path | None = None
    for phase, share in (("infilling", 0), ("autoencoder", 0), ("vae", 0.8), ("decoder", 0.2)):
        output = folder / phase
        if not (output / "config.json").exists():
            objective, training = vae_training(phase, small=small)

            def make(
                config: TrainingConfig,
                phase: VAEPhase = phase,  # type: ignore[assignment]
                objective: VAEObjectiveConfig = objective,
                previous: Path | None = previous,
            ) -> VAETraining:
                vae = _new_vae(architecture.for_phase(phase), phase, config.seed, previous)
                return build_training(
                    vae.to(device), phase, objective, config, train, held_out, bars
                )

            if share:
                num_steps = steps_that_fit(make, training, seconds * share)
                training = training.model_copy(
                    update={
                        "num_steps": num_steps,
                        "validate_every": max(1, num_steps // (6 if phase == "vae" else 2)),
                    }
                )
            trainable = make(training)
            say(f"{name} {phase}: {training.num_steps} steps of {training.batch_size} tokens")
            result = run_all(trainable, training, folder / f"{phase}-state", lambda _: None)
            say(f"{name} {phase}: {result}")
            save_vae(trainable.module, phase, output)
        previous = output


def _new_vae(config: VAEConfig, phase: VAEPhase, seed: int, previous: Path | None) -> PhraseVAE:
    seed_everything(seed, "initialise")
    vae = PhraseVAE(config)
    start_phase(vae, phase, previous)
    return vae


# --------------------------------------------------------------------------- latents
def encode(pack: Path, work: Path, name: str, device: str, *, encoder_alone: bool) -> None:
    """Latents of all songs with their forms and chords as a dataset folder; figures.

    The latents are refined unless they are to be the encoder's alone; the figures tell of both.
    """
    folder = work / name / "dataset"
    if (folder / "dataset.json").exists():
        return
    songs, phrases, chords = read_slots(pack)
    vae = load_vae(work / name / "decoder").to(device)
    plain = PhraseCodec(vae, "role")
    codec = PhraseCodec(vae, "role", refinement=RefinementConfig())
    held_out = [phrase for _, phrase in held_out_phrases(songs, phrases)]
    figures = {"encoder alone": _scores(held_out, plain.reconstruct(held_out))}
    if not encoder_alone:
        figures["refined"] = _scores(held_out, codec.reconstruct(held_out))
    if (work / name / "vae").exists():
        before = PhraseCodec(load_vae(work / name / "vae").to(device), "role")
        figures["before decoder tuning"] = _scores(held_out, before.reconstruct(held_out))
        refined_before = PhraseCodec(before.vae, "role", refinement=RefinementConfig())
        figures["before, refined"] = _scores(held_out, refined_before.reconstruct(held_out))
    say(f"{name}: {json.dumps(figures)}")
    codec = plain if encoder_alone else codec
    latents = codec.encode_phrases(phrases)
    specials = codec.encode_phrases([[vocabulary.END_OF_SONG], [vocabulary.EMPTY_SLOT]])
    write_dataset(folder, songs, phrases, chords, latents, specials, figures)


def write_dataset(
    folder: Path,
    songs: list[dict],
    phrases: list[list[int]],
    chords: np.ndarray,
    latents: np.ndarray,
    specials: np.ndarray,
    figures: dict,
) -> None:
    """The folder that `read_dataset` opens."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "latents.npy", latents)
    entries, plans = [], []
    for song in songs:
        first, num_bars = song["first_bar"], song["num_bars"]
        bars = range(first, first + num_bars)
        sections = parse_section_layout(song["section_layout"])
        slots = [phrases[3 * bar : 3 * bar + 3] for bar in bars]
        form, texture = form_of_slots(slots, sections), texture_of_slots(slots)
        own_chords = chords[bars.start : bars.stop]
        plans.append(SongPlan(num_bars, sections, form, own_chords, texture.astype(np.int64)))
        entries.append({**song, "first_row": 3 * first})
    PlanArrays.of_plans(plans).write(folder)
    (folder / "songs.json").write_text(json.dumps(entries))
    (folder / "figures.json").write_text(json.dumps(figures, indent=1))
    description = {
        "layout": "role",
        "slots_per_bar": 3,
        "latent_dim": int(latents.shape[1]),
        "end_of_song_latent": specials[0].tolist(),
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def _scores(targets: list[list[int]], outputs: list[list[int]]) -> dict[str, float]:
    counts = [
        count_bar(decode_unit(target), decode_unit(output))
        for target, output in zip(targets, outputs, strict=True)
    ]
    scores = pool(counts)
    return {
        "f1_op": round(scores.f1_op, 5),
        "f1_opd": round(scores.f1_opd, 5),
        "exact": round(scores.exact_phrase_rate, 5),
        "num_phrases": len(targets),
    }


# --------------------------------------------------------------------------- PhraseLDM
def ldm_folder(work: Path, name: str, recipe: str, seed: int) -> Path:
    """Where a denoiser goes."""
    return work / f"{name}-{recipe}-{seed}"


def train_ldm(
    pack: Path,
    work: Path,
    name: str,
    recipe: str,
    seed: int,
    seconds: float,
    device: str,
    *,
    small: bool,
) -> None:
    """A denoiser of a recipe on the latents of a VAE."""
    folder = ldm_folder(work, name, recipe, seed)
    if (folder / f"snapshot-{SNAPSHOTS - 1}" / "config.json").exists():
        return
    dataset = read_dataset(work / name / "dataset")
    training = denoiser_training(recipe, seed, small=small)
    moved: list[LatentSong] = []
    if recipe in TRANSPOSED:
        moved = _moved_songs(pack, work / name / "decoder", dataset, device)
        say(f"{folder.name}: {len(moved)} songs in other keys")

    def make(config: TrainingConfig) -> DiffusionTraining:
        model = PhraseLDM.for_dataset(
            dataset, DENOISERS[recipe], NOISE_SCHEDULES[recipe], seed=config.seed
        )
        model.denoiser.to(device)
        trainable = DiffusionTraining(model, dataset, config)
        if moved:
            trainable.batches = TransposedBatches(
                dataset.split("train"),
                moved,
                dataset,
                model.normalizer,
                model.config.denoiser,
                *TRANSPOSED[recipe],
                num_steps=config.num_steps,
            )
        return trainable

    num_steps = steps_that_fit(make, training, seconds)
    eighth = max(1, num_steps // 8)
    training = training.model_copy(
        update={"num_steps": num_steps, "validate_every": eighth, "checkpoint_every": eighth}
    )
    trainable = make(training)
    count = sum(parameter.numel() for parameter in trainable.module.parameters())
    say(f"{folder.name}: {num_steps} steps of {training.batch_size} songs, {count:,} weights")

    def snapshot(number: int) -> None:
        save_ldm(trainable.model, folder / f"snapshot-{number}")

    result = run_all(trainable, training, folder / "state", snapshot)
    say(f"{folder.name}: {result}")


def _moved_songs(pack: Path, vae: Path, dataset: LatentDataset, device: str) -> list[LatentSong]:
    """The training songs of a dataset in the other keys, by the encoder alone."""
    train = dataset.split("train")
    slots = slots_of_songs(pack, [song.song_id for song in train])
    codec = PhraseCodec(load_vae(vae).to(device), "role", precision="bf16")
    return songs_in_other_keys(train, slots, codec)


def write_songs(
    work: Path,
    name: str,
    recipe: str,
    seed: int,
    device: str,
    *,
    last: bool,
    plans: Path | None = None,
    limit: int = NUM_SONGS,
) -> None:
    """Songs of every snapshot, or the last, as tokens: by plans of training songs or a folder."""
    dataset = read_dataset(work / name / "dataset")
    codec = PhraseCodec(load_vae(work / name / "decoder").to(device), "role")
    folder = ldm_folder(work, name, recipe, seed)
    if plans is None:
        train = dataset.split("train")
        order = numpy_generator("headline", "plans").permutation(len(train))[:limit]
        chosen = {train[int(index)].song_id: train[int(index)].plan for index in order}
    else:
        chosen = dict(list(read_plans(plans).items())[:limit])
    for number in range(SNAPSHOTS - 1 if last else 0, SNAPSHOTS):
        path = folder / f"songs-{number}{f'-{plans.name}' if plans else ''}.npz"
        if path.exists() or not (folder / f"snapshot-{number}" / "config.json").exists():
            continue
        started = time.perf_counter()
        model = load_ldm(folder / f"snapshot-{number}")
        latents = draw_songs(
            model,
            list(chosen.values()),
            seed,
            SAMPLERS.get(recipe, SAMPLER).model_copy(update={"precision": "bf16"}),
            batch_size=50 if device != "cpu" else 1,
            device=device,
        )
        drawn = time.perf_counter()
        decoded = codec.decode_songs(latents, [{"song_id": song} for song in chosen])
        tokens = [phrase for song in decoded for bar in song.slots for phrase in bar]
        np.savez_compressed(
            path,
            song_ids=np.asarray(list(chosen)),
            num_bars=np.asarray([len(song) for song in latents]),
            lengths=np.asarray([len(phrase) for phrase in tokens], np.int32),
            token_ids=np.asarray([token for phrase in tokens for token in phrase], np.int16),
        )
        say(f"{path}: sampled {drawn - started:.1f} s, decoded {time.perf_counter() - drawn:.1f} s")


# --------------------------------------------------------------------------- home
def bring(out: Path, paths: list[Path]) -> None:
    """Copy files home in pieces of at most 15 MiB; weights in bf16."""
    from safetensors.torch import load_file, save_file

    out.mkdir(parents=True, exist_ok=True)
    for path in paths:
        name = "_".join(path.parts[-3:]).replace("/", "_")
        data = path
        if path.suffix == ".safetensors":
            data = Path(tempfile.mkdtemp()) / path.name
            weights = {key: value.bfloat16().contiguous() for key, value in load_file(path).items()}
            save_file(weights, data)
        content = data.read_bytes()
        parts = range(0, len(content), SHARD_BYTES)
        for number, start in enumerate(parts):
            suffix = f".part{number}" if len(parts) > 1 else ""
            (out / f"{name}{suffix}").write_bytes(content[start : start + SHARD_BYTES])
            say(f"{name}{suffix}")


def main() -> None:
    """One step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=("vae", "latents", "ldm", "songs", "bring"))
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--name", default="phrase64")
    parser.add_argument("--recipe", default="sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--encoder-alone", action="store_true", help="latents: without refinement")
    parser.add_argument("--plans", type=Path, help="songs: of `benchmarks.drawn_plans`")
    parser.add_argument("--number", type=int, default=NUM_SONGS, help="songs: at most so many")
    parser.add_argument("--last", action="store_true", help="songs: of the last snapshot alone")
    parser.add_argument("--small", action="store_true", help="a rehearsal, on the CPU")
    arguments = parser.parse_args()
    prepare_torch(HardwareConfig(device=arguments.device, num_threads=arguments.threads))
    name, recipe, seed = arguments.name, arguments.recipe, arguments.seed
    if arguments.step == "bring":
        bring(arguments.folders[0], arguments.folders[1:])
        return
    pack, work = arguments.folders
    if arguments.step == "vae":
        train_vae(pack, work, name, arguments.seconds, arguments.device, small=arguments.small)
    elif arguments.step == "latents":
        encode(pack, work, name, arguments.device, encoder_alone=arguments.encoder_alone)
    elif arguments.step == "ldm":
        train_ldm(
            pack,
            work,
            name,
            recipe,
            seed,
            arguments.seconds,
            arguments.device,
            small=arguments.small,
        )
    else:
        write_songs(
            work,
            name,
            recipe,
            seed,
            arguments.device,
            last=arguments.last,
            plans=arguments.plans,
            limit=arguments.number,
        )


if __name__ == "__main__":
    main()
