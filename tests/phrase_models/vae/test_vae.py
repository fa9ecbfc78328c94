import numpy as np
import pytest
import torch

from phrase_models.errors import ConfigurationError
from phrase_models.tokens import vocabulary
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit
from phrase_models.training.prefetch import Prefetch
from phrase_models.vae.config import VAEConfig, VAEObjectiveConfig
from phrase_models.vae.decoding import LatentDecoder, decode_latents
from phrase_models.vae.model import PhraseVAE, Posterior
from phrase_models.vae.phrase_lengths import padded_length
from phrase_models.vae.phrase_table import PhraseBatches, PhraseTable, teacher_forcing
from phrase_models.vae.pretrained import load_vae, save_vae
from phrase_models.vae.training import VAETraining

CONFIG = VAEConfig(
    model_dim=48,
    feedforward_dim=96,
    num_heads=2,
    head_dim=16,
    num_encoder_layers=1,
    num_decoder_layers=1,
    num_queries=2,
    latent_dim=8,
    dropout=0.0,
    max_tokens=24,
)


def phrase(program: int, *notes: tuple[int, int, int]) -> list[int]:
    ids = [vocabulary.program_id(program)]
    for onset, pitch, duration in notes:
        ids += [vocabulary.onset_id(onset), vocabulary.pitch_id(pitch)]
        ids.append(vocabulary.duration_id(duration))
    return ids


PHRASES = [
    phrase(0, (0, 60, 12), (12, 64, 12), (24, 67, 24)),
    phrase(13, (0, 72, 6)),
    phrase(25, (6, 65, 3), (9, 64, 3)),
    phrase(0, (0, 48, 48)),
    [vocabulary.EMPTY_SLOT],
    [vocabulary.END_OF_SONG],
]


def make_vae(seed: int = 0) -> PhraseVAE:
    torch.manual_seed(seed)
    return PhraseVAE(CONFIG)


def test_table_counts_and_pads():
    table = PhraseTable.build([PHRASES[1], PHRASES[3], PHRASES[1]])
    assert table.counts.tolist() == [2, 1]
    assert table.row(1) == PHRASES[3]
    padded = table.padded(np.array([1, 0]))
    assert padded.tolist() == [[*PHRASES[3], 0], [*PHRASES[1], 0]]


def test_table_round_trip(tmp_path):
    table = PhraseTable.build(PHRASES)
    table.save(tmp_path / "t.npz")
    again = PhraseTable.load(tmp_path / "t.npz")
    assert [again.row(i) for i in range(len(again))] == PHRASES


def test_padded_length_leaves_room_for_the_end():
    assert [padded_length(length) for length in (1, 3, 4, 7, 8)] == [2, 4, 6, 8, 10]


def test_teacher_forcing_shifts_and_ends():
    inputs, targets = teacher_forcing(torch.tensor([[40, 41, 0], [42, 0, 0]]))
    assert inputs.tolist() == [[vocabulary.BOS, 40, 41], [vocabulary.BOS, 42, 0]]
    assert targets.tolist() == [[40, 41, vocabulary.EOS], [42, vocabulary.EOS, 0]]


def test_batches_are_a_function_of_seed_and_step():
    table = PhraseTable.build(PHRASES)

    def batches(seed: int) -> list[list[list[int]]]:
        source = PhraseBatches(
            table, batch_tokens=64, seed=seed, count_exponent=0.5, special_share=0.1
        )
        return [source.batch(step).tolist() for step in (5, 0, 3)]

    assert batches(1) == batches(1)
    assert batches(1) != batches(2)


def test_special_phrases_take_their_share_of_the_draws():
    table = PhraseTable.from_counts(
        {tuple(PHRASES[1]): 1, tuple(PHRASES[3]): 1, (vocabulary.EMPTY_SLOT,): 1000}
    )
    source = PhraseBatches(table, batch_tokens=80, seed=0, count_exponent=1.0, special_share=0.25)
    drawn = torch.cat([source.batch(step)[:, 0] for step in range(300)])
    share = float((drawn == vocabulary.EMPTY_SLOT).float().mean())
    assert share == pytest.approx(0.25, abs=0.03)


def test_special_phrases_come_among_short_ones():
    short = tuple(phrase(0, (0, 60, 4)))
    counts = {short: 3, (vocabulary.EMPTY_SLOT,): 2, (vocabulary.END_OF_SONG,): 1}
    table = PhraseTable.from_counts(counts)
    source = PhraseBatches(table, batch_tokens=800, seed=0, count_exponent=1.0, special_share=0.1)
    for step in range(5):
        batch = source.batch(step)
        special = (batch[:, 0] < vocabulary.FIRST_QUERY).float().mean()
        assert 0 < special < 0.3
        assert batch.shape == (133, 6)


def test_a_bucket_goes_on_until_it_holds_as_many_phrases_as_a_batch():
    lengths = [1, 3, 3, 5, 5, 5, 9, 20]  # padded: 2, 4, 4, 6, 6, 6, 10, 22
    table = PhraseTable.from_counts(
        {tuple(range(40 + i, 40 + i + n)): 1 for i, n in enumerate(lengths)}
    )
    found = PhraseBatches(table, batch_tokens=12, seed=0, count_exponent=1.0, special_share=0.0)
    buckets = zip(found.lengths, [rows.tolist() for rows in found.rows], strict=True)
    assert list(buckets) == [(4, [0, 1, 2]), (6, [3, 4, 5]), (10, [6]), (22, [7])]


