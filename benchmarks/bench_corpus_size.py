"""Seconds and peak memory of the data stages as a corpus grows, by every engine.

python benchmarks/bench_corpus_size.py --folder F [--songs 91 909] [--engines processes dask ray]
    [--stages ingest tokenise ...] [--workers 2]

The corpus is composed (`sources/synthetic`); 909 songs are as many as POP909 has, and larger ones
are copies of these. Latents are those of a small PhraseVAE with random weights, of 64 numbers and
not refined; songs are made by `bar_shuffle`, which reads the training songs. Each stage runs in a
process of its own. Memory is what is not backed by a file (RssAnon and RssShmem), sampled five
times a second: of the process of the stage, and of the largest of its children (a worker; with Ray
also its servers) beside the sum of them all. Digests are compared between engines.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

STAGES = ("ingest", "tokenise", "encode", "generate", "evaluate")
SAMPLE_SECONDS = 0.2
NUM_GENERATED = 64
COMPOSED = 909


def compose_some(folder: Path, num_songs: int, first: int) -> list[str]:
    from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song
    from phrase_models.sources.synthetic.files import write_song

    config, names = SyntheticConfig(num_songs=num_songs), []
    for index in range(first, num_songs, 2):
        song = compose_song(config, index)
        write_song(folder, song)
        names.append(song.song.song_id)
    return names


def compose(folder: Path, num_songs: int) -> None:
    """As `files.write_corpus`, in two processes; more than 909 songs are copies of 909."""
    from phrase_models.sources.synthetic.files import write_index

    if (folder / "done").exists():
        return
    if num_songs > COMPOSED:
        compose(folder.parents[1] / str(COMPOSED) / "corpus", COMPOSED)
        names = copy_songs(folder.parents[1] / str(COMPOSED) / "corpus", folder, num_songs)
        write_index(folder, names)
        (folder / "done").touch()
        return
    with ProcessPoolExecutor(2) as pool:
        parts = [*pool.map(partial(compose_some, folder, num_songs), (0, 1))]
    write_index(folder, sorted(name for part in parts for name in part))
    (folder / "done").touch()


def copy_songs(source: Path, folder: Path, num_songs: int) -> list[str]:
    names = [f"{index + 1:04d}" for index in range(num_songs)]
    for part in ("POP909-Dataset", "hierarchical-structure-analysis"):
        songs = sorted(path for path in (source / part / "POP909").iterdir() if path.is_dir())
        for index, name in enumerate(names):
            song = songs[index % len(songs)]
            target = folder / part / "POP909" / name
            target.mkdir(parents=True)
            for path in song.iterdir():
                (target / path.name.replace(song.name, name)).hardlink_to(path)
    return names


def run_stage(stage: str, engine: str, folder: Path, num_workers: int) -> None:
    """One stage into `folder/engine/stage`, from what the first engine left of those before."""
    from phrase_models.generators import generator_entry
    from phrase_models.sources.registry import find_source
    from storage.artifacts import ArtifactRef
    from storage.fingerprint import digest_folder
    from tasks.engine.runtime import RuntimeConfig
    from tasks.engine.stage import StageContext
    from tasks.engine.tracker import NullTracker
    from tasks.settings.presets import load_preset
    from tasks.stages.encode_latents import encode_latents, latents_stage
    from tasks.stages.evaluate_songs import score_songs
    from tasks.stages.generate_songs import generate_songs
    from tasks.stages.ingest_songs import ingest_songs, ingest_stage
    from tasks.stages.tokenise_songs import tokenise_songs, tokenise_stage

    before = folder / "processes"

    def ref(name: str, at: Path) -> ArtifactRef:
        return ArtifactRef(name, "0" * 20, "0" * 64, at)

    config = load_preset("smoke")
    songs = ref("ingest_songs", before / "ingest")
    vae = ref("train_vae", folder / "vae")
    inputs = {"songs": songs, "vae": vae}
    settings: dict[str, Any] = {
        "ingest": lambda: ingest_stage(config, data=folder / "corpus").config,
        "tokenise": lambda: tokenise_stage(songs).config,
        "encode": lambda: latents_stage(config, songs, vae).config.model_copy(
            update={"refinement": None}
        ),
        "generate": lambda: config.generation.model_copy(
            update={
                "num_songs": NUM_GENERATED,
                "generator": "bar_shuffle",
                "num_bars": None,
                "sections": None,
                "audio_seconds": 0.0,
            }
        ),
        "evaluate": lambda: config.evaluation.model_copy(
            update={"num_reference_songs": 50, "num_floor_songs": 20}
        ),
    }
    bodies: dict[str, Any] = {
        "ingest": partial(
            ingest_songs, data=folder / "corpus", source=find_source(config.source.name)
        ),
        "tokenise": tokenise_songs,
        "encode": encode_latents,
        "generate": partial(generate_songs, entry=generator_entry("bar_shuffle")),
        "evaluate": score_songs,
    }
    if stage == "evaluate":
        inputs |= {
            "latents": ref("encode_latents", before / "encode"),
            "generated": ref("generate_songs", before / "generate"),
        }
    output, state = folder / engine / stage, folder / engine / f"{stage}-state"
    for path in (output, state):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    context = StageContext(
        stage=stage,
        config=settings[stage](),
        inputs=inputs,
        output=output,
        state=state,
        runtime=RuntimeConfig(engine=engine, num_workers=num_workers, num_threads=num_workers),
        tracker=NullTracker(),
        lock_fds=(),
        report_progress=lambda *_: None,
    )
    started = time.perf_counter()
    bodies[stage](context)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "digest": digest_folder(output)}))


def make_random_vae(folder: Path) -> None:
    from phrase_models.training.randomness import seed_everything
    from phrase_models.vae.config import VAEConfig
    from phrase_models.vae.model import PhraseVAE
    from phrase_models.vae.pretrained import save_vae

    if folder.exists():
        return
    seed_everything(0)
    sizes = {"model_dim": 64, "feedforward_dim": 128, "num_heads": 2, "head_dim": 32}
    layers = {"num_encoder_layers": 1, "num_decoder_layers": 1, "num_queries": 4}
    save_vae(
        PhraseVAE(VAEConfig(**sizes, **layers, latent_dim=64, dropout=0.0, max_tokens=256)),
        "vae",
        folder,
    )


def memory_mb(pid: int) -> tuple[int, float]:
    """Parent of a process, and its memory that no file backs; (0, 0) if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0.0
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    kilobytes = [int(fields.get(name, "0").split()[0]) for name in ("RssAnon", "RssShmem")]
    return int(fields["PPid"]), sum(kilobytes) / 1024


