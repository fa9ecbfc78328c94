"""Commands that take a MIDI file and write variants of it: harmonised, completed, varied."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from phrase_models.binomial.tasks import BinomialTasks
from phrase_models.errors import BadMidiError, ConfigurationError
from phrase_models.score.key_names import key_name, relative_major
from phrase_models.score.midi import MidiReading
from phrase_models.score.reading_report import counted, part_name
from phrase_models.score.song import MELODY, ROLES_BY_WORD, Song
from phrase_models.score.transforms import key_of_notes, shift_to_c, transpose
from phrase_models.song_tasks import ACCOMPANIMENT, Hole, SongTasks, WrittenSong, melody_alone
from phrase_models.variant_writing import (
    VariantSettings,
    belongs_to_variants,
    variant_path,
    write_variants,
)
from storage.paths import FolderKind, check_new_folder, replacing_files
from tasks.interruption import Stopped
from tasks.music.reading import read_file
from tasks.music.songs import BINOMIAL, binomial_folder

VARIANTS = FolderKind("variants of a song", belongs_to_variants)
_RANGE = re.compile(r"\s*(\d{1,4})\s*-\s*(\d{1,4})\s*")

console = Console()


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What the three commands have in common.

    Attributes:
        file: MIDI file that is read.
        output: folder of the variants.
        store: whose newest model is used, where there is one.
        model: "binomial", or the folder of a model.
        seed: of the variants.
        num_variants: to write.
        num_steps: of sampling; the model's own by default.
        key: of the file; by its key signature and notes by default.
        role_map: choices of the user, such as "Track 3=melody".
        force: whether variants that are there are replaced.
    """

    file: Path
    output: Path
    store: Path
    model: Path = Path(BINOMIAL)
    seed: int = 0
    num_variants: int = 1
    num_steps: int | None = None
    key: str | None = None
    role_map: Sequence[str] = ()
    force: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be made of a file.

    Attributes:
        song: of which notes are given.
        semitones: up to C major or A minor, where the model writes.
        key: of the file.
        title: of the gallery.
        check: refuses, by the model, what cannot be made.
        make: a variant of a song in C major or A minor, by its index.
    """

    song: Song
    semitones: int
    key: str
    title: str
    check: Callable[[SongTasks, Song], None]
    make: Callable[[SongTasks, Song, int], WrittenSong]


def harmonise_file(options: TaskOptions) -> None:
    """Write bridge and piano to the melody of a file.

    Raises:
        BadMidiError: if the file cannot be read, or is too long.
        ConfigurationError: if it has no melody, or there is no model.
        StorageError: if the variants cannot be written.
    """
    check_new_folder(options.output, VARIANTS, force=options.force)
    reading = read_file(options.file, options.role_map)
    song = melody_alone(reading.song)
    for track in reading.song.tracks:
        if track.program != MELODY:
            notes = counted(len(track.notes), "note")
            console.print(f"The file's own {part_name(track.program)} is ignored: {notes}.")
    _write_fillings(options, reading, song, ACCOMPANIMENT, f"{song.song_id}, harmonised")


def complete_file(
    options: TaskOptions,
    *,
    bars: str | None,
    pitches: str | None,
    roles: str | None,
    share: float | None,
) -> None:
    """Fill a hole of a file; what is given of the limits narrows it.

    Args:
        options: of every such command.
        bars: such as "9-16", counted from 1.
        pitches: such as "60-72".
        roles: such as "bridge,piano".
        share: of the places within these limits, by chance.

    Raises:
        BadMidiError: if the file cannot be read, or is too long.
        ConfigurationError: if there is no hole, or it is not in the song, or there is no model.
        StorageError: if the variants cannot be written.
    """
    hole = parse_hole(bars, pitches, roles, share)
    check_new_folder(options.output, VARIANTS, force=options.force)
    reading = read_file(options.file, options.role_map)
    hole.check(reading.song)
    title = f"{reading.song.song_id}, {hole.in_words()} filled"
    _write_fillings(options, reading, reading.song, hole, title)


def vary_file(options: TaskOptions, amount: float) -> None:
    """Write variations of a file.

    Args:
        options: of every such command.
        amount: 0 gives the song back, 1 forgets it.

    Raises:
        BadMidiError: if the file cannot be read, or is too long.
        ConfigurationError: if there is no model.
        StorageError: if the variants cannot be written.
    """
    check_new_folder(options.output, VARIANTS, force=options.force)
    reading = read_file(options.file, options.role_map)
    semitones, key = _key(options, reading)
    work = Work(
        reading.song,
        semitones,
        key,
        f"{reading.song.song_id}, varied by {amount:g}",
        lambda _, __: None,
        lambda model, song, index: model.vary(song, amount, options.seed, index),
    )
    _write(options, work)


def parse_hole(
    bars: str | None, pitches: str | None, roles: str | None, share: float | None
) -> Hole:
    """A hole from the words of the command line.

    Raises:
        ConfigurationError: if there are none, or one is not what it should be.
    """
    if all(limit is None for limit in (bars, pitches, roles, share)):
        message = "Nothing is to be filled; say what, with --bars, --pitches, --roles or --random."
        raise ConfigurationError(message)
    names = [] if roles is None else [name.strip().lower() for name in roles.split(",")]
    unknown = [name for name in names if name not in ROLES_BY_WORD]
    if unknown:
        message = f"--roles has no {unknown[0]!r}; there are {', '.join(ROLES_BY_WORD)}."
        raise ConfigurationError(message)
    span = None if bars is None else _range("--bars", bars)
    return Hole(
        bars=None if span is None else (span[0] - 1, span[1]),
        pitches=None if pitches is None else _range("--pitches", pitches),
        programs=tuple(dict.fromkeys(ROLES_BY_WORD[name] for name in names)),
        share=1.0 if share is None else share,
    )


def _range(option: str, text: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None or int(match[1]) > int(match[2]):
        message = f"{option} {text!r} is no range from the lower to the higher number, as 9-16 is."
        raise ConfigurationError(message)
    return int(match[1]), int(match[2])


def _write_fillings(
    options: TaskOptions, reading: MidiReading, song: Song, hole: Hole, title: str
) -> None:
    semitones, key = _key(options, reading)
    moved = hole
    if hole.pitches is not None:
        low, high = (min(max(pitch + semitones, 0), 127) for pitch in hole.pitches)
        moved = replace(hole, pitches=(low, high))
    work = Work(
        song,
        semitones,
        key,
        title,
        lambda model, given: model.check(given, moved),
        lambda model, given, index: model.fill(given, moved, options.seed, index),
    )
    _write(options, work)


def _key(options: TaskOptions, reading: MidiReading) -> tuple[int, str]:
    """Semitones up to C major or A minor, and the key of the files; says which it is."""
    if options.key is not None:
        return shift_to_c(relative_major(options.key)), options.key.strip()
    signature = relative_major(reading.key)
    major, share = key_of_notes(reading.song.tracks, signature)
    key = reading.key if major == signature else key_name(major)
    doubt = "" if major == signature else f", not {reading.key} as its key signature says"
    console.print(
        f"The key is {key}{doubt}: {share:.0%} of the sounding time is in its scale; name another "
        "with --key.",
        soft_wrap=True,
    )
    return shift_to_c(major), key


def find_task_model(store: Path, model: Path, num_steps: int | None) -> tuple[str, SongTasks]:
    """A model that fills and varies, and what it is in words.

    Args:
        store: whose newest model is used where a family is named.
        model: "binomial", or a folder.
        num_steps: of sampling, or None for the model's own.

    Raises:
        ConfigurationError: if there is none.
    """
    if not model.is_dir() and str(model) != BINOMIAL:
        message = f"There is no model {model}; name {BINOMIAL}, or the folder of such a model."
        raise ConfigurationError(message)
    folder = model if model.is_dir() else binomial_folder(store)
    return (
        f"the binomial diffusion in {folder}",
        BinomialTasks.from_pretrained(folder, num_steps),
    )


def _write(options: TaskOptions, work: Work) -> None:
    """Make the variants, and say where they are."""
    words, model = find_task_model(options.store, options.model, options.num_steps)
    if work.song.num_bars > model.max_bars:
        message = (
            f"{options.file} has {work.song.num_bars} bars, and the model writes songs of at most "
            f"{model.max_bars}; cut it into pieces first."
        )
        raise BadMidiError(message)
    song = transpose(work.song, work.semitones)
    work.check(model, song)
    console.print(f"Variants by {words}", soft_wrap=True)
    for remark in model.remarks(song):
        console.print(remark, soft_wrap=True)
    settings = VariantSettings(
        options.num_variants,
        -work.semitones,
        work.key,
        work.title,
        f"{counted(options.num_variants, 'variant')} of seed {options.seed}, none picked by hand",
    )
    had_some = bool(VARIANTS.files_in(options.output))
    try:
        with (
            replacing_files(options.output, VARIANTS) as aside,
            console.status("Making variants") as status,
        ):
            variants = write_variants(
                lambda index: work.make(model, song, index),
                settings,
                aside,
                lambda _, text: status.update(text),
            )
    except Stopped as error:
        kept = "earlier variants stay as they were" if had_some else "finished ones are kept"
        message = f"Stopped: {kept} in {options.output}; run the same command to begin again."
        raise Stopped(message) from error
    for index, variant in enumerate(variants):
        console.print(
            f"{variant_path(options.output, index)}  {variant.song.num_bars} bars, "
            f"{counted(variant.given.num_notes, 'note')} given, {variant.num_written} generated",
            soft_wrap=True,
        )
    console.print(f"Gallery  {options.output / 'gallery.html'}", soft_wrap=True)
