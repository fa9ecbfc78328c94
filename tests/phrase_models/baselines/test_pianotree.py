from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from phrase_models.baselines.pianotree.config import PianoTreeConfig, PianoTreeObjectiveConfig
from phrase_models.baselines.pianotree.grid import (
    END,
    GridReport,
    GridShape,
    bars_to_grid,
    flatten_bar,
    grid_to_bars,
)
from phrase_models.baselines.pianotree.model import PianoTreeVAE
from phrase_models.baselines.pianotree.training import PianoTreeTraining, reconstruct_bars
from phrase_models.metrics.note_matching import count_phrase, pool
from phrase_models.score.song import PIANO, Phrase, PhraseNote
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import encode
from phrase_models.tokens.units import decode_unit
from phrase_models.training.config import TrainingConfig
from phrase_models.training.loop import fit
from phrase_models.training.optimizer import build_optimizer
from phrase_models.vae.phrase_table import PhraseTable

CONFIG = PianoTreeConfig(
    latent_dim=32,
    note_dim=24,
    position_dim=24,
    encoder_dim=48,
    decoder_dim=64,
    written_dim=16,
    decoder_note_dim=64,
    duration_dim=16,
)
FIVE_BITS = GridShape(16, 16, 5)


def bar(*phrases: tuple[int, list[tuple[int, int, int]]]) -> list[int]:
    tokens: list[int] = []
    for program, notes in phrases:
        tokens += encode(Phrase(program, tuple(PhraseNote(*note) for note in notes)))
    return tokens


