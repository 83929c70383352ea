"""The labelled series scored with thresholds that were chosen without their repository.

For each repository every effect floor and limit of GRID is chosen on the series of the others: each
by itself, the rest as shipped, by the best F1 of right-kind recall (sure labels) and precision;
among equals the shipped value, which stands first. The chosen ones together judge the repository
that was left out. Rules and code are one and the same for all, and they were written with all
series in sight: what this shows is how much the figures hang on the values of the thresholds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from labelled import Labelled, Predictions, predict
from runpages.analysis.detect import DetectorOptions

__all__ = ["GRID", "report"]

GRID: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    # kind, field, values: the shipped one first
    ("spike", "least_k", (7.0, 5.0, 10.0)),
    ("spike", "min_relative", (0.02, 0.05, 0.10)),
    ("spike", "expected_false", (0.02, 0.005, 0.1)),
    ("divergence", "min_relative", (0.10, 0.05, 0.20)),
    ("level_shift", "min_relative", (0.02, 0.05, 0.10)),
    ("level_shift", "least_k", (6.0, 4.0, 9.0)),
    ("level_shift", "most_relative", (0.5, 0.25, 1.0)),
    ("level_shift", "long_stay_share", (0.2, 0.1, 0.3)),
    ("plateau", "most_change", (0.02, 0.01, 0.03)),
    ("plateau", "least_share", (0.25, 0.15, 0.4)),
    ("overfit", "min_relative", (0.01, 0.02, 0.05)),
    ("stall", "least_factor", (2.0, 1.5, 3.0)),
    ("slowdown", "least_rise", (0.05, 0.03, 0.10)),
    ("grad_explosion", "min_factor", (4.0, 2.5, 6.0)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What the scorer says of some series."""

    sure: int
    right: int
    any_kind: int
    matched: int
    wrong: int
    """Reports of another kind, and false alarms."""
    summary: dict[str, Any]

    @property
    def precision(self) -> float:
        return self.matched / max(1, self.matched + self.wrong)

    @property
    def f1(self) -> float:
        recall = self.right / max(1, self.sure)
        return 2 * recall * self.precision / max(1e-9, recall + self.precision)


class Scorer:
    """The folder's own score.py, for the series of some repositories at a time."""

    def __init__(self, folder: Path) -> None:
        spec = importlib.util.spec_from_file_location("score", folder / "score.py")
        assert spec is not None
        assert spec.loader is not None
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        scale = self.module.intervals(folder / "series.csv.gz")
        self.module.intervals = lambda _path: scale
        self.labels = json.loads((folder / "labels.json").read_text())

    def __call__(self, predictions: Predictions, names: Iterable[str]) -> Figures:
        chosen = set(names)
        labels = {"series": [s for s in self.labels["series"] if s["id"] in chosen]}
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / "predictions.json", Path(folder) / "labels.json"]
            for path, value in zip(paths, (predictions, labels), strict=True):
                path.write_text(json.dumps(value))
            arguments = [str(paths[0]), "--labels", str(paths[1])]
            lines = self._printed(arguments).splitlines()
            summary = json.loads(self._printed([*arguments, "--json"]))
        counts = summary["by_kind"]
        sure = [v for k, v in counts.items() if k.endswith("/sure")]
        return Figures(
            sure=sum(v[0] for v in sure),
            right=sum(v[1] for v in sure),
            any_kind=sum(v[2] for v in sure),
            matched=sum(v[1] for v in counts.values()),
            wrong=sum(line.startswith(("wrong kind", "false alarm")) for line in lines),
            summary=summary,
        )

    def _printed(self, arguments: list[str]) -> str:
        before, sys.argv = sys.argv, ["score.py", *arguments]
        try:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                self.module.main()
        finally:
            sys.argv = before
        return out.getvalue()


def with_value(options: DetectorOptions, kind: str, field: str, value: float) -> DetectorOptions:
    """The options with one threshold of one kind set."""
    return replace(options, **{kind: replace(getattr(options, kind), **{field: value})})


def choose(
    scorer: Callable[[Predictions, Iterable[str]], Figures],
    judged: Mapping[tuple[str, str, float], Predictions],
    names: Iterable[str],
) -> dict[tuple[str, str], float]:
    """The best value of each threshold on the named series."""
    known = tuple(names)
    return {
        (kind, field): max(values, key=lambda v: scorer(judged[kind, field, v], known).f1)
        for kind, field, values in GRID
    }


def report(folder: Path, series: Mapping[str, Labelled]) -> dict[str, Any]:
    """Print a line a repository and the pooled figures, which are given back."""
    scorer = Scorer(folder)
    shipped = DetectorOptions()
    judged = {
        (kind, field, value): predict(series, with_value(shipped, kind, field, value))
        for kind, field, values in GRID
        for value in values
    }
    pooled: Predictions = {}
    print(f"{'repository left out':44} sure right   any precision  not as shipped")
    for repository in sorted({s.repository for s in series.values()}):
        own = {name: s for name, s in series.items() if s.repository == repository}
        chosen = choose(scorer, judged, set(series) - set(own))
        options, other = shipped, []
        for kind, field, values in GRID:
            options = with_value(options, kind, field, chosen[kind, field])
            if chosen[kind, field] != values[0]:
                other.append(f"{kind}.{field}={chosen[kind, field]:g}")
        found = predict(own, options)
        pooled |= found
        print(_line(repository, scorer(found, own), " ".join(other)))
    whole = scorer(pooled, series)
    print(_line("all, each judged without its own", whole, ""))
    print(_line("all, as shipped", scorer(predict(series), series), ""))
    for key, value in whole.summary.items():
        print(f"{key}: {value}")
    return whole.summary


def _line(name: str, figures: Figures, other: str) -> str:
    right, found = (n / max(1, figures.sure) for n in (figures.right, figures.any_kind))
    shares = f"{right:5.2f} {found:5.2f}" if figures.sure else f"{'-':>5} {'-':>5}"
    precision = f"{figures.precision:9.2f}" if figures.matched + figures.wrong else f"{'-':>9}"
    return f"{name:44} {figures.sure:4} {shares} {precision}  {other}"


if __name__ == "__main__":
    raise SystemExit("run labelled.py FOLDER OUTPUT.json --by-repository")
