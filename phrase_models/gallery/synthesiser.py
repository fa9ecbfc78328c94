"""Songs to sound: a small additive synthesiser, and WAV files that browsers play.

Each role has one voice: a sum of decaying partials under an envelope. A tone is computed once per
voice and pitch and cut to the length of each note. No sample, sound font or random number enters,
so a song always gives the same bytes. It is for listening to drafts, not for a finished recording.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    STEPS_PER_BAR,
    STEPS_PER_BEAT,
    Note,
    Song,
)

SAMPLE_RATE = 11_025
"""Samples a second of the pages: the page of twenty songs stays below 70 MB."""
TAIL_SECONDS = 1.2
FADE_SECONDS = 2.0
_LOUDNESS = 0.17  # root mean square before saturation
_PEAK = 0.97
_MIDDLE_C = 60
_HIGHEST_PARTIAL = 0.95  # of the Nyquist frequency
_REVERB_SECONDS = (0.0297, 0.0371, 0.0411, 0.0437)  # of the combs in Schroeder's reverberator
_REVERB_SHARE = 0.05
_REVERB_FEEDBACK = 0.74


@dataclass(frozen=True, slots=True)
class Voice:
    """How the notes of a role sound.

    Attributes:
        partials: amplitudes of the harmonics, the fundamental first.
        attack_seconds: rise from silence.
        decay_seconds: fall of the fundamental at middle C to 1/e; higher partials and higher
            pitches fall faster.
        sustain: share of the tone that does not decay while the key is held, 0..1.
        release_seconds: fall to silence after the note's end.
        inharmonicity: stretch of the partials, as of stiff strings.
        vibrato_cents: depth of a vibrato of 5.3 Hz that sets in after a third of a second.
        gain: level in the mix.
    """

    partials: tuple[float, ...]
    attack_seconds: float
    decay_seconds: float
    sustain: float
    release_seconds: float
    inharmonicity: float = 0.0
    vibrato_cents: float = 0.0
    gain: float = 1.0


LEAD = Voice((1.0, 0.42, 0.26, 0.12, 0.07, 0.03), 0.018, 0.5, 0.62, 0.11, 0.0, 9.0, 0.62)
PLUCK = Voice((1.0, 0.62, 0.45, 0.28, 0.18, 0.1, 0.06), 0.003, 0.75, 0.0, 0.14, 0.0002, 0.0, 0.5)
KEYS = Voice((1.0, 0.5, 0.32, 0.2, 0.13, 0.08, 0.05, 0.03), 0.004, 1.5, 0.0, 0.2, 0.0004, 0.0, 0.5)
VOICES = {MELODY: LEAD, BRIDGE: PLUCK, PIANO: KEYS}


def render_audio(
    song: Song, sample_rate: int = SAMPLE_RATE, *, max_seconds: float | None = None
) -> np.ndarray:
    """Play a song at its tempo.

    Programs that are no role sound like the piano. Notes that begin after the last bar are silent.

    Args:
        song: what to play.
        sample_rate: samples a second.
        max_seconds: longest result; what is cut off fades out. None plays the whole song.

    Returns:
        Mono samples `[num_samples]`, float32 in [-1, 1]: the bars and 1.2 s in which they die away.
    """
    seconds = song.num_bars * STEPS_PER_BAR * seconds_per_step(song) + TAIL_SECONDS
    cut = max_seconds is not None and seconds > max_seconds
    if max_seconds is not None:
        seconds = min(seconds, max_seconds)
    mix = np.zeros(max(1, round(seconds * sample_rate)), dtype=np.float32)
    for track in song.tracks:
        notes = [note for note in track.notes if note.onset < song.num_bars * STEPS_PER_BAR]
        voice = VOICES.get(track.program, KEYS)
        _play_track(mix, notes, voice, seconds_per_step(song), sample_rate)
    mix = _master(mix, sample_rate)
    if cut:
        _fade_out(mix, round(FADE_SECONDS * sample_rate))
    return mix


def seconds_per_step(song: Song) -> float:
    """Length of one step of the grid at the song's tempo, in seconds."""
    return 60.0 / (song.tempo_bpm * STEPS_PER_BEAT)


def _play_track(
    mix: np.ndarray, notes: list[Note], voice: Voice, step_seconds: float, sample_rate: int
) -> None:
    longest: dict[int, int] = {}
    for note in notes:
        longest[note.pitch] = max(longest.get(note.pitch, 0), note.duration)
    release = round(voice.release_seconds * sample_rate)
    fade = np.linspace(1.0, 0.0, release, dtype=np.float32) ** 2
    tones = {
        pitch: _tone(voice, pitch, round(steps * step_seconds * sample_rate) + release, sample_rate)
        for pitch, steps in longest.items()
    }
    for note in notes:
        start = round(note.onset * step_seconds * sample_rate)
        held = round(note.duration * step_seconds * sample_rate)
        sound = tones[note.pitch][: held + release] * np.float32((note.velocity / 127.0) ** 1.4)
        sound[held:] *= fade[: len(sound) - held]
        place = mix[start : start + len(sound)]
        place += sound[: len(place)]