def test_kl_of_a_standard_normal_is_zero_and_grows_with_the_mean():
    standard = Posterior(torch.zeros(1, 4), torch.zeros(1, 4))
    assert standard.kl_divergence().item() == 0
    shifted = Posterior(torch.full((1, 4), 2.0), torch.zeros(1, 4))
    assert shifted.kl_divergence().item() == pytest.approx(2.0)


@pytest.mark.parametrize("phase", ["infilling", "autoencoder", "vae"])
def test_every_parameter_of_a_stage_gets_a_gradient(phase):
    vae = make_vae()
    tokens = PhraseTable.build(PHRASES).padded(np.arange(6))
    inputs, targets = teacher_forcing(tokens)
    logits, posterior = vae(tokens, inputs, phase)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    if posterior is not None:
        loss = loss + posterior.kl_divergence().mean()
    loss.backward()
    silent = {n for n, p in vae.named_parameters() if p.grad is None or not p.grad.any()}
    bottleneck = {
        n for n in silent if n.split(".")[0] in {"bottleneck_norm", "to_posterior", "from_latent"}
    }
    assert silent == bottleneck
    assert (not bottleneck) == (phase == "vae")


def test_decoding_always_ends_and_does_not_depend_on_the_batch():
    vae = make_vae().eval()
    latents = np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32)
    together = decode_latents(vae, latents)
    assert all(len(tokens) <= CONFIG.max_tokens for tokens in together)
    alone = [decode_latents(vae, latents[i : i + 1])[0] for i in range(20)]
    assert together == alone
    assert LatentDecoder(vae).decode(latents, batch_size=7) == together


def test_save_and_load_are_inverse_and_refuse_a_newer_format(tmp_path):
    vae = make_vae().eval()
    save_vae(vae, "vae", tmp_path)
    again = load_vae(tmp_path)
    tokens = PhraseTable.build(PHRASES).padded(np.arange(6))
    assert torch.equal(vae.posterior(tokens).mean, again.posterior(tokens).mean)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 9'))
    with pytest.raises(ConfigurationError, match="has format 9, this program reads up to 1"):
        load_vae(tmp_path)


@pytest.mark.slow
def test_three_stages_overfit_a_few_phrases(tmp_path):
    table = PhraseTable.build(PHRASES)
    vae = make_vae()
    figures = {}
    for phase, num_steps in (("infilling", 60), ("autoencoder", 150), ("vae", 300)):
        training = TrainingConfig(
            num_steps=num_steps,
            batch_size=256,
            learning_rate=5e-3,
            warmup_steps=10,
            validate_every=num_steps,
            checkpoint_every=1000,
        )
        trainable = VAETraining(
            vae,
            phase,
            VAEObjectiveConfig(kl_weight=0.001, special_share=0.3),
            training,
            table,
            table,
        )
        fit(trainable, training, tmp_path / phase)
        figures = trainable.validate()
    assert figures["f1_opd"] == 1.0
    assert figures["exact"] == 1.0


def test_preparing_batches_ahead_changes_no_weight(tmp_path):
    table = PhraseTable.build(PHRASES)
    config = CONFIG.model_copy(update={"dropout": 0.2})
    objective = VAEObjectiveConfig(
        transposed_share=0.5, augmented_share=0.5, latent_noise=0.1, decoder_mask_fraction=0.2
    )
    training = TrainingConfig(
        num_steps=8,
        batch_size=128,
        learning_rate=1e-3,
        validate_every=3,
        checkpoint_every=100,
        log_every=2,
    )
    outcomes = []
    for ahead in (0, 3):
        torch.manual_seed(0)
        vae = PhraseVAE(config)
        task = VAETraining(vae, "infilling", objective, training, table, table)
        task._prepared = Prefetch(task.prepare, ahead)
        fit(task, training, tmp_path / str(ahead))
        metrics = (tmp_path / str(ahead) / "metrics.jsonl").read_text()
        outcomes.append((vae.state_dict(), metrics))
    assert outcomes[0][1] == outcomes[1][1]
    for name, value in outcomes[0][0].items():
        assert torch.equal(value, outcomes[1][0][name]), name


def test_constrained_decoding_is_always_valid_and_plain_decoding_is_not():
    from phrase_models.tokens.remiz import decode

    vae = make_vae().eval()
    latents = 3 * np.random.default_rng(0).standard_normal((200, 8)).astype(np.float32)
    constrained = decode_latents(vae, latents)
    assert [decode(tokens)[1].num_repairs for tokens in constrained] == [0] * 200
    plain = decode_latents(vae, latents, constrained=False)
    assert sum(decode(tokens)[1].num_repairs > 0 for tokens in plain) > 100


def test_the_constraint_follows_the_tables_of_the_grammar():
    from phrase_models.tokens.grammar import PhraseGrammar
    from phrase_models.vae.constraint import GrammarConstraint

    rng = np.random.default_rng(0)
    state = PhraseGrammar.initial(8)
    constraint = GrammarConstraint(8, 20, torch.device("cpu"))
    for position in range(20):
        expected = PhraseGrammar.mask(state, remaining=20 - position)
        masked = constraint.mask(torch.zeros(8, vocabulary.VOCABULARY_SIZE))
        assert np.array_equal(masked.numpy() == 0, expected)
        tokens = np.array([rng.choice(np.flatnonzero(row)) for row in expected])
        state = PhraseGrammar.advance(state, tokens)
        constraint.advance(torch.from_numpy(tokens))
