"""PhraseLDM with the PhraseVAE of its latents, as a generator of songs.

A release is a folder of both::

    vae/    PhraseVAE (`save_vae`)
    ldm/    PhraseLDM (`PhraseLDM.save`), and `sampler.json`: how songs are drawn by default;
            maybe `priors.json`, from which plans are drawn (`PlanPriors.save`)
"""

import hashlib
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from phrase_models.codec import DecodingOptions, PhraseCodec
from phrase_models.diffusion.given import GivenSlots
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.plan import SongPlan, check_plan, check_vocabulary
from phrase_models.diffusion.pretrained import WEIGHTS_FILE, load_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.diffusion.sampling import (
    Progress,
    draw_songs,
    lending_songs,
    resolve_plans,
    with_parts_of,
)
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_edits import scale_repeats
from phrase_models.form.form_lending import LendingSong, lend_to_layout
from phrase_models.form.plan_priors import PRIORS_FILE, DrawnPlan, PlanPriors
from phrase_models.form.plan_source import PlanSource
from phrase_models.form.texture_and_form import complete_texture, fit_to_texture
from phrase_models.generator import GeneratedSong, GeneratorInputs, SongRequest
from phrase_models.model_files import read_json_as, weights_header
from phrase_models.score.dynamics import with_dynamics
from phrase_models.tokens.song_layout import check_layout
from phrase_models.training.randomness import numpy_generator
from phrase_models.vae.token_biases import TokenBiases
from phrase_models.whole_files import read_sealed, write_sealed

VAE_FOLDER, LDM_FOLDER = "vae", "ldm"
SAMPLER_FILE = "sampler.json"


@dataclass(frozen=True, slots=True)
class LatentsCache:
    """Latents of finished songs, kept over a kill.

    One folder is for one request, seed and pair of models.
    """

    folder: Path

    def get(self, index: int) -> NDArray[np.float32] | None:
        """Latents (num_bars, S, D) of a song that was finished before, or None.

        What was damaged meanwhile is None, too: the song is drawn again, the same.
        """
        content = read_sealed(self._path(index))
        if content is None:
            return None
        latents: NDArray[np.float32] = np.load(BytesIO(content))
        return latents

    def put(self, index: int, latents: NDArray[np.float32]) -> None:
        """Keep the latents of a song, whole or not at all."""
        content = BytesIO()
        np.save(content, latents)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_sealed(self._path(index), content.getvalue())

    def _path(self, index: int) -> Path:
        return self.folder / f"{index:03d}.npy.sealed"


class _Lent:
    """What plans are filled in from, read when it is first needed."""

    def __init__(self, model: PhraseLDM, priors_file: Path | None) -> None:
        self.model, self.priors_file = model, priors_file

    @property
    def has_priors(self) -> bool:
        """Whether there is a file of them."""
        return self.priors_file is not None and self.priors_file.exists()

    @cached_property
    def priors(self) -> PlanPriors:
        """Those of the file.

        Raises:
            ConfigurationError: if there is none.
        """
        if self.priors_file is None or not self.has_priors:
            message = (
                "Plans were to be drawn, but these models come without priors: fit some by running "
                "the pipeline on songs with sections, or take plans of training songs."
            )
            raise ConfigurationError(message)
        return PlanPriors.load(self.priors_file)

    @cached_property
    def songs(self) -> tuple[LendingSong, ...]:
        """Training songs with sections and form; none for a model that does not know forms."""
        if not self.model.config.denoiser.form_condition:
            return ()
        return tuple(lending_songs(self.model))


