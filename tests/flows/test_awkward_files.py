"""Files as people met them in the wild, each odd in one way, through the commands of a user."""

import sys
from pathlib import Path

import pytest

from flows.start import main
from phrase_models.score.midi import read_key, read_midi
from phrase_models.score.song import BRIDGE, MELODY, PIANO
from phrase_models.tokens.song_layout import text_to_song

ROOT = Path(__file__).resolve().parents[2]
RELEASE = ROOT / "releases" / "phrase-vae-64"
PARTS = {"m": MELODY, "b": BRIDGE, "p": PIANO}

# What a user gets of `tokenize`: file, notes kept of melody, bridge and piano, and what is said.
READ: list[tuple[str, str, tuple[str, ...]]] = [
    ("01_plain_roles.mid", "m8 b8 p8", ("24 of 24 notes kept (100.0 %)",)),
    ("02_tpb1024.mid", "m8 b8 p8", ()),
    ("02_tpb120.mid", "m8 b8 p8", ()),
    ("02_tpb220.mid", "m8 b8 p8", ()),
    ("02_tpb25.mid", "m8 b8 p8", ()),
    ("02_tpb96.mid", "m8 b8 p8", ()),
    ("02_tpb960.mid", "m8 b8 p8", ()),
    (
        "04_type0_piano_title_with_drums.mid",
        "b8 p8",
        ("16 of 24 notes", "(channel 10, program 0): 8 notes left out, drums"),
    ),
    ("04b_type0_no_name.mid", "m8 b8 p8", ("24 of 32 notes", "8 notes left out, drums")),
    ("06_named_piano_hides_rest.mid", "m8 b8 p8", ("'Vibraphone' (channel 2, program 13)",)),
    (
        "08_no_program_change_band.mid",
        "m8 b8 p8",
        ("'Lead Vocal' (channel 1, no program): 8 notes -> melody, by its name", "'Strings'"),
    ),
    ("09_key_sig_18_flats.mid", "m8 b8 p8", ("18 flats",)),
    ("10_data_byte_over_127.mid", "p8", ("over 127", "byte 64")),
    ("11_stuck_notes.mid", "p10", ("never end", "2")),
    ("13_zero_length.mid", "p4", ()),
    ("14_running_status_vel0.mid", "p3", ()),
    ("14b_running_status_over_meta.mid", "p2", ()),
    ("15_tempo_change_mid.mid", "m8 b8 p8", ("1 tempo change left out", "(+2.0 s)")),
    ("15b_tempo_first_at_bar2.mid", "p8", ("1 tempo change left out: all is at 70 beats",)),
    ("15d_tempo_1us.mid", "p8", ()),
    ("15e_tempo_slowest.mid", "p8", ()),
    ("15f_no_tempo.mid", "p8", ()),
    ("16_pickup_1_4.mid", "m9", ("pickup bar of 1/4 is padded", "3 silent beats")),
    ("16c_setup_bar_1_8.mid", "m8", ("set-up bar of 1/8 has no notes and is skipped",)),
    ("17_none.mid", "m8 b8 p8", ()),
    ("18c_ts_duplicate.mid", "m8 b8 p8", ()),
    ("19_20_tracks.mid", "m8 b8 p8", ("24 of 160 notes", "Track 20", "no role is left for it")),
    ("20_pitch_extremes.mid", "p8", ()),
    ("21_sysex.mid", "p8", ()),
    ("22_names_shift_jis.mid", "m8 b8 p8", ("'メロディ'", "melody, by its name")),
    ("22c_names_utf8_cn.mid", "m8 b8 p8", ("'主旋律'", "melody, by its name")),
    ("22e_names_utf16.mid", "m8 b8 p8", ("'Bridge' (channel 2, program 25)",)),
    ("22f_names_instrument_meta.mid", "m8 b8 p8", ("'Melody'", "by its name")),
    ("22h_names_MELODY_upper_space.mid", "m8 b8 p8", ("melody, by its name",)),
    ("23_empty_tracks.mid", "p8", ()),
    ("24_one_bar.mid", "p4", ()),
    ("24b_one_note_at_end.mid", "p1", ("1 note moved",)),
    ("25b_2001_bars.mid", "p1", ("2000 silent bars before the first note skipped",)),
    ("26_pedal.mid", "p8", ()),
    ("27_rmid.mid", "m8 b8 p8", ()),
    ("28_header_says_more_tracks.mid", "p8", ("header says 5 tracks",)),
    ("28b_junk_after.mid", "p8", ()),
    ("28d_no_eot.mid", "p8", ()),
    ("28e_track_len_too_long.mid", "m8 b8 p6", ("byte 309",)),
    ("29_midi_port_empty.mid", "p8", ()),
    ("29b_smpte_offset_bad.mid", "p8", ()),
    ("30_markers_rehearsal.mid", "m8 b8 p8", ("2 markers left out", "'A1', 'A2'")),
    ("30b_marker_C64.mid", "m8 b8 p8", ("1 marker left out", "'C64'")),
    ("30d_marker_japanese.mid", "m8 b8 p8", ("'サビ'",)),
    ("32_key_D_major.mid", "m8 b8 p8", ("The key is D.",)),
    ("34_dense_bar.mid", "p960", ()),
    ("35_humanised.mid", "p8", ("8 notes moved", "at most 0.040 beats")),
    ("38_track_names_long.mid", "m8 b8 p8", ("'Bass'",)),
    ("40_vlq_huge.mid", "p1", ("139810 silent bars before the first note skipped",)),
    ("41_macbinary_header.mid", "m8 b8 p8", ("128 bytes before the header",)),
    ("44_own_output_renamed.mid", "m8 b8 p8", ("'Inst 1' (channel 1, program 73)", "melody")),
    ("47_key_sig_empty.mid", "m8 b8 p8", ("key signature of no bytes",)),
    ("49_swing.mid", "m16", ()),
    ("50_staccato.mid", "p8", ()),
]

