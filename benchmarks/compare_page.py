"""The compare page by itself: bytes over the wire and the browser's own account of its work.

    python benchmarks/compare_page.py [CHROMIUM]

Generated runs of 8 curves, 20 evaluations and 120 settings each; 2, 10 and 50 of them side by side.
Served with gzip, caches cold. CPU is the renderer's main thread (Chromium's TaskDuration).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

from page_weight import served
from runpages import analyze, builder
from runpages.builder.assets import shared_assets
from runpages.builder.listings import index_pages
from runpages.config import load_settings
from runpages.model import Attempt, Columns, Report, Run, RunRef, SeriesSet
from runpages.pages import list_row, render
from runpages.pages.listing import listed_facts

START = 1_767_225_600.0
STEPS = 5_000
COUNTS = (2, 10, 50)


def generated(number: int) -> Report:
    """A run of a sweep: losses, norm, rate, speed, evaluations; settings that differ in part."""
    random = np.random.default_rng(number)
    step = np.arange(STEPS, dtype=np.int64)
    time = START + 86_400.0 * number + 0.5 * np.arange(STEPS)
    ones = np.ones(STEPS, dtype=np.int64)
    level = 2.2 + 0.02 * random.normal()

    def noisy(value: np.ndarray | float, part: float) -> np.ndarray:
        return value * (1 + random.normal(0, part, STEPS))

    loss = noisy(level + 6 * np.exp(-step / 400), 0.02)
    columns = {
        "train/loss": loss,
        "grad_norm": noisy(0.4, 0.3),
        "lr": 6e-4 * np.minimum(1, step / 200) * (0.5 + 0.5 * np.cos(np.pi * step / STEPS)),
        "tokens": 524_288.0 * (step + 1),
        "tokens_per_second": noisy(1.3e6, 0.02),
        "step_seconds": noisy(0.5, 0.05),
    }
    series = {name: Columns(step, time, value, ones) for name, value in columns.items()}
    few = step[::50]
    series["val/loss"] = Columns(few, time[few], loss[few] + 0.05, ones[few])
    for task in range(20):
        score = 0.25 + 0.3 * few / STEPS + random.normal(0, 0.01, len(few))
        series[f"eval/task_{task}/acc"] = Columns(few, time[few], score, ones[few])
    config: dict[str, object] = {f"block_{n % 6}.option_{n}": n / 7 for n in range(110)}
    for name in ("lr", "weight_decay", "warmup", "width", "dropout"):
        config[name] = round(float(random.random()), 4)
    ref = RunRef(source="logs", project="sweep", run_id=str(number), name=f"sweep {number}",
                 state="finished", location=str(number), kind="rundir")  # fmt: skip
    end = float(time[-1])
    only = Attempt(number=1, start=time[0], end=end, first_step=0, last_step=STEPS - 1)
    return analyze(Run(ref=ref, name=ref.name, state="finished", start=float(time[0]), end=end,
                       attempts=(only,), series=SeriesSet.of(series), config=config, seed=number,
                       command=f"train --lr {config['lr']}"))  # fmt: skip


def site_of(count: int, folder: Path) -> tuple[Path, list[str]]:
    """Builds a site of `count` runs; (its folder, the runs' slugs)."""
    builder.write_project(folder, title="Compare", locations=("logs",))
    settings = load_settings(folder / "runpages.toml")
    files: dict[str, bytes] = {}
    entries = []
    for number in range(count):
        report = generated(number)
        page = render(report)
        slug = report.run.slug
        # the runs' own pages have no part in this
        files |= {n.removeprefix("runs/"): d for n, d in page.files.items() if "compare.json" in n}
        entries.append({**list_row(report), **listed_facts(report), "slug": slug})
    files |= index_pages(entries[::-1], [], site=settings.site) | shared_assets()
    for name, data in files.items():
        path = folder / "docs/runs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    config = folder / "mkdocs.yml"
    config.write_text(config.read_text().replace("  - runpages\n", ""))
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", "site"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "site", [entry["slug"] for entry in entries]


def visited(page: Page, address: str) -> dict[str, Any]:
    """Loads the page and reads what it cost; then moves its charts to another axis."""
    client = page.context.new_cdp_session(page)
    client.send("Network.enable")
    client.send("Performance.enable")
    sizes: list[float] = []
    elsewhere: list[str] = []
    client.on("Network.loadingFinished", lambda e: sizes.append(e["encodedDataLength"]))
    page.on("request", lambda r: None if "127.0.0.1" in r.url else elsewhere.append(r.url))
    page.goto(address)
    page.wait_for_selector("[data-rp-compare][data-rp-ready]")
    page.wait_for_load_state("networkidle")
    loaded = _metrics(client)
    found = {
        "KB": round(sum(sizes) / 1000),
        "requests": len(sizes),
        "CPU_ms": round(1000 * loaded["TaskDuration"]),
        "script_ms": round(1000 * loaded["ScriptDuration"]),
        "heap_MB": round(loaded["JSHeapUsedSize"] / 1e6, 1),
        "charts": page.locator(".rp-chart .rp-clip").count(),
        "lines": page.locator(".rp-clip path").count(),
        "elsewhere": elsewhere,
    }
    page.locator("input[name=rp-cmp-ax][value=tokens]").check(force=True)
    page.wait_for_function("location.search.includes('ax=tokens')")
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    change = _metrics(client)["TaskDuration"] - loaded["TaskDuration"]
    return found | {"other_axis_ms": round(1000 * change)}


def _metrics(client: Any) -> dict[str, float]:
    return {m["name"]: m["value"] for m in client.send("Performance.getMetrics")["metrics"]}


def measured(
    site: Path, slugs: list[str], browser: Browser
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(runs, what they cost) of each count."""
    with served(site) as address:
        for count in (n for n in COUNTS if n <= len(slugs)):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            yield count, visited(page, f"{address}/runs/compare/?runs={','.join(slugs[:count])}")
            page.close()


def main() -> None:
    chromium = sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium")
    if chromium is None:
        raise SystemExit("no chromium found: give its path")
    with tempfile.TemporaryDirectory() as folder:
        site, slugs = site_of(max(COUNTS), Path(folder))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for count, found in measured(site, slugs, browser):
                print(json.dumps({"runs": count, **found}))
            browser.close()


if __name__ == "__main__":
    main()
