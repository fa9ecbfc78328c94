"""Songs completed and varied by binomial diffusion: song in, song out.

A roll knows sixteenths and no velocities. Notes that stay are therefore put back as they were, and
what is new makes way for them.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR, BinomialSamplerConfig, RollConfig
from phrase_models.binomial.known import KnownCells
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.pretrained import WEIGHTS_FILE, load_binomial, load_sampler
from phrase_models.binomial.rolls import Roll, roll_to_song, song_to_roll
from phrase_models.binomial.sampling import RollRequest, draw_rolls
from phrase_models.errors import ConfigurationError
from phrase_models.score.dynamics import with_dynamics
from phrase_models.score.reading_report import counted
from phrase_models.score.song import (
    MAX_BARS,
    ROLE_PROGRAMS,
    SIXTEENTH,
    Note,
    Song,
    Track,
)
from phrase_models.song_tasks import Hole, WrittenSong
from phrase_models.training.randomness import numpy_generator

Place = tuple[int, int, int]
"""Voice, sixteenth and index of the pitch in the roll."""


class BinomialTasks:
    """A trained binomial diffusion that fills and varies; see `SongTasks`."""

    name = "binomial"
    max_bars = MAX_BARS

    def __init__(
        self, model: BinomialDiffusion, digest: str, sampler: BinomialSamplerConfig
    ) -> None:
        """Take a trained model over, with its digest and the settings of the sampler."""
        self.model, self.digest, self.sampler = model, digest, sampler

    @classmethod
    def from_pretrained(cls, folder: Path, num_sampling_steps: int | None = None) -> Self:
        """From a folder of `save_binomial`.

        Args:
            folder: of the model.
            num_sampling_steps: instead of the folder's own.

        Raises:
            ConfigurationError: if there is no model, or a damaged one.
        """
        model, sampler = load_binomial(folder), load_sampler(folder)
        if num_sampling_steps is not None:
            sampler = sampler.model_copy(update={"num_sampling_steps": num_sampling_steps})
        digest = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
        return cls(model, digest, sampler)

    def check(self, song: Song, hole: Hole) -> None:
        """Refuse a hole that is not in the song, and roles that a model does not tell apart."""
        hole.check(song)
        config = self.model.config.roll
        highest = config.lowest_pitch + config.num_pitches - 1
        if hole.pitches and (hole.pitches[0] > highest or hole.pitches[1] < config.lowest_pitch):
            message = (
                "The model writes none of these pitches; in C major or A minor it knows those from "
                f"{config.lowest_pitch} to {highest}."
            )
            raise ConfigurationError(message)
        if hole.programs and config.voices != "roles":
            message = (
                "This model does not tell roles apart, so it cannot write some of them alone; "
                "leave the roles out, or name a model of three roles."
            )
            raise ConfigurationError(message)

    def remarks(self, song: Song) -> tuple[str, ...]:
        """What a roll does not hold of the song."""
        config = self.model.config.roll
        report = song_to_roll(song, config)[1]
        highest = config.lowest_pitch + config.num_pitches - 1
        said = (
            (report.num_outside, f"outside of its pitches {config.lowest_pitch} to {highest}"),
            (report.num_beyond, "that round to after the last bar"),
            (report.num_moved, "rounded to sixteenths"),
            (report.num_merged, "joined with another of the same pitch"),
        )
        verbs = ("not at all", "not at all", "only", "only")
        return tuple(
            f"The model sees {counted(count, 'note')} {words} {verb}; kept ones are written as "
            "they were."
            for (count, words), verb in zip(said, verbs, strict=True)
            if count
        )

    def fill(self, song: Song, hole: Hole, seed: int, index: int) -> WrittenSong:
        """See `SongTasks`; places by chance are the same for all variants of a seed."""
        self.check(song, hole)
        places = hole_places(song, hole, self.model.config.roll, seed)
        given, known = known_outside(song, places, self.model.config.roll)
        request = RollRequest(song.num_bars, known)
        (roll,) = draw_rolls(self.model, [request], seed, self.sampler, first_index=index)
        return self._written(with_given(given, roll, self.model.config.roll), given, seed, index)

    def vary(self, song: Song, amount: float, seed: int, index: int) -> WrittenSong:
        """See `SongTasks`; notes that a roll cannot hold stay at any amount."""
        config = self.model.config.roll
        start = song_to_roll(song, config)[0]
        request = RollRequest(song.num_bars, None, start, amount)
        (roll,) = draw_rolls(self.model, [request], seed, self.sampler, first_index=index)
        given = come_through(song, start, roll, config)
        return self._written(with_given(given, roll, config), given, seed, index)

    def _written(self, song: Song, given: Song, seed: int, index: int) -> WrittenSong:
        provenance = (
            f"phraseldm seed {seed} variant {index} binomial diffusion {self.digest[:12]}, "
            f"{given.num_notes} of {song.num_notes} notes given"
        )
        return WrittenSong(song, given, provenance)


# --------------------------------------------------------------------------- what is given
def voice_of(program: int, config: RollConfig) -> int:
    """Index of the voice that a program plays in; other programs play with the piano."""
    if config.voices == "roles" and program in ROLE_PROGRAMS:
        return ROLE_PROGRAMS.index(program)
    return config.num_voices - 1


def place_of(program: int, note: Note, config: RollConfig) -> Place:
    """Where a note begins; the pitch may be outside of the roll."""
    step = (note.onset + SIXTEENTH // 2) // SIXTEENTH
    return voice_of(program, config), step, note.pitch - config.lowest_pitch


def hole_places(song: Song, hole: Hole, config: RollConfig, seed: int) -> Roll:
    """Places of a hole, (voices, S, P) bool; those by chance are the same for a seed."""
    num_steps = song.num_bars * STEPS_PER_ROLL_BAR
    places = np.zeros((config.num_voices, num_steps, config.num_pitches), np.bool_)
    voices = [voice_of(program, config) for program in hole.programs or ROLE_PROGRAMS]
    first, end = hole.bars or (0, song.num_bars)
    lowest, highest = hole.pitches or (0, 127)
    low, high = (max(0, pitch - config.lowest_pitch) for pitch in (lowest, highest + 1))
    for voice in voices:
        places[voice, first * STEPS_PER_ROLL_BAR : end * STEPS_PER_ROLL_BAR, low:high] = True
    if hole.share < 1:
        places &= numpy_generator("hole", seed).random(places.shape) < hole.share
    return places


def known_outside(song: Song, places: Roll, config: RollConfig) -> tuple[Song, KnownCells]:
    """The notes that begin outside of a hole, and the cells that are known then.

    Cells of the hole are open, and so are those that notes of the hole reach; but for the cells
    of notes that stay. Everything else is known, silence too.

    Args:
        song: whole.
        places: (voices, S, P) of the hole.
        config: what the cells are.
    """

    def is_open(program: int, note: Note) -> bool:
        voice, step, pitch = place_of(program, note, config)
        inside = 0 <= pitch < config.num_pitches
        return inside and bool(places[voice, min(step, places.shape[1] - 1), pitch])

    def part(*, opened: bool) -> Song:
        return keep_notes(song, lambda program, note: is_open(program, note) is opened)

    given = part(opened=False)
    values = song_to_roll(given, config)[0]
    reached = _any_plane(song_to_roll(part(opened=True), config)[0], config)
    unknown = (places | reached) & ~_any_plane(values, config)
    return given, KnownCells(~unknown.repeat(config.planes_per_voice, axis=0), values)


def _any_plane(roll: Roll, config: RollConfig) -> Roll:
    """(C, S, P) -> (voices, S, P): whether anything sounds."""
    apart = roll.reshape(config.num_voices, config.planes_per_voice, *roll.shape[1:])
    return np.asarray(apart.any(axis=1), np.bool_)


def come_through(song: Song, before: Roll, after: Roll, config: RollConfig) -> Song:
    """The notes of a song that two rolls have in common, and those that a roll cannot hold.

    Args:
        song: whose roll `before` is.
        before: (C, S, P).
        after: (C, S, P) of its variation.
        config: what the cells are.
    """
    there, still = _lengths(before, config), _lengths(after, config)

    def stays(program: int, note: Note) -> bool:
        place = place_of(program, note, config)
        return there.get(place) == still.get(place) or place not in there

    return keep_notes(song, stays)


def _lengths(roll: Roll, config: RollConfig) -> dict[Place, int]:
    """Duration of the note that begins at each place."""
    song, _ = roll_to_song(roll, config)
    return {
        place_of(track.program, note, config): note.duration
        for track in song.tracks
        for note in track.notes
    }


def keep_notes(song: Song, wanted: Callable[[int, Note], bool]) -> Song:
    """A song of some of its notes."""
    tracks = (
        Track(track.program, tuple(note for note in track.notes if wanted(track.program, note)))
        for track in song.tracks
    )
    return replace(song, tracks=tuple(track for track in tracks if track.notes))


# --------------------------------------------------------------------------- what is new
def with_given(given: Song, roll: Roll, config: RollConfig) -> Song:
    """The song of a roll in which the given notes are as they were, whatever the roll says.

    Args:
        given: notes that stay; tempo, sections and chords are its.
        roll: (C, S, P), which has them or not.
        config: what the cells are.
    """
    written, _ = roll_to_song(roll, config)
    kept: dict[int, list[Note]] = {}
    parts: dict[int, list[Note]] = {}
    taken: set[Place] = set()
    for track in given.tracks:
        parts.setdefault(track.program, []).extend(track.notes)
        kept.setdefault(voice_of(track.program, config), []).extend(track.notes)
        taken.update(place_of(track.program, note, config) for note in track.notes)
    for track in written.tracks:
        voice = voice_of(track.program, config)
        new = [note for note in track.notes if place_of(track.program, note, config) not in taken]
        parts.setdefault(track.program, []).extend(make_way(new, kept.get(voice, ())))
    order = [*ROLE_PROGRAMS, *(program for program in parts if program not in ROLE_PROGRAMS)]
    tracks = tuple(
        Track(program, tuple(sorted(parts[program]))) for program in order if parts.get(program)
    )
    return with_dynamics(replace(given, tracks=tracks), given)


def make_way(new: Iterable[Note], given: Sequence[Note]) -> list[Note]:
    """New notes of one voice that leave the given ones alone.

    One that begins while a given note of its pitch sounds is left out; one that still sounds when
    such a note begins ends there.
    """
    spans: dict[int, list[tuple[int, int]]] = {}
    for note in given:
        spans.setdefault(note.pitch, []).append((note.onset, note.onset + note.duration))
    free = []
    for note in new:
        there = spans.get(note.pitch, ())
        if any(onset <= note.onset < end for onset, end in there):
            continue
        room = min((onset - note.onset for onset, _ in there if onset > note.onset), default=127)
        free.append(replace(note, duration=min(note.duration, room)))
    return free
