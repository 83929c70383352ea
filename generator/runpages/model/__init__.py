"""The run model: what a run, a step, an attempt and a value are. Every layer relies on this text.

**Step.** The optimiser step: one update of the weights. A tracker that counts something else (log
calls, batches) is translated by its source, and `Provenance.step_source` says how. Within one
attempt steps do not fall; a source that meets falling steps starts a new attempt there.

**Attempt.** One life of the training process, numbered from 1. A run that was killed and resumed
has two. Nothing is overwritten on resume: every recorded row stays, with its attempt.

**Superseded.** A row whose step a later attempt did again (see `series.superseded`). Metrics may
count differently (iterations and epochs): the spans of the attempts are those of the metric with
most rows and of what goes with it. The
*effective curve* is what remains: one row a step, the last attempt's. Figures are taken from the
effective curve; detectors look at each attempt, so that a spike that was rolled back stays a
finding, with the steps it cost.

**Value.** float64 as recorded. NaN and infinities are values. A row that was not recorded is
absent: there is no filler, no interpolation and no zero.

**Time.** UTC seconds since 1970 as float64; NaN in arrays and None in fields where the source has
no clock. File times are never used.

**Role.** What a metric means (`loss`, `val_loss`, `lr`, `grad_norm`...), resolved from its name by
`analysis.roles` or by the team's `[metrics]` table. A metric without a role is charted and judged
for nothing but non-finite and missing values.

**Identity.** `RunRef.slug` is made of source name, project and run id and of nothing else; no
path, port, display name or way of reading enters, so that moving or renaming keeps the URL.

**Ranks.** Where each rank wrote its own log, a metric's curve is the mean over the ranks at each
step; the smallest and greatest value and every rank's own series stand beside it under
`statistic_key` and `rank_key`, have no role and are judged for nothing.

**State.** `finished`, `failed`, `crashed` and `killed` only if the source says so; `ended` when no
end marker exists and the last recorded time is old or unknown; `running` otherwise.
`Run.incomplete` stands beside the state: a finished run can have lost records.

All classes are frozen. Text fields hold what the run wrote, redacted but not escaped: only
`markup` makes them fit for a page.
"""

from __future__ import annotations

from .comparison import (
    Comparison,
    FigureRow,
    FindingRow,
    Findings,
    MetricRow,
    Side,
    SideValue,
)
from .event import KINDS, SEVERITIES, Event, Judgement
from .group import Difference, GroupMetric, GroupReport, HardBatch, SeedOutlier, SeedSet
from .note import NOTE_KINDS, OUTCOMES, Note
from .quantity import Quantity
from .report import Report
from .reproduction import Needed, Reproduction
from .resources import (
    CAUSES,
    Accelerator,
    AttemptCost,
    Badput,
    Cost,
    Energy,
    Goodput,
    GridIntensity,
    Price,
    Timing,
    Utilization,
)
from .run import (
    STATES,
    Attempt,
    Checkpoint,
    Code,
    Dataset,
    Hardware,
    Link,
    LoggedEvent,
    Media,
    ModelFacts,
    Provenance,
    Run,
    RunRef,
    Sample,
    slug_of,
)
from .series import (
    Columns,
    Extent,
    Series,
    SeriesInfo,
    SeriesSet,
    rank_key,
    spans_of,
    statistic_key,
)
from .summary import (
    AtStep,
    MetricSummary,
    ModelFigures,
    Target,
    TargetReached,
    main_metric,
)

__all__ = [
    "CAUSES",
    "KINDS",
    "NOTE_KINDS",
    "OUTCOMES",
    "SEVERITIES",
    "STATES",
    "Accelerator",
    "AtStep",
    "Attempt",
    "AttemptCost",
    "Badput",
    "Checkpoint",
    "Code",
    "Columns",
    "Comparison",
    "Cost",
    "Dataset",
    "Difference",
    "Energy",
    "Event",
    "Extent",
    "FigureRow",
    "FindingRow",
    "Findings",
    "Goodput",
    "GridIntensity",
    "GroupMetric",
    "GroupReport",
    "HardBatch",
    "Hardware",
    "Judgement",
    "Link",
    "LoggedEvent",
    "Media",
    "MetricRow",
    "MetricSummary",
    "ModelFacts",
    "ModelFigures",
    "Needed",
    "Note",
    "Price",
    "Provenance",
    "Quantity",
    "Report",
    "Reproduction",
    "Run",
    "RunRef",
    "Sample",
    "SeedOutlier",
    "SeedSet",
    "Series",
    "SeriesInfo",
    "SeriesSet",
    "Side",
    "SideValue",
    "Target",
    "TargetReached",
    "Timing",
    "Utilization",
    "main_metric",
    "rank_key",
    "slug_of",
    "spans_of",
    "statistic_key",
]
