"""The folder that is built into, and how it takes the place of the site."""

from __future__ import annotations

from pathlib import Path

import pytest

from runpages.plugin import fresh
from runpages.plugin.fresh import FreshSite


def put(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(text)
    return folder


@pytest.fixture
def site(tmp_path) -> Path:
    return put(tmp_path / "site", "old")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("exchange", [True, False])
def test_the_new_site_takes_the_place_of_the_old(site, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(fresh, "_exchange", lambda *_: False)
    new = FreshSite(site)
    new.begin()
    put(new.folder, "new")
    new.publish()
    assert (site / "index.html").read_text() == "new"
    assert names(site.parent) == ["site"]


def test_the_first_site(tmp_path):
    new = FreshSite(tmp_path / "out/site")
    assert new.possible()
    new.begin()
    put(new.folder, "new")
    new.publish()
    assert (tmp_path / "out/site/index.html").read_text() == "new"
    assert names(tmp_path / "out") == ["site"]


def test_until_then_it_changes_nothing(site):
    new = FreshSite(site)
    new.begin()
    put(new.folder, "new")
    new.discard()
    assert (site / "index.html").read_text() == "old"
    assert names(site.parent) == ["site"]


def test_a_build_killed_between_two_renames_is_put_right(site):
    site.rename(site.with_name(".site.old"))
    put(site.with_name(".site.new"), "new")
    FreshSite(site).begin()
    assert (site / "index.html").read_text() == "old"
    assert names(site.parent) == [".site.new", "site"]
    assert names(site.with_name(".site.new")) == []


def test_a_build_killed_after_the_exchange_loses_no_hidden_file(site):
    (put(site.with_name(".site.new"), "older") / ".git").write_text("gitdir: elsewhere")
    FreshSite(site).begin()
    assert (site / ".git").read_text() == "gitdir: elsewhere"
    assert (site / "index.html").read_text() == "old"


def test_a_site_that_is_a_link_stays_one(tmp_path, site):
    link = tmp_path / "public"
    link.symlink_to(site)
    new = FreshSite(link)
    new.begin()
    put(new.folder, "new")
    new.publish()
    assert link.is_symlink()
    assert (link / "index.html").read_text() == "new"
