"""What became of the notes of a MIDI file: kept, left out, moved, cut."""

from dataclasses import dataclass

from phrase_models.score.song import MAX_DURATION, ROLE_NAMES, STEPS_PER_BEAT


@dataclass(frozen=True, slots=True)
class TrackReport:
    """What became of one track.

    Attributes:
        number: as people count tracks with notes, from 1.
        name: "" where it has none.
        channel: 0 to 15.
        program: None where the file chose none.
        num_notes: in the file.
        becomes: program that marks the role, or its own; None where it is left out.
        reason: in words.
    """

    number: int
    name: str
    channel: int
    program: int | None
    num_notes: int
    becomes: int | None
    reason: str

    def line(self) -> str:
        """Such as 'Track 2 "Bass", channel 2, program 33: 8 notes left out: ...'."""
        name = f" {self.name!r}" if self.name else ""
        program = "no program" if self.program is None else f"program {self.program}"
        what = "left out" if self.becomes is None else f"-> {part_name(self.becomes)}"
        return (
            f"  Track {self.number}{name} (channel {self.channel + 1}, {program}): "
            f"{counted(self.num_notes, 'note')} {what}, {self.reason}"
        )


@dataclass(frozen=True, slots=True)
class PartReport:
    """What became of the notes that one role, or other program, was given.

    Attributes:
        program: that marks it.
        num_kept: notes of the song.
        num_merged: dropped, for another has the same onset and pitch on the grid.
        num_moved: of those given, whose onset or end was not on the grid.
        largest_move: in beats.
        num_shortened: of those kept, cut where the pitch is struck again or at the longest length.
    """

    program: int
    num_kept: int
    num_merged: int
    num_moved: int
    largest_move: float
    num_shortened: int


def counted(count: int, noun: str) -> str:
    """Such as "1 note" and "2 notes"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def part_name(program: int) -> str:
    """Melody, bridge, piano or "program 40"."""
    return ROLE_NAMES[program].lower() if program in ROLE_NAMES else f"program {program}"


@dataclass(frozen=True, slots=True)
class ReadingReport:
    """All that is to be said of a file that was read.

    Attributes:
        file: its name.
        grid: places a bar that notes were rounded to.
        tracks: with notes, in the order of the file.
        parts: of the song.
        sentences: whatever else was mended, skipped, padded, moved or dropped.
    """

    file: str
    grid: int
    tracks: tuple[TrackReport, ...]
    parts: tuple[PartReport, ...]
    sentences: tuple[str, ...]

    @property
    def num_notes(self) -> int:
        """Notes of the file."""
        return sum(track.num_notes for track in self.tracks)

    @property
    def num_kept(self) -> int:
        """Notes of the song."""
        return sum(part.num_kept for part in self.parts)

    @property
    def num_left_out(self) -> int:
        """Notes of tracks that are left out."""
        return sum(track.num_notes for track in self.tracks if track.becomes is None)

    @property
    def share_kept(self) -> float:
        """Of the notes of the file, 0..1."""
        return self.num_kept / self.num_notes if self.num_notes else 0.0

    @property
    def summary(self) -> str:
        """The report in one line: notes kept, and the tracks that are left out."""
        left_out = [str(track.number) for track in self.tracks if track.becomes is None]
        tracks = f", left out track {', '.join(left_out)}" if left_out else ""
        return (
            f"{self.file}: {self.num_kept} of {self.num_notes} notes kept "
            f"({100 * self.share_kept:.1f} %){tracks}"
        )

    def lines(self) -> list[str]:
        """The whole report, a line a track, part or event."""
        return [
            self.summary,
            *(track.line() for track in self.tracks),
            *self._merging(),
            *(f"  {sentence}" for sentence in self.sentences),
            *(f"  {sentence}" for part in self.parts for sentence in self._changes(part)),
        ]

    def _merging(self) -> list[str]:
        lines = []
        for part in self.parts:
            numbers = [str(track.number) for track in self.tracks if track.becomes == part.program]
            if len(numbers) > 1:
                listed = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
                lines.append(f"  Tracks {listed} are one part: {part_name(part.program)}.")
        return lines

    def _changes(self, part: PartReport) -> list[str]:
        moved, merged, cut = (
            f"{part_name(part.program).capitalize()}: {counted(number, 'note')}"
            for number in (part.num_moved, part.num_merged, part.num_shortened)
        )
        sentences = []
        if part.num_moved:
            sentences.append(
                f"{moved} moved onto the grid of {self.grid} a bar, onset or end, by at most "
                f"{part.largest_move:.3f} beats."
            )
        if part.num_merged:
            sentences.append(
                f"{merged} left out for another of the same onset and pitch; the longest stays."
            )
        if part.num_shortened:
            sentences.append(
                f"{cut} cut where the pitch is struck again or after {MAX_DURATION} steps "
                f"({MAX_DURATION / STEPS_PER_BEAT:.1f} beats)."
            )
        return sentences
