"""Jinja as our pages use it: strict, and foreign text inert unless `markup` made it.

Macros return Markup, which only Jinja itself makes; everything else passes `markup.finalize`.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    TemplateError,
    TemplateSyntaxError,
)
from markupsafe import Markup

from runpages.errors import ConfigError
from runpages.markup import finalize

__all__ = ["render_template", "template_folder"]


def template_folder() -> Path:
    """`runpages/templates` of an installed package, else `templates` of the repository."""
    package = Path(str(files("runpages")))
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent.parent / "templates"


def _printed(value: object) -> Markup:
    if isinstance(value, Markup):
        return value
    return Markup(finalize(value))  # noqa: S704 - finalize has encoded it


@functools.cache
def _environment(own: Path | None) -> Environment:
    ours = FileSystemLoader(template_folder())
    loaders = [FileSystemLoader(own), ours] if own else [ours]
    environment = Environment(
        loader=ChoiceLoader([*loaders, PrefixLoader({"runpages": ours})]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    del environment.filters["safe"]  # what is safe, `markup` says
    return environment


def render_template(template: str, own: Path | None = None, /, **values: object) -> str:
    """The filled template. Foreign text holds no line break, so it cannot end an HTML block.

    `own` is a folder whose templates come before ours; there `runpages/run.md.jinja` is the name of
    ours, to be extended. Raises ConfigError for a template of `own` that cannot be filled.
    """
    try:
        return _environment(own).get_template(template).render(**values)
    except TemplateError as error:
        if own is None:
            raise
        line = error.lineno if isinstance(error, TemplateSyntaxError) else None
        name = getattr(error, "name", None) or template
        raise ConfigError(own / str(name), error.message or "not a template", line=line) from error
