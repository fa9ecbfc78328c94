"""The variants of PhraseVAE: bottlenecks, granularities, embeddings, and what trainings share."""

import numpy as np
import pytest
import torch

from phrase_models.tokens import grammar, vocabulary
from phrase_models.tokens.remiz import from_text
from phrase_models.tokens.units import decode_unit
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit
from phrase_models.vae.autoencoder import through_autoencoder
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.model import PhraseVAE, Posterior
from phrase_models.vae.phrase_table import PhraseBatches, PhraseTable, teacher_forcing, transpose
from phrase_models.vae.pretrained import LATENT_PARTS, save_vae, start_from
from phrase_models.vae.score_state import ScoreStateEmbedding, most_places
from phrase_models.vae.training import VAETraining

MELODY = from_text("i-13 o-0 p-72 d-6 o-12 p-74 d-6")
PIANO = from_text("i-0 o-0 p-60 d-12 p-52 d-12 o-24 p-48 d-24")
UNITS = [MELODY, PIANO, MELODY + PIANO]


def configured(**changes: object) -> VAEConfig:
    return VAEConfig.model_validate(
        {
            "model_dim": 48,
            "feedforward_dim": 96,
            "num_heads": 2,
            "head_dim": 16,
            "num_encoder_layers": 1,
            "num_decoder_layers": 1,
            "num_queries": 2,
            "latent_dim": 8,
            "dropout": 0.0,
            "max_tokens": 32,
        }
        | changes
    )


def build(seed: int = 0, **changes: object) -> PhraseVAE:
    torch.manual_seed(seed)
    return PhraseVAE(configured(**changes)).eval()


VARIANTS = (
    {"num_queries": 1},
    {"num_queries": 8},
    {"bottleneck": "single_query"},
    {"bottleneck": "pooling"},
    {"state_embeddings": True},
    {"state_embeddings": True, "bottleneck": "pooling"},
    {"state_embeddings": True, "bottleneck": "single_query"},
    {"bottleneck_hidden_dim": 16, "tied_embedding": False},
)


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
def test_padding_and_neighbours_change_nothing(changes):
    vae = build(**changes)
    table = PhraseTable.build(UNITS)
    together = vae.posterior(table.padded(np.arange(3), 32)).mean
    for row in range(3):
        alone = vae.posterior(table.padded(np.array([row]))).mean
        assert torch.allclose(alone[0], together[row], atol=1e-5)
    # And what is encoded is not a constant.
    assert (together[0] - together[1]).abs().max() > 1e-3


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("phase", ["autoencoder", "vae"])
def test_every_part_in_use_gets_a_gradient(changes, phase):
    vae = build(**changes).train()
    tokens = PhraseTable.build(UNITS).padded(np.arange(3))
    inputs, targets = teacher_forcing(tokens)
    logits, posterior = vae(tokens, inputs, phase)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss = loss if posterior is None else loss + posterior.kl_divergence().mean()
    loss.backward()
    silent = {
        name
        for name, parameter in vae.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    }
    latent_parts = {n for n in silent if n.startswith(LATENT_PARTS)}
    assert (not latent_parts) == (phase == "vae")
    one_vector = vae.config.memory_length == 1
    # Over a single vector, or over nothing but itself, attention has nothing to choose.
    idle = {n for n in silent if one_vector and n.startswith("decoder.block.0.layer.1.")}
    assert silent == latent_parts | idle


def test_the_decoder_sees_as_many_vectors_as_the_bottleneck_lets_through():
    tokens = PhraseTable.build(UNITS).padded(np.arange(3))
    shapes = {
        name: build(bottleneck=name).compress(tokens).shape[1]
        for name in ("multi_query", "single_query", "pooling")
    }
    assert shapes == {"multi_query": 2, "single_query": 1, "pooling": 1}


def test_pooling_is_the_mean_over_the_tokens_that_are_there():
    vae = build(bottleneck="pooling")
    table = PhraseTable.build(UNITS)
    tokens = table.padded(np.array([0]), 16)
    hidden, mask = vae.encode_tokens(tokens)
    assert int(mask.sum()) == len(MELODY)
    expected = hidden[0, : len(MELODY)].mean(0)
    assert torch.allclose(vae.compress(tokens)[0, 0], expected, atol=1e-6)


