"""Same weights, same input: how the work is split up does not change what comes out (fp32)."""

import functools
import math
from itertools import zip_longest

import numpy as np
import pytest
import torch

from phrase_models.codec import DecodingOptions, PhraseCodec
from phrase_models.form.bar_lines import (
    LARGEST_INTERVAL,
    NUM_INTERVALS,
    BarLines,
    end_places,
)
from phrase_models.tokens import vocabulary
from phrase_models.vae.config import VAEConfig
from phrase_models.vae.decoding import LatentDecoder, decode_latents, decode_memory
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.token_biases import NO_BIASES, TokenBiases

CONFIG = VAEConfig(
    model_dim=64,
    feedforward_dim=128,
    num_heads=3,
    head_dim=16,
    num_encoder_layers=2,
    num_decoder_layers=2,
    num_queries=4,
    latent_dim=16,
    dropout=0.1,
    max_tokens=70,
)
NUM_ROWS = 64


@functools.cache
def make_vae() -> PhraseVAE:
    torch.manual_seed(0)
    vae = PhraseVAE(CONFIG).eval()
    with torch.no_grad():  # biases are zero at the start, which would hide a wrong one
        for stack in (vae.encoder, vae.decoder):
            stack.block[0].layer[0].SelfAttention.relative_attention_bias.weight.normal_()
    return vae


def make_latents() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(NUM_ROWS, 16)).astype(np.float32) * 3


def make_phrases() -> list[list[int]]:
    """Of every length from one note to thirteen, in no order, the special phrases among them."""
    rng = np.random.default_rng(1)
    phrases = [[vocabulary.EMPTY_SLOT], [vocabulary.END_OF_BAR], [vocabulary.END_OF_SONG]]
    for index in range(NUM_ROWS - 3):
        tokens = [vocabulary.program_id(0)]
        for onset in range(1 + index % 13):
            tokens.append(vocabulary.onset_id(3 * onset))
            tokens.append(vocabulary.pitch_id(int(rng.integers(30, 90))))
            tokens.append(vocabulary.duration_id(int(rng.integers(1, 24))))
        phrases.append(tokens)
    return [phrases[row] for row in rng.permutation(NUM_ROWS)]


@pytest.fixture(params=[True, False], ids=["grammar", "free"])
def constrained(request) -> bool:
    return request.param


@functools.cache
def expected_tokens(constrained: bool) -> list[list[int]]:
    return LatentDecoder(make_vae()).decode(make_latents(), batch_size=64, constrained=constrained)


def test_rows_differ_so_that_a_mixed_up_batch_would_be_seen(constrained):
    expected = expected_tokens(constrained)
    assert len({tuple(row) for row in expected}) > NUM_ROWS // 2
    if constrained:  # rows leave at different times, and some outgrow the first block of the cache
        assert len({len(row) for row in expected}) > 5
        assert max(map(len, expected)) > 32


def test_batch_size_does_not_change_the_tokens(constrained):
    expected = expected_tokens(constrained)
    for batch_size, num_rows in ((7, NUM_ROWS), (1, 12)):
        latents = make_latents()[:num_rows]
        found = LatentDecoder(make_vae()).decode(
            latents, batch_size=batch_size, constrained=constrained
        )
        assert found == expected[:num_rows]


def test_order_of_the_batch_does_not_change_the_tokens(constrained):
    order = np.random.default_rng(2).permutation(NUM_ROWS)
    found = decode_latents(make_vae(), make_latents()[order], constrained=constrained)
    assert found == [expected_tokens(constrained)[row] for row in order]


def test_room_after_the_longest_phrase_does_not_change_the_tokens(constrained):
    vae, expected = make_vae(), expected_tokens(constrained)
    ended = [row for row in range(NUM_ROWS) if len(expected[row]) < CONFIG.max_tokens - 4]
    if constrained:
        assert len(ended) > 8
    with torch.no_grad():
        memory = vae.memory(torch.from_numpy(make_latents()[ended]))
    found = decode_memory(vae, memory, 3 * CONFIG.max_tokens, constrained=constrained)
    assert found == [expected[row] for row in ended]


def test_limits_of_rows_cut_what_comes_without_them():
    limits = np.arange(NUM_ROWS) % 20 + 1
    found = LatentDecoder(make_vae()).decode(make_latents(), constrained=False, limits=limits)
    whole = expected_tokens(constrained=False)
    assert found == [row[:limit] for row, limit in zip(whole, limits.tolist(), strict=True)]


def test_number_of_threads_does_not_change_the_tokens(constrained):
    before = torch.get_num_threads()
    found = []
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            found.append(decode_latents(make_vae(), make_latents(), constrained=constrained))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == expected_tokens(constrained)