def _tone(voice: Voice, pitch: int, num_samples: int, sample_rate: int) -> np.ndarray:
    """A held tone `[num_samples]` without its release."""
    seconds = np.arange(num_samples) / sample_rate
    frequency = 440.0 * 2.0 ** ((pitch - 69) / 12)
    cycles = frequency * seconds
    if voice.vibrato_cents:
        deviation = frequency * (2.0 ** (voice.vibrato_cents / 1200) - 1.0)
        onset = np.clip((seconds - 0.3) / 0.4, 0.0, 1.0)
        cycles += onset * deviation / (2 * np.pi * 5.3) * np.sin(2 * np.pi * 5.3 * seconds)
    decay = voice.decay_seconds * 2.0 ** ((_MIDDLE_C - pitch) / 26)
    tone = np.zeros(num_samples, dtype=np.float32)
    for ratio, amplitude, fall in _partials(voice, frequency, sample_rate):
        # The phase is reduced in double precision: single precision is noisy after some seconds.
        phase = ratio * cycles
        phase -= np.floor(phase)
        envelope = np.exp((-fall / decay) * seconds).astype(np.float32)
        envelope *= 1.0 - voice.sustain
        envelope += voice.sustain
        tone += amplitude * envelope * np.sin((2 * np.pi * phase).astype(np.float32))
    attack = min(num_samples, max(1, round(voice.attack_seconds * sample_rate)))
    tone[:attack] *= np.linspace(0.0, 1.0, attack, dtype=np.float32)
    # The ear hears low tones less; loud high ones would pierce.
    return tone * np.float32(voice.gain * 2.0 ** ((_MIDDLE_C - pitch) / 60))


def _partials(
    voice: Voice, frequency: float, sample_rate: int
) -> Iterator[tuple[float, np.float32, float]]:
    """Frequency ratio, amplitude and relative speed of decay of the partials one can hear."""
    total = sum(voice.partials)
    for harmonic, amplitude in enumerate(voice.partials, start=1):
        ratio = harmonic * (1.0 + voice.inharmonicity * harmonic**2) ** 0.5
        if ratio * frequency < _HIGHEST_PARTIAL * sample_rate / 2:
            yield ratio, np.float32(amplitude / total), 1.0 + 0.55 * (harmonic - 1)


def _master(mix: np.ndarray, sample_rate: int) -> np.ndarray:
    """Room, even loudness, and a soft limit below full scale."""
    power = float(np.mean(np.square(mix), dtype=np.float64))
    if power == 0.0:
        return mix
    room = np.zeros_like(mix)
    for seconds in _REVERB_SECONDS:
        room += _comb(mix, round(seconds * sample_rate), _REVERB_FEEDBACK)
    mix += np.float32(_REVERB_SHARE) * room
    mix = np.tanh(mix * np.float32(_LOUDNESS / power**0.5))
    return mix * np.float32(_PEAK / max(1e-6, float(np.abs(mix).max())))


def _comb(signal: np.ndarray, delay: int, feedback: float) -> np.ndarray:
    """Feedback comb `y[n] = x[n - delay] + feedback * y[n - delay]`, a delay's length at a time."""
    delay = max(1, delay)
    num_blocks = -(-len(signal) // delay)
    blocks = np.zeros((num_blocks + 1, delay), dtype=np.float32)
    blocks[1:].reshape(-1)[: len(signal)] = signal
    for index in range(1, num_blocks + 1):
        blocks[index] += np.float32(feedback) * blocks[index - 1]
    return blocks[:-1].reshape(-1)[: len(signal)]


def _fade_out(mix: np.ndarray, num_samples: int) -> None:
    num_samples = min(len(mix), num_samples)
    mix[len(mix) - num_samples :] *= np.linspace(1.0, 0.0, num_samples, dtype=np.float32)


def _mu_law_table() -> np.ndarray:
    """Code of every 16-bit sample (ITU-T G.711), indexed by sample + 32768."""
    samples = np.arange(-32768, 32768)
    magnitude = np.minimum(np.abs(samples), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int64) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    sign = np.where(samples < 0, 128, 0)
    return (~(sign | (exponent << 4) | mantissa) & 255).astype(np.uint8)


def wav_bytes(samples: np.ndarray, sample_rate: int) -> bytes:
    """A WAV file in 8-bit mu-law, half the size of PCM of the same quality.

    Chromium, Firefox and Safari play it.

    Args:
        samples: mono `[num_samples]`, float in [-1, 1]; beyond is clipped.
        sample_rate: samples a second.
    """
    levels = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int64)
    data = _mu_law_table()[levels + 32768].tobytes()
    mu_law, mono, bytes_a_sample, bits = 7, 1, 1, 8
    form = struct.pack(
        "<4sIHHIIHHH",
        *(b"fmt ", 18, mu_law, mono),
        *(sample_rate, sample_rate * bytes_a_sample, bytes_a_sample, bits, 0),
    )
    fact = struct.pack("<4sII", b"fact", 4, len(data))
    body = form + fact + struct.pack("<4sI", b"data", len(data)) + data + b"\0" * (len(data) % 2)
    return struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body