def test_the_score_state_is_the_grammars_own():
    state = grammar.PhraseGrammar.initial(1)
    expected = []
    for token in PIANO:
        state = grammar.PhraseGrammar.advance(state, np.array([token]))
        expected.append((int(state.lowest_onset[0]), int(state.pitch_limit[0])))
    onset, limit = ScoreStateEmbedding(1).state(torch.tensor([PIANO]))
    assert list(zip(onset[0].tolist(), limit[0].tolist(), strict=True)) == expected
    # A second program begins again.
    onset, limit = ScoreStateEmbedding(1).state(torch.tensor([PIANO + MELODY]))
    assert (onset[0, len(PIANO)], limit[0, len(PIANO)]) == (0, 128)


def test_one_place_per_note_keeps_programs_and_durations():
    tokens = PhraseTable.build([MELODY, PIANO]).padded(np.arange(2))
    values = tokens[..., None].float()
    kept, mask = ScoreStateEmbedding(1).one_place_per_note(tokens, values)
    rows = [kept[row, mask[row], 0].long().tolist() for row in range(2)]
    assert rows[0] == from_text("i-13 d-6 d-6")
    assert rows[1] == from_text("i-0 d-12 d-12 d-24")


def test_no_unit_has_more_places_than_an_accelerator_leaves_for_them():
    state = ScoreStateEmbedding(1)
    chord = from_text("i-0 o-0 p-80 d-3 p-79 d-3 p-78 d-3 p-77 d-3 p-76 d-3")
    units = [[vocabulary.EMPTY_SLOT], MELODY, PIANO, chord, from_text("i-0 o-0 p-1 d-1") * 3]
    most = 0
    for unit in units:
        kept = int(state.stands_for_itself[torch.tensor(unit)].sum())
        assert kept <= most_places(len(unit))
        most += kept == most_places(len(unit))
    assert most >= 2


def test_state_embeddings_do_not_look_ahead():
    vae = build(state_embeddings=True)
    memory = vae.memory(torch.ones(1, 8))
    inputs, _ = teacher_forcing(PhraseTable.build([PIANO]).padded(np.array([0])))
    changed = inputs.clone()
    changed[0, 6:] = vocabulary.MASK
    before, after = vae.decode(inputs, memory), vae.decode(changed, memory)
    assert torch.allclose(before[0, :6], after[0, :6], atol=1e-6)
    assert not torch.allclose(before[0, 6:], after[0, 6:], atol=1e-3)


@pytest.mark.parametrize("state_embeddings", [False, True])
def test_step_by_step_decoding_agrees_with_teacher_forcing(state_embeddings):
    vae = build(state_embeddings=state_embeddings)
    latents = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    for tokens, latent in zip(decode_latents(vae, latents), latents, strict=True):
        inputs = torch.tensor([[vocabulary.BOS, *tokens]])
        logits = vae.decode(inputs, vae.memory(torch.from_numpy(latent[None])))[0]
        state = grammar.PhraseGrammar.initial(1)
        for place, token in enumerate(tokens):
            allowed = grammar.PhraseGrammar.mask(state, vae.config.max_tokens - place)[0]
            scores = logits[place].detach().numpy().copy()
            scores[~allowed] = -np.inf
            assert int(scores.argmax()) == token
            state = grammar.PhraseGrammar.advance(state, np.array([token]))


@pytest.mark.parametrize("granularity", ["bar", "position"])
def test_units_of_several_phrases_decode_to_valid_ones(granularity):
    vae = build(granularity=granularity)
    latents = 3 * np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32)
    outputs = decode_latents(vae, latents)
    programs = [
        sum(vocabulary.FIRST_PROGRAM <= t < vocabulary.FIRST_ONSET for t in o) for o in outputs
    ]
    assert max(programs) > 1  # several phrases do come
    for tokens in outputs:
        if len(tokens) > 1:
            notes = sum(len(phrase.notes) for phrase in decode_unit(tokens))
            durations = sum(token >= vocabulary.FIRST_DURATION for token in tokens)
            assert notes == durations  # nothing had to be repaired away


def test_a_phrase_never_holds_a_second_program():
    outputs = decode_latents(
        build(), 3 * np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32)
    )
    for tokens in outputs:
        assert sum(vocabulary.FIRST_PROGRAM <= t < vocabulary.FIRST_ONSET for t in tokens) <= 1


