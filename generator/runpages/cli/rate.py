"""`runpages rate`: what a person thinks of one sample."""

from __future__ import annotations

import click

from runpages.config import load_settings
from runpages.errors import UnknownNameError
from runpages.model import Note, Run, Sample

from .note import keep
from .shell import config_option, json_option
from .show import find_slug

__all__ = ["rate"]


@click.command()
@click.argument("run")
@click.option("--sample", required=True, metavar="ID", help="The id that the page shows with it.")
@click.option("--scale", required=True, metavar="LOW-HIGH", help="Such as 1-5.")
@click.option("--value", required=True, type=float, help="On that scale.")
@click.option(
    "--rater",
    "--author",
    "author",
    default="",
    metavar="NAME",
    help="Who rates; else git's user.name, else the name of the user.",
)
@config_option
@json_option
def rate(
    run: str, sample: str, scale: str, value: float, author: str, config: str, as_json: bool
) -> None:
    """Rate a sample of RUN. A second rating of a sample by the same rater replaces the first."""
    archive = load_settings(config).open_archive()
    found = _sample(archive.get(find_slug(archive, run)), sample)
    said = Note(
        author=author,
        time="",
        kind="rating",
        prompt=found.prompt[:500],
        sample=found.id,
        scale=scale,
        value=value,
    )
    keep(said, run, config=config, as_json=as_json)


def _sample(run: Run, name: str) -> Sample:
    """The one whose id is `name` or begins with it. Raises UnknownNameError."""
    known = {sample.id: sample for sample in run.samples}
    found = [known[name]] if name in known else [s for i, s in known.items() if i.startswith(name)]
    if len(found) != 1:
        raise UnknownNameError("sample", name, list(known)[-20:])
    return found[0]
