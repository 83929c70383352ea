"""What can be set in runpages.toml. The string under a field is its documentation."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from runpages.analysis import AnalysisOptions
from runpages.analysis.energy import EnergyOptions
from runpages.archive import BRANCH, Archive, BranchArchive
from runpages.model import Accelerator, Price, Run, Target
from runpages.review import CheckOptions

__all__ = [
    "AcceleratorSettings",
    "ArchiveSettings",
    "BaselineSettings",
    "CheckSettings",
    "EnergySettings",
    "EngineSettings",
    "EvaluationSettings",
    "ModelSettings",
    "PriceSettings",
    "PublishSettings",
    "Settings",
    "SiteSettings",
    "SourceSettings",
    "SummarySettings",
    "TargetSettings",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """`[site]`"""

    title: str = "Training runs"
    """Heading of the index page."""
    url: str = ""
    """Address of the published site; makes the links of the feed absolute."""
    docs_dir: str = "docs"
    """Folder of the MkDocs site's Markdown, relative to runpages.toml."""
    section: str = "runs"
    """Folder below `docs_dir` that runpages writes; nothing else may live there."""
    templates: str = ""
    """Folder of templates that change the run page block by block, relative to runpages.toml."""
    full_runs: int = 200
    """So many of the newest runs keep the finer levels of their charts, beside the baseline and
    runs with a verdict."""
    max_mb: int = 900
    """Megabytes (10⁶ bytes) that the site may have: a build that would fill 90 % of them with pages
    and data stops before it writes; 0 = no limit. GitHub Pages takes sites of up to 1 GB
    (docs.github.com, GitHub Pages limits)."""
    search: str = "auto"
    """`material` (the theme's own, whose index every page loads whole), `pagefind` (an index in
    parts, of which a query fetches a few), or `auto`: Pagefind from `pagefind_from` runs on."""
    pagefind_from: int = 300
    """Runs from which `search = "auto"` is Pagefind."""
    csp: bool = False
    """Whether every page of the built site has a strict content security policy; `init` and
    `preview` switch it on in the sites that they make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """`[archive]`"""

    location: str = "archive"
    """Folder that keeps the runs, relative to runpages.toml; or `git+branch:NAME`, a branch of its
    git repository."""
    max_run_mb: float = 20.0
    """Of an archive on a branch: a run of more megabytes (10⁶ bytes) is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """`[[source]]`"""

    kind: str
    """`auto` (whatever is found), or a name that `runpages sources` lists."""
    location: str
    """Folder or file of logs, relative to runpages.toml, or a tracker's address (`https://...`)."""
    name: str = ""
    """Part of every run's identity and URL; default: the folder's own name, or the host."""
    include: tuple[str, ...] = ("*",)
    """Only runs whose id, name or project matches one of these patterns."""
    group: str = ""
    """Group of its runs that name none; `folder`: that in which their log lies."""
    settle_minutes: float = 30.0
    """A log without an end marker counts as ended when its last record is older than this."""
    time_zone: str = ""
    """Of logs that name no time zone (nvidia-smi): a name like `Europe/Berlin`; default: UTC."""
    project: str = ""
    """Of a tracker at an address: only this project, as the tracker writes it (`team/llm`)."""
    filter: str = ""
    """Of a tracker at an address: a search in the tracker's own language."""
    run_minutes: float = 10.0
    """Of a tracker at an address: a run that takes longer to read is given up; others go on."""
    file_hosts: tuple[str, ...] = ()
    """Of a tracker at an address: hosts beside its own that images and tables may be fetched from,
    each as `host` or `host:port`. They are sent no key and no cookie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSettings:
    """`[publish]`"""

    include: tuple[str, ...] = ("*",)
    """Only runs that match one of these patterns get a page: slug, name, project, `project/name`,
    or `tag:NAME`."""

    def matches(self, run: Run) -> bool:
        """Whether the run may be published."""
        names = [run.slug, run.name, run.ref.project, f"{run.ref.project}/{run.name}"]
        names += [f"tag:{tag}" for tag in run.tags]
        return any(fnmatchcase(name, pattern) for pattern in self.include for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """`[model]`"""

    parameters: str = ""
    """Where the number of parameters stands: `config.` and a dotted key."""
    loss_unit: str = ""
    """`nats` or `bits`: the unit of the losses, for perplexity and bits per byte."""
    bytes_per_token: str | float = ""
    """Bytes of text a token stands for on the evaluation set: a number, or `config.` and the dotted
    key that holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarySettings:
    """`[summary]`"""

    at_steps: tuple[int, ...] = ()
    """Steps whose losses and evaluations are told, beside those of the checkpoints."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSettings:
    """`[[target]]`"""

    metric: str
    """Metric as logged, or a role (`val_loss`)."""
    value: float
    """Value that it should reach: steps, time, tokens and cost until then are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """`[[evaluation]]`"""

    metric: str
    """Metric as logged; a proportion (or per cent) of examples, such as an accuracy."""
    n: int
    """Number of examples it is measured on, for its standard error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorSettings:
    """`[[accelerator]]`"""

    name: str
    """Device as the runs name it, whole."""
    bf16_tflops: float
    """Peak of one device in bf16, dense (without sparsity), TFLOP/s."""
    watts: float = 0.0
    """Its maximum power, for the estimate of energy; 0 = not known."""
    source_url: str = ""
    """Where the figures stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSettings:
    """`[[price]]`"""

    accelerator: str
    """Device as the runs name it; part of the name is enough."""
    usd_per_device_hour: float
    """What one device costs an hour."""
    valid_from: str
    """ISO date from which the price holds; the row valid at a run's end date is used."""
    source_url: str = ""
    """Where the price stands, shown beside each cost."""
    as_of: str = ""
    """ISO date on which the price was last seen to hold; default: `valid_from`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergySettings:
    """`[energy]`"""

    pue: float = 0.0
    """Power usage effectiveness of the place; 0 = not known: 1.2 is assumed and shown as such."""
    host_watts_per_device: float = 0.0
    """What host, network and storage draw for each accelerator; 0 = not counted."""
    region: str = ""
    """Country whose grid feeds it, as three letters (`DEU`), for the carbon."""
    grams_per_kwh: float = 0.0
    """Grams of CO₂ equivalent a kWh, before the shipped figure of the region; 0 = none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineSettings:
    """`[baseline]`"""

    default: str = ""
    """Slug of the run that all pages compare with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """`[check]`"""

    fail_on: str = "critical"
    """Least severity of a finding that fails: `info`, `warning`, `critical`; or `never`."""
    states: tuple[str, ...] = ("finished", "ended")
    """States of a run that pass."""
    max_regression: Mapping[str, float] = field(default_factory=dict)
    """Metric as logged, or role, = how much worse than the baseline it may end, in its own unit."""
    max_cost_usd: float = 0.0
    """What a run may cost; 0 = no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """`[engine]`"""

    kind: str = "processes"
    """`processes`, `serial`, or `module:function` that returns an Executor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of runpages.toml. `folder` is where it lies: relative paths start there."""

    folder: Path
    site: SiteSettings = field(default_factory=SiteSettings)
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    source: tuple[SourceSettings, ...] = ()
    publish: PublishSettings = field(default_factory=PublishSettings)
    metrics: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """`[metrics]`: role = names of the metrics that play it; comes before the built-in table."""
    model: ModelSettings = field(default_factory=ModelSettings)
    summary: SummarySettings = field(default_factory=SummarySettings)
    target: tuple[TargetSettings, ...] = ()
    evaluation: tuple[EvaluationSettings, ...] = ()
    price: tuple[PriceSettings, ...] = ()
    accelerator: tuple[AcceleratorSettings, ...] = ()
    energy: EnergySettings = field(default_factory=EnergySettings)
    baseline: BaselineSettings = field(default_factory=BaselineSettings)
    check: CheckSettings = field(default_factory=CheckSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    dialect: tuple[Mapping[str, object], ...] = ()
    """`[[dialect]]`: further patterns of text logs; the source `textlog` says what may stand
    there."""

    @property
    def docs_path(self) -> Path:
        return self.folder / self.site.docs_dir

    @property
    def section_path(self) -> Path:
        return self.docs_path / self.site.section

    @property
    def templates_path(self) -> Path | None:
        return self.folder / self.site.templates if self.site.templates else None

    @property
    def archive_path(self) -> Path:
        """The folder of the archive, or of this machine's mirror of it."""
        if self.archive.location.startswith(BRANCH):
            digest = hashlib.sha256(self.archive.location.encode()).hexdigest()
            return self.cache_path / f"archive-{digest[:8]}"
        return self.folder / self.archive.location

    def open_archive(self, *, refresh: bool = True, whole: bool = False) -> Archive:
        """The archive. On a branch: `refresh` fetches what it has now, `whole` all files of it at
        once instead of each when it is read."""
        if not self.archive.location.startswith(BRANCH):
            return Archive(self.archive_path)
        archive = BranchArchive(
            self.archive.location,
            project=self.folder,
            mirror=self.archive_path,
            max_run_mb=self.archive.max_run_mb,
        )
        if refresh:
            archive.refresh(whole=whole)
        return archive

    @property
    def cache_path(self) -> Path:
        return self.folder / ".cache" / "runpages"

    def check_options(self) -> CheckOptions:
        """The limits that `review` holds a run against."""
        return CheckOptions(
            fail_on=self.check.fail_on,
            states=self.check.states,
            max_regression=self.check.max_regression,
            max_cost_usd=self.check.max_cost_usd or None,
        )

    def analysis_options(self) -> AnalysisOptions:
        """What `analysis` needs to know of these settings."""
        return AnalysisOptions(
            metrics=self.metrics,
            parameters_key=self.model.parameters,
            energy=EnergyOptions(**dataclasses.asdict(self.energy)),
            loss_unit=self.model.loss_unit,
            bytes_per_token=self.model.bytes_per_token,
            at_steps=self.summary.at_steps,
            targets=tuple(Target(metric=row.metric, value=row.value) for row in self.target),
            examples={row.metric: row.n for row in self.evaluation},
            prices=tuple(
                Price(
                    accelerator=row.accelerator,
                    usd_per_device_hour=row.usd_per_device_hour,
                    valid_from=row.valid_from,
                    source_url=row.source_url,
                    kind="team price",
                    as_of=row.as_of,
                )
                for row in self.price
            ),
            accelerators=tuple(
                Accelerator(
                    name=row.name,
                    names=(row.name,),
                    bf16_tflops=row.bf16_tflops,
                    watts=row.watts or None,
                    source_url=row.source_url,
                )
                for row in self.accelerator
            ),
        )
