"""The pair of models in `releases/`: a clone writes songs with it at once."""

import json
from pathlib import Path

import numpy as np
import pytest

from phrase_models.form.form_edits import obeyed
from phrase_models.form.form_text import parse_form
from phrase_models.generator import SongRequest
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.chords import parse_chords
from phrase_models.score.song import parse_section_layout
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars

RELEASE = Path(__file__).resolve().parents[2] / "releases" / "phraseldm-pop909"
FORM = """
# A4, bars 1 to 4
melody  *   *   =1  =2
bridge  .   .   .   .
piano   *   *   *   *

# A4, bars 5 to 8
melody  =1  =2  *   .
bridge  *   =5  .   .
piano   =1  =2  =3  =4
"""
CHORDS = "C | G | Am | F | C | G | F G | C"


@pytest.fixture(scope="module")
def generator() -> PhraseLDMGenerator:
    return PhraseLDMGenerator.from_pretrained(RELEASE)


def request(chords: str = CHORDS) -> SongRequest:
    return SongRequest(
        num_bars=8,
        sections=parse_section_layout("A4 A4"),
        form=parse_form(FORM),
        chords=np.asarray(parse_chords(chords)),
    )


def test_the_release_fits_into_64_mebibytes():
    assert sum(path.stat().st_size for path in RELEASE.rglob("*") if path.is_file()) < 64 * 2**20
    assert (RELEASE / "README.md").read_text().count("\n## ") >= 6
    assert json.loads((RELEASE / "ldm" / "sampler.json").read_text())["guidance_scale"] == 2.0


def test_a_song_obeys_form_and_length_and_is_the_same_again(generator):
    made = generator.generate(request(), seed=3, index=1)
    decoded = generator.codec.decode_song(made.latents, song_id="decoded")
    assert made.song.num_bars == 8
    assert obeyed(parse_form(FORM), decoded.slots) == 1.0
    # A note ends where its pitch is struck again, in one of the 24 cells across the barline.
    slots = bars_to_slots(song_to_bars(made.song), "role")
    assert obeyed(parse_form(FORM), slots) >= 1 - 1 / 24
    assert generator.generate(request(), seed=3, index=1).song == made.song


def test_other_chords_are_another_song_and_sound_in_it(generator):
    """Roots and fifths of the chords asked for fill the piano more than those of others do."""
    here = "C | C | C | C | C | C | C | C"
    there = "Am | Dm | Am | Dm | Am | Dm | Am | Dm"
    songs = [generator.generate(request(text), seed=5, index=0).song for text in (here, there)]
    shares = []
    for song in songs:
        notes = [n.pitch % 12 for track in song.tracks if track.program == 0 for n in track.notes]
        shares.append(sum(pitch in (0, 4, 7) for pitch in notes) / len(notes))
    assert shares[0] > shares[1] + 0.15
