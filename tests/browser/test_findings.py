"""Findings and checkpoints in a real browser: an address opens what is folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from browser.serving import served
from pages import factory
from runpages.model import Checkpoint, Event, Note

pytestmark = pytest.mark.browser

WIDE = "| " + " | ".join(f"column {n}" for n in range(30)) + " |\n|" + "---|" * 30


def event(step: int) -> Event:
    return Event(
        id=f"spike-{step}-abcd", kind="spike", metric="train/loss", role="loss", start_step=step,
        end_step=step, peak_step=step, peak_value=5.0, message=f"A spike at {step}.",
        checkpoint_before=99 if step > 99 else None, severity="info" if step < 150 else "warning",
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[str]:
    report = replace(
        factory.healthy(checkpoints=(Checkpoint(step=99, path="99.pt"),)),
        events=tuple(event(step) for step in (*range(150, 152), *range(10, 40))),
        notes=(Note(author="Ana", time="2026-01-01", kind="note", text=f"{WIDE}\n\n`{'x' * 300}`"),),
    )  # fmt: skip
    with served(report, tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.mark.parametrize("step", [150, 39])
def test_a_finding_in_the_address_is_seen_even_if_it_was_folded(browser, site, step):
    page = browser.new_page()
    page.goto(f"{site}#event-spike-{step}-abcd")
    page.locator(f"#event-spike-{step}-abcd").wait_for(state="visible")
    assert page.locator(f"#event-spike-{step}-abcd").is_visible()
    page.close()


def test_the_mark_of_a_checkpoint_opens_its_finding(browser, site):
    page = browser.new_page()
    page.goto(site)
    body = page.locator("#event-spike-150-abcd .rp-ev__b")
    assert not body.is_visible()
    page.get_by_role("link", name="last good before the loss spike at 150").click()
    body.wait_for(state="visible")
    page.close()


def test_a_page_of_wide_notes_is_no_wider_than_a_phone(browser, site):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(site)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()
