"""What the model produced: the newest two checkpoints of a prompt side by side, the rest folded.

The page holds the newest texts and media within a budget; samples.json holds the texts of more
steps, from which the script lets a reader pick another pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from runpages import units
from runpages.analysis.ratings import RatedSample, Ratings, rate_samples, summarize_ratings
from runpages.markup import Safe, json_bytes, pre
from runpages.model import Report, Sample

from .album import Album, Film
from .all_media import all_media
from .room import LIGHT, Room
from .sample_groups import Key, Steps, cut, grouped, samples_file, spread
from .worddiff import marked_pair

__all__ = ["samples_section"]

_OPEN = 3
"""Groups that stand open; up to `_GROUPS` more are folded, within `_PAGE_CHARACTERS`."""
_GROUPS = 8
_PAGE_CHARACTERS = 12_000
_ROWS = 8
_COLUMNS = 8
_CELL = 160
_FRAMES = 12
_SOUNDS = 2
_CHARTS = 110_000
"""Bytes that the drawings and the data of a dozen charts take."""
_LEAST = 60_000
"""Bytes for samples, however much the rest takes."""
_TEXTS = 100_000
_MEDIA = 150_000
_MEDIA_FILES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """One sample as the page shows it."""

    when: str
    id: str = ""
    rating: str = ""
    words: Safe | None = None
    base: bool = False
    """Of the baseline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: str
    """What of it is not shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Samples of one name and prompt."""

    number: int
    """In samples.json."""
    name: str
    prompt: str
    steps: int
    columns: tuple[_Shown, ...] = ()
    note: str = ""
    film: Film | None = None
    frames: str = ""
    """Steps of the film's frames, newest first, as JSON."""
    alt: str = ""
    sounds: tuple[tuple[_Shown, str], ...] = ()
    """With the name of their file."""
    table: _Table | None = None


