import io
import struct

import numpy as np
import pytest

from phrase_models.gallery.synthesiser import (
    SAMPLE_RATE,
    TAIL_SECONDS,
    render_audio,
    seconds_per_step,
    wav_bytes,
)
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Song, Track

A4 = 69


def one_note(program: int, pitch: int = A4, onset: int = 0, velocity: int = 96) -> Song:
    return Song("x", 2, (Track(program, (Note(onset, pitch, 48, velocity),)),), (), 120.0)


def mu_law_decode(code: int) -> int:
    """The decoder of ITU-T G.711, on the scale of 16-bit samples."""
    code = ~code & 255
    magnitude = (((code & 15) << 3) + 132 << (code >> 4 & 7)) - 132
    return -magnitude if code & 128 else magnitude


def test_length_follows_bars_and_tempo(song):
    # 16 bars of 4 beats at 92 beats a minute
    expected = 16 * 4 * 60 / 92 + TAIL_SECONDS
    assert len(render_audio(song)) == round(expected * SAMPLE_RATE)
    assert seconds_per_step(song) == pytest.approx(60 / 92 / 12)


def test_samples_are_finite_loud_and_within_full_scale(song):
    samples = render_audio(song)
    assert samples.dtype == np.float32
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() == pytest.approx(0.97, abs=1e-4)
    assert 0.1 < samples.std() < 0.4


def test_same_song_same_bytes(song):
    first, second = (wav_bytes(render_audio(song), SAMPLE_RATE) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("program", [MELODY, BRIDGE, PIANO, 40])
def test_pitch_is_the_loudest_frequency(program):
    samples = render_audio(one_note(program))[:SAMPLE_RATE]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) == pytest.approx(440, abs=2)  # bins of 1 Hz


def test_sound_begins_at_the_onset():
    samples = render_audio(one_note(PIANO, onset=48))  # bar 1, after 2 s at 120 beats a minute
    assert not samples[: 2 * SAMPLE_RATE].any()
    assert np.abs(samples[2 * SAMPLE_RATE : 2 * SAMPLE_RATE + 2000]).max() > 0.3


def test_louder_key_sounds_louder_in_the_mix():
    loud = Track(PIANO, (Note(0, 60, 24, 120), Note(48, 60, 24, 60)))
    samples = render_audio(Song("x", 2, (loud,), (), 120.0))
    first, second = samples[:SAMPLE_RATE], samples[2 * SAMPLE_RATE : 3 * SAMPLE_RATE]
    assert np.abs(first).max() > 1.5 * np.abs(second).max()


def test_maximum_length_fades_out(song):
    samples = render_audio(song, max_seconds=10.0)
    assert len(samples) == 10 * SAMPLE_RATE
    assert abs(samples[-1]) < 1e-6
    assert len(render_audio(song, max_seconds=1000.0)) == len(render_audio(song))


@pytest.mark.parametrize(
    "song_without_sound",
    [
        Song("x", 0, ()),
        Song("x", 4, ()),
        Song("x", 4, (Track(PIANO, ()),)),
        Song("x", 1, (Track(PIANO, (Note(48, 60, 12),)),)),
    ],
)
def test_silence(song_without_sound):
    samples = render_audio(song_without_sound)
    assert len(samples) > 0
    assert not samples.any()


def test_extreme_pitches_do_not_alias():
    song = Song("x", 2, (Track(PIANO, (Note(0, 0, 48), Note(0, 127, 48))),))
    assert np.isfinite(render_audio(song)).all()
    assert not render_audio(one_note(PIANO, pitch=127)).any()  # 12.5 kHz is above Nyquist's


def test_wav_header():
    wav = wav_bytes(np.zeros(3, dtype=np.float32), 11_025)
    assert wav[:4] == b"RIFF"
    assert struct.unpack("<I", wav[4:8])[0] == len(wav) - 8
    assert wav[8:16] == b"WAVEfmt "
    # size 18, mu-law, mono, rate, bytes a second, bytes a sample, bits, no extension
    assert struct.unpack("<IHHIIHHH", wav[16:38]) == (18, 7, 1, 11_025, 11_025, 1, 8, 0)
    assert wav[38:50] == b"fact" + struct.pack("<II", 4, 3)
    assert wav[50:] == b"data" + struct.pack("<I", 3) + b"\xff\xff\xff" + b"\0"


def test_mu_law_golden_codes():
    samples = np.array([0.0, 1.0, -1.0, 2.0, 0.5, -0.5, 0.01, -0.01])
    codes = wav_bytes(samples, 8000)[58:]
    assert list(codes) == [0xFF, 0x80, 0x00, 0x80, 0x8F, 0x0F, 0xE3, 0x63]


def test_mu_law_error_is_within_half_a_step():
    levels = np.arange(-32767, 32768, 37)
    codes = io.BytesIO(wav_bytes(levels / 32767.0, 8000)[58:]).read(len(levels))
    decoded = np.array([mu_law_decode(code) for code in codes])
    # G.711: steps of 8 in the lowest of 8 segments, doubling in each; the top clips at 32124
    step = 8 * 2 ** (np.floor(np.log2(np.minimum(np.abs(levels), 32635) + 132)) - 7)
    unclipped = np.abs(levels) < 32124
    assert (np.abs(decoded - levels) <= step / 2 + 1)[unclipped].all()
