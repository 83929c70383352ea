"""Budgets of a run page: 200,000 steps, 40 series; bytes and the browser's own account."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runpages.builder.assets import plotly_bundle

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "page_weight.py"


@pytest.fixture(scope="module")
def weight() -> ModuleType:
    spec = importlib.util.spec_from_file_location("page_weight", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(weight: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return weight.site_of(weight.generated(), tmp_path_factory.mktemp("weight"))


def test_files_stay_within_their_budgets(weight: ModuleType, site: tuple[Path, str]) -> None:
    found = weight.weights(*site)
    assert found["page, KB gz"] <= 30
    assert found["our JS and CSS, KB gz"] <= 30
    assert found["largest chart, KB gz"] <= 15
    assert found["largest finer file, KB gz"] <= 150
    files, kilobytes = found["light"]
    assert (files <= 8, kilobytes <= 300) == (True, True), found["light"]
    files, kilobytes = found["full"]
    assert (files <= 60, kilobytes <= 3000) == (True, True), found["full"]


def test_the_browser_stays_within_its_budgets(
    weight: ModuleType, site: tuple[Path, str], browser: Any
) -> None:
    folder, slug = site
    with weight.served(folder) as address:
        found = weight.measured(address, slug, browser)
    assert found["first view"]["KB"] <= 150
    assert found["all charts live"]["charts"] == 12
    if (
        plotly_bundle().parent.name == "vendor"
    ):  # without `make vendor` Plotly's whole bundle is used
        assert found["all charts live"]["KB"] <= 650
    assert found["all charts live"]["heap_MB"] <= 25
    assert found["layout shift"] <= 0.05
    assert found["requests elsewhere"] == []
