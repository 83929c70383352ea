"""Media of more steps than a page shows by itself: kept of full runs, fetched when a reader asks.

media.json names, for each group of images that the page shows, strips of frames from the newest
step to the oldest, and for each group of sounds the files of its steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runpages.markup import json_bytes

from .album import Album
from .room import Room
from .sample_groups import Steps, spread

__all__ = ["all_media"]

ROOM = Room(20, 700_000)
"""Beside media.json: with the finer levels of the charts a full run stays within its 60 files."""
_STEPS = 64
_STRIP = 16
"""Frames in one file."""
_FEWEST = 4
_SOUND_STEPS = 12


def all_media(groups: Mapping[int, tuple[str, Steps]]) -> dict[str, bytes]:
    """Files of the groups (number on the page -> kind, samples by step); empty without media.

    Each group has its share of the room. Where that does not hold 64 evenly spread steps, there are
    fewer; the first and the last are always among them.
    """
    room = ROOM
    files: dict[str, bytes] = {}
    index: dict[str, Any] = {}
    several = {number: one for number, one in groups.items() if len(one[1]) > 1}
    for left, (number, (kind, by_step)) in zip(
        range(len(several), 0, -1), several.items(), strict=True
    ):
        album = Album(room=Room(-(-room.files // left), room.size // left))
        found = _films(album, by_step) if kind == "image" else _sounds(album, by_step)
        if found:
            index[str(number)] = found
            room = room.without(album.files)
            files |= album.files
    if not index:
        return {}
    return {"media.json": json_bytes({"schema": "runpages.media/1", "groups": index}), **files}


def _films(album: Album, by_step: Steps) -> dict[str, Any]:
    """`strips`: (file, width, height, steps of its frames)."""
    most = _STEPS
    while most >= _FEWEST:
        steps = spread(list(by_step), most)[::-1]
        before = Album(room=album.room)
        strips = []
        for at in range(0, len(steps), _STRIP):
            own = steps[at : at + _STRIP]
            film = before.film([[s.media for s in by_step[step] if s.media] for step in own])
            if film is None:
                break
            strips.append([film.file, film.width, film.height, own])
        else:
            album.room = before.room
            album.files |= before.files
            return {"strips": strips}
        most //= 2
    return {}


def _sounds(album: Album, by_step: Steps) -> dict[str, Any]:
    """`sounds`: (step, file), the newest first."""
    found = []
    for step in spread(list(by_step), _SOUND_STEPS)[::-1]:
        media = by_step[step][0].media
        if media is not None and (file := album.sound(media)):
            found.append([step, file])
    return {"sounds": found} if len(found) > 1 else {}
