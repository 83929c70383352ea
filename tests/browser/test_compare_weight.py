"""Budgets of the compare page: ten runs with eight charts, and fifty."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser
pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, browser: Any) -> dict[int, dict]:
    sys.path.insert(0, str(BENCHMARKS))  # it shares a server with page_weight
    try:
        spec = importlib.util.spec_from_file_location(
            "compare_page", BENCHMARKS / "compare_page.py"
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(BENCHMARKS))
    site = module.site_of(50, tmp_path_factory.mktemp("site"))
    return dict(module.measured(*site, browser))


def test_ten_runs_of_eight_charts(found) -> None:
    assert (found[10]["charts"], found[10]["lines"]) == (8, 80)
    assert found[10]["KB"] <= 600
    assert found[10]["elsewhere"] == []


def test_fifty_runs_stay_usable(found) -> None:
    assert found[50]["lines"] == 400
    assert found[50]["KB"] <= 1000
