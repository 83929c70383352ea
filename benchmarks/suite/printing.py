"""The suite's outcome as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .tally import Tally

__all__ = ["print_report"]


def print_report(own: Tally, rules: Mapping[str, Tally], *, not_judged: Sequence[str]) -> None:
    """Print all tables."""
    print(f"{'kind':16}{'events':>7}{'P':>7}{'R':>7}   recall by size, steps, rows (found/events)")
    for kind in own.truths:
        print(
            f"{kind:16}{own.truths[kind]:7}{_share(own.precision(kind))}{_share(own.recall(kind))}"
        )
        for axis in ("size", "steps", "rows"):
            cells = [
                f"{name} {n[1]}/{n[0]}"
                for (k, a, name), n in sorted(own.bins.items(), key=lambda item: _order(item[0][2]))
                if (k, a) == (kind, axis)
            ]
            print(f"{'':40}{axis:6}{'   '.join(cells)}")
    print(f"{'macro average':23}{_mean(own.precision, own)}{_mean(own.recall, own)}")
    for kind in not_judged:
        print(f"{kind:16}not judged")
    _print_healthy(own)
    _print_rules(rules)


def _print_healthy(own: Tally) -> None:
    runs, alarms, more = own.false_alarms()
    print(f"\nhealthy runs: {runs}, false alarms: {alarms}, runs with more than one: {more}")
    for length, counts in own.healthy.items():
        print(f"  {length:8}{len(counts):6} runs {sum(counts):5} false alarms")
    print("  by kind:", dict(own.healthy_kinds.most_common()))
    print("\nreports in runs whose events lie below the floor (runs, reports):")
    print("  " + ", ".join(f"{k} {len(v)}/{sum(v)}" for k, v in own.below.items()))
    print("\nfalse alarms by the events of the run they are in:")
    for kind in ("healthy", *own.truths):
        told = {b: n for (a, b), n in own.extra.most_common() if a == kind}
        print(f"  {kind:16}" + ", ".join(f"{b} {n}" for b, n in told.items()))
    print("\ntaken for (event -> report; misplaced = its kind, elsewhere):")
    for kind in own.truths:
        told = {b: n for (a, b), n in own.confusion.most_common() if a == kind}
        print(f"  {kind:16}" + ", ".join(f"{b} {n}" for b, n in told.items()))


def _print_rules(rules: Mapping[str, Tally]) -> None:
    if not any(tally.truths for tally in rules.values()):
        return
    print(f"\nspikes, side by side:{'P':>11}{'R':>7}  false alarms per healthy run")
    runs = next(iter(rules.values())).false_alarms()[0]
    for name, tally in rules.items():
        _, alarms, _ = tally.false_alarms()
        print(
            f"  {name:22}{_share(tally.precision('spike'))}{_share(tally.recall('spike'))}"
            f"{alarms / max(1, runs):10.3f}"
        )


def _share(value: float | None) -> str:
    return "    n/a" if value is None else f"{value:7.3f}"


def _mean(share: object, own: Tally) -> str:
    values = [v for kind in own.truths if (v := share(kind)) is not None]  # type: ignore[operator]
    return _share(sum(values) / len(values) if values else None)


def _order(name: str) -> float:
    head = name.lstrip(">=").partition("-")[0]
    return float(head.replace("k", "000"))
