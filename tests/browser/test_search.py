"""Search over run pages, by both engines: what readers type finds the right run first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from runpages import builder
from runpages.archive import Archive
from runpages.config import load_settings
from runpages.model import Note
from runs import write_rundir

pytestmark = pytest.mark.browser

RUNS = {
    "amber-basin": {"config": {"optimizer": {"lr": 3e-4, "name": "adamw"}, "batch_size": 64}},
    "quiet-harbor": {"config": {"optimizer": {"lr": 3e-3, "name": "lion"}, "batch_size": 48}},
    "stone-meadow": {"config": {"lr": 6e-5, "z_loss": 1e-4, "layers": 24}, "project": "zeta"},
    "red-canyon": {"config": {"learning_rate": 0.00125, "warmup_steps": 2000, "d_model": 768}},
    "spiked": {"spike": 90, "config": {"lr": 1e-2, "batch_size": 32}},
    "gpt2-124m-fineweb": {"dataset": "fineweb-edu", "config": {"max_tokens": 10_000_000_000}},
    "gpt2-355m-tinystories": {"dataset": "tinystories", "commit": "9f8e7d6c5b4a39281706f5e4d3c2b1a0"},
    "moe_8x7b_top2": {"tags": ["router-balance", "ablation"], "config": {"dropout": 0.15}},
    "long-context": {"commit": "4fd2a1b9c0e87d6554433221100ffeeddccbbaa9", "config": {"context": 32768}},
    "sweep/trial-17": {"author": "noor", "config": {"scheduler": "cosine", "precision": "bf16"}},
    "sweep/trial-18": {"author": "ines", "config": {"scheduler": "wsd", "precision": "fp8"}},
    "plain": {"config": {"weight_decay": 0.1}},
}  # fmt: skip
SAMPLES = {
    "gpt2-355m-tinystories": "The little dragon hid a golden spoon under the bridge and cried.",
    "amber-basin": "In thermodynamics, the entropy of an isolated system never decreases.",
}
NOTES = {
    "quiet-harbor": ("verdict", "failed", "The **tokenizer was mismatched**; numbers are void."),
    "long-context": ("note", "", "Rope base raised to 500k before restart on the Helsinki nodes."),
}
QUERIES = {
    "amber-basin": "amber-basin",
    "harbor": "quiet-harbor",
    "gpt2 fineweb": "gpt2-124m-fineweb",
    "355m": "gpt2-355m-tinystories",
    "moe_8x7b": "moe_8x7b_top2",
    "8x7b": "moe_8x7b_top2",
    "sweep/trial-17": "sweep/trial-17",
    "trial-18": "sweep/trial-18",
    "3e-4": "amber-basin",
    "lr 3e-4": "amber-basin",
    "1.0e-2": "spiked",
    "3E-03": "quiet-harbor",
    "lr 0.0003": "amber-basin",
    "lr=0.0003": "amber-basin",
    "0.003": "quiet-harbor",
    "6e-05": "stone-meadow",
    "learning rate 0.00125": "red-canyon",
    "1.25e-3": "red-canyon",
    "z-loss": "stone-meadow",
    "z_loss 1e-4": "stone-meadow",
    "batch size 48": "quiet-harbor",
    "1e10": "gpt2-124m-fineweb",
    "warmup": "red-canyon",
    "wsd": "sweep/trial-18",
    "bf16": "sweep/trial-17",
    "4fd2a1b": "long-context",
    "9f8e7d6c5b4a39281706f5e4d3c2b1a0": "gpt2-355m-tinystories",
    "moe router-balance": "moe_8x7b_top2",
    "noor": "sweep/trial-17",
    "spiked": "spiked",
    "loss spike": "spiked",
    "golden spoon under the bridge": "gpt2-355m-tinystories",
    "entropy of an isolated system": "amber-basin",
    "tokenizer was mismatched": "quiet-harbor",
    "Helsinki nodes": "long-context",
    "failed": "quiet-harbor",
}
"""What is typed -> the run that is meant."""


_ASK = """async queries => {
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
"""Messages 0 (set up) and 2 (query) of Material's search worker, as its own page sends them."""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module", params=["material", "pagefind"])
def site(request, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("search")
    for number, (name, facts) in enumerate(RUNS.items()):
        write_rundir(folder / "logs" / f"r{number:02}", name=name, **{"project": "lm", **facts})
        if text := SAMPLES.get(name):
            row = {"step": 119, "name": "story", "prompt": "", "text": text, "attempt": 1}
            with (folder / "logs" / f"r{number:02}" / "samples.jsonl").open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    builder.write_project(folder, title="Team", locations=("logs",), settle_minutes=0)
    with (folder / "runpages.toml").open("r+") as stream:
        text = stream.read().replace("[site]\n", f'[site]\nsearch = "{request.param}"\n')
        stream.seek(0)
        stream.write(text)
    settings = load_settings(folder / "runpages.toml")
    builder.pull(settings)
    archive = Archive(settings.archive_path)
    slugs = {archive.get(slug).name: slug for slug in archive.slugs()}
    for name, (kind, outcome, text) in NOTES.items():
        note = Note(author="Ana", time="2026-03-01", kind=kind, outcome=outcome, text=text)
        archive.add_note(slugs[name], note)
    builder.build(settings)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q"]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    subprocess.run(command, cwd=folder, env=env, check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def slugs(site) -> dict[str, str]:
    """Name of a run -> its slug."""
    archive = Archive(site.parent / "archive")
    return {archive.get(slug).name: slug for slug in archive.slugs()}


@pytest.fixture(scope="module")
def page(site, browser) -> Iterator[object]:
    handler = partial(_Quiet, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"http://127.0.0.1:{server.server_port}/runs/")
        yield page
        page.close()
        server.shutdown()
        thread.join()


def found(page, queries: list[str]) -> list[list[str]]:
    """For each query the pages that Material's worker finds, best first."""
    return page.evaluate(_ASK, queries)


def test_what_readers_type_finds_the_right_run_first(page, slugs):
    results = dict(zip(QUERIES, found(page, list(QUERIES)), strict=True))
    ranks = {}
    for query, run in QUERIES.items():
        wanted = f"runs/{slugs[run]}/"
        ranks[query] = results[query].index(wanted) + 1 if wanted in results[query] else None
    table = "\n".join(f"{rank} {query!r}: {results[query][:4]}" for query, rank in ranks.items())
    print(table)
    assert [query for query, rank in ranks.items() if rank != 1] == [], table


def test_a_tag_or_dataset_finds_its_listing_and_then_its_runs(page, slugs):
    dataset, tag = found(page, ["fineweb-edu", "router-balance"])
    assert dataset[0].startswith("runs/by/dataset/")
    assert dataset[1] == f"runs/{slugs['gpt2-124m-fineweb']}/"
    assert tag[0].startswith("runs/by/tag/")
    assert tag[1] == f"runs/{slugs['moe_8x7b_top2']}/"


@pytest.mark.parametrize("site", ["material"], indirect=True)
def test_a_run_is_one_entry_of_the_index(site):
    docs = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    pages = [doc["location"] for doc in docs if doc["location"].count("/") == 2]
    assert sorted(pages) == sorted({location.partition("#")[0] for location in pages})
    assert max(len(doc["text"]) for doc in docs) < 3000
