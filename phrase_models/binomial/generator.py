"""Binomial diffusion as a generator of songs."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Self

from phrase_models.binomial.config import BinomialSamplerConfig
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.pretrained import WEIGHTS_FILE, load_binomial, load_sampler
from phrase_models.binomial.rolls import roll_to_song
from phrase_models.binomial.sampling import RollRequest, draw_rolls
from phrase_models.diffusion.plan import check_plan, plan_from_layout
from phrase_models.errors import ConfigurationError
from phrase_models.generator import GeneratedSong, GeneratorInputs, SongRequest
from phrase_models.score.dynamics import with_dynamics
from phrase_models.score.song import MAX_BARS
from phrase_models.training.randomness import numpy_generator


class BinomialGenerator:
    """Writes songs as piano rolls.

    It knows no sections: those asked for, or those of the training song that the length is of, are
    named in the result.
    """

    name = "binomial"

    def __init__(
        self, model: BinomialDiffusion, digest: str, sampler: BinomialSamplerConfig
    ) -> None:
        """Take a trained model over, with its digest and the settings of the sampler."""
        self.model, self.digest, self.sampler = model, digest, sampler

    @classmethod
    def from_pretrained(
        cls, folder: Path, sampler: BinomialSamplerConfig | None = None, digest: str | None = None
    ) -> Self:
        """From a folder of `save_binomial`, such as a release, which needs no store.

        Args:
            folder: of the model.
            sampler: settings; those of the folder by default.
            digest: of the model; that of its weights by default.

        Raises:
            ConfigurationError: if there is no model, or a damaged one.
        """
        model = load_binomial(folder)
        weights = (folder / WEIGHTS_FILE).read_bytes()
        return cls(
            model,
            digest or hashlib.sha256(weights).hexdigest(),
            sampler or load_sampler(folder),
        )

    def check(self, request: SongRequest) -> None:
        """Refuse what rolls know nothing of, and lengths; see `Generator`."""
        if request.plans_bars:
            message = (
                "Binomial diffusion knows no form, no chords and no texture; leave them out, or "
                "have the songs written by phrase_ldm."
            )
            raise ConfigurationError(message)
        check_plan(request, MAX_BARS)

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """A roll from noise; see `Generator`."""
        self.check(request)
        resolved = self._resolve(request, seed, index)
        (roll,) = draw_rolls(
            self.model,
            [RollRequest(resolved.num_bars or 1)],
            seed,
            self.sampler,
            first_index=index,
        )
        song, num_repairs = roll_to_song(
            roll,
            self.model.config.roll,
            song_id=f"{seed}-{index}",
            sections=resolved.sections,
            tempo_bpm=request.tempo_bpm,
        )
        provenance = f"phraseldm seed {seed} song {index} binomial diffusion {self.digest[:12]}"
        song = with_dynamics(song)
        return GeneratedSong(index, resolved, song, provenance, num_repairs=num_repairs)

    def _resolve(self, request: SongRequest, seed: int, index: int) -> SongRequest:
        """Length and sections, where open of a training song, drawn as PhraseLDM draws a plan."""
        plan = check_plan(request, MAX_BARS)
        if plan.num_bars is not None and plan.sections:
            return replace(request, num_bars=plan.num_bars)
        known = [
            layout
            for layout in self.model.layouts
            if plan.num_bars in (None, layout.num_bars) and layout.section_layout
        ] or [layout for layout in self.model.layouts if plan.num_bars in (None, layout.num_bars)]
        if not known and plan.num_bars is not None:
            return replace(request, num_bars=plan.num_bars)
        if not known:
            message = "This model knows no lengths of training songs; say how many bars to write."
            raise ConfigurationError(message)
        drawn = known[int(numpy_generator("plan", seed, index).integers(len(known)))]
        of_layout = plan_from_layout(drawn.section_layout, drawn.num_bars)
        return replace(request, num_bars=of_layout.num_bars, sections=of_layout.sections)


def build_generator(inputs: GeneratorInputs) -> BinomialGenerator:
    """Of the input `binomial`; the sampler's settings are those of the model."""
    return BinomialGenerator.from_pretrained(
        inputs.folders["binomial"], digest=inputs.digests["binomial"]
    )
