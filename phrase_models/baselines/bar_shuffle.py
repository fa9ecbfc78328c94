"""Baseline of real bars without a form: the bars of a training song in random order."""

from phrase_models.baselines.song_choice import TrainingSongBaseline, choose_song, resolved_request
from phrase_models.generator import GeneratedSong, GeneratorInputs, SongRequest
from phrase_models.tokens.song_layout import bars_to_song, song_to_bars
from phrase_models.training.randomness import numpy_generator


class BarShuffle(TrainingSongBaseline):
    """Shuffles the bars of a training song, all tracks together.

    A length is always met, as by `TrainingCopies`. The sections asked for, or those of the song
    before it was shuffled, are named in the result, though its bars do not follow them.
    """

    name = "bar_shuffle"

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """The bars of one training song in random order; see `Generator`."""
        source = choose_song(self.songs, request, seed, index)
        resolved = resolved_request(request, source)
        bars = song_to_bars(source)
        order = numpy_generator("bar_shuffle", seed, index).permutation(len(bars))
        song = bars_to_song(
            [bars[bar] for bar in order],
            song_id=f"{seed}-{index}",
            sections=resolved.sections,
            tempo_bpm=request.tempo_bpm,
        )
        provenance = (
            f"phraseldm seed {seed} song {index} shuffled bars of training song {source.song_id} "
            f"of {self.digest[:12]}"
        )
        return GeneratedSong(index, resolved, song, provenance)


def build_generator(inputs: GeneratorInputs) -> BarShuffle:
    """Of the input `songs`."""
    return BarShuffle(inputs.training_songs(), inputs.digests["songs"])
