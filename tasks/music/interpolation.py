"""From one song to another through the latents between their phrases (paper section 5.2)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phrase_models.errors import ConfigurationError
from phrase_models.latent_report import path_picture
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import ROLE_PROGRAMS, Phrase, Song
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import bars_to_slots, bars_to_song, song_to_bars
from phrase_models.vae.interpolation import Smoothness, decode_paths, mean_smoothness
from storage.paths import FolderKind, check_new_folder, replacing_files
from tasks.music.encoding import encode_with_figures, refinement_cost
from tasks.music.reading import ModelReading, open_files, read_for_model
from tasks.reports.provenance import phrase_codec

STRIP_FILE = "strip.png"
SONGS_BETWEEN = FolderKind(
    "songs between two others", re.compile(r"point-\d\d-of-\d\d\.mid|strip\.png").fullmatch
)


@dataclass(frozen=True, slots=True)
class PhrasePair:
    """Phrases of two songs in the same place.

    Attributes:
        bar: index of the bar.
        program: of the role that both play.
        first, second: token ids.
    """

    bar: int
    program: int
    first: list[int]
    second: list[int]


def interpolate_files(
    store: Path,
    first: Path,
    second: Path,
    num_points: int,
    output: Path,
    *,
    vae: Path | None = None,
    refine: bool = True,
    force: bool = False,
    role_map: Sequence[str] = (),
) -> str:
    """Write the songs between two MIDI files, and a picture of the first pair of phrases.

    Bar by bar and role by role, where both songs have a phrase; everything else is silent. The
    songs are as long as the shorter of the two, in tempo and key of the first.

    Args:
        store: its newest PhraseVAE is used where `vae` names no other, see `phrase_codec`.
        first: MIDI file where the path begins.
        second: MIDI file where it ends.
        num_points: songs to write, 2 or more, both ends (as the VAE gives them back) included.
        output: folder that gets `point-01-of-08.mid` and so on, and `strip.png`.
        vae: folder of a PhraseVAE, such as a release.
        refine: whether the ends are improved where their phrases do not come back.
        force: whether the songs of an earlier call in the folder are replaced.
        role_map: choices of the user, such as "Track 3=melody", for either file.

    Returns:
        How smooth the path is, and what refinement took, in words.

    Raises:
        ConfigurationError: if the songs have no phrase in the same place, or the VAE is none of
            phrases.
        StorageError: if the store holds no PhraseVAE, or a damaged one, or the songs cannot be
            written.
    """
    check_new_folder(output, SONGS_BETWEEN, force=force)
    opened = open_files((first, second), role_map)
    codec = phrase_codec(store, vae, refine=refine)
    readings = read_for_model(codec, opened)
    songs = [reading.fitting for reading in readings]
    pairs = phrase_pairs(*songs)
    if not pairs:
        message = f"{first} and {second} never play the same part in the same bar."
        raise ConfigurationError(message)
    ends = [pair.first for pair in pairs] + [pair.second for pair in pairs]
    latents, figures = encode_with_figures(codec, ends)
    paths = decode_paths(codec.vae, latents[: len(pairs)], latents[len(pairs) :], num_points)
    num_bars = min(song.num_bars for song in songs)
    with replacing_files(output, SONGS_BETWEEN) as aside:
        for point in range(num_points):
            name = f"point-{point + 1:02d}-of-{num_points:02d}"
            phrases = [path[point] for path in paths]
            between = song_of_pairs(pairs, phrases, num_bars, name, songs[0].tempo_bpm)
            write_midi(between, aside / f"{name}.mid", key=readings[0].key)
        (aside / STRIP_FILE).write_bytes(path_picture(pairs[0].program, paths[0]))
    measured = _in_words(mean_smoothness(paths), num_points)
    return (
        f"{len(pairs)} pairs of phrases in {num_bars} bars: {measured}; "
        f"{refinement_cost(figures)}; {_key_in_words(*readings)}; wrote {output}"
    )


def phrase_pairs(first: Song, second: Song) -> list[PhrasePair]:
    """Phrases of two songs in the same bar and role, bar by bar."""
    slots = [bars_to_slots(song_to_bars(song), "role") for song in (first, second)]
    silence = [vocabulary.EMPTY_SLOT]
    return [
        PhrasePair(bar, program, *phrases)
        for bar, bars in enumerate(zip(*slots, strict=False))  # to the end of the shorter song
        for program, *phrases in zip(ROLE_PROGRAMS, *bars, strict=True)
        if silence not in phrases
    ]


def song_of_pairs(
    pairs: Sequence[PhrasePair],
    phrases: Sequence[Phrase | None],
    num_bars: int,
    song_id: str,
    tempo_bpm: float,
) -> Song:
    """A song with a phrase, or silence for None, in the place of every pair."""
    bars: list[list[Phrase]] = [[] for _ in range(num_bars)]
    for pair, phrase in zip(pairs, phrases, strict=True):
        if phrase is not None:
            bars[pair.bar].append(Phrase(pair.program, phrase.notes))
    return bars_to_song(bars, song_id=song_id, tempo_bpm=tempo_bpm)


def _key_in_words(first: ModelReading, second: ModelReading) -> str:
    if first.key == second.key:
        return f"key {first.key}"
    return f"key {first.key} as in {first.report.file}, not {second.key} as in {second.report.file}"


def _in_words(measured: Smoothness, num_points: int) -> str:
    return (
        f"distance of the ends {measured.end_distance:.3f}, mean step {measured.mean_step:.3f}, "
        f"largest {measured.max_step:.3f}; largest step / ends {measured.largest_jump:.2f} "
        f"(even: {1 / (num_points - 1):.2f}), way / ends {measured.detour:.2f} (direct: 1)"
    )
