"""The metrics of any folder of MIDI files: of `generate`, of another system, of real songs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.form.form_edits import obeyed
from phrase_models.form.song_form import SLOT_NAMES
from phrase_models.generation_metrics import generated_song
from phrase_models.generator import GeneratedSong
from phrase_models.metrics.evaluated_song import EvaluatedSong, build_training_reference
from phrase_models.metrics.evaluation import METRICS, SetMetric, SongMetric, evaluate_songs
from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.result import MetricResult, mean_result
from phrase_models.score.song import Song
from phrase_models.score.transforms import choose_key, shift_to_c, transpose
from phrase_models.song_batch import DESCRIPTIONS, read_each
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars
from storage.errors import MissingArtifact
from storage.opening import existing_store
from storage.paths import check_new_file
from storage.writing import write_json
from tasks.music.reading import read_of_many
from tasks.stages.evaluate_songs import cell_text, duplicate_groups, plain_results
from tasks.stages.rows import read_accepted_songs, splits_of

NEED_AUTOENCODER = frozenset({"phrase_fid", "phrase_fid_official", "srs_official"})
"""They compare latents with those that the same autoencoder gives the reference."""
NEED_LATENTS = frozenset({"srs", "same_label_similarity"})
NEED_REFERENCE = frozenset(
    {
        *("feature_frechet", "two_sample_auc", "mmr", "mmr_official", "t2r", "t2r_official", "mr"),
        *("mr_official", "mr_invariant", "longest_quotation_notes", "longest_quotation_bars"),
        *("longest_copied_run", "longest_copied_run_transposed"),
    }
)
MAX_REFERENCE_SONGS = 100
"""That distances are taken to, and that are measured beside; melodies are compared with all."""
MIDI_ENDINGS = (".mid", ".midi")
NUM_NAMED = 10


@dataclass(frozen=True)
class SongFolder:
    """The songs of a folder.

    Attributes:
        songs: in order, None for each that cannot be read.
        unread: name of a file to the reason, of those.
        form_obeyed: share of the cells of its form that each song obeys; nan without a form.
    """

    songs: Sequence[EvaluatedSong | None]
    unread: Mapping[str, str]
    form_obeyed: Sequence[float]

    @property
    def read(self) -> list[EvaluatedSong]:
        """The songs that could be read."""
        return [item for item in self.songs if item is not None]


@dataclass(frozen=True)
class Reference:
    """Real songs to compare with.

    Attributes:
        words: what they are, for people.
        songs: all of them.
        groups: name of the duplicate group by song id.
        held_out: real songs beside them, which say what songs quote by chance.
    """

    words: str
    songs: Sequence[EvaluatedSong]
    groups: Mapping[str, str]
    held_out: Sequence[Song] = ()


def evaluate_folder(
    folder: Path,
    reference: Path | None,
    store: Path,
    json_file: Path | None,
    *,
    force: bool = False,
) -> str:
    """Measure the songs of a folder.

    Args:
        folder: of `generate`, whose songs.json says what was asked for, or of any MIDI files, which
            are looked for in its folders too and moved to C major or A minor by their notes.
        reference: folder of real songs; without one, the training songs of the store are taken.
        store: folder of a store; need not exist.
        json_file: gets the figures, or None.
        force: whether a JSON file that is there is replaced.

    Returns:
        A table, and what was left out of it and why.

    Raises:
        ConfigurationError: if there is no song in a folder.
        StorageError: if the JSON file cannot be written, or the store is damaged.
    """
    if json_file is not None:
        check_new_file(json_file, force=force)
    songs = read_songs(folder)
    compared = _folder_reference(reference) if reference is not None else _store_reference(store)
    metrics, left_out = _measurable(songs, compared, store)
    columns = _measure(songs, compared, metrics)
    said = [*_named(songs), *left_out]
    if json_file is not None:
        rows = [plain_results(results) for results in columns.values()]
        named = dict(zip(("songs", "reference"), rows, strict=False))
        write_json(json_file, {**named, "unread": dict(songs.unread), "left_out": left_out})
        said.append(f"Wrote {json_file}")
    return "\n".join([*_table(columns), "", *said])


def read_songs(folder: Path) -> SongFolder:
    """The songs of a folder, in C major or A minor; see `evaluate_folder`.

    Raises:
        ConfigurationError: if there are none, or its songs.json is none.
    """
    if not folder.is_dir():
        message = f"There is no folder {folder}: name one that holds MIDI files."
        raise ConfigurationError(message)
    songs: list[EvaluatedSong | None] = []
    unread: dict[str, str] = {}
    obeyed_shares: list[float] = []
    is_batch = (folder / DESCRIPTIONS).exists()
    for name, read in read_each(folder) if is_batch else _read_files(folder):
        obeyed_shares.append(_form_obeyed(read) if isinstance(read, GeneratedSong) else math.nan)
        if isinstance(read, UserError):
            songs.append(None)
            unread[name] = str(read)
        elif isinstance(read, Song):
            songs.append(EvaluatedSong(read, plan=read.sections or None))
        else:
            songs.append(generated_song(read, "role"))
    if not songs:
        message = f"There is no MIDI file in {folder}: name a folder with files that end in .mid."
        raise ConfigurationError(message)
    return SongFolder(songs, unread, obeyed_shares)


def _form_obeyed(song: GeneratedSong) -> float:
    form = song.request.form
    if form is None or form.num_slots != len(SLOT_NAMES):
        return math.nan
    return obeyed(form, bars_to_slots(song_to_bars(song.song), "role"))


def _read_files(folder: Path) -> Iterable[tuple[str, Song | UserError]]:
    files = (path for path in folder.rglob("*") if path.suffix.lower() in MIDI_ENDINGS)
    for path in sorted(path for path in files if path.is_file() and path.name[0] != "."):
        name = path.relative_to(folder).as_posix()
        try:
            song = read_of_many(path).song
            major, _ = choose_key(song.tracks, range(12))
            yield name, replace(transpose(song, shift_to_c(major), fold=True), song_id=name)
        except UserError as error:
            yield name, error


def _folder_reference(folder: Path) -> Reference:
    songs = read_songs(folder)
    if not songs.read:
        message = f"No song in {folder} can be read: {next(iter(songs.unread.values()))}"
        raise ConfigurationError(message)
    unread = f", {len(songs.unread)} more cannot be read" if songs.unread else ""
    return Reference(f"{len(songs.read)} songs of {folder}{unread}", songs.read, {})


def _store_reference(store: Path) -> Reference | None:
    try:
        corpus = existing_store(store).latest("ingest_songs").folder
    except MissingArtifact:
        return None
    splits = splits_of(corpus)
    songs = read_accepted_songs(corpus)
    train = [song for song in songs if splits[song.song_id] == "train"]
    return Reference(
        f"{len(train)} training songs of {store}",
        [EvaluatedSong(song, plan=song.sections or None) for song in train],
        duplicate_groups(corpus),
        [song for song in songs if splits[song.song_id] != "train"],
    )


def _measurable(
    songs: SongFolder, reference: Reference | None, store: Path
) -> tuple[list[SongMetric | SetMetric], list[str]]:
    """The metrics for which all is there, and a sentence about each lot of others."""
    missing = set(NEED_AUTOENCODER)
    said = [f"Left out, as they need latents of the reference: {_listed(NEED_AUTOENCODER)}."]
    if not any(item.sound_latents is not None for item in songs.read):
        missing |= NEED_LATENTS
        said.append(f"Left out, as the folder holds no latents: {_listed(NEED_LATENTS)}.")
    if reference is None:
        missing |= NEED_REFERENCE
        said.append(
            f"Left out, as there are no songs in {store} and no --reference was named: "
            f"{_listed(NEED_REFERENCE)}."
        )
    return [metric for metric in METRICS if metric.name not in missing], said


def _listed(names: Iterable[str]) -> str:
    return ", ".join(metric.name for metric in METRICS if metric.name in names)


def _measure(
    songs: SongFolder, reference: Reference | None, metrics: Sequence[SongMetric | SetMetric]
) -> dict[str, list[MetricResult]]:
    """Results by heading: the songs, and the reference where there is one."""
    compared = [] if reference is None else reference.songs
    training = build_training_reference(
        build_training_melodies(
            {item.song.song_id: melody_tokens(item.song) for item in compared},
            {} if reference is None else reference.groups,
        ),
        () if reference is None else reference.held_out,
    )
    some = compared[:: max(1, -(-len(compared) // MAX_REFERENCE_SONGS))]
    measured = evaluate_songs(songs.songs, some, training, metrics=metrics)
    if not all(map(math.isnan, songs.form_obeyed)):
        measured.append(mean_result("form_obeyed", songs.form_obeyed))
    columns = {f"songs ({len(songs.songs)})": measured}
    if reference is not None:
        # Distances of the reference to itself would say nothing.
        own = [metric for metric in metrics if isinstance(metric, SongMetric)]
        columns[f"reference ({len(some)} of {reference.words})"] = evaluate_songs(
            some, some, training, leave_one_out=True, metrics=own
        )
    return columns


def _table(columns: Mapping[str, Sequence[MetricResult]]) -> list[str]:
    """Markdown: a metric a line, with 95 % intervals over songs."""
    first, *others = columns.values()
    beside = [{result.name: result for result in results} for results in others]
    lines = [f"| metric | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for result in first:
        cells = [cell_text(result), *(cell_text(found.get(result.name)) for found in beside)]
        lines.append(f"| {result.name} | {' | '.join(cells)} |")
    return lines


def _named(songs: SongFolder) -> list[str]:
    """The songs that cannot be read, and why."""
    if not songs.unread:
        return []
    lines = [
        f"{len(songs.unread)} of {len(songs.songs)} songs cannot be read and count as failures:"
    ]
    lines += [f"  {name}: {reason}" for name, reason in [*songs.unread.items()][:NUM_NAMED]]
    if len(songs.unread) > NUM_NAMED:
        lines.append(f"  and {len(songs.unread) - NUM_NAMED} more")
    return lines
