"""JSON piece by piece: whatever is damaged, what is whole around it is read, and nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from runpages.errors import SourceError
from runpages.sources import _jsonscan
from runpages.sources._jsonscan import Damaged, JsonScan
from runpages.sources._textfiles import Ledger

ROWS = [{"step": i, "loss": 1 / (i + 1), "more": {"a": [1, "x"]}} for i in range(8)]
DOCUMENT = {"before": 1, "rows": ROWS, "after": {"deep": [True, None]}, "last": "x"}


def scan(text: str | bytes, folder: Path) -> tuple[dict[str, Any], list[Any], Ledger]:
    """The document's values and its rows."""
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "f.json").write_bytes(data)
    ledger = Ledger(folder, unit="record")
    document = JsonScan.of_file(ledger, "f.json")
    values: dict[str, Any] = {}
    rows = []
    for key in document.members():
        if key == "rows":
            for _ in document.elements():
                try:
                    rows.append(document.value().value)
                except Damaged:
                    continue
        elif key != "passed over":
            try:
                values[key] = document.value().value
            except Damaged:
                continue
    return values, rows, ledger


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("end", ["", "\n"])
def test_a_whole_document(tmp_path: Path, indent: int | None, end: str) -> None:
    values, rows, ledger = scan(json.dumps(DOCUMENT, indent=indent) + end, tmp_path)
    assert rows == ROWS
    assert values == {k: v for k, v in DOCUMENT.items() if k != "rows"}
    assert (ledger.damaged, ledger.warnings, ledger.incomplete) == (0, (), ())


def test_what_is_not_asked_for_is_passed_over(tmp_path: Path) -> None:
    values, _, ledger = scan('{"passed over": {"rows": [1]}, "a": 1}', tmp_path)
    assert values == {"a": 1}
    assert ledger.damaged == 0


@pytest.mark.parametrize("indent", [None, 2])
def test_a_cut_document_keeps_what_is_whole(tmp_path: Path, indent: int | None) -> None:
    text = json.dumps(DOCUMENT, indent=indent)
    most = 0
    for size in range(len(text)):
        values, rows, ledger = scan(text[:size], tmp_path)
        assert rows == ROWS[: len(rows)]
        assert all(values[key] == DOCUMENT[key] for key in values)
        assert ledger.damaged == 1
        assert ledger.bytes_damaged >= 1
        assert "ends in the middle of line" in ledger.incomplete[0]
        most = max(most, len(rows))
    assert most == len(ROWS)


def test_one_bad_byte_costs_its_record_and_is_told(tmp_path: Path) -> None:
    text = json.dumps(DOCUMENT, indent=2).encode()
    generator = random.Random(1)
    told = 0
    for at in range(text.index(b'"rows"') + 10, text.index(b'"after"')):
        changed = bytearray(text)
        changed[at] = generator.choice(b'\xff\x00"{}[]:,;a1 \n')
        _, rows, ledger = scan(bytes(changed), tmp_path)
        whole = [row for row in rows if row in ROWS]
        assert len(whole) >= len(ROWS) - 2, (at, changed[at])
        try:
            json.loads(changed)
        except ValueError:
            told += 1
            assert ledger.damaged, (at, changed[at])
    assert told > 100


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"a"', '{"a":', '{"a": 1', "null", "\x00" * 99, "{" * 9999, '{"a":[' * 9999],
)
def test_nonsense_ends(tmp_path: Path, text: str) -> None:
    values, rows, ledger = scan(text, tmp_path)
    assert (values, rows) == ({}, [])
    assert ledger.damaged >= 1


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('{"a": 1.5x7, "b": 2}', {"b": 2}),
        ('{"a": 1,57, "b": 2}', {"b": 2}),
        ('{"a": 1 57, "b": 2}', {"b": 2}),
        ('{"a": 1; "b": 2}', {}),
        ('{"a": "x"; "b": 2}', {}),
        ('{"a": [1]; "b": 2}', {"a": [1], "b": 2}),
        ('{"a" 1, "b": 2}', {"b": 2}),
        ('{a": 1, "b": 2}', {"b": 2}),
        ('{"a: 1, "b": 2}', {}),
        ('{"a": ' + "9" * 5000 + ', "b": 2}', {"b": 2}),
        ('{"a": ' + "[" * 99_999 + ', "b": 2}', {"b": 2}),
        ('{"a": 1, "b": 2,}', {"a": 1}),
        ('("a": 1, "b": 2}', {"a": 1, "b": 2}),
    ],
)
def test_no_half_number_is_taken_for_a_whole_one(
    tmp_path: Path, text: str, kept: dict[str, Any]
) -> None:
    values, _, _ = scan(text, tmp_path)
    assert values == kept


def test_what_should_be_a_list_and_is_none(tmp_path: Path) -> None:
    values, rows, ledger = scan('{"rows": null, "a": 1}', tmp_path)
    assert (values, rows) == ({"a": 1}, [])
    assert ledger.warnings == ("f.json:1: not JSON ([ expected); this record is left out",)


@pytest.mark.parametrize("odd", ["[1]", "[]", "3", '"x"', "null", "", "]", "}", "x", "[[", ", ,"])
def test_what_is_no_object_among_objects(tmp_path: Path, odd: str) -> None:
    values, rows, ledger = scan(f'{{"rows": [{{"a": 1}}, {odd}, {{"a": 2}}], "b": 3}}', tmp_path)
    assert rows == [{"a": 1}, {"a": 2}]
    assert values == {"b": 3}
    assert ledger.damaged in {1, 2}


def test_a_comma_behind_the_last_object(tmp_path: Path) -> None:
    values, rows, ledger = scan('{"rows": [{"a": 1}, ], "b": 3}', tmp_path)
    assert (values, rows, ledger.damaged) == ({"b": 3}, [{"a": 1}], 1)


def test_bytes_that_are_no_utf8_cost_one_record(tmp_path: Path) -> None:
    _, rows, ledger = scan(b'{"rows": [{"a": 1}, {"\xff": 2}, {"c": 3}]}', tmp_path)
    assert rows == [{"a": 1}, {"c": 3}]
    assert ledger.damaged == 1


def test_a_file_that_is_too_large_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_jsonscan, "MAX_BYTES", 10)
    with pytest.raises(SourceError, match="has 11 bytes, more than 10"):
        scan('{"a": "bc"}', tmp_path)


def test_of_a_document_that_is_all_damage_the_reader_gives_up(tmp_path: Path) -> None:
    _, rows, ledger = scan('{"rows": [' + '{"a": 1x}, ' * 5_000 + '{"a": 1}]}', tmp_path)
    assert rows == []
    assert ledger.damaged == 1_001
    assert ledger.bytes_damaged > 40_000
