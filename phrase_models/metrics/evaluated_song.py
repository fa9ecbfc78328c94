"""A song on its way through the evaluation: what it is given, and what several metrics share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from phrase_models.metrics.copied_runs import (
    CopiedRun,
    CopyIndex,
    build_copy_index,
    longest_copied_run,
)
from phrase_models.metrics.memorisation import (
    Memorisation,
    TrainingMelodies,
    measure_memorisation,
    melody_tokens,
)
from phrase_models.metrics.originality import (
    ChanceLevel,
    Quotation,
    QuotationIndex,
    build_quotation_index,
    chance_level,
    longest_quotation,
)
from phrase_models.metrics.structure import bar_ssm, note_ssm, with_bar_end
from phrase_models.score.song import Section, Song

LARGEST_LATENT = 1e8
"""Products of covariances of larger latents leave the range of single precision."""


@dataclass(frozen=True, slots=True)
class EvaluatedSong:
    """A song with all that its evaluation needs.

    Attributes:
        song: its notes.
        latents: (num_bars, S, D), raw (not normalised); None where its generator has none.
        is_phrase: (num_bars, S) bool, slots that hold music; None without latents.
        plan: the sections asked for (or, for a real song, its labels); None where there are none.
        requested_bars: the length asked for; None where there was none.
        bar_end: `[D]`, the latent of the end of a bar, for the released figures; None where it is
            not known.
    """

    song: Song
    latents: np.ndarray | None = None
    is_phrase: np.ndarray | None = None
    plan: tuple[Section, ...] | None = None
    requested_bars: int | None = None
    bar_end: np.ndarray | None = None

    @property
    def sound_latents(self) -> np.ndarray | None:
        """The latents, if there are any and all are numbers that can be squared and multiplied."""
        return self.latents if _is_sound(self.latents) else None

    @property
    def music_latents(self) -> np.ndarray | None:
        """Latents of the slots that hold music, (num_phrases, D)."""
        latents = self.sound_latents
        return None if latents is None or self.is_phrase is None else latents[self.is_phrase]

    @property
    def official_latents(self) -> np.ndarray | None:
        """All slots and the end of each bar, (num_bars, slots + 1, D)."""
        latents = self.sound_latents
        if latents is None or self.bar_end is None or not _is_sound(self.bar_end):
            return None
        return with_bar_end(latents, self.bar_end)


def _is_sound(latents: np.ndarray | None) -> bool:
    return latents is not None and bool((np.abs(latents) < LARGEST_LATENT).all())


def failure_of(item: EvaluatedSong | None) -> str:
    """Why a requested song is none: "missing", "not finite" (latents), "silent", or ""."""
    if item is None:
        return "missing"
    if item.latents is not None and item.sound_latents is None:
        return "not finite"
    return "" if item.song.num_notes else "silent"


@dataclass(frozen=True, slots=True)
class TrainingReference:
    """The training melodies, indexed once for many songs (`build_training_reference`)."""

    melodies: TrainingMelodies
    copies: CopyIndex
    transposed_copies: CopyIndex
    quotations: QuotationIndex
    chance: ChanceLevel


def build_training_reference(
    melodies: TrainingMelodies, held_out: Sequence[Song] = ()
) -> TrainingReference:
    """Index the training melodies for `measure_song` and `evaluate_songs`.

    Args:
        melodies: of the training songs.
        held_out: real songs outside the training set; what they quote by chance decides from
            where on a song counts as memorised in disguise. Without them that is undefined.
    """
    quotations = build_quotation_index(melodies)
    return TrainingReference(
        melodies=melodies,
        copies=build_copy_index(melodies),
        transposed_copies=build_copy_index(melodies, ignores_key=True),
        quotations=quotations,
        chance=chance_level(held_out, quotations),
    )


class SongView:
    """A song beside the training melodies; what several metrics need is worked out once.

    Attributes:
        item: the song.
        training: the training melodies it is compared with.
    """

    def __init__(
        self, item: EvaluatedSong, training: TrainingReference, *, leave_one_out: bool = False
    ) -> None:
        self.item, self.training = item, training
        self._excluded = item.song.song_id if leave_one_out else None

    @property
    def song(self) -> Song:
        """Its notes."""
        return self.item.song

    @cached_property
    def latent_ssm(self) -> np.ndarray | None:
        """BarSSM, (num_bars, num_bars); None without finite latents."""
        latents = self.item.sound_latents
        return None if latents is None else bar_ssm(latents)

    @cached_property
    def official_ssm(self) -> np.ndarray | None:
        """BarSSM with the ends of bars; None without finite latents or the latent of the end."""
        latents = self.item.official_latents
        return None if latents is None else bar_ssm(latents)

    @cached_property
    def note_ssm(self) -> np.ndarray:
        """Self-similarity from the notes alone, (num_bars, num_bars)."""
        return note_ssm(self.song)

    @cached_property
    def melody(self) -> list[int]:
        """Tokens of the melody."""
        return melody_tokens(self.song)

    @cached_property
    def memorisation(self) -> Memorisation:
        """How near the melody comes to a training melody as a whole."""
        return measure_memorisation(
            self.melody, self.training.melodies, exclude_song_id=self._excluded
        )

    @cached_property
    def copied_run(self) -> CopiedRun:
        """The longest run of equal bars."""
        return longest_copied_run(self.melody, self.training.copies, exclude_song_id=self._excluded)

    @cached_property
    def transposed_run(self) -> CopiedRun:
        """The longest run of bars that are equal but for one transposition."""
        return longest_copied_run(
            self.melody, self.training.transposed_copies, exclude_song_id=self._excluded
        )

    @cached_property
    def quotation(self) -> Quotation:
        """The longest passage of a training melody, however disguised."""
        return longest_quotation(
            self.song, self.training.quotations, exclude_song_id=self._excluded
        )
