"""Settings: runpages.toml as frozen values, and the options that lower layers declare."""

from __future__ import annotations

from .load import load_settings
from .settings import (
    ArchiveSettings,
    BaselineSettings,
    EngineSettings,
    ModelSettings,
    PriceSettings,
    PublishSettings,
    Settings,
    SiteSettings,
    SourceSettings,
)

__all__ = [
    "ArchiveSettings",
    "BaselineSettings",
    "EngineSettings",
    "ModelSettings",
    "PriceSettings",
    "PublishSettings",
    "Settings",
    "SiteSettings",
    "SourceSettings",
    "load_settings",
]
