"""`gallery.html`: songs to look at and listen to, in one file that needs no network.

A table of all songs, then for each its sections, piano roll, form, self-similarity matrix,
recording, numbers and MIDI file. Everything is inside the page, whose policy forbids it to fetch
anything. The same songs give the same bytes.
"""

import base64
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from numbers import Integral

import numpy as np

from phrase_models.form.song_form import SongForm
from phrase_models.gallery.form_grid import form_legend, form_names, form_strip
from phrase_models.gallery.piano_roll import (
    given_colour,
    roll_data,
    section_colour,
    shown_sections,
    track_colour,
    track_name,
)
from phrase_models.gallery.script import SCRIPT
from phrase_models.gallery.self_similarity import self_similarity_png
from phrase_models.gallery.style import STYLE
from phrase_models.gallery.synthesiser import SAMPLE_RATE, render_audio, wav_bytes
from phrase_models.score.song import (
    BEATS_PER_BAR,
    ROLE_PROGRAMS,
    Section,
    Song,
    format_section_layout,
    parse_section_layout,
)

MAX_SECONDS = 300.0
_POLICY = (
    "default-src 'none'; img-src data:; media-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)


@dataclass(frozen=True, slots=True)
class GallerySong:
    """One song of the page.

    Attributes:
        title: heading; also names the MIDI file.
        song: what is drawn and played.
        self_similarity: `[num_bars, num_bars]` similarities of bars, drawn from 0 to 1.
        numbers: measured figures by name, in the order to show; nan shows as a dash.
        midi: the file behind the download button.
        requested_layout: sections that were asked for, such as "i4 A8 B8 o2".
        form: as planned, drawn under the piano roll.
        given: those of its notes that were given, drawn paler than the generated ones; None where
            there is no such difference.
    """

    title: str
    song: Song
    self_similarity: np.ndarray | None
    numbers: Mapping[str, float | str]
    midi: bytes
    requested_layout: str | None = None
    form: SongForm | None = None
    given: Song | None = None


def render_gallery(
    songs: Sequence[GallerySong],
    title: str,
    subtitle: str,
    headline: Sequence[tuple[str, str]],
    *,
    sample_rate: int = SAMPLE_RATE,
    max_seconds: float | None = MAX_SECONDS,
) -> str:
    """Write the page.

    Args:
        songs: in the order to show.
        title: heading of the page.
        subtitle: a sentence below it.
        headline: (name, value) pairs shown large at the top.
        sample_rate: samples a second of the recordings; a minute takes 80 bytes for each.
        max_seconds: longest recording; longer songs fade out. None plays them whole.

    Returns:
        HTML.

    Raises:
        ValueError: if a self-similarity matrix does not have one row and column for each bar.
    """
    cards = "\n".join(
        _song_card(index, song, sample_rate, max_seconds) for index, song in enumerate(songs, 1)
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>{escape(title)}</h1>
<p class="subtitle">{escape(subtitle)}</p>
{_headline(headline)}
{_summary(songs)}
{cards}
<noscript><p>Piano rolls and players need JavaScript, which is switched off.</p></noscript>
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def format_value(value: float | str) -> str:
    """A figure for people: whole numbers whole, others with three digits, nan as a dash."""
    if isinstance(value, str):
        return value
    number = float(value)
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    if isinstance(value, Integral):
        return f"{int(value):,}".replace("-", "−")
    digits = 3 if abs(number) < 10 else 1
    return f"{number:,.{digits}f}".replace("-", "−")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _file_stem(title: str, index: int) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.") or f"song-{index}"


def _json_for_script(value: object) -> str:
    """JSON that cannot end its script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def _headline(headline: Sequence[tuple[str, str]]) -> str:
    if not headline:
        return ""
    tiles = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in headline
    )
    return f'<dl class="headline">{tiles}</dl>'


def _bar_strip(sections: Sequence[Section], num_bars: int) -> str:
    """Coloured cells as wide, or tall, as the sections are long."""
    cells = "".join(
        f'<i style="flex:{section.num_bars};background:{section_colour(section.label)}"></i>'
        for section in sections
    )
    return cells + _filler("i", sections, num_bars)


def _filler(element: str, sections: Sequence[Section], num_bars: int) -> str:
    """An empty cell for the bars after the last section, so that the others keep their places."""
    rest = num_bars - sum(section.num_bars for section in sections)
    return f'<{element} style="flex:{rest}"></{element}>' if rest > 0 else ""


def _summary(songs: Sequence[GallerySong]) -> str:
    if not songs:
        return '<p class="subtitle">There are no songs.</p>'
    names = list(dict.fromkeys(name for song in songs for name in song.numbers))
    heads = ["Song", "Sections", "Bars", "Notes", "Tempo", *(_label(name) for name in names)]
    rows = []
    for index, item in enumerate(songs, 1):
        song = item.song
        sections = shown_sections(song, item.requested_layout)
        layout = escape(format_section_layout(sections))
        strip = f'<div class="mini" title="{layout}">{_bar_strip(sections, song.num_bars)}</div>'
        cells = [
            f'<a href="#song-{index}">{escape(item.title)}</a>',
            strip if sections else "–",
            str(song.num_bars),
            format_value(song.num_notes),
            f"{song.tempo_bpm:.0f}",
            *(escape(format_value(item.numbers.get(name, math.nan))) for name in names),
        ]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "\n".join(rows)
    return (
        f'<div class="panel"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>{body}</tbody></table></div>"
    )


def _label(name: str) -> str:
    return name.replace("_", " ")


def _song_card(index: int, item: GallerySong, sample_rate: int, max_seconds: float | None) -> str:
    song = item.song
    sections = shown_sections(song, item.requested_layout)
    samples = render_audio(song, sample_rate, max_seconds=max_seconds)
    seconds = len(samples) / sample_rate
    data = _json_for_script(roll_data(song, sections, seconds, item.given))
    audio = _data_uri("audio/wav", wav_bytes(samples, sample_rate))
    matrix = _matrix(item, sections)
    form = form_strip(item.form, song.num_bars)
    return f"""<section class="song" id="song-{index}">
<header><h2>{escape(item.title)}</h2><span class="facts">{_facts(song)}</span></header>
{_request(item)}
<div class="view{"" if matrix else " alone"}">
<div class="frame{" planned" if form else ""}">\
<div class="side"><div class="pitches"></div>{form_names(item.form, song.num_bars)}</div>\
<div class="scroll"><div class="roll">{_ribbon(sections, song.num_bars)}<canvas></canvas>{form}\
<div class="playhead"></div></div></div></div>
{matrix}
</div>
{form_legend(item.form) if form else ""}{_shades(item)}
{_player(index, item, seconds)}
{_numbers(item.numbers)}
<audio preload="none" src="{audio}"></audio>
<script type="application/json">{data}</script>
</section>"""


def _facts(song: Song) -> str:
    parts = [
        f"{song.num_bars} bars",
        f"{song.num_notes:,} notes",
        f"{song.tempo_bpm:.0f} beats a minute",
    ]
    return " · ".join(parts)


def _shades(item: GallerySong) -> str:
    """What the two shades of the notes mean, a pair for each role."""
    if item.given is None:
        return ""
    programs = [track.program for track in item.song.tracks]
    entries = "".join(
        f'<span class="shade {kind}">'
        + "".join(f'<i style="background:{colour(program)}"></i>' for program in programs)
        + f"{kind}, {count:,} notes</span>"
        for kind, colour, count in (
            ("given", given_colour, item.given.num_notes),
            ("generated", track_colour, item.song.num_notes - item.given.num_notes),
        )
    )
    return f'<p class="shades">{entries}</p>'


_LETTERS = {"i": "intro", "o": "outro", "b": "bridge", "x": "interlude", "X": "interlude"}
"""Sections that need not be sung (Dai et al. 2020)."""


def _request(item: GallerySong) -> str:
    """The layout of the plan, what its letters mean, and whether the song is as long."""
    if item.requested_layout is None:
        return ""
    text = f"Plan <b>{escape(item.requested_layout)}</b>"
    try:
        sections = parse_section_layout(item.requested_layout)
    except ValueError:
        return f'<p class="request">{text}</p>'
    bars = sum(section.num_bars for section in sections)
    kept = "length kept" if bars == item.song.num_bars else f"came out at {item.song.num_bars}"
    letters = {section.label for section in sections}
    words = [f"{letter} {word}" for letter, word in _LETTERS.items() if letter in letters]
    meaning = ", ".join([*words, "other letters sung"])
    return f'<p class="request">{text} · {bars} bars, {kept} · {meaning}</p>'


def _ribbon(sections: Sequence[Section], num_bars: int) -> str:
    if not sections:
        return ""
    cells = "".join(
        f'<span style="flex:{section.num_bars};background:{section_colour(section.label)}" '
        f'title="{escape(section.label)}, bars {section.start_bar + 1} to '
        f'{section.start_bar + section.num_bars}">{escape(section.label)}'
        f"<small>{section.num_bars}</small></span>"
        for section in sections
    )
    return f'<div class="ribbon">{cells}{_filler("span", sections, num_bars)}</div>'


def _matrix(item: GallerySong, sections: Sequence[Section]) -> str:
    matrix, num_bars = item.self_similarity, item.song.num_bars
    if matrix is None or not num_bars:
        return ""
    if matrix.shape != (num_bars, num_bars):
        message = (
            f"The self-similarity matrix of {item.title!r} is {matrix.shape}, "
            f"but the song has {num_bars} bars."
        )
        raise ValueError(message)
    image = _data_uri("image/png", self_similarity_png(matrix))
    strip = _bar_strip(sections, num_bars)
    return (
        f'<figure class="ssm"><div class="edge top">{strip}</div>'
        f'<div class="edge left">{strip}</div><div class="field" '
        f'title="Self-similarity of the bars: bright cells are bars that resemble each other">'
        f'<img src="{image}" alt="Self-similarity matrix of {num_bars} bars">'
        '<div class="cross x"></div><div class="cross y"></div></div></figure>'
    )


def _player(index: int, item: GallerySong, seconds: float) -> str:
    programs = [track.program for track in item.song.tracks]
    order = [program for program in ROLE_PROGRAMS if program in programs]
    order += [program for program in programs if program not in order]
    chips = "".join(
        f'<button class="chip" type="button" aria-pressed="true" data-program="{program}" '
        f'style="--colour:{track_colour(program)}" title="Show or hide">'
        f"{track_name(program)}</button>"
        for program in order
    )
    midi = _data_uri("audio/midi", item.midi)
    return f"""<div class="player">
<button class="play" type="button" aria-label="Play or pause {escape(item.title)}">\
<svg class="start" viewBox="0 0 16 16"><path d="M4 2.2v11.6L14 8z"/></svg>\
<svg class="pause" viewBox="0 0 16 16"><path d="M3.5 2h3v12h-3zM9.5 2h3v12h-3z"/></svg></button>
<span class="time">0:00 / {_clock(seconds)}</span>{_rest(item.song, seconds)}
<input type="range" min="0" max="{seconds:.3f}" step="0.1" value="0" aria-label="Position">
<div class="chips">{chips}</div>
<div class="chips"><button class="button zoom" type="button" data-factor="0.5" \
aria-label="Zoom out">−</button><button class="button zoom" type="button" data-factor="2" \
aria-label="Zoom in">+</button>
<a class="button" download="{_file_stem(item.title, index)}.mid" href="{midi}">↓ MIDI</a></div>
</div>"""


def _rest(song: Song, seconds: float) -> str:
    """How long a song is that the recording does not hold as a whole."""
    whole = 60 * BEATS_PER_BAR * song.num_bars / song.tempo_bpm
    return f"<span>the beginning of {_clock(whole)}</span>" if seconds < whole - 1 else ""


def _numbers(numbers: Mapping[str, float | str]) -> str:
    if not numbers:
        return ""
    pairs = "".join(
        f"<div><dt>{escape(_label(name))}</dt><dd>{escape(format_value(value))}</dd></div>"
        for name, value in numbers.items()
    )
    return f'<dl class="numbers">{pairs}</dl>'