def samples_section(
    report: Report, *, room: Room = LIGHT
) -> tuple[dict[str, object], dict[str, bytes], dict[str, bytes]]:
    """Values for the template, the files that they need beside the page, and those of full runs.

    `room` is what is left of a light run for these and for its charts.
    """
    run = report.run
    groups = grouped(run)
    rated = {(one.sample, one.scale): one for one in rate_samples(report.notes)}
    size = max(_LEAST, room.size - _CHARTS)
    texts = samples_file(groups, len(run.samples), most=min(_TEXTS, size // 2)) if groups else b""
    album = Album(room=Room(min(_MEDIA_FILES, room.files - 2), min(_MEDIA, size - len(texts))))
    show = _Shower(album=album, rated=_by_sample(rated.values()), baseline=_baseline(report))
    shown: list[_Group] = []
    characters = _PAGE_CHARACTERS
    for number, (key, by_step) in enumerate(groups.items()):
        if len(shown) == _OPEN + _GROUPS or (shown and characters <= 0):
            break
        shown.append(show.group(number, key, by_step))
        characters -= sum(len(one.words or "") for one in shown[-1].columns)
    values: dict[str, object] = {
        "samples": shown[:_OPEN],
        "more_samples": shown[_OPEN:],
        "sample_count": units.count(len(run.samples)),
        "sample_groups": units.count(len(groups)),
        "sample_groups_left": units.count(len(groups) - len(shown)) if groups else "0",
        "sample_marks": any("<del>" in (c.words or "") for g in shown for c in g.columns),
        "ratings": [_rating_row(one) for one in summarize_ratings(report.notes)],
    }
    if not run.samples:
        return values, {}, {}
    more = {
        n: (key[0], by_step) for n, (key, by_step) in enumerate(groups.items()) if n < len(shown)
    }
    full = all_media({n: one for n, one in more.items() if one[0] in {"image", "audio"}})
    own = {"samples.json": texts, **album.files}
    return values, own, {name: data for name, data in full.items() if name not in own}


def _by_sample(rated: Iterable[RatedSample]) -> dict[str, str]:
    out: dict[str, str] = {}
    for one in rated:
        raters = "1 rating" if one.n == 1 else f"{one.n} ratings"
        words = f"{units.number(one.mean, 2)} on {one.scale}, {raters}"
        out[one.sample] = f"{out[one.sample]}; {words}" if one.sample in out else words
    return out


def _baseline(report: Report) -> Mapping[Key, Steps]:
    return grouped(report.baseline.run) if report.baseline else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shower:
    """Turns samples into what the template prints."""

    album: Album
    rated: Mapping[str, str]
    baseline: Mapping[Key, Steps]

    def group(self, number: int, key: Key, by_step: Steps) -> _Group:
        kind, name, prompt, place = key
        title = name if place == 0 else f"{name}, {place + 1}"
        newest = list(by_step.values())[-1]
        bare = _Group(number=number, name=title, prompt=_cell(prompt, 300), steps=len(by_step))
        if kind == "table" and newest[0].rows:
            shown = self._shown(newest[0])
            return replace(bare, columns=(shown,), table=_table(newest[0]))
        if kind == "image" and newest[0].media:
            return self._images(bare, by_step)
        if kind == "audio" and newest[0].media:
            return self._sounds(bare, newest)
        columns, note = self._texts(key, [samples[0] for samples in by_step.values()])
        return replace(bare, columns=columns, note=note)

    def _shown(self, sample: Sample, words: Safe | None = None, *, base: bool = False) -> _Shown:
        when = "step not logged" if sample.step is None else f"step {units.count(sample.step)}"
        if base:
            return _Shown(when=f"baseline, {when}", words=words, base=True)
        rating = self.rated.get(sample.id, "")
        return _Shown(when=when, id=sample.id, rating=rating, words=words)

    def _texts(self, key: Key, samples: Sequence[Sample]) -> tuple[tuple[_Shown, ...], str]:
        """The newest two and the baseline's newest; a sentence where no words are marked."""
        newest = samples[-2:]
        words = [_words(sample) for sample in newest]
        marked = marked_pair(words[0], words[1]) if len(words) == 2 else None
        columns = [
            self._shown(sample, safe)
            for sample, safe in zip(newest, marked or map(pre, words), strict=True)
        ]
        note = ""
        if len(words) == 2 and marked is None:
            same = words[0] == words[1]
            note = "the same text at both steps" if same else "too little in common to mark words"
        if other := self.baseline.get(key):
            last = list(other.values())[-1][0]
            columns.append(self._shown(last, pre(_words(last)), base=True))
        return tuple(columns), note

    def _images(self, bare: _Group, by_step: Steps) -> _Group:
        steps = spread(list(by_step), _FRAMES)[::-1]
        frames = [[s.media for s in by_step[step] if s.media] for step in steps]
        newest = by_step[steps[0]]
        film = self.album.film(frames)
        shown = self._shown(newest[0], None if film else _absent(newest[0]))
        alt = f"{cut(newest[0].text) or bare.name}, {shown.when}"
        if len(steps) > 1:
            shown = replace(shown, when=f"newest: {shown.when}")
        return replace(
            bare,
            columns=(shown,),
            film=film,
            frames=json_bytes(["not logged" if s is None else s for s in steps]).decode(),
            alt=alt,
            note=cut(newest[0].text),
        )

    def _sounds(self, bare: _Group, newest: Sequence[Sample]) -> _Group:
        sounds = []
        columns = []
        for sample in newest[:_SOUNDS]:
            file = self.album.sound(sample.media) if sample.media else ""
            if file:
                sounds.append((self._shown(sample, pre(cut(sample.text))), file))
            else:
                columns.append(self._shown(sample, _absent(sample)))
        return replace(bare, columns=tuple(columns), sounds=tuple(sounds))


def _absent(sample: Sample) -> Safe:
    size = units.bytes_text(sample.media.size_bytes) if sample.media else "unknown size"
    return pre(f"({sample.kind} of {size}: in the archive only)")


def _table(sample: Sample) -> _Table:
    rows = tuple(tuple(_cell(c) for c in row[:_COLUMNS]) for row in sample.rows[:_ROWS])
    more = [
        f"{units.count(all_ - most)} more {what}"
        for what, all_, most in (
            ("rows", len(sample.rows), _ROWS),
            ("columns", len(sample.columns), _COLUMNS),
        )
        if all_ > most
    ]
    columns = tuple(_cell(column) for column in sample.columns[:_COLUMNS])
    return _Table(columns=columns, rows=rows, left=" and ".join(more))


def _cell(words: str, most: int = _CELL) -> str:
    return words if len(words) <= most else f"{words[:most]}…"


def _words(sample: Sample) -> str:
    return cut(sample.text) if sample.text else f"({sample.kind}; nothing of it is text)"


def _rating_row(one: Ratings) -> dict[str, str]:
    alpha = one.alpha
    return {
        "scale": one.scale,
        "raters": units.count(len(one.raters)),
        "n": units.count(one.n),
        "samples": units.count(one.samples),
        "mean": units.number(one.mean, 3),
        "alpha": "n/a" if alpha.value is None else f"{alpha.value:.2f}".replace("-", "−"),
        "note": alpha.why or alpha.note,
    }
