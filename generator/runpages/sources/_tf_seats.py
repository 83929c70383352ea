"""Which run the event files of a folder belong to, by the folder's place and what is in it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import NamedTuple

from ._ranks import are_ranks, rank_of
from ._tf_head import Head

__all__ = ["Found", "Group", "Seat", "grouped", "seat_of", "seats_of"]

_PAIRED = frozenset({"train", "training", "val", "valid", "validation", "eval", "test"})
_CLOCK = re.compile(r"\d{9,}(\.\d+)?")
"""The name that `add_hparams` gives its folder: the time."""


class Seat(NamedTuple):
    """The place of a folder in its run; paths below the root."""

    run: PurePosixPath
    """The folder of the run; it need not exist (`logs/train` of `logs/train_rank3`)."""
    rank: int | None = None
    prefix: str = ""
    """`train/`, `validation/`... before the names of its series."""


def seat_of(folder: PurePosixPath, *, ranked: bool = True) -> Seat:
    """By name alone: `run/train`, `run/rank_3`, `run/rank_3/train` and `run/train/rank_3`."""
    seat = Seat(folder)
    for _ in range(2):
        folder = seat.run
        if not seat.prefix and folder.name.lower() in _PAIRED:
            seat = seat._replace(run=folder.parent, prefix=f"{folder.name}/")
        elif ranked and seat.rank is None and (found := rank_of(folder)) is not None:
            seat = seat._replace(run=PurePosixPath(found[1]), rank=found[0])
    return seat


def seats_of(folders: Iterable[PurePosixPath]) -> dict[PurePosixPath, Seat]:
    """The seat of each folder; what only looks like ranks is none."""
    seats = {folder: seat_of(folder) for folder in folders}
    ranks: dict[PurePosixPath, set[int]] = defaultdict(set)
    for seat in seats.values():
        if seat.rank is not None:
            ranks[seat.run].add(seat.rank)
    return {
        folder: seat
        if seat.rank is None or are_ranks(ranks[seat.run])
        else seat_of(folder, ranked=False)
        for folder, seat in seats.items()
    }


class Found(NamedTuple):
    """An event file in which there is something."""

    path: PurePosixPath
    """Below the root."""
    head: Head


@dataclass(slots=True)
class Group:
    """The files of one run."""

    run_id: PurePosixPath
    files: list[Found] = field(default_factory=list)


def grouped(files: Sequence[Found]) -> tuple[list[Group], list[Found]]:
    """The runs, and the files that belong to none: settings without any values."""
    folders: dict[PurePosixPath, list[Found]] = defaultdict(list)
    for found in files:
        folders[found.path.parent].append(found)
    seats = seats_of(folder for folder, own in folders.items() if not _is_session(own))
    runs = _by_seat({folder: (seats[folder], folders[folder]) for folder in sorted(seats)})
    below: dict[PurePosixPath, list[PurePosixPath]] = defaultdict(list)
    for folder, own in folders.items():
        if _is_session(own):
            below[folder.parent].append(folder)
    for parent, sessions in below.items():
        run, rank, _ = seats.get(parent, Seat(parent))
        group = runs.get((run, rank is not None)) or runs.get((run, True))
        for folder in sessions:
            alike = len(sessions) == 1 or _CLOCK.fullmatch(folder.name) is not None
            if group is None or folder == parent or not (alike and _has_values(group.files)):
                runs.setdefault((folder, False), Group(folder)).files += folders[folder]
            else:
                group.files += folders[folder]
    alone = [found for g in runs.values() if not _has_values(g.files) for found in g.files]
    return [g for g in runs.values() if _has_values(g.files)], alone


def _is_session(files: Sequence[Found]) -> bool:
    return all(found.head.session for found in files)


def _has_values(files: Sequence[Found]) -> bool:
    return any(found.head.values for found in files)


def _by_seat(
    folders: Mapping[PurePosixPath, tuple[Seat, Sequence[Found]]],
) -> dict[tuple[PurePosixPath, bool], Group]:
    """One group for all ranks and all of train, validation... of a run."""
    runs: dict[tuple[PurePosixPath, bool], Group] = {}
    for seat, files in folders.values():
        key = (seat.run, seat.rank is not None)
        runs.setdefault(key, Group(seat.run)).files += files
    for (run, ranked), group in runs.items():
        if ranked and (run, False) in runs:
            # that folder is a run of its own; identities differ
            group.run_id = min(found.path.parent for found in group.files)
    return runs