def test_first_tokens_are_those_of_the_phrases():
    found = LatentDecoder(make_vae()).first_tokens(make_latents(), batch_size=9)
    assert found.tolist() == [row[0] for row in expected_tokens(constrained=True)]


def test_encoding_does_not_depend_on_batch_padding_or_order():
    codec, phrases = PhraseCodec(make_vae(), "role"), make_phrases()
    together = codec.encode_phrases(phrases)
    alone = np.concatenate([codec.encode_phrases([phrase]) for phrase in phrases])
    order = np.random.default_rng(3).permutation(NUM_ROWS)
    shuffled = codec.encode_phrases([phrases[row] for row in order])
    longest = max(map(len, phrases)) + 20
    padded = [row + [vocabulary.PAD] * (longest - len(row)) for row in phrases]
    with torch.no_grad():
        wide = make_vae().posterior(torch.tensor(padded)).mean.numpy()
    scale = np.abs(together).max()
    assert len(np.unique(together.round(3), axis=0)) == NUM_ROWS
    for other in (alone, shuffled[np.argsort(order)], wide):
        np.testing.assert_allclose(other, together, rtol=0, atol=2e-6 * scale)


def test_number_of_threads_does_not_change_the_encoding():
    codec, before = PhraseCodec(make_vae(), "role"), torch.get_num_threads()
    found = []
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            found.append(codec.encode_phrases(make_phrases()))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=2e-6 * np.abs(found[0]).max())


def make_songs() -> list[np.ndarray]:
    """Latents of three songs, with phrases in common; the second ends in its third bar."""
    latents = 3 * np.random.default_rng(4).normal(size=(3000, 16)).astype(np.float32)
    firsts = LatentDecoder(make_vae()).first_tokens(latents)
    music = latents[firsts >= vocabulary.FIRST_PROGRAM]
    end = latents[firsts == vocabulary.END_OF_SONG]
    assert len(music) > 30
    assert len(end)
    songs = [music[:12], music[6:24], music[12:30]]
    songs[1] = np.concatenate((songs[1][:7], end[:1], songs[1][8:]))
    return [song.reshape(-1, 3, 16) for song in songs]


def test_songs_together_are_the_songs_one_by_one():
    codec, songs = PhraseCodec(make_vae(), "role"), make_songs()
    together = codec.decode_songs(songs, [{"song_id": str(index)} for index in range(3)])
    for index, song in enumerate(songs):
        assert codec.decode_song(song, song_id=str(index)).song == together[index].song
    assert [decoded.song.num_bars for decoded in together] == [4, 3, 6]
    tokens = codec.decode_phrases(songs[0].reshape(-1, 16))
    assert [slot for bar in together[0].slots for slot in bar] == tokens


def first_difference(phrase, other):
    """Where two lists of tokens begin to differ, with None after the end of either."""
    return next((pair for pair in zip_longest(phrase, other) if pair[0] != pair[1]), (None, None))


@pytest.mark.parametrize("bias", [0.7, -0.7])
def test_a_duration_bias_first_changes_a_duration_to_a_longer_or_shorter_one(bias):
    latents = 3 * np.random.default_rng(5).normal(size=(200, 16)).astype(np.float32)
    decoder, changed = LatentDecoder(make_vae()), 0
    plain = decoder.decode(latents)
    assert decoder.decode(latents, biases=NO_BIASES) == plain
    biased = decoder.decode(latents, biases=TokenBiases(duration=bias))
    for phrase, other in zip(plain, biased, strict=True):
        before, after = first_difference(phrase, other)
        if before is None:
            assert phrase == other
            continue
        changed += 1
        assert min(before, after) >= vocabulary.FIRST_DURATION
        assert (after > before) == (bias > 0)
    assert changed > 0


@pytest.mark.parametrize("bias", [0.7, -0.7])
def test_a_bias_of_gaps_first_makes_the_next_onset_later_or_earlier(bias):
    """No further pitch at the newest onset is a gap of one step, the bar's end the largest."""
    latents = 3 * np.random.default_rng(5).normal(size=(200, 16)).astype(np.float32)
    decoder, changed = LatentDecoder(make_vae()), 0

    def step(token):
        if token is None:
            return vocabulary.NUM_ONSETS
        return -1 if token >= vocabulary.FIRST_PITCH else token - vocabulary.FIRST_ONSET

    plain = decoder.decode(latents)
    biased = decoder.decode(latents, biases=TokenBiases(onset_gap=bias))
    for phrase, other in zip(plain, biased, strict=True):
        assert phrase[:2] == other[:2]
        if phrase == other:
            continue
        changed += 1
        before, after = first_difference(phrase, other)
        assert (step(after) > step(before)) == (bias > 0)
    assert changed > 0


