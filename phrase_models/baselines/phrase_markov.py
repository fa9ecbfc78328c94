"""Baseline of real phrases without a plan: a Markov chain over the phrases of every slot."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from phrase_models.baselines.song_choice import TrainingSongBaseline, choose_song, resolved_request
from phrase_models.generator import GeneratedSong, GeneratorInputs, SongRequest
from phrase_models.score.dynamics import with_dynamics
from phrase_models.score.song import Song
from phrase_models.tokens.song_layout import (
    NUM_PHRASE_SLOTS,
    bars_to_slots,
    bars_to_song,
    slots_to_bars,
    song_to_bars,
)
from phrase_models.training.randomness import numpy_generator

Tokens = tuple[int, ...]
SONG_START: Tokens = ()
"""Stands before the first bar."""


class PhraseChain:
    """How often each phrase of one slot followed each."""

    def __init__(self, songs: Sequence[Sequence[Tokens]]) -> None:
        """Count.

        Args:
            songs: the phrases of the slot, bar by bar, of each training song.
        """
        self._counts = Counter(phrase for song in songs for phrase in song)
        self._followers: dict[Tokens, Counter[Tokens]] = {}
        for song in songs:
            for phrase, following in zip((SONG_START, *song), song, strict=False):
                self._followers.setdefault(phrase, Counter())[following] += 1
        self._all = _Drawer(self._counts)

    def back_off(self, phrase: Tokens) -> float:
        """Share of the draws after `phrase` that any phrase of the slot may come from.

        Witten and Bell's rule: a phrase that was followed n times by t different ones leaves
        t / (n + t), all of it where n is 0. So the chain leaves even a phrase that occurs once.
        """
        followers = self._followers.get(phrase)
        if not followers:
            return 1.0
        return len(followers) / (followers.total() + len(followers))

    def probability(self, phrase: Tokens, following: Tokens) -> float:
        """Of `following` in the bar after `phrase`."""
        back_off = self.back_off(phrase)
        followers = self._followers.get(phrase, Counter())
        direct = followers[following] / followers.total() if followers else 0.0
        return (1.0 - back_off) * direct + back_off * self._counts[following] / self._counts.total()

    def draw(self, phrase: Tokens, rng: np.random.Generator) -> Tokens:
        """The phrase of the bar after `phrase`."""
        if rng.random() < self.back_off(phrase):
            return self._all.draw(rng)
        return _Drawer(self._followers[phrase]).draw(rng)


class _Drawer:
    """Draws phrases in proportion to their counts."""

    def __init__(self, counts: Counter[Tokens]) -> None:
        self.phrases, self.ends = list(counts), np.cumsum(list(counts.values()))

    def draw(self, rng: np.random.Generator) -> Tokens:
        place = np.searchsorted(self.ends, rng.integers(self.ends[-1]), side="right")
        return self.phrases[int(place)]


def fit_chains(songs: Sequence[Song]) -> tuple[PhraseChain, ...]:
    """One chain for each of the slots melody, bridge and piano."""
    slots = [bars_to_slots(song_to_bars(song), "role") for song in songs]
    return tuple(
        PhraseChain([[tuple(bar[slot]) for bar in song] for song in slots])
        for slot in range(NUM_PHRASE_SLOTS)
    )


class PhraseMarkov(TrainingSongBaseline):
    """Every slot goes from phrase to phrase on its own.

    Lengths are met; one that is left open is drawn from the training songs. It knows no sections:
    those asked for, or those of the training song the length came from, are named in the result,
    though its bars do not follow them.
    """

    name = "phrase_markov"

    def __init__(self, songs: Sequence[Song], digest: str) -> None:
        """Fit to training songs, in C major or A minor; `digest` is of them all."""
        super().__init__(songs, digest)
        self.chains = fit_chains(self.songs)

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """A walk of the chains; see `Generator`."""
        resolved = resolved_request(request, choose_song(self.songs, request, seed, index))
        rng = numpy_generator("phrase_markov", seed, index)
        bar = [SONG_START] * NUM_PHRASE_SLOTS
        slots = []
        for _ in range(resolved.num_bars or 0):
            bar = [chain.draw(phrase, rng) for chain, phrase in zip(self.chains, bar, strict=True)]
            slots.append(bar)
        bars, report = slots_to_bars(slots, "role")
        song = bars_to_song(
            bars,
            song_id=f"{seed}-{index}",
            sections=resolved.sections,
            tempo_bpm=request.tempo_bpm,
        )
        provenance = (
            f"phraseldm seed {seed} song {index} Markov chain over phrases of {self.digest[:12]}"
        )
        song = with_dynamics(song)
        return GeneratedSong(index, resolved, song, provenance, num_repairs=report.num_repairs)


def build_generator(inputs: GeneratorInputs) -> PhraseMarkov:
    """Of the input `songs`."""
    return PhraseMarkov(inputs.training_songs(), inputs.digests["songs"])
