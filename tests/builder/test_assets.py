"""What all pages share, as a reader loads it."""

from __future__ import annotations

from runpages.builder.assets import shared_assets
from runpages.pages.templating import template_folder


def test_scripts_and_styles_lose_their_comments_and_nothing_else():
    assets = shared_assets()
    for path in (template_folder() / "assets").iterdir():
        ours = assets[f"assets/rp/{path.name}"].decode()
        lines = [line for line in ours.splitlines() if line.strip()]
        assert not [line for line in lines if line.lstrip().startswith(("//", "* "))], path.name
        left = iter(path.read_text(encoding="utf-8").splitlines())
        assert all(line in left for line in lines), path.name
