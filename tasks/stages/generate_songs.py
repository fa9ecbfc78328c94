"""Stage `generate_songs`, and the same for the command line: plans -> latents -> songs as MIDI."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from phrase_models.codec import DecodedSong, PhraseCodec
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.sampling import draw_songs, resolve_plans
from phrase_models.gallery.page import GallerySong, render_gallery
from phrase_models.metrics.structure import bar_ssm, srs_official
from phrase_models.score.key_names import key_name
from phrase_models.score.midi import write_midi
from phrase_models.score.song import Song
from phrase_models.score.transforms import transpose
from phrase_models.tokens.song_layout import check_layout
from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig
from tasks.settings.stages import GenerationConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class GeneratedSong:
    """One song with what it was made from."""

    index: int
    plan: SongPlan
    latents: NDArray[np.float32]
    decoded: DecodedSong

    @property
    def name(self) -> str:
        """File name without ending."""
        return f"song-{self.index:03d}"


class SongMaker:
    """A trained pair of models that writes songs."""

    def __init__(self, vae: ArtifactRef, diffusion: ArtifactRef) -> None:
        self.model = PhraseLDM.load(diffusion.folder)
        self.codec = PhraseCodec.load(vae.folder, check_layout(self.model.config.layout))
        self.model_digest = diffusion.digest

    def check(self, config: GenerationConfig) -> SongPlan:
        """The request as a plan.

        Raises:
            ConfigurationError: if the model cannot meet it.
        """
        plan = plan_from_layout(config.sections, config.num_bars)
        resolve_plans(self.model, [plan], config.seed)
        return plan

    def make(self, config: GenerationConfig, index: int, kept: Path | None = None) -> GeneratedSong:
        """Song `index` of the seed; it does not depend on how many are made.

        Args:
            config: the batch.
            index: of the song.
            kept: folder where its latents are kept, or found from before a kill.
        """
        request = self.check(config)
        plan = resolve_plans(self.model, [request], config.seed, index)[0]
        path = kept / f"{index:03d}.npy" if kept else None
        if path and path.exists():
            latents: NDArray[np.float32] = np.load(path)
        else:
            latents = draw_songs(
                self.model, [request], config.seed, config.sampler, first_index=index
            )[0]
            if path:
                aside = path.with_suffix(".tmp.npy")
                np.save(aside, latents)
                aside.replace(path)
        decoded = self.codec.decode_song(
            latents,
            song_id=f"{config.seed}-{index}",
            sections=plan.sections,
            tempo_bpm=config.tempo_bpm,
        )
        return GeneratedSong(index, plan, latents[: decoded.song.num_bars], decoded)


def generate_songs(context: StageContext) -> Mapping[str, Any]:
    """The stage: a batch of songs with MIDI files, latents and a gallery."""
    config = context.config_as(GenerationConfig)
    maker = SongMaker(context.inputs["vae"], context.inputs["diffusion"])
    songs = write_songs(maker, config, context.output, context.state, context.report_progress)
    context.tracker.log_folder(context.output / "midi", "midi")
    context.tracker.log_file(context.output / "gallery.html")
    repairs = sum(song.decoded.report.num_repairs for song in songs)
    num_bars = [song.decoded.song.num_bars for song in songs]
    return {
        "num_songs": len(songs),
        "num_notes": sum(song.decoded.song.num_notes for song in songs),
        "num_repairs": repairs,
        "mean_num_bars": float(np.mean(num_bars)),
    }


def write_songs(
    maker: SongMaker, config: GenerationConfig, output: Path, kept: Path | None, report: Progress
) -> list[GeneratedSong]:
    """Make all songs of a batch and write MIDI files, latents, descriptions and the gallery."""
    (output / "midi").mkdir(parents=True, exist_ok=True)
    songs = []
    for index in range(config.num_songs):
        song = maker.make(config, index, kept)
        text = f"phraseldm seed {config.seed} song {index} model {maker.model_digest[:12]}"
        written = finished_song(song.decoded.song, config.transpose)
        write_midi(
            written, output / "midi" / f"{song.name}.mid", key=key_name(config.transpose), text=text
        )
        songs.append(song)
        report((index + 1) / config.num_songs, f"{index + 1} of {config.num_songs} songs")
    latents = {song.name: np.ascontiguousarray(song.latents) for song in songs}
    save_file(latents, output / "latents.safetensors")
    (output / "songs.json").write_text(json.dumps([describe(song) for song in songs], indent=1))
    page = render_gallery(
        [gallery_song(song, output) for song in songs],
        title="Songs by phraseldm",
        subtitle=f"{len(songs)} songs of seed {config.seed}, none picked by hand",
        headline=[],
        max_seconds=config.audio_seconds,
    )
    (output / "gallery.html").write_text(page)
    return songs


def finished_song(song: Song, semitones: int) -> Song:
    """The song as it is written: in the key asked for."""
    return transpose(song, semitones) if semitones else song


def describe(song: GeneratedSong) -> dict[str, Any]:
    """What `songs.json` says of a song."""
    return {
        "name": song.name,
        "index": song.index,
        "requested_bars": song.plan.num_bars,
        "requested_layout": song.plan.section_layout,
        "num_bars": song.decoded.song.num_bars,
        "num_notes": song.decoded.song.num_notes,
        "num_repairs": song.decoded.report.num_repairs,
    }


def gallery_song(song: GeneratedSong, output: Path) -> GallerySong:
    """What the page shows of a song."""
    matrix = bar_ssm(song.latents)
    return GallerySong(
        title=song.name,
        song=song.decoded.song,
        self_similarity=matrix,
        numbers={
            "section recurrence": round(srs_official(matrix), 3),
            "repaired tokens": song.decoded.report.num_repairs,
        },
        midi=(output / "midi" / f"{song.name}.mid").read_bytes(),
        requested_layout=song.plan.section_layout or None,
    )


def generation_stage(config: PipelineConfig, vae: ArtifactRef, diffusion: ArtifactRef) -> Stage:
    """A batch of songs."""
    return Stage(
        name="generate_songs",
        config=config.generation,
        inputs={"vae": vae, "diffusion": diffusion},
        body=generate_songs,
        tracked=True,
    )
