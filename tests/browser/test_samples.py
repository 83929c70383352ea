"""Samples in a real browser: the newest stand in the page, the script offers the others."""

from __future__ import annotations

import io
import re
import wave
from collections.abc import Iterator
from html import unescape

import pytest
from PIL import Image

from browser.serving import served
from pages import factory
from runpages.model import Media, Sample
from runpages.pages.worddiff import marked_pair

pytestmark = pytest.mark.browser

TEXTS = {
    0: "The the the of of <script>window.hit=1</script>",
    100: "The cat sat on the\n\nmat  and went home <b onclick=window.hit=1>soon</b>",
    200: "The cat sat on a mat and then went home late",
    300: "The old cat sat on a mat and went home late",
}
COLOURS = {0: (200, 0, 0), 100: (0, 200, 0), 200: (0, 0, 200)}


def picture(colour) -> Media:
    stream = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(stream, "PNG")
    return Media.of("image/png", stream.getvalue())


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[str]:
    samples = [
        Sample(kind="text", name="story", step=s, prompt="p", text=t) for s, t in TEXTS.items()
    ]
    samples += [
        Sample(kind="image", name="face", step=s, media=picture(c)) for s, c in COLOURS.items()
    ]
    report = factory.report(samples=tuple(samples))
    with served(report, tmp_path_factory.mktemp("site")) as address:
        yield address


@pytest.fixture
def visit(browser, site):
    """Opens the page; afterwards nothing may have complained."""
    contexts, complaints = [], []

    def open_(address=site, **options):
        context = browser.new_context(**{"viewport": {"width": 1000, "height": 1400}, **options})
        contexts.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda r: page.asked.append(r.url))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(address, wait_until="networkidle")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def test_without_script_the_newest_two_stand_marked_and_nothing_is_offered(visit):
    page = visit(java_script_enabled=False)
    assert page.locator(".rp-sample del").all_inner_texts() == ["then"]
    assert page.locator(".rp-sample ins").all_inner_texts() == ["old"]
    assert page.locator("#samples ~ * :is(button, input, select)").count() == 0
    assert page.locator(".rp-frame img").first.is_visible()


def test_the_other_steps_are_fetched_when_asked_for_and_only_then(visit):
    page = visit()
    assert [u for u in page.asked if "samples.json" in u] == []
    page.get_by_role("button", name="other steps").click()
    page.get_by_label("Step of the earlier text").wait_for()
    assert len([u for u in page.asked if "samples.json" in u]) == 1


@pytest.mark.parametrize(("earlier", "later"), [(100, 200), (100, 300), (0, 300), (200, 200)])
def test_a_pair_that_a_reader_picks_is_marked_as_the_page_marks_its_own(visit, earlier, later):
    page = visit()
    page.get_by_role("button", name="other steps").click()
    page.get_by_label("Step of the earlier text").select_option(f"step {earlier}")
    page.get_by_label("Step of the later text").select_option(f"step {later}")
    shown = [column.inner_html() for column in page.locator(".rp-sample__t code").all()]
    pair = marked_pair(TEXTS[earlier], TEXTS[later])
    expected = pair or (TEXTS[earlier], TEXTS[later])
    assert [unescape(one) for one in shown] == [unescape(str(one)) for one in expected]
    note = page.locator(".rp-sample > p .rp-quiet").first.inner_text()
    assert note == ("" if pair else "the same text at both steps" if earlier == later
                    else "too little in common to mark words")  # fmt: skip
    assert page.evaluate("window.hit") is None


