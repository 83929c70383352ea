from __future__ import annotations

import re
from pathlib import Path

import pytest

from runpages.config import load_settings
from runpages.errors import ConfigError

GOOD = """\
[site]
title = "Team"

[[source]]
kind = "auto"
location = "logs"

[[source]]
kind = "tensorboard"
location = "tb"
settle_minutes = 5

[metrics]
loss = ["my/loss"]

[[price]]
accelerator = "H100"
usd_per_device_hour = 2
valid_from = 2026-01-01
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "runpages.toml"
    path.write_text(text)
    return path


def test_settings_are_read(tmp_path):
    settings = load_settings(write(tmp_path, GOOD))
    assert settings.site.title == "Team"
    assert [source.settle_minutes for source in settings.source] == [30.0, 5.0]
    assert settings.metrics == {"loss": ("my/loss",)}
    assert settings.price[0].usd_per_device_hour == 2.0
    assert settings.price[0].valid_from == "2026-01-01"
    assert settings.archive_path == tmp_path / "archive"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "[site]\ntitle='x'\ntitel = 'y'\n",
            r":3: unknown key 'titel' in \[site\]; there are: title",
        ),
        ("[site]\n\nfull_runs = -1\n", r":3: \[site\] full_runs = -1: 0 or more was expected"),
        ("[sites]\n", r":1: unknown key 'sites'; there are: .*site"),
        (
            "[[source]]\nkind='auto'\nlocation='a'\n\n[[source]]\nkind='auto'\n",
            r":5: \[\[source\]\] needs the key 'location'",
        ),
        (
            "[[source]]\nkind='auto'\nlocation='a'\n[[source]]\nkind='auto'\nlocation='b'\nwhat=1\n",
            r":7: unknown key 'what'",
        ),
        ("[site]\ntitle = 3\n", r":2: \[site\] title = 3: a text was expected"),
        ("[source]\nkind='auto'\n", r":1: \[source\] must be written \[\[source\]\]"),
        ("[publish]\ninclude = 'a'\n", r":2: \[publish\] include = 'a': a list of texts"),
        ("[metrics]\nlos = ['a']\n", r":2: unknown key 'los' in \[metrics\]; there are: .*loss"),
        ("[site]\nsection = '../x'\n", r":2: section = '../x' must be a folder below docs_dir"),
        ("[site\n", "not valid TOML"),
        (
            "[model]\nloss_unit='nat'\n",
            r":2: \[model\] loss_unit = 'nat' is not known; there are: nats",
        ),
        (
            "[model]\nbytes_per_token=[4]\n",
            r":2: \[model\] bytes_per_token = \[4\]: a number or a text",
        ),
        (
            "[energy]\nregion='GER'\n",
            r":2: \[energy\] region = 'GER' is not known; there are: .*DEU",
        ),
        (
            "[summary]\nat_steps=[1.5]\n",
            r":2: \[summary\] at_steps = \[1.5\]: a list of whole numbers",
        ),
        ("[[evaluation]]\nmetric='a'\nn=true\n", r":3: \[evaluation\] n = True: a whole number"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path, text, sentence):
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, text))
    assert re.search(sentence, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value).strip() or "TOML" in str(caught.value)
    assert caught.value.exit_code == 2


def test_the_settings_of_figures_reach_the_analysis(tmp_path):
    text = """
[model]
loss_unit = "bits"
bytes_per_token = 4
[summary]
at_steps = [10, 20]
[[target]]
metric = "val_loss"
value = 3
[[evaluation]]
metric = "acc"
n = 500
[energy]
pue = 1.1
region = "FRA"
[[price]]
accelerator = "A100"
usd_per_device_hour = 1
valid_from = 2025-01-01
as_of = 2026-01-01
"""
    options = load_settings(write(tmp_path, text)).analysis_options()
    assert (options.loss_unit, options.bytes_per_token) == ("bits", 4.0)
    assert options.at_steps == (10, 20)
    assert [(t.metric, t.value) for t in options.targets] == [("val_loss", 3.0)]
    assert options.examples == {"acc": 500}
    assert (options.energy.pue, options.energy.region) == (1.1, "FRA")
    assert options.prices[0].as_of == "2026-01-01"


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="runpages init"):
        load_settings(tmp_path / "runpages.toml")
