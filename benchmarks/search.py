"""Search at ten thousand runs: bytes, time and memory in headless Chromium, and ranks.

    python benchmarks/search.py FOLDER [--runs 10000] [--archive SEED] [--questions SEED]

Cold: an empty cache, from the navigation to the first result in the theme's own dialog. Warm: a
second query of other words. Memory: what the renderer has alone (Private_* of smaps).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from search_data import Question, ask, made_up
from search_site import SITES, make_sites, served

ASK = """async queries => {
  const settings = JSON.parse(document.querySelector("#__config").textContent);
  const base = new URL(settings.base + "/", location.href);
  const worker = new Worker(new URL(settings.search, location.href));
  const answer = message => new Promise(done => {
    worker.onmessage = event => done(event.data);
    worker.postMessage(message);
  });
  const index = await (await fetch(new URL("search/search_index.json", base))).json();
  await answer({ type: 0, data: { ...index, options: { suggest: false } } });
  const found = [];
  for (const query of queries) {
    const { data } = await answer({ type: 2, data: query });
    found.push(data.items.map(([first]) => first.location));
  }
  worker.terminate();
  return found;
}"""
TYPE = """text => new Promise(done => {
  const list = document.querySelector(".md-search-result__list");
  const input = document.querySelector(".md-search__input");
  input.focus();
  input.value = text;
  const begun = performance.now();
  new MutationObserver((_, watch) => {
    if (!list.children.length) return;
    watch.disconnect();
    done(performance.now() - begun);
  }).observe(list, { childList: true });
  input.dispatchEvent(new KeyboardEvent("keyup"));
})"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--archive", type=int, default=1)
    parser.add_argument("--questions", type=int, default=1)
    parser.add_argument("--only", default=",".join(SITES))
    chosen = parser.parse_args()
    rows = made_up(chosen.runs, seed=chosen.archive)
    for what, seconds in make_sites(chosen.folder, rows).items():
        print(f"indexing, {what}: {seconds:.1f} CPU s")
    questions = ask(rows, seed=chosen.questions)
    program = shutil.which(os.environ.get("RUNPAGES_CHROMIUM", "chromium"))
    with sync_playwright() as playwright:
        for name in chosen.only.split(","):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            print(json.dumps({"site": name, **_weight(browser, chosen.folder / name, questions)}))
            print(ranks(browser, chosen.folder / name, questions), flush=True)
            browser.close()


def _weight(browser: Browser, site: Path, questions: list[Question]) -> dict[str, Any]:
    first, *others = [one.text for one in questions if one.kind in {"number", "samples", "name"}]
    with served(site) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{server.address}runs/by/", wait_until="domcontentloaded")
        page.wait_for_selector(".md-search__input", state="attached")
        query = page.evaluate(TYPE, first)
        cold = page.evaluate("performance.now()")
        page.wait_for_load_state("networkidle")
        told = {
            "cold KB": round(server.bytes / 1000),
            "requests": server.requests,
            "cold ms": round(cold),
            "of it query ms": round(query),
            "renderer MB": round(_renderer_bytes() / 1e6),
        }
        before = server.bytes
        warm = [page.evaluate(TYPE, text) for text in others]
        told["warm ms"] = [round(one) for one in warm]
        told["warm KB"] = round((server.bytes - before) / 1000 / len(warm))
        told["renderer MB after"] = round(_renderer_bytes() / 1e6)
        page.close()
    return told


def _renderer_bytes() -> int:
    """Of the largest renderer below this process."""
    sizes = [0]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes()
            if b"--type=renderer" in line and b"chrom" in line:
                told = (process / "smaps_rollup").read_text()
                sizes.append(1024 * sum(map(int, re.findall(r"Private_\w+:\s+(\d+)", told))))
        except OSError:
            continue
    return max(sizes)


def ranks(browser: Browser, site: Path, questions: list[Question]) -> str:
    with served(site) as server:
        page: Page = browser.new_page()
        page.goto(f"{server.address}runs/by/")
        found = page.evaluate(ASK, [one.text for one in questions])
        page.close()
    lines = []
    first = 0
    for question, places in zip(questions, found, strict=True):
        right = {f"runs/{slug}/" for slug in question.right}
        rank = next((n for n, place in enumerate(places, 1) if place in right), None)
        first += rank == 1
        lines.append(f"  {rank} {question.kind:8} {question.text!r} ({len(right)} right)")
    return "\n".join([*lines, f"  first: {first} of {len(questions)}"])


if __name__ == "__main__":
    main()
