"""Songs written around instruments that are there: what is kept stays to the note.

The kept instruments are given slots of PhraseLDM (`diffusion.given`). The form says of them what
their notes do; what the others do is lent by the plan, of several, whose form of the kept
instruments is most like it. Chords that nobody names are heard in the notes (`form.chord_hearing`).
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from phrase_models.diffusion.given import GivenSlots
from phrase_models.diffusion.plan import SongPlan, check_plan
from phrase_models.errors import ConfigurationError
from phrase_models.form.chord_hearing import chords_heard
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.song_form import CellState, SongForm, roots
from phrase_models.form.texture import UNKNOWN_TEXTURE
from phrase_models.generator import GeneratedSong, SongRequest
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.dynamics import with_dynamics
from phrase_models.score.song import ROLE_NAMES, ROLE_PROGRAMS, Song
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars

NUM_PLANS = 4
"""Plans that are drawn to lend one."""


def kept_song(song: Song, roles: Collection[int]) -> Song:
    """The instruments that are kept, alone.

    Args:
        song: any.
        roles: programs that mark them.

    Raises:
        ConfigurationError: if one of them plays nothing, or nothing is left to write.
    """
    tracks = tuple(track for track in song.tracks if track.program in roles and track.notes)
    playing = {track.program for track in tracks}
    for role in ROLE_PROGRAMS:
        if role in roles and role not in playing:
            message = (
                f"There is no {ROLE_NAMES[role].lower()} to keep in the file: name its track, such "
                f"as 'Track 1={ROLE_NAMES[role].lower()}', or keep another instrument."
            )
            raise ConfigurationError(message)
    if not roles or set(roles) >= set(ROLE_PROGRAMS):
        message = "Keep one or two of melody, bridge and piano, so that another can be written."
        raise ConfigurationError(message)
    return replace(song, tracks=tracks)


def accompany(
    generator: PhraseLDMGenerator,
    song: Song,
    roles: Collection[int],
    request: SongRequest,
    seed: int,
    index: int,
) -> GeneratedSong:
    """Keep some instruments of a song and write the others anew.

    Args:
        generator: of a model with a slot for each role.
        song: in C major or A minor, on the codec's grid; its sections, where it has any, count if
            the request has none.
        roles: programs of the instruments that are kept; the others are but heard for the chords.
        request: what else is wanted; its length and tempo are those of the song.
        seed: of the song.
        index: of the song among those of its seed.

    Returns:
        The kept notes as they came, and the others.

    Raises:
        ConfigurationError: if the song is too long or lacks a role, the request cannot be met, or
            the model has other slots.
    """
    kept = kept_song(song, roles)
    _check(generator, song)
    plan = _plan(generator, song, kept, request, seed, index)
    slots = _slots(generator, kept)
    latents = generator.codec.encode_phrases([phrase for bar in slots for phrase in bar])
    mask = np.zeros((song.num_bars, len(ROLE_PROGRAMS)), np.bool_)
    mask[:, _kept_slots(kept)] = True
    given = GivenSlots(mask, latents.reshape(*mask.shape, -1))
    drawn = generator.draw(plan, seed, index, given)
    decoded = generator.codec.decode_song(
        drawn, generator.decoding, mask, song_id=f"{seed}-{index}"
    )
    written = {track.program: track for track in decoded.song.tracks}
    written.update({track.program: track for track in kept.tracks})
    tracks = tuple(written[role] for role in ROLE_PROGRAMS if role in written)
    whole = replace(song, song_id=f"{seed}-{index}", tracks=tracks, sections=plan.sections)
    names = " and ".join(ROLE_NAMES[track.program].lower() for track in kept.tracks)
    return GeneratedSong(
        index=index,
        request=replace(
            request,
            num_bars=plan.num_bars,
            sections=plan.sections,
            form=plan.form,
            chords=plan.chords,
            texture=plan.texture,
            tempo_bpm=song.tempo_bpm,
        ),
        song=with_dynamics(whole, given=kept),
        provenance=f"{generator.provenance(request, seed, index)}, {names} given",
        latents=drawn,
        num_repairs=decoded.report.num_repairs,
        plans=generator.plan_source(request),
    )


def _plan(
    generator: PhraseLDMGenerator,
    song: Song,
    kept: Song,
    request: SongRequest,
    seed: int,
    index: int,
) -> SongPlan:
    """The plan of a song around kept instruments."""
    sections = request.sections or song.sections
    asked = replace(request, num_bars=song.num_bars, sections=sections)
    check_plan(asked.plan, song.num_bars)
    slots, real = _kept_slots(kept), form_of_slots(_slots(generator, kept), sections)
    tries = 1 if asked.form is not None else NUM_PLANS
    plans = [generator.resolved(asked, seed, index * NUM_PLANS + number) for number in range(tries)]
    lent = max(plans, key=lambda plan: _likeness(plan.form, real, slots))
    form = None if lent.form is None else _with_slots(lent.form, real, slots)
    chords = request.chords
    if chords is None and generator.model.config.denoiser.num_chords:
        known = [plan.chords for plan in generator.model.length_prior if plan.chords is not None]
        chords = chords_heard(song, known) if known else None
    return SongPlan(song.num_bars, lent.sections, form, chords, _without_slots(lent.texture, slots))


def _without_slots(texture: NDArray[np.int64] | None, slots: list[int]) -> NDArray[np.int64] | None:
    """A texture (N, S, 5) that says nothing of some slots."""
    if texture is None:
        return None
    left = texture.copy()
    left[:, slots] = UNKNOWN_TEXTURE
    return left


def _check(generator: PhraseLDMGenerator, song: Song) -> None:
    config = generator.model.config
    if config.layout != "role":
        message = (
            "This model was trained without a slot for each instrument, so nothing can be kept; "
            "take one of the slot layout 'role'."
        )
        raise ConfigurationError(message)
    if song.num_bars > config.denoiser.max_bars:
        message = (
            f"The file has {song.num_bars} bars, but this model writes at most "
            f"{config.denoiser.max_bars}; cut it."
        )
        raise ConfigurationError(message)


def _kept_slots(song: Song) -> list[int]:
    return [ROLE_PROGRAMS.index(track.program) for track in song.tracks]


def _slots(generator: PhraseLDMGenerator, song: Song) -> list[list[list[int]]]:
    """Tokens of every slot, without notes that the longest phrase has no room for."""
    fitting, _ = generator.codec.within_limit(song)
    return bars_to_slots(song_to_bars(fitting), "role")


def _likeness(form: SongForm | None, real: SongForm, kept: list[int]) -> float:
    """Share of the kept cells that are silent, or repeat a bar from its first copy, in both."""
    if form is None:
        return 0.0
    same_source = roots(form) == roots(real)
    plays = form.states != CellState.SILENT
    same_silence = plays == (real.states != CellState.SILENT)
    return float((same_source & same_silence)[:, kept].mean())


def _with_slots(form: SongForm, real: SongForm, kept: list[int]) -> SongForm:
    """A form whose kept slots are those of another."""
    states, sources = form.states.copy(), form.sources.copy()
    states[:, kept], sources[:, kept] = real.states[:, kept], real.sources[:, kept]
    return SongForm(states, sources)