def test_transposition_moves_pitches_alone_and_only_where_they_fit():
    tokens = torch.tensor([from_text("i-0 o-3 p-60 d-12"), from_text("i-0 o-3 p-126 d-12")])
    moved = transpose(tokens, torch.tensor([-5, 4]))
    assert moved[0].tolist() == from_text("i-0 o-3 p-55 d-12")
    assert moved[1].tolist() == tokens[1].tolist()


def test_transposed_batches_hold_every_key_and_keep_the_share():
    table = PhraseTable.build([from_text("i-0 o-0 p-60 d-12")])
    batches = PhraseBatches(
        table,
        batch_tokens=8 * 600,
        seed=0,
        count_exponent=1.0,
        special_share=0.0,
        transposed_share=0.5,
    )
    pitches = (batches.batch(0)[:, 2] - vocabulary.FIRST_PITCH).tolist()
    assert set(pitches) == set(range(54, 66))
    # Half are not moved at all, and one in twelve of the others stays by chance.
    assert pitches.count(60) / len(pitches) == pytest.approx(0.5 + 0.5 / 12, abs=0.06)


def test_bars_get_their_share_of_the_draws():
    phrases, bars = PhraseTable.build([MELODY]), PhraseTable.build([MELODY + PIANO, PIANO + MELODY])
    batches = PhraseBatches(
        phrases,
        batch_tokens=64,
        seed=0,
        count_exponent=1.0,
        special_share=0.0,
        bars=bars,
        bar_share=0.25,
    )
    rows = torch.cat([(batches.batch(step) != vocabulary.PAD).sum(1) for step in range(400)])
    assert float((rows > len(MELODY)).float().mean()) == pytest.approx(0.25, abs=0.04)


def test_free_bits_leave_closed_dimensions_alone():
    posterior = Posterior(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    assert posterior.kl_divergence().item() == pytest.approx(1.0)
    assert posterior.kl_divergence(0.5).item() == pytest.approx((0.5 + 2.0) / 2)
    closed = Posterior(torch.tensor([[0.1, 2.0]], requires_grad=True), torch.zeros(1, 2))
    closed.kl_divergence(0.5).sum().backward()
    assert closed.mean.grad.tolist() == [[0.0, 1.0]]


def test_trainings_before_the_latent_do_not_depend_on_its_size():
    small, large = configured(latent_dim=8), configured(latent_dim=64, bottleneck_hidden_dim=32)
    assert small.for_phase("autoencoder") == large.for_phase("autoencoder")
    assert small.for_phase("vae") != large.for_phase("vae")
    pooled = configured(bottleneck="pooling")
    assert small.for_phase("infilling") == pooled.for_phase("infilling")
    assert small.for_phase("autoencoder") != pooled.for_phase("autoencoder")


def test_a_stage_starts_from_all_that_the_one_before_trained(tmp_path):
    earlier = PhraseVAE(configured().for_phase("infilling"))
    save_vae(earlier, "infilling", tmp_path)
    later = build(seed=1, bottleneck="single_query", latent_dim=16)
    start_from(later, tmp_path)
    assert torch.equal(later.embedding.weight, earlier.embedding.weight)
    wi = "block.0.layer.1.DenseReluDense.wi.weight"
    assert torch.equal(later.encoder.state_dict()[wi], earlier.encoder.state_dict()[wi])
    deeper = build(num_encoder_layers=2)
    with pytest.raises(ValueError, match=r"left no weights for encoder\.block\.1"):
        start_from(deeper, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("bottleneck", ["multi_query", "single_query", "pooling"])
def test_each_bottleneck_learns_a_few_bars_by_heart(bottleneck, tmp_path):
    units = [MELODY + PIANO, PIANO, from_text("i-0 o-6 p-64 d-3 i-25 o-9 p-55 d-3")]
    table = PhraseTable.build(units)
    vae = build(bottleneck=bottleneck, granularity="bar", state_embeddings=True)
    training = TrainingConfig(
        num_steps=400,
        batch_size=128,
        learning_rate=3e-3,
        warmup_steps=10,
        validate_every=400,
        checkpoint_every=1000,
    )
    fit(
        VAETraining(vae, "autoencoder", VAEObjectiveConfig(), training, table, table),
        training,
        tmp_path,
    )
    assert through_autoencoder(vae, units) == units
