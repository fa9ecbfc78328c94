"""What the command line does, behind its lazy imports."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

from phrase_models.errors import ConfigurationError
from phrase_models.metrics.note_matching import count_phrase, pool
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import Phrase
from phrase_models.tokens.song_layout import (
    bars_to_slots,
    song_to_bars,
)
from storage.artifacts import ArtifactRef
from storage.opening import existing_store, open_store, store_address
from storage.paths import check_new_file
from storage.writing import translate_disk_errors
from tasks.engine.runtime import configure_environment
from tasks.engine.services import check_prefect
from tasks.engine.stage import StageRunner
from tasks.engine.tracking import Tracking
from tasks.launch import Launch, Request, launch
from tasks.music.encoding import encode_with_figures, refinement_cost
from tasks.music.reading import open_files, read_for_model
from tasks.reports.provenance import phrase_codec
from tasks.settings.pipeline import parse_assignments
from tasks.stages.registry import STAGE_NAMES

PartT = TypeVar("PartT", bound=str)

console = Console()
TABLE_WIDTH = 80
"""Columns that a table has at least; in a narrower terminal its lines break."""


# --------------------------------------------------------------------------- runs
def launch_run(
    preset: str,
    source: str | None,
    data: Path | None,
    store: Path,
    settings: Sequence[str] | None = None,
    refresh: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    engine: str | None = None,
    orchestrated: bool,
) -> Launch:
    """Check a request before anything heavy starts."""
    request = run_request(
        preset, source, data, store, settings, refresh, workers=workers, engine=engine
    )
    return launch(request, orchestrated=orchestrated)


def check_until(until: str, parts: Sequence[PartT]) -> PartT:
    """The last part to run.

    Raises:
        ConfigurationError: if there is no such part.
    """
    for part in parts:
        if part == until:
            return part
    message = f"--until {until!r} is not one of {', '.join(parts)}."
    raise ConfigurationError(message)


def run_request(
    preset: str,
    source: str | None,
    data: Path | None,
    store: Path,
    settings: Sequence[str] | None = None,
    refresh: Sequence[str] | None = None,
    *,
    workers: int | None = None,
    engine: str | None = None,
) -> Request:
    """What the options of a command line ask for."""
    return Request(
        preset=preset,
        source=source,
        data=str(data) if data else None,
        store=store_address(store),
        overrides=parse_assignments([*(settings or ())]),
        refresh=[*(refresh or ())],
        num_workers=workers,
        engine=engine,
    )


@contextmanager
def prefect_server(launched: Launch) -> Iterator[None]:
    """Prefect's server for a run: the one that is named, which must answer, or one of its own.

    Import Prefect inside, not before: its settings are read then.

    Raises:
        ServiceUnreachable: if a server is named, of Prefect or of MLflow, and does not answer.
    """
    configure_environment(launched.store)
    Tracking(launched.store, enabled=launched.runtime.tracking).check()
    open_store(launched.store).check_access()
    from tasks.engine.temporary_server import temporary_server

    check_prefect()
    with temporary_server():
        yield


def print_summary(store: Path) -> None:
    """The end of a run: stages, metrics, and where everything is."""
    artifacts = existing_store(store)
    run = artifacts.latest_run()
    extra = run["extra"]
    stages = Table(title="Stages")
    for column in ("stage", "state", "seconds"):
        stages.add_column(column)
    for stage in extra["stages"]:
        stages.add_row(
            stage["name"], "Cached" if stage["cached"] else "Done", f"{stage['seconds']:.1f}"
        )
    console.print(stages, width=max(console.width, TABLE_WIDTH))
    if "evaluate_songs" in run["refs"]:
        evaluated = artifacts.latest("evaluate_songs", verify=False)
        print_metrics(artifacts.read_json(evaluated, "metrics.json"))
    if "score_reconstruction" in run["refs"]:
        scored = artifacts.latest("score_reconstruction", verify=False)
        print_reconstruction(artifacts.read_json(scored, "reconstruction.json"))
    if "generate_songs" in run["refs"]:
        songs = artifacts.latest("generate_songs", verify=False).folder
        console.print(f"Songs    {songs / 'midi'}", soft_wrap=True)
        console.print(f"Gallery  {songs / 'gallery.html'}", soft_wrap=True)
    command = shlex.join(["phraseldm", "ui", "--store", str(store)])
    console.print(f"MLflow   {store / 'mlflow'}  ({command})", soft_wrap=True)


def print_metrics(metrics: Mapping[str, Mapping[str, Any]]) -> None:
    """The table of the `metrics.json` of `evaluate_songs`."""
    title = "Generated songs beside real ones (below: 95 % intervals over songs)"
    table = Table(title=title, box=None, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)  # a name stays whole in 80 columns
    for column in ("generated", "training", "held out"):
        table.add_column(column, overflow="fold")
    for name, result in metrics["generated"].items():
        real, held_out = (metrics.get(key, {}).get(name) for key in ("real", "held_out"))
        table.add_row(name, _cell(result), _cell(real), _cell(held_out))
    console.print(table, width=max(console.width, TABLE_WIDTH))


def _cell(result: Mapping[str, Any] | None) -> str:
    if result is None or result["value"] is None:
        return "undefined"
    interval = "" if result["low"] is None else f"\n{result['low']:.3f}–{result['high']:.3f}"
    return f"{result['value']:.3f}{interval}"


RECONSTRUCTION_WAYS = {
    "": "encoder alone",
    "_refined": "refined",
    "_tuned": "tuned decoder",
    "_tuned_refined": "tuned decoder, refined",
}
"""Ends of the names of scores, and what they stand for."""


def print_reconstruction(figures: Mapping[str, Any]) -> None:
    """The `reconstruction.json` of `score_reconstruction`, a line for each way through the VAE."""
    console.print(
        f"PhraseVAE on {figures['num_phrases']} phrases of {figures['num_songs']} held-out songs:"
    )
    for suffix, way in RECONSTRUCTION_WAYS.items():
        if f"f1_op{suffix}" in figures:
            console.print(
                f"  {way:<24} F1_op {figures[f'f1_op{suffix}']:.4f}  "
                f"F1_opd {figures[f'f1_opd{suffix}']:.4f}  "
                f"F1_iopd {figures[f'f1_iopd{suffix}']:.4f}  "
                f"exact {figures[f'exact_phrase_rate{suffix}']:.4f}",
                soft_wrap=True,
            )


def print_corpus(store: Path, songs: ArtifactRef, corpus_tables: ArtifactRef) -> None:
    """What `prepare` found, and why songs were refused."""
    artifacts = open_store(store)
    found = artifacts.manifest(songs).meta
    counted = artifacts.manifest(corpus_tables).meta
    reasons = Table(title="Songs by reason")
    reasons.add_column("reason")
    reasons.add_column("songs", justify="right")
    for reason, count in found["reasons"].items():
        reasons.add_row(reason, str(count))
    console.print(reasons, width=max(console.width, TABLE_WIDTH))
    console.print(
        f"{found['num_songs']} songs read, {found['num_accepted']} accepted: "
        f"{counted['num_bars']} bars, {counted['num_phrases']} phrases, "
        f"{counted['num_tokens']} tokens, {counted['num_notes']} notes"
    )
    console.print(f"Tables   {corpus_tables.folder}", soft_wrap=True)


# --------------------------------------------------------------------------- files
def reconstruct_file(
    store: Path,
    path: Path,
    output: Path,
    *,
    vae: Path | None = None,
    refine: bool = True,
    force: bool = False,
    role_map: Sequence[str] = (),
) -> str:
    """Through PhraseVAE and back (see `phrase_codec`); returns the figures as sentences.

    The scores are against all notes of the mapped tracks on the model's grid, those that the model
    has no room for included. An output that is there is replaced only by `force`.
    """
    check_new_file(output, force=force)
    opened = open_files((path,), role_map)
    codec = phrase_codec(store, vae, refine=refine)
    (read,) = read_for_model(codec, opened)
    song = read.song
    slots = bars_to_slots(song_to_bars(read.fitting), codec.layout)
    latents, figures = encode_with_figures(codec, [phrase for bar in slots for phrase in bar])
    decoded = codec.decode_song(
        latents.reshape(song.num_bars, codec.slots_per_bar, -1),
        song_id=song.song_id,
        sections=song.sections,
        tempo_bpm=song.tempo_bpm,
    )
    with translate_disk_errors(output):
        write_midi(decoded.song, output, key=read.key)
    counts = []
    for target, back in zip(song_to_bars(song), _bars(decoded.song, song.num_bars), strict=True):
        programs = {phrase.program for phrase in (*target, *back)}
        counts += [count_phrase(_of(target, item), _of(back, item)) for item in programs]
    scores = pool(counts)
    return (
        f"{song.num_notes} notes in {song.num_bars} bars, {100 * read.report.share_kept:.1f} % of "
        f"the file's {read.report.num_notes}: F1_op {scores.f1_op:.4f}  "
        f"F1_opd {scores.f1_opd:.4f}  F1_iopd {scores.f1_iopd:.4f}; "
        f"{refinement_cost(figures)}; wrote {output}"
    )


def _bars(song: Any, num_bars: int) -> list[list[Phrase]]:
    bars = song_to_bars(song)[:num_bars]
    return bars + [[] for _ in range(num_bars - len(bars))]


def _of(bar: list[Phrase], program: int) -> Phrase | None:
    return next((phrase for phrase in bar if phrase.program == program), None)


def stored_metrics(store: Path, reference: Path | None, json_file: Path | None) -> str:
    """The table of metrics of the newest run.

    Raises:
        ConfigurationError: for what goes with a folder of songs alone.
    """
    if reference is not None or json_file is not None:
        message = (
            "--reference and --json go with a folder of songs, such as `phraseldm evaluate songs`."
        )
        raise ConfigurationError(message)
    artifacts = existing_store(store)
    evaluated = artifacts.latest("evaluate_songs", verify=False)
    return artifacts.read_bytes(evaluated, "metrics.md").decode()


# --------------------------------------------------------------------------- store
def explain_stage(
    launched: Launch, name: str, compose: Callable[[StageRunner, Launch], None]
) -> list[str]:
    """Why a stage is, or is not, up to date.

    Raises:
        ConfigurationError: for a name that is no stage.
    """
    return launched.explain(check_stage(name), compose)


def check_stage(name: str) -> str:
    """The name of a stage.

    Raises:
        ConfigurationError: for a name that is no stage.
    """
    if name not in STAGE_NAMES:
        message = f"There is no stage {name!r}; there are {', '.join(STAGE_NAMES)}."
        raise ConfigurationError(message)
    return name


def how_to_open(store: Path) -> str:
    """Commands that open MLflow and Prefect on a store.

    Raises:
        MissingArtifact: if there is no store.
    """
    existing_store(store)
    root, home = store.resolve(), shlex.quote(str(store.resolve() / "prefect"))
    database = shlex.quote(f"sqlite:///{root}/mlflow/mlflow.db")
    files = shlex.quote(f"{root}/mlflow/artifacts")
    return "\n".join(
        (
            "MLflow:",
            f"  mlflow server --backend-store-uri {database} "
            f"--artifacts-destination {files} --workers 1 --port 5055",
            "  then open http://127.0.0.1:5055, choose an experiment, tick runs and press Compare",
            "Prefect:",
            f"  PREFECT_HOME={home} PREFECT_SERVER_ANALYTICS_ENABLED=false "
            "prefect server start --port 4200",
            "  then open http://127.0.0.1:4200",
        )
    )
