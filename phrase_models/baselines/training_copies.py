"""Baseline that cannot be more like real songs, nor less original: copies of training songs."""

from dataclasses import replace

from phrase_models.baselines.song_choice import TrainingSongBaseline, choose_song, resolved_request
from phrase_models.generator import GeneratedSong, GeneratorInputs, SongRequest


class TrainingCopies(TrainingSongBaseline):
    """Copies training songs, chosen by seed and index.

    A length is always met, by cutting a longer song where there is none of it. Sections are met
    where a training song has them; otherwise the copy keeps its own, and its provenance says so.
    """

    name = "training_copies"

    def generate(self, request: SongRequest, seed: int, index: int) -> GeneratedSong:
        """A copy, at the tempo asked for; see `Generator`."""
        source = choose_song(self.songs, request, seed, index)
        resolved = resolved_request(request, source)
        copy = replace(source, song_id=f"{seed}-{index}", tempo_bpm=request.tempo_bpm, key_shift=0)
        provenance = (
            f"phraseldm seed {seed} song {index} copy of training song {source.song_id} "
            f"of {self.digest[:12]}"
        )
        if resolved.sections != copy.sections:
            provenance += ", with other sections than asked for"
        return GeneratedSong(index, resolved, copy, provenance)


def build_generator(inputs: GeneratorInputs) -> TrainingCopies:
    """Of the input `songs`."""
    return TrainingCopies(inputs.training_songs(), inputs.digests["songs"])
