"""What becomes of the MIDI files of a folder: a table of read, mapped, left out and said.

python -m benchmarks.midi_reading_table FOLDER [--details]
"""

import statistics
import sys
from pathlib import Path

from phrase_models.errors import BadMidiError
from phrase_models.score.midi import MidiReading, read_with_report
from phrase_models.score.reading_report import part_name


def accounted_share(reading: MidiReading) -> float:
    """Share of a file's notes that are kept, or named as left out."""
    report = reading.report
    merged = sum(part.num_merged for part in report.parts)
    return (report.num_kept + merged + report.num_left_out) / report.num_notes


def row(path: Path, reading: MidiReading) -> str:
    """One file as a line of the table."""
    report = reading.report
    parts = ", ".join(f"{part_name(part.program)} {part.num_kept}" for part in report.parts)
    moved = sum(part.num_moved for part in report.parts)
    merged = sum(part.num_merged for part in report.parts)
    return (
        f"| {path.name} | {report.num_notes} | {parts} | {report.num_left_out} | {merged} "
        f"| {moved} | {len(report.sentences)} |"
    )


def main(folder: Path, *, details: bool) -> None:
    """Print the table and its summary."""
    readings, refused = [], []
    print("| file | notes | kept | left out | merged | moved | said besides |\n|" + "---|" * 7)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    for path in paths:
        try:
            reading = read_with_report(path)
        except BadMidiError as error:
            refused.append(str(error))
            continue
        readings.append(reading)
        print(row(path, reading))
        if details:
            print("\n".join(reading.report.lines()))
    print("\n" + "\n".join(refused))
    if readings:
        kept = statistics.median(reading.report.share_kept for reading in readings)
        accounted = [accounted_share(reading) for reading in readings]
        print(
            f"\n{len(paths)} files: {len(readings)} read, {len(refused)} refused with a sentence; "
            f"median share of notes kept {kept:.1%}, kept or named "
            f"{statistics.median(accounted):.1%} (least {min(accounted):.1%})"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), details="--details" in sys.argv)
