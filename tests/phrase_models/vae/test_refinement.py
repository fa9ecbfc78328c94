"""Refined latents on the released weights: phrases come back that the encoder alone loses."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from phrase_models.codec import PhraseCodec
from phrase_models.metrics.note_matching import count_bar, pool
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import encode
from phrase_models.tokens.song_layout import song_to_bars, text_to_song
from phrase_models.tokens.units import decode_unit, transpose_unit
from phrase_models.vae.decoding import LatentDecoder
from phrase_models.vae.pretrained import load_vae
from phrase_models.vae.refinement import _batches_of_tokens, _is_better, refine
from phrase_models.vae.refinement_config import RefinementConfig

RELEASE = Path(__file__).parents[3] / "releases" / "phrase-vae-64"
TOLERANCE = 2e-3
"""Of a latent whose phrase is batched with others: fp32 sums in another order, over 30 steps of
Adam, which divides by the size of gradients; a thousandth of how far such latents move."""
CONFIG = RefinementConfig()


@pytest.fixture(scope="module")
def phrases(pop909_root) -> list[list[int]]:
    """Phrases of a real song in keys that the encoder has not learnt well, each once."""
    song = text_to_song((pop909_root / "golden" / "001.remiz.txt").read_text())
    own = [encode(phrase) for bar in song_to_bars(song) for phrase in bar]
    moved = [transpose_unit(tokens, semitones) for semitones in (1, 6) for tokens in own]
    return [list(tokens) for tokens in dict.fromkeys(map(tuple, moved))]


@pytest.fixture(scope="module")
def codec() -> PhraseCodec:
    return PhraseCodec(load_vae(RELEASE), "role", refinement=CONFIG)


@pytest.fixture(scope="module")
def means(codec, phrases) -> np.ndarray:
    return PhraseCodec(codec.vae, "role").encode_phrases(phrases)


@pytest.fixture(scope="module")
def refined(codec, phrases, means):
    return refine(codec.decoder, phrases, means, CONFIG)


def scores(phrases, outputs):
    return pool(
        count_bar(decode_unit(target), decode_unit(output))
        for target, output in zip(phrases, outputs, strict=True)
    )


def test_lost_phrases_come_back_and_the_others_keep_their_latents(codec, phrases, means, refined):
    before = codec.decode_phrases(means)
    lost = [row for row in range(len(phrases)) if before[row] != phrases[row]]
    assert len(lost) >= 4
    assert refined.num_refined == len(lost)
    assert refined.num_exact_before == len(phrases) - len(lost)
    assert refined.num_exact_after == len(phrases)
    assert refined.num_improved == len(lost)
    assert scores(phrases, refined.outputs).f1_opd == 1.0
    assert scores(phrases, before).f1_opd < 0.99
    changed = np.flatnonzero((refined.latents != means).any(1))
    assert changed.tolist() == lost
    assert 0.03 < refined.moved < 0.3
    assert codec.decode_phrases(refined.latents) == refined.outputs


def test_no_figure_of_any_phrase_falls_when_the_steps_are_bad(codec, phrases, means):
    """A rate that throws latents far off must leave what was there."""
    before = codec.decode_phrases(means)
    wild = refine(codec.decoder, phrases, means, RefinementConfig(learning_rate=3.0))
    assert wild.num_improved < wild.num_refined
    for target, old, new in zip(phrases, before, wild.outputs, strict=True):
        one, other = asdict(scores([target], [old])), asdict(scores([target], [new]))
        assert all(other[name] >= one[name] for name in ("f1_op", "f1_opd", "exact_phrase_rate"))


def test_a_decoding_is_better_only_where_nothing_is_lost():
    note = [vocabulary.onset_id(0), vocabulary.pitch_id(60), vocabulary.duration_id(6)]
    longer = [*note[:2], vocabulary.duration_id(7)]
    second = [vocabulary.onset_id(12), *note[1:]]
    wrong = [vocabulary.onset_id(24), *note[1:]]
    program = [vocabulary.program_id(0)]
    target = [*program, *note, *second]
    assert _is_better(target, [*program, *note], target)
    assert _is_better(target, [*program, *longer], [*program, *note])
    assert _is_better(target, [*program, *note, *wrong], [*program, *note])
    assert not _is_better(target, [*program, *note], [*program, *note, *wrong])
    assert not _is_better(target, [*program, *note], [*program, *note])
    assert not _is_better(target, [*program, *note], [*program, *longer, *second])
    assert not _is_better(target, [*program, *note, *wrong], [*program])


def test_the_same_again_bit_for_bit(codec, phrases, means, refined):
    again = refine(codec.decoder, phrases, means, CONFIG)
    assert np.array_equal(again.latents, refined.latents)
    assert again.outputs == refined.outputs


def test_order_and_batches_matter_only_to_rounding(codec, phrases, means, refined):
    order = np.random.default_rng(0).permutation(len(phrases))
    shuffled = [phrases[row] for row in order]
    other = refine(codec.decoder, shuffled, means[order], RefinementConfig(batch_size=3))
    assert other.outputs == [refined.outputs[row] for row in order]
    assert np.abs(other.latents - refined.latents[order]).max() < TOLERANCE


def test_weights_stay_and_still_train(codec, phrases, means, refined):
    trusted = load_vae(RELEASE).state_dict()
    for name, value in codec.vae.state_dict().items():
        assert torch.equal(value, trusted[name]), name
    assert all(parameter.requires_grad for parameter in codec.vae.parameters())
    assert all(parameter.grad is None for parameter in codec.vae.parameters())


def test_the_codec_refines_when_it_is_told_to(codec, phrases, means, refined):
    repeated = [*phrases[:5], *phrases]
    latents = codec.encode_phrases(repeated)
    assert np.abs(latents[5:] - refined.latents).max() < TOLERANCE
    assert np.array_equal(latents[:5], latents[5:10])
    assert codec.reconstruct(repeated) == repeated
    report = codec.encode_refined(repeated, CONFIG)
    assert report.num_refined == refined.num_refined
    alone = PhraseCodec(codec.vae, "role")
    assert np.array_equal(alone.encode_phrases(phrases), means)
    assert alone.reconstruct(phrases) != phrases


def test_special_phrases_and_none_at_all(codec):
    specials = [[vocabulary.EMPTY_SLOT], [vocabulary.END_OF_BAR], [vocabulary.END_OF_SONG]]
    assert codec.encode_refined(specials, CONFIG).outputs == specials
    nothing = refine(
        codec.decoder, [], np.empty((0, codec.vae.config.latent_dim), np.float32), CONFIG
    )
    assert nothing.latents.shape == (0, 64)
    assert nothing.num_refined == nothing.num_exact_after == 0


def test_batches_of_tokens_hold_every_row_once_and_no_more_than_they_may():
    batches = _batches_of_tokens([2, 2, 4, 4, 6, 30, 30], 12)
    assert batches == [range(3), range(3, 5), range(5, 6), range(6, 7)]
    assert _batches_of_tokens([2] * 6, 12) == [range(6)]


def test_lengths_must_agree(codec):
    with pytest.raises(ValueError, match="1 phrases but 2 latents"):
        refine(LatentDecoder(codec.vae), [[4]], np.zeros((2, 64), np.float32), CONFIG)
