"""What only real logs can show; `make acceptance` runs it."""

from __future__ import annotations

import html
import json
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from runpages.sources import sniff

pytestmark = pytest.mark.acceptance


def records(path: Path):
    """An independent reader of the framing: 32 KiB blocks, one fragment after the other."""
    data = path.read_bytes()
    position, parts = 7, []
    while position + 7 <= len(data):
        room = 32768 - position % 32768
        if room < 7:
            position += room
            continue
        crc, length, kind = struct.unpack_from("<IHB", data, position)
        body = data[position + 7 : position + 7 + length]
        assert zlib.crc32(bytes([kind]) + body) == crc
        parts.append(body)
        if kind in {1, 4}:
            yield b"".join(parts)
            parts = []
        position += 7 + length


def count_points(path: Path) -> int:
    """Numbers in history and system records, counted with the SDK's own classes."""
    from wandb.proto.wandb_internal_pb2 import Record

    points = 0
    for data in records(path):
        record = Record.FromString(data)
        for item in (*record.history.item, *record.stats.item):
            name = item.key or ".".join(getattr(item, "nested_key", ()))
            value = json.loads(item.value_json)
            points += isinstance(value, int | float) and not name.startswith("_")
    return points


@pytest.fixture(scope="module")
def previewed(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("real") / "out"
    command = [
        sys.executable,
        "-m",
        "runpages",
        "preview",
        str(shared / "data/logs/wandb"),
        "-o",
        str(out),
        "--json",
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return out, json.loads(done.stdout)


def test_every_real_wandb_run_has_a_page_with_the_points_the_sdk_counts(shared, previewed):
    out, document = previewed
    logs = sorted((shared / "data/logs/wandb").rglob("*.wandb"))
    assert len(document["runs"]) == len(logs) == 9
    for run in document["runs"]:
        (log,) = [
            path for path in logs if path == Path(run["path"]) or Path(run["path"]) in path.parents
        ]
        page = html.unescape((out / "site/runs" / run["slug"] / "index.html").read_text())
        shown = re.search(r"<dt>Points</dt><dd>(?:<span>)?([\d,]+) in ([\d,]+) metrics", page)
        expected = count_points(log)
        assert int(shown.group(1).replace(",", "")) == expected == run["points"]
        if not expected:
            assert "n/a" in page
        print(f"{run['slug']}: {run['state']}, {expected} points")


def test_a_real_run_keeps_its_slug_when_its_folder_moves(shared, tmp_path):
    shutil.copytree(shared / "data/logs/wandb", tmp_path / "elsewhere" / "wandb")
    before = [ref.slug for ref in sniff(shared / "data/logs/wandb").runs]
    assert before == [ref.slug for ref in sniff(tmp_path / "elsewhere" / "wandb").runs]


def test_every_file_of_every_family_is_a_run_or_has_a_reason(shared):
    found = sniff(shared / "data/logs")
    assert len(found.runs) >= 25
    assert all(reason for _, reason in found.skipped)
    kinds = {ref.kind for ref in found.runs}
    print(
        f"{len(found.runs)} runs ({', '.join(sorted(kinds))}), {len(found.skipped)} files not read"
    )