# File, and what its one sentence says.
REFUSED: list[tuple[str, tuple[str, ...]]] = [
    ("03_smpte.mid", ("frames, not in beats",)),
    ("17_12_8.mid", ("12/8 from bar 1",)),
    ("17_2_2.mid", ("2/2 from bar 1",)),
    ("17_2_4.mid", ("2/4 from bar 1",)),
    ("17_3_4.mid", ("3/4 from bar 1",)),
    ("17_6_8.mid", ("6/8 from bar 1",)),
    ("18_ts_change_mid_2_4.mid", ("2/4 from bar 2 (tick 1920)",)),
    ("18e_ts_on_other_track.mid", ("3/4 from bar 1",)),
    ("23b_no_notes.mid", ("holds no notes",)),
    ("23c_zero_tracks.mid", ("no track",)),
    ("39_drums_only.mid", ("track 1 (8 notes) is left out, drums, channel 10",)),
    ("42_text_html.mid", ("is no MIDI file", "MThd")),
    ("45_division_0.mid", ("0 ticks",)),
]

# Token file, and what `detokenize` says of the MIDI file that it writes.
TOKENS: list[tuple[str, tuple[str, ...]]] = [
    ("bom.txt", ("1 bars, 1 notes, programs 0;",)),
    ("drums.txt", ("1 bars, 3 notes, programs 0, 128;",)),
    ("official.txt", ("1 bars, 2 notes, programs 0; tempo 71.84",)),
    ("onlybars.txt", ("3 bars, 0 notes",)),
    ("overbar.txt", ("2 bars, 2 notes", "struck again, and end there: 1, in bar 1")),
    ("prog40.txt", ("1 bars, 2 notes, programs 0, 40;",)),
    ("twenty.txt", ("1 bars, 20 notes", "52, 53, 54, 55, 56 are on further ports")),
    ("utf16.txt", ("1 bars, 1 notes, programs 0;",)),
]


@pytest.fixture
def awkward(pop909_root) -> Path:
    folder = pop909_root / "awkward"
    if not folder.is_dir():
        pytest.skip("the folder awkward is not beside the checkouts of POP909")
    return Path(folder)


