"""Instruments of a MIDI file kept to the note, and the others written: `phraseldm accompany`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from phrase_models.accompaniment import accompany
from phrase_models.codec import PhraseCodec
from phrase_models.errors import ConfigurationError
from phrase_models.generator import GeneratedSong, Generator, request_from_layout
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.request_text import chords_of_text
from phrase_models.score.key_names import key_name
from phrase_models.score.midi import OpenMidi, open_parsed
from phrase_models.score.midi_parser import parse_midi_bytes
from phrase_models.score.song import ROLE_NAMES, ROLES_BY_WORD, Song
from phrase_models.score.track_roles import parse_role_choices
from phrase_models.score.transforms import choose_key, shift_to_c, transpose
from phrase_models.song_batch import song_bytes
from phrase_models.whole_files import write_whole
from storage.paths import check_new_file
from storage.writing import translate_disk_errors
from tasks.music.reading import check_choices, open_files, say
from tasks.music.song_orders import SongOrder
from tasks.music.songs import PHRASE_LDM, find_models

if TYPE_CHECKING:
    from tasks.music.songs import Models

UPLOADED = Path("upload.mid")
"""What a file that came without a name is called in messages."""


@dataclass(frozen=True, slots=True)
class HeardFile:
    """A file as the models take it.

    Attributes:
        song: in C major or A minor, on the model's grid.
        semitones: by which the file lies higher.
        said: what became of its notes, a line each.
    """

    song: Song
    semitones: int
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accompaniment:
    """What is asked for.

    Attributes:
        roles: programs of the instruments that are kept.
        seed: of the song.
        index: of the song among those of its seed.
        sections: layout, or None for that of the file.
        chords: text in the key of the file, or None for those heard.
        sampling: settings of the sampler, None where they are usual.
    """

    roles: tuple[int, ...]
    seed: int = 0
    index: int = 0
    sections: str | None = None
    chords: str | None = None
    sampling: Mapping[str, float | None] = field(default_factory=dict)

    def build(self, models: Models) -> PhraseLDMGenerator:
        """The generator that writes it.

        Raises:
            ConfigurationError: if a setting is out of bounds, or the models cannot accompany.
        """
        order = SongOrder.read(sampling=self.sampling, num_songs=1, seed=self.seed)
        config, _ = order.batch(models, PHRASE_LDM)
        return _checked(models.build(config))

    def write(self, generator: PhraseLDMGenerator, file: HeardFile) -> GeneratedSong:
        """The song, in C major or A minor; see `phrase_models.accompaniment`.

        Raises:
            ConfigurationError: if that cannot be written.
        """
        chords = chords_of_text(self.chords, file.semitones)
        request = request_from_layout(self.sections, chords=chords)
        return accompany(generator, file.song, self.roles, request, self.seed, self.index)


def _checked(generator: Generator) -> PhraseLDMGenerator:
    if isinstance(generator, PhraseLDMGenerator):
        return generator
    message = f"{generator.name} writes whole songs alone; only {PHRASE_LDM} accompanies."
    raise ConfigurationError(message)


def kept_roles(names: Sequence[str]) -> tuple[int, ...]:
    """Programs of instruments by name.

    Raises:
        ConfigurationError: for what is no instrument.
    """
    for name in names:
        if name.lower() not in ROLES_BY_WORD:
            message = f"--keep {name!r} is no instrument; there are {', '.join(ROLES_BY_WORD)}."
            raise ConfigurationError(message)
    return tuple(ROLES_BY_WORD[name.lower()] for name in dict.fromkeys(names))


def open_upload(content: bytes, role_map: Sequence[str] = ()) -> OpenMidi:
    """A file that came as bytes; see `open_files`.

    Raises:
        BadMidiError: if nothing can be read of it.
        ConfigurationError: if a choice is none, or names no track of the file.
    """
    choices = parse_role_choices(role_map)
    opened = open_parsed(parse_midi_bytes(content, f"File {UPLOADED}"), UPLOADED, choices)
    check_choices(choices, [opened])
    return opened


def hear(opened: OpenMidi, codec: PhraseCodec) -> HeardFile:
    """A file on the model's grid, moved to C major or A minor by its notes.

    Raises:
        BadMidiError: if the song is too long.
        ConfigurationError: if moving it takes a note out of MIDI's range.
    """
    reading = opened.on_grid(codec.grid)
    _, cuts = codec.within_limit(reading.song)
    major, _ = choose_key(reading.song.tracks, range(12))
    semitones = -shift_to_c(major)
    key = f"By its notes it is in {key_name(semitones)} major or its relative minor."
    unheard = [f"{cut} The model does not hear them; what is kept stays whole." for cut in cuts]
    said = (*reading.report.lines(), *(f"  {line}" for line in (*unheard, key)))
    song = replace(transpose(reading.song, -semitones), key_shift=0)
    return HeardFile(song, semitones, said)


def accompany_file(
    store: Path,
    path: Path,
    output: Path,
    asked: Accompaniment,
    *,
    model: Path | None = None,
    role_map: Sequence[str] = (),
    force: bool = False,
) -> str:
    """Keep instruments of a file and write the others; what is read, moved and cut is on stderr.

    Args:
        store: whose newest models are used, where it has any; see `find_models`.
        path: of the MIDI file.
        output: of the one that is written; replaced only by `force`.
        asked: what is kept, and what else is wanted.
        model: folder of a release to use instead.
        role_map: choices of the user, such as "Track 3=melody".
        force: see `output`.

    Returns:
        What was written, in a sentence.

    Raises:
        BadMidiError: if nothing can be read of the file.
        ConfigurationError: if that cannot be written.
        StorageError: if there are no models, or the file cannot be written.
    """
    check_new_file(output, force=force)
    (opened,) = open_files((path,), role_map)
    generator = asked.build(find_models(store, model, PHRASE_LDM))
    file = hear(opened, generator.codec)
    say(file.said)
    written = asked.write(generator, file)
    with translate_disk_errors(output):
        write_whole(output, song_bytes(written, file.semitones))
    parts = (
        f"{ROLE_NAMES[track.program].lower()} {len(track.notes)} notes"
        + (" kept" if track.program in asked.roles else "")
        for track in written.song.tracks
    )
    return f"{', '.join(parts)} in {written.song.num_bars} bars; wrote {output}"
