"""What the baselines made of training songs share: which song each of theirs starts from."""

from collections.abc import Sequence
from dataclasses import replace

from phrase_models.errors import ConfigurationError
from phrase_models.generator import SongRequest
from phrase_models.score.song import STEPS_PER_BAR, Section, Song, Track
from phrase_models.training.randomness import numpy_generator


def fitting_songs(songs: Sequence[Song], request: SongRequest) -> list[Song]:
    """Training songs that meet a request best.

    Those with the sections asked for; else those of the length; else longer ones, to be cut. Songs
    without sections count only where no song has any.

    Raises:
        ConfigurationError: if there is no song, or none as long as asked.
    """
    known = [song for song in songs if song.sections] or list(songs)
    if not known:
        message = "There are no training songs to take bars from; ingest some first."
        raise ConfigurationError(message)
    if request.num_bars is None:
        return known
    if request.num_bars < 1:
        message = f"A song of {request.num_bars} bars was asked for; ask for at least 1."
        raise ConfigurationError(message)
    longest = max(song.num_bars for song in known)
    if request.num_bars > longest:
        message = (
            f"A song of {request.num_bars} bars was asked for, but the longest training song "
            f"has {longest}; ask for fewer bars."
        )
        raise ConfigurationError(message)
    of_length = [song for song in known if song.num_bars == request.num_bars]
    of_sections = [song for song in of_length if song.sections == request.sections]
    longer = [song for song in known if song.num_bars >= request.num_bars]
    return of_sections or of_length or longer


def choose_song(songs: Sequence[Song], request: SongRequest, seed: int, index: int) -> Song:
    """The training song that song `index` of a seed is made of, cut to the length asked for.

    Drawn as PhraseLDM draws a plan that is left open, so that without a request, or with a length
    that training songs have, song `index` of a seed has one plan whatever generator writes it.

    Raises:
        ConfigurationError: as `fitting_songs`.
    """
    fitting = fitting_songs(songs, request)
    song = fitting[int(numpy_generator("plan", seed, index).integers(len(fitting)))]
    return first_bars(song, request.num_bars or song.num_bars)


def first_bars(song: Song, num_bars: int) -> Song:
    """The beginning of a song; notes may reach over its end."""
    if num_bars == song.num_bars:
        return song
    tracks = tuple(
        Track(
            track.program,
            tuple(note for note in track.notes if note.onset < num_bars * STEPS_PER_BAR),
        )
        for track in song.tracks
    )
    sections = tuple(
        Section(part.label, part.start_bar, min(part.num_bars, num_bars - part.start_bar))
        for part in song.sections
        if part.start_bar < num_bars
    )
    sounding = tuple(track for track in tracks if track.notes)
    return replace(song, num_bars=num_bars, tracks=sounding, sections=sections)


def resolved_request(request: SongRequest, song: Song) -> SongRequest:
    """The request with what it leaves open taken from the chosen song."""
    return replace(request, num_bars=song.num_bars, sections=request.sections or song.sections)


class TrainingSongBaseline:
    """A baseline made of training songs; what it does with them is its own."""

    def __init__(self, songs: Sequence[Song], digest: str) -> None:
        """Take training songs, in C major or A minor, and the digest of them all."""
        self.songs, self.digest = tuple(songs), digest

    def check(self, request: SongRequest) -> None:
        """Refuse a plan of form, chords or texture, and what no training song is long enough for.

        See `Generator`.
        """
        if request.plans_bars:
            message = (
                "A baseline takes form, chords and texture from its songs; leave them out, or have "
                "the songs written by phrase_ldm."
            )
            raise ConfigurationError(message)
        fitting_songs(self.songs, request)