class PhraseLDMGenerator:
    """A trained pair of models that writes songs."""

    name = "phrase_ldm"
    progress: Progress | None = None
    """Called with (network evaluations done, all of a song)."""

    def __init__(
        self,
        model: PhraseLDM,
        codec: PhraseCodec,
        digest: str,
        sampler: SamplerConfig,
        cache: LatentsCache | None = None,
        priors_file: Path | None = None,
    ) -> None:
        """Take the models over.

        Args:
            model: draws the latents.
            codec: decodes them; of the slot layout of the model.
            digest: of the diffusion model.
            sampler: solver and its settings.
            cache: where the latents of finished songs are kept, or None.
            priors_file: of `PlanPriors.save`, read when a plan is drawn; None, or missing, where
                there is none.
        """
        self.model, self.codec, self.digest = model, codec, digest
        self.sampler, self.cache, self.priors_file = sampler, cache, priors_file
        self._lent = _Lent(model, priors_file)

    @classmethod
    def load(
        cls,
        vae_folder: Path,
        diffusion_folder: Path,
        *,
        digest: str,
        sampler: SamplerConfig,
        cache: LatentsCache | None = None,
        priors_file: Path | None = None,
    ) -> Self:
        """From the folders of the two models (`save_vae`, `PhraseLDM.save`).

        Raises:
            ConfigurationError: if there is no model in one of them, or one of a newer format.
        """
        model = load_ldm(diffusion_folder)
        codec = PhraseCodec.load(vae_folder, check_layout(model.config.layout))
        return cls(model, codec, digest, sampler, cache, priors_file)

    @classmethod
    def from_pretrained(cls, folder: Path, sampler: SamplerConfig | None = None) -> Self:
        """From a release.

        Args:
            folder: of the release; see the module.
            sampler: solver and its settings; those of the release by default.

        Raises:
            ConfigurationError: if there is no release, or one of a newer format.
        """
        parts = folder / VAE_FOLDER, folder / LDM_FOLDER
        if not all((part / WEIGHTS_FILE).is_file() for part in parts):
            message = (
                f"{folder} is no release of PhraseLDM: it needs the folders {VAE_FOLDER} and "
                f"{LDM_FOLDER} with a {WEIGHTS_FILE} each."
            )
            raise ConfigurationError(message)
        for part in parts:
            weights_header(part / WEIGHTS_FILE)  # before what may be endless is hashed
        return cls.load(
            *parts,
            digest=weights_digest(*parts),
            sampler=sampler or release_sampler(folder),
            priors_file=parts[1] / PRIORS_FILE,
        )

    @property
    def decoding(self) -> DecodingOptions:
        """How drawn latents are decoded."""
        sampler = self.sampler
        biases = TokenBiases(sampler.duration_bias, sampler.onset_gap_bias)
        return DecodingOptions(biases, self.model.bar_lines, sampler.bar_line_weight)

    def with_sampler(self, sampler: SamplerConfig) -> Self:
        """The same models, shared, with other settings of the sampler."""
        other = copy(self)
        other.sampler = sampler
        return other

    def reporting(self, progress: Progress) -> Self:
        """The same models, shared, with every step of a song reported; see `progress`."""
        other = copy(self)
        other.progress = progress
        return other

    def check(self, request: SongRequest) -> None:
        """Refuse a plan that the model cannot write; see `Generator`."""
        plan = self.resolved(request, 0, 0)
        if request.variation and plan.form is None:
            message = (
                "A variation was asked for, but there is no form to vary: name one with its "
                "sections, or take a model that was trained with forms."
            )
            raise ConfigurationError(message)

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """Draw the latents of a song and decode them; see `Generator`.

        Songs are drawn and decoded one at a time, for the last digits of a batch depend on its
        size.
        """
        plan = self.resolved(request, seed, index)
        latents = self._latents(plan, seed, index)
        decoded = self.codec.decode_song(
            latents,
            self.decoding,
            song_id=f"{seed}-{index}",
            sections=plan.sections,
            tempo_bpm=request.tempo_bpm,
        )
        return GeneratedSong(
            index=index,
            request=SongRequest(
                plan.num_bars,
                plan.sections,
                plan.form,
                plan.chords,
                plan.texture,
                request.tempo_bpm,
            ),
            song=with_dynamics(decoded.song),
            provenance=self.provenance(request, seed, index),
            latents=latents[: decoded.song.num_bars],
            num_repairs=decoded.report.num_repairs,
            plans=self.plan_source(request),
        )

    def provenance(self, request: SongRequest, seed: int, index: int) -> str:
        """One line: seed, index, what made it, and what of its plan the priors drew."""
        source, parts = self.plan_source(request), []
        if source != "training" and not request.sections:
            parts.append("sections")
        if source == "drawn" and request.form is None:
            parts.append("form")
        said = f", {' and '.join(parts)} drawn" if parts else ""
        return f"phraseldm seed {seed} song {index} model {self.digest[:12]}{said}"

    def resolved(self, request: SongRequest, seed: int, index: int) -> SongPlan:
        """The plan of a song with what was left open filled in, its form varied as asked for.

        A layout without a form gets form, chords and texture from a training song of a similar
        other layout; if the priors draw the form, chords and texture. For a length that no training
        song has, the prior draws sections. A texture that was asked for stays: a form that was not
        is fitted to it.

        Raises:
            ConfigurationError: if the request cannot be met.
        """
        self._check_parts(request)
        asked = check_plan(request.plan, self.model.config.denoiser.max_bars)
        source = self.plan_source(request)
        if source == "drawn":
            asked = self._drawn(asked, seed, index)
        elif not asked.sections and (source == "lent" or self._no_song_is_as_long(asked)):
            asked = self._with_drawn_sections(asked, seed, index)
        plan = resolve_plans(self.model, [asked], seed, index)[0]
        if plan.form is None and plan.sections and self._lent.songs:
            rng = numpy_generator("form", seed, index)
            lent = lend_to_layout(rng, self._lent.songs, plan.sections)
            plan = with_parts_of(self.model, plan, lent)
        if request.texture is not None and plan.texture is not None and plan.form is not None:
            plan = replace(plan, texture=complete_texture(plan.texture, plan.form))
        if plan.form is None or not request.variation:
            return plan
        rng = numpy_generator("variation", seed, index)
        return replace(plan, form=scale_repeats(plan.form, request.variation, rng))

    def plan_source(self, request: SongRequest) -> PlanSource:
        """Where what a request leaves open is taken from: drawn where that can be.

        It can where there are priors and training songs that lend the rest: songs by the whole plan
        of one training song come near to it.
        """
        if request.plans is not None:
            return request.plans
        config = self.model.config.denoiser
        able = config.conditioning == "sections" and self._lent.has_priors and self._lent.songs
        return "drawn" if able else "training"

    def _check_parts(self, request: SongRequest) -> None:
        """Refuse chords or a texture if the model would not look at them."""
        config = self.model.config.denoiser
        parts = (
            ("chords", request.chords, config.num_chords > 0),
            ("textures", request.texture, config.texture_condition),
        )
        for name, part, known in parts:
            if part is not None and not known:
                message = (
                    f"This model was trained without {name} and knows none; leave them out, or "
                    "take a model that was trained with them."
                )
                raise ConfigurationError(message)

    def _no_song_is_as_long(self, asked: SongPlan) -> bool:
        """Whether a length was asked for that no training song has, and priors can serve it."""
        if asked.num_bars is None or not self._lent.has_priors:
            return False
        return all(plan.num_bars != asked.num_bars for plan in self.model.length_prior)

    def _with_drawn_sections(self, asked: SongPlan, seed: int, index: int) -> SongPlan:
        """A plan whose sections are drawn, for a training song to lend the rest."""
        rng = numpy_generator("sections", seed, index)
        max_bars = self._max_bars_of_sections()
        sections = self._lent.priors.draw_layout(rng, asked.num_bars, max_bars)
        return replace(asked, sections=sections)

    def _max_bars_of_sections(self) -> int:
        """Length of a drawn layout at most.

        Raises:
            ConfigurationError: if the model was trained without sections.
        """
        config = self.model.config.denoiser
        if config.conditioning != "sections":
            message = "Plans were to be drawn, but this model was trained without sections."
            raise ConfigurationError(message)
        return config.max_bars

    def _drawn(self, plan: SongPlan, seed: int, index: int) -> SongPlan:
        """A checked plan whose layout and form, where they were left open, the priors draw."""
        config, max_bars = self.model.config.denoiser, self._max_bars_of_sections()
        check_vocabulary(plan, self.model.config.slots_per_bar, config.num_chords)
        rng = numpy_generator("plan", seed, index)
        drawn = self._lent.priors.draw(
            rng, plan.num_bars, plan.sections, plan.form, max_bars=max_bars
        )
        form = drawn.form if config.form_condition else plan.form
        if plan.form is None and form is not None and plan.texture is not None:
            form = fit_to_texture(form, plan.texture)
        return SongPlan(
            drawn.form.num_bars,
            drawn.sections,
            form,
            plan.chords if plan.chords is not None else self._drawn_chords(drawn),
            plan.texture,
        )

    def _drawn_chords(self, drawn: DrawnPlan) -> NDArray[np.int64] | None:
        """Chords of a drawn plan, where no training song can lend any."""
        if not self.model.config.denoiser.num_chords:
            return None
        lendable = any(song.chords is not None for song in self._lent.songs)
        return None if lendable else drawn.chords

    def _latents(self, plan: SongPlan, seed: int, index: int) -> NDArray[np.float32]:
        kept = self.cache.get(index) if self.cache else None
        if kept is not None:
            return kept
        latents = self.draw(plan, seed, index)
        if self.cache:
            self.cache.put(index, latents)
        return latents

    def draw(
        self, plan: SongPlan, seed: int, index: int, given: GivenSlots | None = None
    ) -> NDArray[np.float32]:
        """Raw latents (num_bars, S, D) of a song by a whole plan, around slots that are given."""
        return draw_songs(
            self.model,
            [plan],
            seed,
            self.sampler,
            given=[given],
            first_index=index,
            progress=self.progress,
            reencode=self.codec.reencode_songs,
        )[0]


def release_sampler(folder: Path) -> SamplerConfig:
    """How songs are drawn from a release by default.

    Raises:
        ConfigurationError: if its settings are damaged.
    """
    path = folder / LDM_FOLDER / SAMPLER_FILE
    return read_json_as(path, SamplerConfig) if path.exists() else SamplerConfig()


def weights_digest(*folders: Path) -> str:
    """SHA-256 of the weights of models, hexadecimal."""
    digest = hashlib.sha256()
    for folder in folders:
        with (folder / WEIGHTS_FILE).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def build_generator(inputs: GeneratorInputs) -> PhraseLDMGenerator:
    """Of the inputs `vae` and `diffusion`, and `priors` where there are any."""
    return PhraseLDMGenerator.load(
        inputs.folders["vae"],
        inputs.folders["diffusion"],
        digest=inputs.digests["diffusion"],
        sampler=inputs.sampler or SamplerConfig(),
        cache=LatentsCache(inputs.state) if inputs.state else None,
        priors_file=inputs.folders["priors"] / PRIORS_FILE if "priors" in inputs.folders else None,
    )
