import base64
import dataclasses
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from phrase_models.gallery.page import GallerySong, format_value, render_gallery
from phrase_models.gallery.self_similarity import self_similarity_png
from phrase_models.gallery.synthesiser import SAMPLE_RATE, render_audio, wav_bytes
from phrase_models.metrics.structure import note_ssm
from phrase_models.score.song import Song

VOID = {"meta", "link", "img", "input", "br"}


class Outline(HTMLParser):
    """Elements with their attributes; fails where tags are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag != "path":
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def attributes(self, tag: str, name: str) -> list[str | None]:
        return [attrs[name] for kind, attrs in self.elements if kind == tag and name in attrs]


def entry(song: Song, **changes) -> GallerySong:
    values = {
        "title": "Song 1",
        "song": song,
        "self_similarity": note_ssm(song),
        "numbers": {"srs": 0.4123, "longest_copied_run": 3, "nearest": "001", "t2r": math.nan},
        "midi": b"MThd-bytes",
        "requested_layout": "i2 A4 B4 A4 o2",
    }
    return GallerySong(**(values | changes))


def page_of(*songs: GallerySong) -> str:
    return render_gallery(songs, "Songs", "made by a test", [("PhraseFID", "3.89")])


def decoded(uri: str) -> bytes:
    return base64.b64decode(uri.split(",", 1)[1])


def test_carries_audio_matrix_and_midi(song):
    outline = Outline(page_of(entry(song)))
    assert decoded(outline.attributes("audio", "src")[0]) == wav_bytes(
        render_audio(song), SAMPLE_RATE
    )
    assert decoded(outline.attributes("img", "src")[0]) == self_similarity_png(note_ssm(song))
    links = [attrs for tag, attrs in outline.elements if tag == "a" and "download" in attrs]
    assert links[0]["download"] == "Song-1.mid"
    assert decoded(links[0]["href"]) == b"MThd-bytes"


def test_needs_no_network(song):
    page = page_of(entry(song))
    outline = Outline(page)
    references = [
        value
        for tag, attrs in outline.elements
        for name, value in attrs.items()
        if name in {"src", "href", "action", "srcset"}
    ]
    assert all(value.startswith(("data:", "#")) for value in references)
    assert "://" not in re.sub(r"data:[^\"]+", "", page)
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_same_songs_same_bytes(song):
    assert page_of(entry(song), entry(song)) == page_of(entry(song), entry(song))


def test_script_data_is_json_of_the_notes(song):
    outline = Outline(page_of(entry(song)))
    data = json.loads(outline.texts["script"][0])
    assert sum(len(track["notes"]) for track in data["tracks"]) == 4 * song.num_notes
    assert data["audioSeconds"] == len(render_audio(song)) / SAMPLE_RATE


def test_numbers_in_table_and_card(song):
    page = page_of(entry(song), entry(song, title="Other", numbers={"extra": 1234.5}))
    outline = Outline(page)
    assert outline.texts["th"] == [
        *("Song", "Sections", "Bars", "Notes", "Tempo"),
        *("srs", "longest copied run", "nearest", "t2r", "extra"),
    ]
    assert outline.texts["td"][-5:] == ["–", "–", "–", "–", "1,234.5"]
    assert outline.texts["dd"] == ["3.89", "0.412", "3", "001", "–", "1,234.5"]


def test_text_is_escaped(song):
    page = page_of(entry(song, title="</script><b>&", numbers={"<i>": "<u>"}))
    Outline(page)
    assert "<b>&" not in page
    assert "<i>" not in page
    assert "<u>" not in page
    assert 'download="script-b.mid"' in page


def test_requested_length(song):
    assert "16 bars, length kept" in page_of(entry(song))
    assert "20 bars, came out at 16" in page_of(entry(song, requested_layout="i4 A16"))
    assert "i intro, other letters sung" in page_of(entry(song, requested_layout="i4 A16"))
    assert "Plan" not in page_of(entry(song, requested_layout=None))
    assert "Plan <b>64 bars</b></p>" in page_of(entry(song, requested_layout="64 bars"))


def test_ribbon_leaves_room_for_bars_without_section(song):
    shorter = dataclasses.replace(song, sections=song.sections[:2])
    ribbon = re.search(r'<div class="ribbon">.*?</div>', page_of(entry(shorter))).group()
    assert re.findall(r"flex:(\d+)", ribbon) == ["2", "4", "10"]


def test_songs_without_anything_still_make_a_page():
    for empty in (Song("x", 0, ()), Song("x", 3, ())):
        outline = Outline(
            page_of(entry(empty, self_similarity=None, numbers={}, requested_layout=None))
        )
        assert outline.attributes("canvas", "class") == []
        assert outline.attributes("img", "src") == []
    assert "There are no songs." in page_of()


def test_refuses_a_matrix_of_another_song(song):
    with pytest.raises(ValueError, match=r"'Song 1' is \(3, 3\), but the song has 16 bars"):
        page_of(entry(song, self_similarity=np.eye(3)))


def test_long_songs_are_cut(song):
    page = render_gallery([entry(song)], "t", "s", [], sample_rate=8000, max_seconds=5.0)
    audio = decoded(Outline(page).attributes("audio", "src")[0])
    assert len(audio) == 58 + 5 * 8000


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.41234, "0.412"),
        (-0.5, "−0.500"),
        (12.345, "12.3"),
        (3, "3"),
        (np.int64(1706), "1,706"),
        (np.float32(1.0), "1.000"),
        (0.0, "0.000"),
        (math.nan, "–"),
        (math.inf, "∞"),
        ("as it is", "as it is"),
    ],
)
def test_format_value(value, text):
    assert format_value(value) == text


def test_the_two_shades_are_explained_where_notes_were_given(song):
    given = dataclasses.replace(song, tracks=song.tracks[:1])
    outline = Outline(page_of(entry(song, given=given), entry(song)))
    shades = [attrs["class"] for tag, attrs in outline.elements if tag == "span" and "shade" in
              (attrs.get("class") or "")]  # fmt: skip
    assert shades == ["shade given", "shade generated"]
    texts = " ".join(outline.texts["span"])
    assert f"given, {given.num_notes} notes" in texts
    assert f"generated, {song.num_notes - given.num_notes} notes" in texts