def random_bar(rng: np.random.Generator, unit: int, num_notes: int) -> list[int]:
    """Two instruments whose notes lie on the grid and share no onset and pitch."""
    cells = rng.choice(48 // unit * 40, num_notes, replace=False)
    notes = [
        (int(cell) // 40 * unit, 40 + int(cell) % 40, unit * int(rng.integers(1, 33)))
        for cell in cells
    ]
    return bar((13, notes[: num_notes // 3]), (0, notes[num_notes // 3 :]))


def some_bars(count: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [random_bar(rng, 3, int(rng.integers(3, 12))) for _ in range(count)]


def make_vae(config: PianoTreeConfig = CONFIG) -> PianoTreeVAE:
    torch.manual_seed(0)
    return PianoTreeVAE(config)


def training_config(num_steps: int = 4, batch_size: int = 400) -> TrainingConfig:
    return TrainingConfig(
        num_steps=num_steps,
        batch_size=batch_size,
        learning_rate=3e-3,
        warmup_steps=20,
        validate_every=num_steps,
        checkpoint_every=num_steps,
    )


def make_training(
    bars: list[list[int]],
    objective: PianoTreeObjectiveConfig | None = None,
    training: TrainingConfig | None = None,
    vae: PianoTreeVAE | None = None,
) -> PianoTreeTraining:
    table = PhraseTable.build(bars)
    return PianoTreeTraining(
        vae or make_vae(),
        objective or PianoTreeObjectiveConfig(),
        training or training_config(),
        table,
        table,
    )


def largest_change(after: torch.Tensor, before: torch.Tensor) -> float:
    return float((after.detach() - before).abs().max())


# ---------------------------------------------------------------------- grid
def test_a_bar_is_split_where_programs_stand():
    tokens = bar((13, [(0, 72, 6)]), (0, [(0, 48, 12), (24, 50, 12)]))
    padded = [*tokens, vocabulary.PAD, vocabulary.PAD]
    assert decode_unit(padded) == [
        Phrase(13, (PhraseNote(0, 72, 6),)),
        Phrase(0, (PhraseNote(0, 48, 12), PhraseNote(24, 50, 12))),
    ]
    assert decode_unit([vocabulary.END_OF_BAR]) == []


def test_cells_hold_pitch_and_bits_from_the_lowest_note():
    tokens = bar((13, [(6, 72, 9)]), (0, [(6, 48, 96), (45, 60, 3)]))
    grid, report = bars_to_grid([tokens], FIVE_BITS)
    assert grid.shape == (1, 16, 16, 6)
    assert grid[0, 2, 0].tolist() == [48, 1, 1, 1, 1, 1]  # 32 units
    assert grid[0, 2, 1].tolist() == [72, 0, 0, 0, 1, 0]  # 3 units
    assert grid[0, 15, 0].tolist() == [60, 0, 0, 0, 0, 0]
    assert int((grid[..., 0] != END).sum()) == 3
    assert report == GridReport(num_notes=3)


@pytest.mark.parametrize(("shape", "unit"), [(FIVE_BITS, 3), (GridShape(48, 16, 7), 1)])
def test_random_bars_come_back(shape, unit):
    rng = np.random.default_rng(unit)
    bars = [random_bar(rng, unit, num_notes) for num_notes in range(1, 41)]
    grid, report = bars_to_grid(bars, shape)
    assert grid_to_bars(grid) == [flatten_bar(tokens) for tokens in bars]
    assert report == GridReport(num_notes=sum(range(1, 41)))


def test_of_two_equal_notes_the_longer_stays():
    tokens = bar((13, [(0, 60, 6)]), (25, [(0, 60, 24)]), (0, [(0, 60, 12)]))
    grid, report = bars_to_grid([tokens], FIVE_BITS)
    assert grid_to_bars(grid) == [Phrase(PIANO, (PhraseNote(0, 60, 24),))]
    assert report == GridReport(num_notes=3, num_merged=2)


def test_the_highest_notes_stay_where_too_many_begin():
    chord = [(12, pitch, 3) for pitch in (40, 50, 60, 70, 80)]
    grid, report = bars_to_grid([bar((0, chord))], GridShape(16, 3, 5))
    assert grid[0, 4, :, 0].tolist() == [60, 70, 80]
    assert report == GridReport(num_notes=5, num_lost=2)


def test_times_are_rounded_and_durations_clipped():
    tokens = bar((0, [(1, 60, 1), (2, 61, 5), (47, 62, 127)]))
    grid, report = bars_to_grid([tokens], FIVE_BITS)
    assert grid_to_bars(grid) == [
        Phrase(PIANO, (PhraseNote(0, 60, 3), PhraseNote(3, 61, 6), PhraseNote(45, 62, 96)))
    ]
    assert report == GridReport(num_notes=3, num_clipped=1)


def test_no_duration_leaves_the_vocabulary():
    grid, _ = bars_to_grid([bar((0, [(0, 60, 127)]))], GridShape(48, 2, 7))
    grid[0, 0, 0, 1:] = 1  # 128 steps, one more than there are
    assert grid_to_bars(grid) == [Phrase(PIANO, (PhraseNote(0, 60, 127),))]


def test_a_bar_without_notes_is_an_empty_grid():
    grid, report = bars_to_grid([[vocabulary.EMPTY_SLOT], []], FIVE_BITS)
    assert bool((grid[..., 0] == END).all())
    assert grid_to_bars(grid) == [None, None]
    assert report == GridReport()


# ---------------------------------------------------------------------- model
def test_positions_must_divide_the_bar():
    with pytest.raises(ValidationError, match="must divide 48"):
        PianoTreeConfig(num_positions=20)


def test_decisions_are_the_notes_and_one_end_a_position():
    bars = some_bars(3)
    grid, report = bars_to_grid(bars, CONFIG.shape)
    output = make_vae().decode(torch.zeros(3, 32), grid)
    assert output.bits.shape == (report.num_notes, 5)
    assert int((output.pitches == END).sum()) == 3 * 16
    assert len(output.pitch_logits) == report.num_notes + 3 * 16
    assert sorted(output.bits.tolist()) == sorted(grid[grid[..., 0] != END][:, 1:].tolist())


def test_loss_of_a_decoder_that_knows_nothing():
    vae = make_vae()
    for layer in (vae.decoder.to_pitch, vae.decoder.duration.to_logit):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    grid, report = bars_to_grid(some_bars(5), CONFIG.shape)
    loss = vae.reconstruction_loss(vae.decode(torch.randn(5, 32), grid))
    num_decisions = report.num_notes + 5 * 16
    expected = num_decisions / report.num_notes * np.log(129) + 2.6 * np.log(2)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_teacher_forcing_agrees_with_greedy_decoding():
    """What greedy decoding wrote is the likeliest choice when it is told that it wrote it."""
    vae = make_vae()
    with torch.no_grad():
        vae.decoder.to_pitch.bias[END] = 0.5  # else no position of an untrained decoder ends
        latents = 3 * torch.randn(6, 32)
        grid = vae.greedy(latents)
        forced = vae.decode(latents, grid)
    width = min(16, int((grid[..., 0] != END).sum(-1).max())) + 1
    slots, chosen = forced.cells % width, forced.pitch_logits.argmax(-1)
    previous = torch.full((6 * 16 * width,), -1)
    previous[forced.cells] = forced.pitches
    previous = torch.where(slots > 0, previous[forced.cells - 1], -1)
    ruled_out = (chosen <= previous) | (slots == CONFIG.max_notes)
    assert torch.equal(chosen[~ruled_out], forced.pitches[~ruled_out])
    assert int((~ruled_out).sum()) > 6 * 16
    assert torch.equal((forced.bit_logits > 0).long(), forced.bits)


def test_greedy_decoding_ends_with_rising_pitches():
    vae = make_vae()
    torch.nn.init.constant_(vae.decoder.to_pitch.bias[END:], -50.0)
    grid = vae.greedy(torch.randn(2, 32))
    assert grid.shape == (2, 16, 16, 6)
    for notes in grid.flatten(0, 1)[..., 0].tolist():
        written = [pitch for pitch in notes if pitch != END]
        assert written
        assert all(low < high for low, high in pairwise(written))


def test_reconstruction_does_not_depend_on_batches_or_their_order():
    vae, bars = make_vae(), some_bars(9)
    together = reconstruct_bars(vae, bars)
    assert len({str(output) for output in together}) > 1
    assert reconstruct_bars(vae, bars, batch_size=2) == together
    assert reconstruct_bars(vae, bars[::-1])[::-1] == together


def test_the_posterior_reads_every_part_of_a_note():
    grid, _ = bars_to_grid([bar((0, [(0, 60, 6), (0, 64, 6)]))], CONFIG.shape)
    vae = make_vae()
    mean = vae.posterior(grid).mean.detach()
    for field, value in ((0, 65), (1, 1), (5, 0)):
        other = grid.clone()
        other[0, 0, 1, field] = value
        assert largest_change(vae.posterior(other).mean, mean) > 1e-5
    later = torch.roll(grid, 1, dims=1)
    assert largest_change(vae.posterior(later).mean, mean) > 1e-5


def test_scheduled_sampling_changes_notes_and_leaves_their_number():
    vae = make_vae()
    grid, _ = bars_to_grid(some_bars(4), CONFIG.shape)
    latents = torch.randn(4, 32)
    torch.manual_seed(1)
    read = vae._sampled(latents, grid, 0.5)
    is_note = grid[..., 0] != END
    assert torch.equal(read[..., 0] != END, is_note)
    changed = (read != grid).any(-1)[is_note].float().mean()
    assert 0.3 < float(changed) < 0.7
    assert torch.equal(vae._sampled(latents, grid, 1e-9), grid)


# ---------------------------------------------------------------------- training
def loss_of(training: PianoTreeTraining, step: int) -> dict[str, torch.Tensor]:
    return training.loss(training.batch(step), slice(None))


@pytest.mark.parametrize("sampled_share", [0.0, 0.5])
def test_a_step_is_a_function_of_weights_seed_and_step(sampled_share):
    training = make_training(some_bars(8), PianoTreeObjectiveConfig(sampled_share=sampled_share))

    def loss(step: int) -> float:
        torch.manual_seed(step)
        return float(loss_of(training, step)["loss"].detach())

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)


def test_every_parameter_moves():
    training = make_training(some_bars(8))
    before = {name: value.clone() for name, value in training.module.named_parameters()}
    optimizer = build_optimizer(training.module, training.training)
    # Two steps: log-variances begin without weights, which hides nothing but the first gradient.
    for step in range(2):
        loss_of(training, step)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()
    unmoved = [
        name
        for name, value in training.module.named_parameters()
        if torch.equal(value, before[name])
    ]
    assert unmoved == []


def test_the_kl_term_counts_by_its_weight_and_warms_up():
    objective = PianoTreeObjectiveConfig(kl_weight=2.0, kl_warmup_steps=10)
    training = make_training(some_bars(8), objective)
    for step, weight in ((0, 0.0), (5, 1.0), (20, 2.0)):
        values = {name: float(value.detach()) for name, value in loss_of(training, step).items()}
        assert values["loss"] == pytest.approx(values["reconstruction"] + weight * values["kl"])


def test_figures_are_of_flattened_notes():
    bars = [bar((13, [(0, 60, 6)]), (0, [(0, 60, 12)])), bar((0, [(3, 50, 3), (9, 55, 3)]))]
    training = make_training(bars)
    outputs = reconstruct_bars(training.module, bars)
    scores = pool(
        count_phrase(flatten_bar(tokens), output)
        for tokens, output in zip(bars, outputs, strict=True)
    )
    figures = training.validate()
    assert set(figures) == {"score", "reconstruction", "kl", "f1_op", "f1_opd", "exact"}
    assert figures["f1_op"] == scores.f1_op
    assert figures["exact"] == scores.exact_phrase_rate == 0
    assert figures["score"] == pytest.approx(figures["reconstruction"] + 0.01 * figures["kl"])


@pytest.mark.slow
def test_twenty_bars_are_learnt_by_heart(tmp_path):
    wider = {"note_dim": 48, "position_dim": 48, "encoder_dim": 128, "latent_dim": 128}
    wider |= {"decoder_dim": 192, "decoder_note_dim": 192, "duration_dim": 32}
    training = make_training(
        some_bars(20),
        PianoTreeObjectiveConfig(kl_weight=0.001),
        training_config(num_steps=400, batch_size=600),
        make_vae(CONFIG.model_copy(update=wider)),
    )
    before = training.validate()
    fit(training, training.training, tmp_path)
    after = training.validate()
    assert after["reconstruction"] < 0.05 * before["reconstruction"]
    assert after["f1_op"] > 0.99
    assert after["f1_opd"] > 0.98
    assert after["exact"] > 0.9
