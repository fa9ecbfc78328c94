"""A thousand damaged MIDI files: read or refused in a sentence, soon, and in little memory."""

import contextlib
import random
import time
import tracemalloc
from pathlib import Path

import pytest

from phrase_models.errors import UserError
from phrase_models.score.midi_parser import MAX_BYTES, parse_midi_bytes
from phrase_models.score.midi_writer import write_midi
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Song, Track, parse_section_layout
from tasks.music.token_files import tokens_of_file
from tests.conftest import DATA_CANDIDATES
from tests.phrase_models.score.midi_bytes import NOTE, chunk, header, meta, midi

NUM_FILES = 1000
SECONDS = 10.0
TELLING_BYTES = (0x00, 0x7F, 0x80, 0x90, 0xC0, 0xF0, 0xFF)


def seeds(folder: Path) -> list[bytes]:
    """Files of our own, and the awkward ones where they are."""
    notes = tuple(Note(step, 60 + step % 7, 6) for step in range(0, 180, 6))
    tracks = tuple(Track(program, notes) for program in (MELODY, BRIDGE, PIANO, 40))
    song = Song("song", 4, tracks, parse_section_layout("i1 A3"), 91.0)
    write_midi(song, folder / "song.mid", key="Eb", texts=["seed 1"])
    odd = chunk(meta(0x03, b"Piano"), meta(0x59, b"\xf0\0"), b"\0\xf0\3\1\2\xf7", NOTE, NOTE[:4])
    own = [
        (folder / "song.mid").read_bytes(),
        midi(odd, chunk(NOTE, b"\0\xc0\5\0\x05", NOTE)),
        header(1, form=0, division=24) + chunk(NOTE, NOTE.replace(b"\x90", b"\x99")),
    ]
    awkward = [
        path
        for candidate in DATA_CANDIDATES
        if candidate
        for path in sorted((Path(candidate) / "awkward").glob("*.mid"))
    ]
    return own + [path.read_bytes() for path in awkward]


def damaged(data: bytes, generator: random.Random) -> bytes:
    """The file with one to twelve bytes flipped, cut, repeated, put in, or its end lost."""
    found = bytearray(data)
    for _ in range(generator.randint(1, 12)):
        place = generator.randrange(len(found))
        kind = generator.randrange(6)
        if kind == 0:
            found[place] = generator.randrange(256)
        elif kind == 1:
            found[place] = generator.choice(TELLING_BYTES)
        elif kind == 2:
            del found[place : place + generator.randint(1, 20)]
        elif kind == 3:
            found[place:place] = generator.randbytes(generator.randint(1, 20))
        elif kind == 4:
            start = generator.randrange(len(found))
            found[place:place] = found[start : start + generator.randint(1, 60)]
        elif generator.random() < 0.2:
            del found[place:]
        if not found:
            return b"M"
    return bytes(found)


def test_a_thousand_damaged_files_are_read_or_refused(tmp_path):
    generator = random.Random(12)
    whole = seeds(tmp_path)
    path = tmp_path / "damaged.mid"
    read = tokenised = 0
    for number in range(NUM_FILES):
        path.write_bytes(damaged(whole[number % len(whole)], generator))
        start = time.perf_counter()
        try:
            parse_midi_bytes(path.read_bytes())
            read += 1
            tokens_of_file(path)
            tokenised += 1
        except UserError as error:
            sentence = str(error)
            assert sentence.endswith(".")
            assert "\n" not in sentence
        assert time.perf_counter() - start < SECONDS
    assert 0.3 * NUM_FILES < read < NUM_FILES
    assert 0.3 * NUM_FILES < tokenised < read


SHARE = 32


def filled(events: bytes, *, track: bool = True, share: int = SHARE) -> bytes:
    """A file of one thing only, this share of the size of the largest that are read."""
    body = events * (MAX_BYTES // share // len(events))
    return header(1) + (chunk(body) if track else body)


def least_seconds(data: bytes) -> float:
    """Seconds of this thread to read a file, the least of three times: others use the machine."""
    seconds = []
    for _ in range(3):
        start = time.thread_time()
        with contextlib.suppress(UserError):
            parse_midi_bytes(data)
        seconds.append(time.thread_time() - start)
    return min(seconds)


@pytest.mark.parametrize(
    ("events", "track"),
    [
        (b"\0\xff\x06\0", True),
        (b"\0\xc0\5", True),
        (b"\0\x90\xff\x40", True),
        (b"\0\x90\x40\x40", True),
        (b"\x80", True),
        (chunk(NOTE), False),
        (b"MTrk\xff\xff\xff\xff\0\x90\x40\x40", False),
        (b"MTrk\0\x3f\0\0\0\xff\x2f\0", False),
        (b"abcd\0\0\0\0", False),
    ],
    ids=[
        "markers", "programs", "clipped", "never ending notes", "delta", "tracks",
        "tracks of wrong length", "overlapping tracks", "alien chunks",
    ],
)  # fmt: skip
def test_time_and_memory_are_in_proportion_to_the_file(events, track):
    whole, quarter = (filled(events, track=track, share=share) for share in (SHARE, 4 * SHARE))
    # Four times as long where it is in proportion, sixteen times where it is not.
    assert least_seconds(whole) < 8 * least_seconds(quarter) + 0.05
    tracemalloc.start()
    with contextlib.suppress(UserError):
        parse_midi_bytes(whole)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1 << 30) / SHARE