def test_the_slider_shows_the_frame_of_its_step(visit):
    page = visit()
    slider = page.get_by_label("Step of face")
    slider.scroll_into_view_if_needed()
    for press, step in (("", 200), ("ArrowLeft", 100), ("ArrowLeft", 0), ("End", 200)):
        if press:
            slider.press(press)
        assert page.locator(".rp-steps output").inner_text() == f"step {step}"
        assert slider.get_attribute("aria-valuetext") == f"step {step}"
        page.wait_for_function("() => document.querySelector('.rp-frame img').complete")
        shot = Image.open(io.BytesIO(page.locator(".rp-frame").screenshot())).convert("RGB")
        middle = shot.getpixel((shot.width // 2, shot.height // 2))
        assert all(abs(a - b) < 40 for a, b in zip(middle, COLOURS[step], strict=True)), (
            step,
            middle,
        )


@pytest.mark.parametrize("width", [390, 1280])
def test_the_section_is_never_wider_than_the_page(visit, width):
    page = visit(viewport={"width": width, "height": 800})
    page.get_by_role("button", name="other steps").click()
    page.get_by_label("Step of the later text").wait_for()
    edges = page.eval_on_selector_all(
        ".rp-samples *", "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    )
    assert edges <= width


def test_a_file_that_cannot_be_loaded_is_said_and_may_be_tried_again(visit, site):
    page = visit()
    page.route(re.compile("samples.json"), lambda route: route.fulfill(body="{}"))
    button = page.get_by_role("button", name=re.compile("other steps|could not"))
    button.click()
    page.get_by_text("could not be loaded").wait_for()
    page.unroute(re.compile("samples.json"))
    button.click()
    page.get_by_label("Step of the earlier text").wait_for()


def colour(step: int) -> tuple[int, int, int]:
    return (4 * step, 0, 250 - 4 * step)


@pytest.fixture(scope="module", params=["full", "light"])
def long(request, tmp_path_factory) -> Iterator[tuple[str, str]]:
    """A run with pictures and sounds of more steps than its page shows."""
    samples = [
        Sample(kind="image", name="face", step=s, media=picture(colour(s))) for s in range(60)
    ]
    samples += [Sample(kind="audio", name="voice", step=s, media=tone(s)) for s in range(5)]
    report = factory.report(samples=tuple(samples))
    full = request.param == "full"
    with served(report, tmp_path_factory.mktemp(request.param), full=full) as address:
        yield request.param, address


def tone(step: int) -> Media:
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        file.writeframes(bytes([128, 128 + step] * 400))
    return Media.of("audio/wav", stream.getvalue())


def test_a_full_run_has_frames_of_every_step(visit, long):
    level, address = long
    page = visit(address)
    slider = page.get_by_label("Step of face")
    assert [u for u in page.asked if "media.json" in u or "full.json" in u] == []
    slider.focus()
    if level == "light":
        page.wait_for_load_state("networkidle")
        assert slider.get_attribute("max") == "11"
        return
    page.wait_for_function("() => document.querySelector('.rp-slider').max === '59'")
    said = page.locator(".rp-steps output")
    assert said.inner_text() == "step 59"
    for press, times in (("ArrowLeft", 20), ("ArrowLeft", 15), ("Home", 1)):
        for _ in range(times):
            slider.press(press)
        step = int(said.inner_text().removeprefix("step "))
        page.wait_for_function(
            "() => (i => i.complete && i.naturalWidth)(document.querySelector('.rp-frame img'))"
        )
        shot = Image.open(io.BytesIO(page.locator(".rp-frame").screenshot())).convert("RGB")
        middle = shot.getpixel((shot.width // 2, shot.height // 2))
        assert all(abs(a - b) < 25 for a, b in zip(middle, colour(step), strict=True)), step
    assert said.inner_text() == "step 0"


def test_sounds_of_other_steps_are_offered(visit, long):
    level, address = long
    page = visit(address)
    group = page.locator(".rp-sample", has=page.locator("audio"))
    group.get_by_role("button", name="other steps").click()
    if level == "light":
        group.get_by_text("kept of the site's newest runs only").wait_for()
        return
    newest = page.locator("audio").get_attribute("src")
    group.get_by_label("Step of the sound").select_option("step 2")
    assert page.locator("audio").get_attribute("src") != newest
    assert group.locator("small").first.inner_text() == "step 2"
    page.wait_for_function("() => document.querySelector('audio').error === null")
