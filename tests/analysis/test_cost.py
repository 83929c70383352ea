from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from analysis.builders import falling, make_run
from runpages.analysis import AnalysisOptions, analyze
from runpages.analysis.cost import choose_price, shipped_prices
from runpages.model import Price


def price(accelerator, usd, valid_from):
    return Price(
        accelerator=accelerator,
        usd_per_device_hour=usd,
        valid_from=valid_from,
        source_url="https://prices.example/list",
        kind="team",
    )


def seconds(day):
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC).timestamp()


def plain(steps=900, **facts):
    at = np.arange(1, steps + 1)
    return make_run({1: {"loss": (at, falling(at))}}, **facts)


def test_device_hours_and_money_by_hand():
    run = plain(900, seconds_per_step=4.0, device="NVIDIA A100-SXM4-80GB", devices=8)
    options = AnalysisOptions(prices=(price("A100", 2.0, "2026-01-01"),))
    cost = analyze(run, options).cost
    assert cost.device_hours.value == pytest.approx(8.0)  # 3,600 s times 8
    assert cost.usd.value == pytest.approx(16.0)
    assert cost.price is not None
    assert (cost.price.kind, cost.price.valid_from) == ("team", "2026-01-01")


def test_attempts_on_different_numbers_of_devices_are_added_up():
    at = np.arange(1, 901)
    run = make_run(
        {1: {"loss": (at, falling(at))}, 2: {"loss": (at + 800, falling(at + 800))}},
        seconds_per_step=4.0,
        device="H100",
        devices=4,
    )
    lives = (replace(run.attempts[0], devices=8), run.attempts[1])
    cost = analyze(replace(run, attempts=lives)).cost
    assert cost.device_hours.value == pytest.approx(8 + 4)
    assert [a.devices for a in cost.attempts] == [8, 4]
    assert cost.lost_device_hours.value == pytest.approx(100 * 4 / 3600 * 8)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({}, "number of accelerators not recorded"),
        ({"devices": 1}, None),
    ],
)
def test_what_is_not_recorded_is_not_guessed(facts, why):
    cost = analyze(plain(**facts)).cost
    assert cost.usd.value is None
    assert "accelerator not recorded" in cost.usd.why
    assert cost.device_hours.why == (why or "")


def test_the_row_valid_at_the_runs_end_is_chosen():
    rows = (
        price("A100", 3.0, "2025-01-01"),
        price("A100", 2.0, "2026-01-01"),
        price("A100", 1.0, "2026-12-01"),
    )
    chosen = choose_price("NVIDIA A100-SXM4", seconds("2026-05-01"), rows)
    assert chosen is not None
    assert chosen.usd_per_device_hour == 2.0
    assert choose_price("NVIDIA A100-SXM4", seconds("2024-05-01"), rows) is None


def test_the_first_day_counts():
    rows = (price("A100", 2.0, "2026-01-01"),)
    assert choose_price("A100", seconds("2026-01-01"), rows) is not None
    assert choose_price("A100", seconds("2025-12-31") + 86399, rows) is None


def test_names_match_as_words_and_the_particular_one_wins():
    end = seconds("2026-06-01")
    rows = (price("A10", 0.5, "2026-02-01"), price("A100", 2.0, "2026-02-01"))
    rows += (price("A100-SXM4-80GB", 2.5, "2026-01-01"),)
    usd = [
        found.usd_per_device_hour if (found := choose_price(device, end, rows)) else None
        for device in ("NVIDIA A10", "NVIDIA A100-PCIE-40GB", "NVIDIA A100-SXM4-80GB", "GA10x")
    ]
    assert usd == [0.5, 2.0, 2.5, None]


def test_the_team_comes_before_the_shipped_list():
    end = seconds("2026-06-01")
    shipped = choose_price("NVIDIA H100 80GB HBM3", end, ())
    assert shipped is not None
    assert shipped.kind == "list price estimate"
    own = choose_price("NVIDIA H100 80GB HBM3", end, (price("H100", 9.0, "2026-01-01"),))
    assert own is not None
    assert own.kind == "team"


def test_each_shipped_price_has_date_and_source():
    for row in shipped_prices():
        dt.date.fromisoformat(row.valid_from)
        assert row.source_url.startswith("https://")
        assert 0.1 < row.usd_per_device_hour < 20
        assert row.note
        assert row.kind == "list price estimate"


@pytest.mark.parametrize(
    ("day", "age"),
    [
        ("2026-05-01", ""),
        ("2026-02-27", ""),  # 90 days
        ("2026-02-26", "stale"),
        ("2025-05-28", "stale"),  # 365 days
        ("2025-05-27", "very stale"),
    ],
)
def test_an_old_price_says_so(day, age):
    run = replace(plain(device="A100", devices=1), end=seconds("2026-05-28") + 3600)
    cost = analyze(run, AnalysisOptions(prices=(price("A100", 2.0, day),))).cost
    assert cost.price_age == age
    assert cost.usd.note == f"team, valid from {day}" + (f", {age}" if age else "")


def test_a_price_that_was_seen_again_is_not_stale():
    run = plain(device="A100", devices=1)
    row = replace(price("A100", 2.0, "2020-01-01"), as_of="2026-05-01")
    assert analyze(run, AnalysisOptions(prices=(row,))).cost.price_age == ""


def test_a_shipped_price_is_called_an_estimate_with_its_date():
    cost = analyze(plain(device="NVIDIA H100 80GB HBM3", devices=1)).cost
    assert cost.usd.note == "list price estimate, valid from 2026-05-20"


@pytest.mark.parametrize(
    ("device", "day", "usd"),
    [
        ("NVIDIA H100 80GB HBM3", "2025-09-01", None),
        ("NVIDIA H100 80GB HBM3", "2026-01-01", 2.78),
        ("NVIDIA H100 80GB HBM3", "2026-06-01", 2.95),
        ("NVIDIA H100 80GB HBM3", "2026-09-01", 3.29),
        ("NVIDIA H100 PCIe", "2026-09-01", 2.89),
        ("NVIDIA GB200", "2026-11-01", None),
        ("NVIDIA GeForce RTX 4090", "2026-11-01", None),
    ],
)
def test_the_shipped_price_of_a_device_and_a_day(device, day, usd):
    found = choose_price(device, seconds(day), ())
    assert (found.usd_per_device_hour if found else None) == usd
