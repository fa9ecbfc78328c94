"""Tokens -> MIDI file -> tokens, with everything that tokens cannot say."""

import pytest

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.score.midi_parser import parse_midi
from tasks.music.token_files import write_tokens_file

TEXT = "i-13 o-0 p-72 d-12 i-40 o-0 p-60 d-6 i-128 o-0 p-36 d-3 b-1 b-1"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_everything_given_is_in_the_file(tmp_path, encoding):
    (tmp_path / "t.txt").write_bytes(TEXT.encode(encoding))
    said = write_tokens_file(
        tmp_path / "t.txt", tmp_path / "t.mid", tempo_bpm=92.5, key="Gm", sections="i1 A1"
    )
    assert said == (
        f"Wrote {tmp_path / 't.mid'}: 2 bars, 3 notes, programs 13, 40, 128; tempo 92.5, key Gm."
    )
    file = parse_midi(tmp_path / "t.mid")
    assert [(track.name, track.channel, track.program) for track in file.tracks] == [
        ("Melody", 0, 73),
        ("Program 40", 3, 40),
        ("Program 128", 9, 0),
    ]
    assert file.keys == ((0, "Gm"),)
    assert round(file.tempos[0][1], 3) == 92.5
    assert file.markers == ((0, "i1"), (1920, "A1"), (3840, "end"))


def test_more_programs_than_channels_are_said(tmp_path):
    words = [f"i-{program} o-0 p-60 d-12" for program in range(40, 60)]
    (tmp_path / "t.txt").write_text(" ".join([*words, "b-1"]))
    said = write_tokens_file(tmp_path / "t.txt", tmp_path / "t.mid").splitlines()
    assert said[1].startswith("A MIDI port has 15 channels for programs, so 52, 53, 54, 55, 56,")
    assert [track.program for track in parse_midi(tmp_path / "t.mid").tracks] == [*range(40, 60)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"tempo_bpm": float("nan")}, "--tempo nan is not between 3.57628 and"),
        ({"tempo_bpm": 1.0}, "--tempo 1 is not between 3.57628 and"),
        ({"key": "H"}, "There is no key 'H'"),
        ({"sections": "i1 A9"}, "are 10 bars long and the tokens 2"),
        ({"sections": "17"}, "is not a list of letters"),
    ],
)
def test_what_a_file_cannot_tell_is_refused_before_it_is_written(tmp_path, options, complaint):
    (tmp_path / "t.txt").write_text(TEXT)
    with pytest.raises(ConfigurationError) as caught:
        write_tokens_file(tmp_path / "t.txt", tmp_path / "t.mid", **options)
    assert complaint in str(caught.value)
    assert not (tmp_path / "t.mid").exists()


def test_texts_that_are_none(tmp_path):
    (tmp_path / "long.txt").write_text("b-1 " * 2001)
    (tmp_path / "noise.txt").write_bytes(bytes(range(128, 256)))
    for name, complaint in {
        "none.txt": "There is no token file",
        "long.txt": "has 2001 bars; at most 2000",
        "noise.txt": "Word 1 of the tokens",
    }.items():
        with pytest.raises(UserError, match=complaint):
            write_tokens_file(tmp_path / name, tmp_path / "t.mid")