def watch(process: subprocess.Popen[str]) -> tuple[float, float, float]:
    """Peaks in MB until it ends: its own, of the largest of its descendants, of these together."""
    own = largest = together = 0.0
    while process.poll() is None:
        found = {
            int(path.name): memory_mb(int(path.name))
            for path in Path("/proc").iterdir()
            if path.name.isdigit()
        }
        family, before = {process.pid}, 0
        while len(family) != before:
            before = len(family)
            family |= {pid for pid, (parent, _) in found.items() if parent in family}
        children = [found[pid][1] for pid in family - {process.pid} if pid in found]
        own = max(own, found.get(process.pid, (0, 0.0))[1])
        largest, together = max(largest, *children, 0.0), max(together, sum(children))
        time.sleep(SAMPLE_SECONDS)
    return own, largest, together


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--songs", type=int, nargs="+", default=[91, 909])
    parser.add_argument("--engines", nargs="+", default=["processes", "dask", "ray"])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", nargs=2, metavar=("STAGE", "ENGINE"))
    arguments = parser.parse_args()
    if arguments.one:
        run_stage(*arguments.one, arguments.folder, arguments.workers)
        return
    print("| stage | songs | engine | seconds | own MB | largest child | children | digest |")
    print("|---|---|---|---|---|---|---|---|")
    for num_songs in arguments.songs:
        folder = arguments.folder / str(num_songs)
        compose(folder / "corpus", num_songs)
        make_random_vae(folder / "vae")
        for stage in arguments.stages:
            for engine in arguments.engines:
                command = [sys.executable, __file__, "--folder", str(folder), "--one"]
                workers = ["--workers", str(arguments.workers)]
                process = subprocess.Popen(
                    [*command, stage, engine, *workers], stdout=subprocess.PIPE, text=True
                )
                peaks = " | ".join(f"{peak:.0f}" for peak in watch(process))
                said, _ = process.communicate()
                if process.returncode:
                    sys.exit(f"{stage} by {engine} ended with {process.returncode}")
                found = json.loads(said.splitlines()[-1])
                row = f"{found['seconds']:.1f} | {peaks} | {found['digest'][:10]}"
                print(f"| {stage} | {num_songs} | {engine} | {row} |", flush=True)


if __name__ == "__main__":
    main()
