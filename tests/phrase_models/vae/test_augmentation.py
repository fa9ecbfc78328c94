"""Altered phrases are valid phrases, made of the notes they should be made of."""

import numpy as np
import pytest

from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import decode, encode, from_text
from phrase_models.vae import augmentation
from phrase_models.vae.augmentation import MIN_NOTES, augment, read_notes
from phrase_models.vae.phrase_lengths import padded_length
from phrase_models.vae.phrase_table import PhraseBatches, PhraseTable

MAX_TOKENS = 60


def random_phrase(rng: np.random.Generator, program: int, num_notes: int) -> list[int]:
    """A valid phrase with chords, of at most so many notes."""
    from phrase_models.score.song import Phrase, PhraseNote
    from phrase_models.tokens.remiz import tidy_notes

    drawn = zip(
        (3 * rng.integers(0, 16, num_notes)).tolist(),
        rng.integers(36, 84, num_notes).tolist(),
        rng.integers(1, 48, num_notes).tolist(),
        strict=True,
    )
    return encode(Phrase(program, tidy_notes(PhraseNote(*note) for note in drawn)))


def make_batch(seed: int = 0, num_rows: int = 200) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = [
        random_phrase(rng, int(rng.choice([0, 25])), int(rng.integers(1, 19)))
        for _ in range(num_rows)
    ]
    rows += [[vocabulary.EMPTY_SLOT], [vocabulary.END_OF_SONG]]
    rows.append(from_text("i-0 " + "o-0 p-60 d-3 " * 1 + "i-25 " + "o-3 p-64 p-62 d-3"))
    table = PhraseTable.from_rows(rows)
    width = padded_length(int(table.lengths.max()))
    return table.padded(np.arange(len(rows)), width).numpy()


def phrases(batch: np.ndarray) -> list[list[int]]:
    return [[token for token in row if token != vocabulary.PAD] for row in batch.tolist()]


def notes(phrase: list[int]) -> set:
    return set(decode(phrase)[0].notes)


@pytest.fixture
def only(monkeypatch):
    """Alter every long phrase in one way."""

    def choose(kind: int, batch: np.ndarray, max_tokens: int = MAX_TOKENS) -> np.ndarray:
        class Rigged(np.random.Generator):
            def integers(self, low, high=None, size=None, **rest):
                if low == 3 and high is None:
                    return np.full(size, kind)
                return super().integers(low, high, size=size, **rest)

        return augment(batch, 1.0, max_tokens, Rigged(np.random.PCG64(1)))

    return choose


def changed_pairs(batch, altered):
    before, after = phrases(batch), phrases(altered)
    return [(old, new) for old, new in zip(before, after, strict=True) if old != new]


def test_notes_are_read_as_the_tokens_say():
    batch = make_batch()
    found = read_notes(batch[:200])
    for row, phrase in enumerate(phrases(batch[:200])):
        mine = found.row == row
        columns = (found.onset[mine], found.pitch[mine], found.duration[mine])
        read = list(zip(*(column.tolist() for column in columns), strict=True))
        assert read == [(n.onset, n.pitch, n.duration) for n in decode(phrase)[0].notes]


def test_what_comes_out_is_valid_and_short_enough():
    for seed in range(20):
        batch = make_batch(seed)
        altered = augment(batch, 1.0, MAX_TOKENS, np.random.default_rng(seed))
        assert altered.dtype == np.int64
        assert altered.shape[1] % 2 == 0
        assert altered.shape[1] >= batch.shape[1]
        assert (altered[:, -1] == vocabulary.PAD).all()
        pairs = changed_pairs(batch, altered)
        assert len(pairs) > 80
        for old, new in pairs:
            assert decode(new)[1].num_repairs == 0
            assert new[0] == old[0]
            assert len(new) <= min(MAX_TOKENS, 1.25 * batch.shape[1])
            assert len(notes(old)) >= MIN_NOTES
        for row in altered.tolist():  # padding only at the end
            length = len(row) - row[::-1].count(vocabulary.PAD)
            assert vocabulary.PAD not in row[:length]


