"""Jinja as our pages use it: strict, and foreign text inert unless `markup` made it.

Macros return Markup, which only Jinja itself makes; everything else passes `markup.finalize`.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

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
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(template_folder()),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_template(template: str, /, **values: object) -> str:
    """The filled template. Foreign text holds no line break, so it cannot end an HTML block."""
    return _environment().get_template(template).render(**values)
