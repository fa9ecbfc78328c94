"""What a song is asked to be, in words, by a command or a request: read, and made a batch of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from phrase_models.diffusion.pretrained import EMPTY_SLOTS_FILE
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import layout_of_headings, parse_form
from phrase_models.form.texture_text import parse_texture
from phrase_models.request_text import chords_of_text
from phrase_models.score.key_names import semitones_to
from tasks.settings.pipeline import first_fault
from tasks.settings.stages import GenerationConfig
from tasks.stages.generate_songs import batch_settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from phrase_models.batch_writing import BatchSettings
    from phrase_models.form.song_form import SongForm
    from tasks.music.songs import Models

OPTIONS_OF_FIELDS = {
    "tempo_bpm": "--tempo",
    "num_bars": "--bars",
    "num_songs": "-n",
    "num_sampling_steps": "--steps",
    "guidance_scale": "--guidance",
    "second_pass": "--second-pass",
}
"""What a user calls fields of `GenerationConfig` and `SamplerConfig`."""


@dataclass(frozen=True)
class SongOrder:
    """What is asked for, before any model is looked at.

    Attributes:
        semitones: by which the songs' files lie above C major or A minor.
        form: or None to leave it to the models.
        chords: (N, 2) ids in C major or A minor, or None.
        texture: (N, S, 5) of a song in C major or A minor, or None.
        variation: see `SongRequest`.
        sampling: settings of the sampler that are not the usual ones.
        fields: further ones of `GenerationConfig`.
    """

    semitones: int
    form: SongForm | None
    chords: NDArray[np.int64] | None
    texture: NDArray[np.int64] | None
    variation: float
    sampling: Mapping[str, Any]
    fields: Mapping[str, Any]

    @classmethod
    def read(
        cls,
        *,
        key: str = "C",
        form: str | None = None,
        chords: str | None = None,
        texture: str | None = None,
        variation: float = 0.0,
        sampling: Mapping[str, float | None] | None = None,
        **fields: Any,
    ) -> Self:
        """Read the words of an order.

        Args:
            key: major key of the files.
            form: a grid, whose headings give the sections where nothing else does; or None.
            chords: as they sound in that key, such as "C G | Am", or None.
            texture: a line of cells a bar, whose headings do so after those of the form; or None.
            variation: see `SongRequest`.
            sampling: settings of the sampler, None where they are usual.
            **fields: further ones of `GenerationConfig`.

        Raises:
            ConfigurationError: for what is no key, form, chord or texture.
        """
        semitones = semitones_to(key)
        for words in (form, texture):
            if words is not None and not fields.get("sections"):
                fields["sections"] = layout_of_headings(words)
        return cls(
            semitones,
            None if form is None else parse_form(form),
            chords_of_text(chords, semitones),
            None if texture is None else parse_texture(texture),
            variation,
            {name: value for name, value in (sampling or {}).items() if value is not None},
            {"plans": None, **fields},  # the generator's choice, unlike a pipeline's
        )

    def batch(self, models: Models, generator: str) -> tuple[GenerationConfig, BatchSettings]:
        """The configuration of the generator and of the batch.

        Args:
            models: what the songs are made with.
            generator: name of the family.

        Raises:
            ConfigurationError: if a value is out of bounds, or values contradict each other.
        """
        sampler = models.sampler.model_dump() | dict(self.sampling)
        knows_silence = models.diffusion and (models.diffusion / EMPTY_SLOTS_FILE).exists()
        writes_silence = self.form is not None or self.texture is not None
        if writes_silence and knows_silence:
            sampler["force_silence"] = True  # who writes a form or a texture means its silence
        try:
            config = GenerationConfig(
                sampler=sampler, transpose=self.semitones, generator=generator, **self.fields
            )
        except ValidationError as error:
            name, value, reason = first_fault(error)
            option = OPTIONS_OF_FIELDS.get(name.rsplit(".", 1)[-1], name)
            message = f"That cannot be asked for: {option} {value!r}, {reason}."
            raise ConfigurationError(message) from error
        settings = batch_settings(config)
        request = replace(
            settings.request,
            form=self.form,
            chords=self.chords,
            texture=self.texture,
            variation=self.variation,
        )
        return config, replace(settings, request=request)