def test_short_special_and_mixed_phrases_stay():
    batch = make_batch()
    altered = phrases(augment(batch, 1.0, MAX_TOKENS, np.random.default_rng(0)))
    for old, new in zip(phrases(batch)[:200], altered[:200], strict=True):
        if len(notes(old)) < MIN_NOTES:
            assert new == old
    assert altered[200:] == phrases(batch)[200:]


def test_combined_phrases_hold_the_upper_part_of_one_and_the_lower_of_another(only):
    batch = make_batch()
    by_program: dict[int, list[set]] = {}
    for phrase in phrases(batch[:200]):
        by_program.setdefault(phrase[0], []).append(notes(phrase))
    pairs = changed_pairs(batch, only(augmentation.COMBINE, batch))
    assert len(pairs) > 60
    for old, new in pairs:
        own, whole = notes(old), notes(new)
        splits = [
            split
            for split in range(52, 69)
            if {n for n in whole if n.pitch >= split} == {n for n in own if n.pitch >= split}
            and any(
                {n for n in whole if n.pitch < split} == {n for n in other if n.pitch < split}
                for other in by_program[old[0]]
            )
        ]
        assert splits


def test_thinned_phrases_hold_a_part_of_their_notes(only):
    batch = make_batch()
    pairs = changed_pairs(batch, only(augmentation.DROP, batch))
    shares = []
    for old, new in pairs:
        assert notes(new) < notes(old)
        shares.append(1 - len(notes(new)) / len(notes(old)))
    assert 0.2 < np.mean(shares) < 0.35


def test_moved_phrases_keep_all_but_their_place(only):
    batch = make_batch()
    pairs = changed_pairs(batch, only(augmentation.MOVE, batch))
    shifts = set()
    for old, new in pairs:
        found = [
            beats
            for beats in range(1, 4)
            if {((n.onset + 12 * beats) % 48, n.pitch, n.duration) for n in notes(old)}
            == {(n.onset, n.pitch, n.duration) for n in notes(new)}
        ]
        assert found
        shifts.update(found)
    assert shifts == {1, 2, 3}


def test_the_share_is_that_of_the_long_phrases():
    batch = make_batch(num_rows=2000)
    long = sum(len(notes(phrase)) >= MIN_NOTES for phrase in phrases(batch[:2000]))
    none = augment(batch, 0.0, MAX_TOKENS, np.random.default_rng(0))
    assert np.array_equal(none, batch)
    half = augment(batch, 0.5, 500, np.random.default_rng(0))
    assert 0.4 < len(changed_pairs(batch, half)) / long < 0.5  # some come out as they were


def test_a_phrase_that_would_be_too_long_stays():
    batch = make_batch()
    altered = augment(batch, 1.0, 25, np.random.default_rng(0))
    assert all(len(new) <= 25 for _, new in changed_pairs(batch, altered))


def test_a_batch_is_a_function_of_seed_and_step_and_off_is_off():
    table = PhraseTable.from_rows(phrases(make_batch()))

    def batches(share: float) -> PhraseBatches:
        return PhraseBatches(
            table,
            batch_tokens=1024,
            seed=0,
            count_exponent=0.5,
            special_share=0.1,
            transposed_share=0.5,
            augmented_share=share,
            max_tokens=MAX_TOKENS,
        )

    one, other = batches(0.5), batches(0.5)
    steps = (4, 0, 9)
    assert [one.batch(s).tolist() for s in steps] == [other.batch(s).tolist() for s in steps]
    off = batches(0.0)
    assert any(one.batch(step).tolist() != off.batch(step).tolist() for step in range(5))
    for step in range(5):  # the draws themselves are the same
        assert one.batch(step)[:, 0].tolist() == off.batch(step)[:, 0].tolist()