@pytest.fixture
def phraseldm(monkeypatch, capsys):
    """Runs a command; gives exit code, stdout and stderr."""

    def run(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["phraseldm", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return run


def test_every_file_has_a_row(awkward):
    rows = [row[0] for row in (*READ, *REFUSED, *TOKENS)]
    files = {path.name for path in awkward.iterdir()} - {"README.md"}
    assert sorted(rows) == sorted(files)


@pytest.mark.parametrize(("name", "words"), TOKENS, ids=[row[0] for row in TOKENS])
def test_token_files_are_read_and_what_changes_is_said(awkward, phraseldm, tmp_path, name, words):
    code, out, err = phraseldm("detokenize", awkward / name, "-o", tmp_path / "x.mid")
    assert code == 0, err
    for word in words:
        assert word in out + err


@pytest.mark.parametrize(("name", "kept", "words"), READ, ids=[row[0] for row in READ])
def test_what_players_play_is_read_and_what_became_of_it_said(
    awkward, phraseldm, name, kept, words
):
    code, tokens, said = phraseldm("tokenize", awkward / name)
    assert code == 0, said
    found = {track.program: len(track.notes) for track in text_to_song(tokens).tracks}
    assert found == {PARTS[part[0]]: int(part[1:]) for part in kept.split()}
    assert said.startswith(f"{name}: {sum(found.values())} of ")
    for word in words:
        assert word in said


@pytest.mark.parametrize(("name", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_cannot_be_read_is_refused_in_one_true_sentence(awkward, phraseldm, name, words):
    code, tokens, said = phraseldm("tokenize", awkward / name)
    assert (code, tokens) == (2, "")
    assert said.count("\n") == 1
    assert str(awkward / name) in said
    assert "perhaps cut off" not in said
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("name", "num_notes", "largest"),
    [
        ("35_humanised.mid", 8, "0.052"),
        ("49_swing.mid", 16, "0.083"),
        ("50_staccato.mid", 8, "0.0"),
    ],
)
def test_what_is_off_the_grid_comes_back_from_the_released_model(
    awkward, phraseldm, tmp_path, name, num_notes, largest
):
    code, figures, said = phraseldm(
        "reconstruct", awkward / name, "-o", tmp_path / "x.mid", "--vae", RELEASE
    )
    assert code == 0, said
    assert f"moved onto the grid of 16 a bar, onset or end, by at most {largest}" in said
    assert f"{num_notes} notes in 2 bars, 100.0 % of the file's {num_notes}" in figures
    words = figures.split()
    scores = {
        word: float(words[at + 1].strip(";")) for at, word in enumerate(words) if "F1" in word
    }
    assert set(scores) == {"F1_op", "F1_opd", "F1_iopd"}
    assert min(scores.values()) >= 0.95
    onsets = [note.onset for track in read_midi(tmp_path / "x.mid").tracks for note in track.notes]
    assert all(onset % 3 == 0 for onset in onsets)


def test_a_raw_song_whose_beats_are_off_by_a_constant_comes_back(pop909_root, phraseldm, tmp_path):
    raw = pop909_root / "POP909-Dataset" / "POP909" / "340" / "340.mid"
    code, figures, said = phraseldm("reconstruct", raw, "-o", tmp_path / "x.mid", "--vae", RELEASE)
    assert code == 0
    assert "All beats lie +0.098 beats off the grid and are shifted onto it." in said
    assert "1277 notes in 96 bars, 100.0 % of the file's 1277" in figures
    assert float(figures.split("F1_opd ")[1].split()[0]) >= 0.95


def test_more_notes_than_the_model_holds_are_cut_and_said_and_the_key_is_kept(
    awkward, phraseldm, tmp_path
):
    options = ("-o", tmp_path / "x.mid", "--vae", RELEASE)
    code, figures, said = phraseldm("reconstruct", awkward / "34_dense_bar.mid", *options)
    assert code == 0
    assert "Bar 1, piano: 320 notes are more than the model's longest phrase" in said
    assert "212 are cut, 108 stay" in said
    assert "340 notes in 2 bars, 35.4 % of the file's 960" in figures
    code, _, _ = phraseldm("reconstruct", awkward / "32_key_D_major.mid", *options, "--force")
    assert (code, read_key(tmp_path / "x.mid")) == (0, "D")


def test_the_user_decides_otherwise(awkward, phraseldm):
    band = awkward / "08_no_program_change_band.mid"
    code, listed, said = phraseldm("tokenize", band, "--list-tracks", "--map", "Bass=none")
    assert (code, said) == (0, "")
    assert listed.splitlines()[0] == "08_no_program_change_band.mid: 3 tracks with notes"
    bass = "  Track 2 'Bass' (channel 2, no program): 8 notes left out, as you chose"
    assert listed.splitlines()[2] == bass
    code, tokens, _ = phraseldm("tokenize", band, "--map", "Bass=melody", "--map", "Track 3=melody")
    assert code == 0
    assert {track.program: len(track.notes) for track in text_to_song(tokens).tracks} == {
        MELODY: 16,
        BRIDGE: 8,
    }
    code, tokens, said = phraseldm("tokenize", band, "--map", "Flute=melody")
    assert (code, tokens) == (2, "")
    assert "no track 'Flute' with notes" in said
    assert "1 'Lead Vocal', 2 'Bass', 3 'Strings'" in said
