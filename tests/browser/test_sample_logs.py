"""Images, sounds, tables and texts as the SDKs of W&B, TensorBoard and MLflow write them: from the
log, by archive, build and MkDocs, to what a reader sees in a browser."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runpages import builder
from runpages.config import load_settings
from sources.mlflow_writer import BEGIN, client_at, experiment_in, log_rows
from sources.wandb_files import run_sdk

pytestmark = pytest.mark.browser

STEPS = 20
TONE = """
import wave
with wave.open("tone.wav", "wb") as tone:
    tone.setparams((1, 2, 8000, 0, "NONE", ""))
    tone.writeframes(bytes(8000))
"""
WANDB = f"""{TONE}
import sys
import numpy as np
import wandb

run = wandb.init(project="p", id="w", name="by wandb", mode="offline", dir=sys.argv[1],
                 settings=wandb.Settings(x_disable_stats=True))
for step in range({STEPS}):
    shot = np.full((96, 96, 3), (10 * step, 0, 0), dtype=np.uint8)
    run.log({{"train/global_step": step, "loss": 1 / (1 + step),
             "shot": wandb.Image(shot, caption="<b>red</b>")}})
for step in range(3):
    run.log({{"train/global_step": step, "voice": wandb.Audio("tone.wav", caption=f"take {{step}}"),
             "answers": wandb.Table(columns=["prompt", "answer"], data=[["<i>q</i>", f"a{{step}}"]])}})
run.finish()
"""
BOARD = f"""
import sys
import numpy as np
from tensorboardX import SummaryWriter

with SummaryWriter(sys.argv[1] + "/by-board") as writer:
    for step in range({STEPS}):
        writer.add_scalar("loss", 1 / (1 + step), step)
        shot = np.zeros((3, 96, 96), dtype=np.uint8)
        shot[1] = 10 * step
        writer.add_image("shot", shot, step)
        writer.add_text("story", f"the cat sat {{step}} times", step)
"""


def mlflow_run(folder: Path) -> None:
    client = client_at(f"sqlite:///{folder}/mlflow.db")
    experiment = experiment_in(client, "e", folder / "artifacts")
    run = client.create_run(experiment, run_name="by mlflow", start_time=BEGIN).info.run_id
    log_rows(client, run, "loss", ((step, 1 / (1 + step)) for step in range(STEPS)))
    for step in range(STEPS):
        shot = np.full((96, 96, 3), (0, 0, 10 * step), dtype=np.uint8)
        client.log_image(run, shot, key="shot", step=step, timestamp=BEGIN + 1000 * step)
    client.log_text(run, "once <u>upon</u>", "samples/said.txt")
    client.log_artifact(run, str(folder.parent / "tone.wav"), "audio")
    client.set_terminated(run, "FINISHED", end_time=BEGIN + 60_000)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sdks")
    for name, script in (("wandb", WANDB), ("board", BOARD)):
        (folder / name).mkdir()
        run_sdk(folder / name, script)
    (folder / "mlflow" / "logs").mkdir(parents=True)
    (folder / "wandb" / "tone.wav").rename(folder / "mlflow" / "tone.wav")
    mlflow_run(folder / "mlflow" / "logs")
    places = ("wandb/logs", "board/logs", "mlflow/logs")
    builder.write_project(folder, title="Team", locations=places, settle_minutes=0)
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    builder.build(settings)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", "site"], cwd=folder,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    handler = partial(_Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/runs/"
        server.shutdown()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def visit(browser, site):
    """Opens a run's page by its name; afterwards nothing may have complained or left the site."""
    contexts, complaints = [], []

    def open_(name: str):
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        contexts.append(context)
        page = context.new_page()
        away = lambda r: r.url.startswith((site.removesuffix("runs/"), "data:", "blob:"))  # noqa: E731
        page.on("request", lambda r: None if away(r) else complaints.append(r.url))
        page.on("pageerror", lambda e: complaints.append(str(e)))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.goto(site, wait_until="networkidle")
        page.locator("table.rp-runs a", has_text=name).first.click()
        page.locator("#samples").wait_for()
        page.wait_for_load_state("networkidle")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def colour(page) -> tuple[int, ...]:
    """In the middle of the frame."""
    page.wait_for_function("() => document.querySelector('.rp-frame img').complete")
    shot = Image.open(io.BytesIO(page.locator(".rp-frame").first.screenshot())).convert("RGB")
    return shot.getpixel((shot.width // 2, shot.height // 2))


@pytest.mark.parametrize(("name", "channel"), [("by wandb", 0), ("board", 1), ("by mlflow", 2)])
def test_each_step_of_a_logged_image_can_be_seen(visit, name, channel):
    page = visit(name)
    newest = [0, 0, 0]
    newest[channel] = 10 * (STEPS - 1)
    page.locator(".rp-frame").scroll_into_view_if_needed()
    assert np.abs(np.subtract(colour(page), newest)).max() < 16
    page.locator(".rp-slider").focus()
    page.wait_for_function(f"() => document.querySelector('.rp-slider').max === '{STEPS - 1}'")
    slider = page.locator(".rp-slider")
    for _ in range(9):
        slider.press("ArrowLeft")
    page.wait_for_timeout(200)
    assert page.locator(".rp-steps output").inner_text() == "step 10"
    newest[channel] = 100
    assert np.abs(np.subtract(colour(page), newest)).max() < 16


def test_sounds_and_tables_of_wandb(visit):
    page = visit("by wandb")
    duration = page.locator("audio").first.evaluate("async a => (await a.play(), a.duration)")
    assert duration == pytest.approx(0.5)
    assert "<b>red</b>" in page.locator(".rp-samples").inner_text()
    table = page.locator(".rp-sample table").first
    assert table.locator("tbody td").all_inner_texts() == ["<i>q</i>", "a2"]


def test_texts_of_tensorboard(visit):
    page = visit("board")
    assert page.locator(".rp-sample del").all_inner_texts() == ["18"]
    assert page.locator(".rp-sample ins").all_inner_texts() == ["19"]


def test_texts_and_sounds_of_mlflow(visit):
    page = visit("by mlflow")
    assert "once <u>upon</u>" in page.locator(".rp-samples pre").first.inner_text()
    duration = page.locator("audio").first.evaluate("async a => (await a.play(), a.duration)")
    assert duration == pytest.approx(0.5)
