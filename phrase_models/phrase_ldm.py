"""PhraseLDM with the PhraseVAE of its latents, as a generator of songs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from phrase_models.codec import PhraseCodec
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import SongPlan
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.sampling import draw_songs, resolve_plans
from phrase_models.generator import GeneratedSong, GeneratorInputs, SongRequest
from phrase_models.tokens.song_layout import check_layout


@dataclass(frozen=True, slots=True)
class LatentsCache:
    """Latents of finished songs, kept over a kill.

    One folder is for one request, seed and pair of models.
    """

    folder: Path

    def get(self, index: int) -> NDArray[np.float32] | None:
        """Latents (num_bars, S, D) of a song that was finished before, or None."""
        path = self._path(index)
        if not path.exists():
            return None
        latents: NDArray[np.float32] = np.load(path)
        return latents

    def put(self, index: int, latents: NDArray[np.float32]) -> None:
        """Keep the latents of a song, whole or not at all."""
        path = self._path(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(".tmp.npy")
        np.save(aside, latents)
        aside.replace(path)

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:03d}.npy"


class PhraseLDMGenerator:
    """A trained pair of models that writes songs."""

    name = "phrase_ldm"

    def __init__(
        self,
        model: PhraseLDM,
        codec: PhraseCodec,
        digest: str,
        sampler: SamplerConfig,
        cache: LatentsCache | None = None,
    ) -> None:
        """Take the models over.

        Args:
            model: draws the latents.
            codec: decodes them; of the slot layout of the model.
            digest: of the diffusion model.
            sampler: solver and its settings.
            cache: where the latents of finished songs are kept, or None.
        """
        self.model, self.codec, self.digest = model, codec, digest
        self.sampler, self.cache = sampler, cache

    @classmethod
    def load(
        cls,
        vae_folder: Path,
        diffusion_folder: Path,
        *,
        digest: str,
        sampler: SamplerConfig,
        cache: LatentsCache | None = None,
    ) -> Self:
        """From the folders of the two models (`save_vae`, `PhraseLDM.save`).

        Raises:
            ConfigurationError: if there is no model in one of them, or one of a newer format.
        """
        model = PhraseLDM.load(diffusion_folder)
        codec = PhraseCodec.load(vae_folder, check_layout(model.config.layout))
        return cls(model, codec, digest, sampler, cache)

    def check(self, request: SongRequest) -> None:
        """Refuse a length or sections that the model cannot write; see `Generator`."""
        resolve_plans(self.model, [_plan(request)], seed=0)

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """Draw the latents of a song and decode them; see `Generator`."""
        plan = resolve_plans(self.model, [_plan(request)], seed, index)[0]
        latents = self._latents(request, seed, index)
        decoded = self.codec.decode_song(
            latents,
            song_id=f"{seed}-{index}",
            sections=plan.sections,
            tempo_bpm=request.tempo_bpm,
        )
        return GeneratedSong(
            index=index,
            request=replace(request, num_bars=plan.num_bars, sections=plan.sections),
            song=decoded.song,
            provenance=f"phraseldm seed {seed} song {index} model {self.digest[:12]}",
            latents=latents[: decoded.song.num_bars],
            num_repairs=decoded.report.num_repairs,
        )

    def _latents(self, request: SongRequest, seed: int, index: int) -> NDArray[np.float32]:
        kept = self.cache.get(index) if self.cache else None
        if kept is not None:
            return kept
        latents = draw_songs(self.model, [_plan(request)], seed, self.sampler, first_index=index)[0]
        if self.cache:
            self.cache.put(index, latents)
        return latents


def _plan(request: SongRequest) -> SongPlan:
    return SongPlan(request.num_bars, request.sections)


def build_generator(inputs: GeneratorInputs) -> PhraseLDMGenerator:
    """Of the inputs `vae` and `diffusion`."""
    return PhraseLDMGenerator.load(
        inputs.folders["vae"],
        inputs.folders["diffusion"],
        digest=inputs.digests["diffusion"],
        sampler=inputs.sampler or SamplerConfig(),
        cache=LatentsCache(inputs.state) if inputs.state else None,
    )
