"""Which track of a MIDI file plays which role.

In the order of trust: what the user chose, the track's name, its program, and at last register,
polyphony and coverage. Channel 10, which is for drums, never is a role.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.errors import ConfigurationError
from phrase_models.score.midi_file import MidiFile, MidiTrack
from phrase_models.score.midi_writer import SOUNDS
from phrase_models.score.song import BRIDGE, MELODY, PIANO, ROLE_PROGRAMS, ROLES_BY_WORD

EXACT_NAMES = {
    MELODY: {"melody", "主旋律", "旋律", "メロディ", "メロディー", "melodie", "mélodie", "melodia"},
    BRIDGE: {"bridge", "ブリッジ"},
    PIANO: {"piano", "ピアノ", "钢琴", "鋼琴", "klavier"},
}
NAME_PARTS: Mapping[int, tuple[re.Pattern[str], ...]] = {
    MELODY: (
        re.compile(r"melod|旋律|メロディ"),
        re.compile(r"\b(vocals?|vox|voice|vocalist|singer|sing)\b|ボーカル|人声|人聲"),
        re.compile(r"\blead\b"),
    ),
    BRIDGE: (re.compile(r"\bbridge\b|ブリッジ"),),
    PIANO: (re.compile(r"\b(piano|pianoforte|klavier)\b|ピアノ|钢琴|鋼琴"),),
}
"""Parts of names, the surest first."""
BACKGROUND = re.compile(r"\b(back|backing|background|choir|bgv)\b")
OWN_PROGRAM = re.compile(r"Program (\d+)")
"""How the MIDI writer names tracks of programs that are no roles."""
BASS_NAME = re.compile(r"bass\b|\bbass|ベース|贝斯|貝斯")
BASS_PROGRAMS = range(32, 40)
EFFECT_PROGRAMS = range(112, 128)
OTHER_PIANOS = range(1, 8)
LOW_REGISTER = 44
"""Mean pitch below which a track is a bass; G sharp of the second octave."""
CHORDAL = 1.5
"""Notes that sound together, on average, from which a track counts as chords."""
FULL_COVERAGE = 24.0
"""What playing in every bar is worth against register, in semitones."""


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """What a user says of one track.

    Attributes:
        track: its number or name, as written.
        role: program that marks the role, None to leave the track out.
    """

    track: str
    role: int | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """What becomes of a track.

    Attributes:
        program: that marks the role, or of a track that keeps its own; None where it is left out.
        reason: in words, such as "by its name".
    """

    program: int | None
    reason: str


def parse_role_choices(texts: Iterable[str]) -> tuple[RoleChoice, ...]:
    """Read choices such as "Track 3=melody", "3=melody" or "Strings=none".

    Raises:
        ConfigurationError: for what is no choice.
    """
    roles: dict[str, int | None] = {**ROLES_BY_WORD, "none": None}
    choices = []
    for text in texts:
        track, equals, role = text.rpartition("=")
        if not equals or not track.strip() or role.strip().lower() not in roles:
            message = (
                f"--map {text!r} is not of the form TRACK=ROLE, such as 'Track 3=melody'; "
                f"the roles are {', '.join(roles)}."
            )
            raise ConfigurationError(message)
        choices.append(RoleChoice(track.strip(), roles[role.strip().lower()]))
    return tuple(choices)


def chosen_tracks(choice: RoleChoice, midi: MidiFile) -> list[int]:
    """Numbers of the tracks that a choice is about; none where the file has no such track.

    A number alone is a number; "Track 3" is the track of that name and, where there is none, of
    that number.
    """
    named = [
        track.number
        for track in midi.tracks
        if track.name.strip().casefold() == choice.track.casefold()
    ]
    number = re.fullmatch(r"(track\s*)?(\d{1,6})", choice.track, re.IGNORECASE)
    if number is None or (named and number[1]):
        return named
    return [track.number for track in midi.tracks if track.number == int(number[2])]


def assign_roles(
    midi: MidiFile, choices: Sequence[RoleChoice] = (), *, keep_programs: bool = False
) -> dict[int, Assignment]:
    """What becomes of each track, by its number.

    Args:
        midi: the file.
        choices: of the user; a role named there is held by the tracks named there alone.
        keep_programs: whether tracks that the MIDI writer named by a program that is no role, such
            as "Program 40", keep that program.
    """
    found: dict[int, Assignment] = {}
    for choice in choices:
        for number in chosen_tracks(choice, midi):
            found[number] = Assignment(choice.role, "as you chose")
    if keep_programs:
        for track in midi.tracks:
            own = OWN_PROGRAM.fullmatch(track.name)
            if own and int(own[1]) <= 128 and int(own[1]) not in ROLE_PROGRAMS:
                found.setdefault(track.number, Assignment(int(own[1]), "by its program's name"))
    for track in midi.tracks:
        if track.is_drum:
            found.setdefault(track.number, Assignment(None, "drums, channel 10"))
    taken = {choice.role for choice in choices}
    for find in (_by_exact_name, _by_part_of_name, _by_program, _by_sound):
        open_tracks = [track for track in midi.tracks if track.number not in found]
        held = {assignment.program for assignment in found.values()} | taken
        free = [role for role in ROLE_PROGRAMS if role not in held]
        found.update(find(open_tracks, free, midi))
    rest = Assignment(None, "no role is left for it")
    return {track.number: found.get(track.number, rest) for track in midi.tracks}


Found = dict[int, Assignment]
Tracks = Sequence[MidiTrack]


def _names(tracks: Tracks, midi: MidiFile) -> dict[int, str]:
    """Names by track; none where all tracks share one, for that is the title of the file."""
    if len(midi.tracks) > 1 and len({track.name for track in midi.tracks}) == 1:
        return {}
    return {track.number: track.name.strip().casefold() for track in tracks}


def _by_exact_name(tracks: Tracks, free: Sequence[int], midi: MidiFile) -> Found:
    return {
        number: Assignment(role, "by its name")
        for number, name in _names(tracks, midi).items()
        for role in free
        if name in EXACT_NAMES[role]
    }


def _by_part_of_name(tracks: Tracks, free: Sequence[int], midi: MidiFile) -> Found:
    """All pianos are one; of several voices the surest name and then the highest is the melody."""
    names = _names(tracks, midi)
    found: Found = {}
    for role in free:
        for pattern in NAME_PARTS[role]:
            matching = [
                track
                for track in tracks
                if track.number not in found
                and pattern.search(names.get(track.number, ""))
                and not BACKGROUND.search(names.get(track.number, ""))
            ]
            if matching and role != PIANO:
                matching = [max(matching, key=_Sound.melodic_of(midi))]
            for track in matching:
                found[track.number] = Assignment(role, "by its name")
            if matching:
                break
    return found


def _by_program(tracks: Tracks, free: Sequence[int], midi: MidiFile) -> Found:
    """Tracks of one program are one part."""
    del midi
    programs = {
        MELODY: ((MELODY,), (SOUNDS[MELODY],)),
        BRIDGE: ((BRIDGE,),),
        PIANO: ((PIANO,), OTHER_PIANOS),
    }
    found: Found = {}
    for role in free:
        for wanted in programs[role]:
            matching = [track for track in tracks if track.has_program and track.program in wanted]
            for track in matching:
                found[track.number] = Assignment(role, f"by program {track.program}")
            if matching:
                break
    return found


# --------------------------------------------------------------------------- by sound
@dataclass(frozen=True, slots=True)
class _Sound:
    """How a track sounds.

    Attributes:
        register: mean pitch.
        polyphony: notes that sound together while any does.
        coverage: share of the file's bars in which it begins a note.
        is_background: a bass by name, program or register, or a sound effect by program.
    """

    register: float
    polyphony: float
    coverage: float
    is_background: bool

    @classmethod
    def of(cls, track: MidiTrack, midi: MidiFile) -> "_Sound":
        """Measure a track with notes."""
        starts, ends, pitches = track.notes[:, 0], track.notes[:, 1], track.notes[:, 2]
        bar = 4 * midi.ticks_per_beat
        bars = max(int(max(item.notes[-1, 0] for item in midi.tracks)) // bar + 1, 1)
        latest = np.maximum.accumulate(ends)
        uncovered = starts[1:] - latest[:-1]
        union = latest[-1] - starts[0] - uncovered[uncovered > 0].sum()
        register = float(pitches.mean())
        program = track.program if track.has_program else PIANO
        is_background = (
            bool(BASS_NAME.search(track.name.casefold()))
            or program in BASS_PROGRAMS
            or program in EFFECT_PROGRAMS
            or register < LOW_REGISTER
        )
        return cls(
            register,
            float((ends - starts).sum() / max(union, 1)),
            len(np.unique(starts // bar)) / bars,
            is_background,
        )

    def is_foreground(self) -> bool:
        """Whether it is neither bass nor effect."""
        return not self.is_background

    def has_chords(self) -> bool:
        """Whether it is a foreground of chords."""
        return self.is_foreground() and self.polyphony >= CHORDAL

    def is_line(self) -> bool:
        """Whether it is a foreground of single notes."""
        return self.is_foreground() and self.polyphony < CHORDAL

    def melodic(self) -> float:
        """High and steady is melodic, in semitones."""
        return self.register + FULL_COVERAGE * self.coverage

    @staticmethod
    def melodic_of(midi: MidiFile) -> Callable[[MidiTrack], float]:
        """As a key to sort tracks by."""
        return lambda track: _Sound.of(track, midi).melodic()


def _by_sound(tracks: Tracks, free: Sequence[int], midi: MidiFile) -> Found:
    """Roles that are still free.

    Chords are the piano's, the most melodic line is the melody's, the next track the bridge's. Then
    what is left over fills what is left over, basses and effects last, and under the melody if
    they can: no track is left out while a role is free.
    """
    sounds = {track.number: _Sound.of(track, midi) for track in tracks}
    found: Found = {}

    def take(role: int, suits: Callable[[_Sound], bool], worth: Callable[[_Sound], float]) -> None:
        if role not in free or any(item.program == role for item in found.values()):
            return
        able = [number for number, item in sounds.items() if number not in found and suits(item)]
        if able:
            best = max(able, key=lambda number: worth(sounds[number]))
            found[best] = Assignment(role, "by register, polyphony and coverage")

    take(PIANO, _Sound.has_chords, lambda sound: min(sound.polyphony, 4.0) * sound.coverage)
    take(MELODY, _Sound.is_line, _Sound.melodic)
    take(BRIDGE, _Sound.is_foreground, _Sound.melodic)
    take(MELODY, _Sound.is_foreground, _Sound.melodic)
    for role in (PIANO, BRIDGE, MELODY):
        take(role, lambda _: True, lambda sound: sound.coverage)
    return found