def test_biases_are_logarithms_of_durations_and_of_steps_to_the_next_onset_or_the_end():
    added = TokenBiases(duration=2.0, onset_gap=0.5).by_lowest_onset(torch.device("cpu"))
    assert added.shape == (49, vocabulary.VOCABULARY_SIZE)
    found = {
        (lowest, token): round(float(added[lowest, vocabulary.TOKEN_IDS[token]]), 4)
        for lowest in (0, 13, 48)
        for token in ("o-13", "o-24", "[EOS]", "p-60", "d-12")
    }
    duration = round(2 * math.log(12), 4)
    assert found == {
        (0, "o-13"): 0,
        (0, "o-24"): 0,
        (0, "[EOS]"): 0,
        (0, "p-60"): 0,
        (0, "d-12"): duration,
        (13, "o-13"): 0,
        (13, "o-24"): round(0.5 * math.log(12), 4),
        (13, "[EOS]"): round(0.5 * math.log(36), 4),
        (13, "p-60"): 0,
        (13, "d-12"): duration,
        (48, "o-13"): 0,
        (48, "o-24"): 0,
        (48, "[EOS]"): 0,
        (48, "p-60"): 0,
        (48, "d-12"): duration,
    }


def test_what_else_a_phrase_might_end_with_is_less_likely_than_what_it_does():
    latents = 3 * np.random.default_rng(5).normal(size=(200, 16)).astype(np.float32)
    decoder = LatentDecoder(make_vae())
    phrases, ends = decoder.decode_with_ends(latents)
    assert phrases == decoder.decode(latents)
    assert ends.shape == (200, 2, vocabulary.NUM_PITCHES)
    found = 0
    for phrase, (first, last) in zip(phrases, ends, strict=True):
        places = end_places(phrase)
        if places is None:
            assert np.isneginf(first).all()
            continue
        found += 1
        for place, row in zip(places, (first, last), strict=True):
            assert row.argmax() == phrase[place] - vocabulary.FIRST_PITCH
            assert np.exp(row.astype(float)).sum() == pytest.approx(1.0, abs=1e-5)
        assert (places[0] == places[1]) == bool((first == last).all())
    assert found > 20


def test_joined_songs_differ_in_ends_of_phrases_alone_and_given_ones_stay():
    rng, codec = np.random.default_rng(8), PhraseCodec(make_vae(), "role")
    songs = [3 * rng.normal(size=(bars, 3, 16)).astype(np.float32) for bars in (12, 9)]
    plain = codec.decode_songs(songs, [{}] * 2)
    odds = -np.abs(np.arange(NUM_INTERVALS) - LARGEST_INTERVAL) * np.array([[1.0], [1.0], [0.0]])
    options = DecodingOptions(bar_lines=BarLines(odds), bar_line_weight=20.0)
    joined = codec.decode_songs(songs, [{}] * 2, options)
    changed = 0
    for before, after in zip(plain, joined, strict=True):
        for bar, other in zip(before.slots, after.slots, strict=True):
            assert bar[2] == other[2]
            for phrase, joint in zip(bar[:2], other[:2], strict=True):
                places = {*(end_places(phrase) or ())}
                assert [*map(len, (phrase, joint))] == [len(phrase)] * 2
                different = {p for p in range(len(phrase)) if phrase[p] != joint[p]}
                assert different <= places
                changed += bool(different)
    assert changed > 3
    alone = [codec.decode_song(song, options).slots for song in songs]
    assert alone == [song.slots for song in joined]
    kept = [np.ones(song.shape[:2], bool) for song in songs]
    given = codec.decode_songs(songs, [{}] * 2, options, kept)
    assert [song.slots for song in given] == [song.slots for song in plain]
    unweighted = DecodingOptions(bar_lines=options.bar_lines)
    assert codec.decode_song(songs[0], unweighted).slots == plain[0].slots


def test_music_after_the_end_of_a_song_is_not_decoded():
    codec, songs = PhraseCodec(make_vae(), "role"), make_songs()
    slots = codec.decode_song(songs[1]).slots
    end = [vocabulary.END_OF_SONG]
    flat = [slot for bar in slots for slot in bar]
    assert flat.index(end) == 7
    assert flat[7:] == [end] * 11
    assert flat[:7] == codec.decode_phrases(songs[1].reshape(-1, 16)[:7])


def test_songs_encoded_again_have_the_latents_of_the_phrases_they_decode_to():
    codec, songs = PhraseCodec(make_vae(), "role"), make_songs()[::2]
    for song, latents in zip(songs, codec.reencode_songs(songs), strict=True):
        phrases = [slot for bar in codec.decode_song(song).slots for slot in bar]
        expected = codec.encode_phrases(phrases).reshape(song.shape)
        np.testing.assert_allclose(latents, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    assert codec.reencode_songs([]) == []
