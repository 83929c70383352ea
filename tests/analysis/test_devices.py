from __future__ import annotations

import numpy as np
import pytest

from analysis.builders import START, falling, make_run
from runpages import find_events
from runpages.analysis import analyze
from runpages.analysis.detect.memory import capacity_of
from runpages.analysis.roles import role_of

SEEDS = range(6)
GIB = 2.0**30


def busy(size, *, seed=0):
    """Per cent of a device at work, low at its periodic evaluations."""
    values = np.random.default_rng(seed).integers(90, 100, size).astype(float)
    values[::50] = 30
    return values


def find(values, metric, times=None):
    return find_events(np.arange(len(values)), values, times=times, metric=metric)


def shape(events):
    return [(e.kind, e.start_step, e.end_step) for e in events]


@pytest.mark.parametrize("size", [12, 40, 104, 3000])
def test_a_busy_device_gives_nothing(size):
    for seed in SEEDS:
        assert find(busy(size, seed=seed), "gpu.0.gpu") == ()


@pytest.mark.parametrize("size", [100, 1500])
def test_an_idle_stretch_is_found_where_it_is(size):
    for seed in SEEDS:
        values = busy(size, seed=seed)
        begin, end = size // 2, size // 2 + size // 5
        values[begin : end + 1] = 0
        (event,) = find(values, "gpu.0.gpu")
        assert (event.kind, event.severity, event.recovered) == ("idle_device", "warning", True)
        assert abs(event.start_step - begin) <= 2
        assert abs(event.end_step - end) <= 2


def test_an_idle_device_with_bursts_is_one_finding():
    values = np.zeros(600)
    values[[100, 101, 300, 450, 451]] = 60
    assert shape(find(values, "gpu_util")) == [("idle_device", 0, 599)]


def test_a_wait_of_seconds_is_not_idleness():
    values = busy(200)
    values[100:120] = 0
    assert find(values, "gpu_util", np.arange(200.0)) == ()
    assert shape(find(values, "gpu_util", 10 * np.arange(200.0))) == [("idle_device", 100, 119)]


def test_a_share_of_one_is_read_as_such():
    values = busy(200) / 100
    assert find(values, "gpu_util") == ()
    values[100:150] = 0.01
    (event,) = find(values, "gpu_util")
    assert (event.kind, event.threshold) == ("idle_device", 0.05)


@pytest.mark.parametrize("size", [40, 400, 5000])
def test_a_device_that_never_gets_high_is_underused(size):
    values = np.random.default_rng(0).normal(45, 4, size)
    (event,) = find(values, "gpu.0.gpu")
    assert (event.kind, event.start_step, event.end_step) == ("gpu_underuse", 0, size - 1)
    assert event.severity == "warning"
    assert event.baseline_value == pytest.approx(45, abs=3)


def test_underuse_of_a_part_says_which():
    values = busy(800)
    values[400:] = 50
    (event,) = find(values, "gpu.0.gpu")
    assert shape([event]) == [("gpu_underuse", 400, 799)]


def test_use_over_70_is_not_under_the_floor():
    assert find(np.random.default_rng(0).normal(76, 3, 400), "gpu.0.gpu") == ()


def used(size, *, seed=0, level=40.0):
    """Memory with a saw-tooth and a start-up."""
    rng = np.random.default_rng(seed)
    values = level + 0.05 * level * (np.arange(size) % 10) / 10 + 0.002 * level * rng.random(size)
    values[: size // 20] *= 0.5
    return values


@pytest.mark.parametrize("size", [40, 400, 20_000])
def test_memory_at_its_level_gives_nothing(size):
    for seed in SEEDS:
        assert find(used(size, seed=seed), "gpu.0.memoryAllocated") == ()


@pytest.mark.parametrize("size", [80, 1000, 20_000])
@pytest.mark.parametrize("grown", [4.0, 20.0])
def test_a_leak_is_found_at_its_onset(size, grown):
    for seed in SEEDS:
        values = used(size, seed=seed)
        begin = size * 3 // 5
        values[begin:] += np.linspace(0, grown, size - begin)
        (event,) = find(values, "gpu.0.memoryAllocated")
        assert (event.kind, event.recovered) == ("memory_growth", False)
        assert abs(event.start_step - begin) <= max(10, size // 40)
        assert "was still growing" in event.message


def test_growth_below_the_floor_is_not_reported():
    values = used(2000)
    values[1000:] += np.linspace(0, 1.2, 1000)  # per cent of the capacity
    assert find(values, "gpu.0.memoryAllocated") == ()


def test_an_allocator_that_found_its_size_does_not_leak():
    for steps in ([800], [500, 900], [300, 700, 1100]):
        values = used(2000)
        for at in steps:
            values[at:] += 6
        assert find(values, "gpu.0.memoryAllocated") == ()


def test_without_a_capacity_growth_is_judged_against_the_level():
    values = used(1000) * GIB
    values[400:] += np.linspace(0, 10, 600) * GIB
    assert [e.kind for e in find(values, "gpu.0.memoryAllocatedBytes")] == ["memory_growth"]


def test_memory_in_use_near_the_capacity():
    values = np.full(200, 60.0)
    values[120:130] = 96.5
    (event,) = find(values, "memory/max_active(%)")
    assert shape([event]) == [("near_oom", 120, 129)]
    assert (event.peak_value, event.threshold, event.recovered) == (96.5, 95.0, True)


def test_what_the_driver_reports_holds_the_reserve_and_must_have_risen():
    assert find(np.full(200, 98.0), "gpu.0.memoryAllocated") == ()
    assert [e.kind for e in find(np.full(200, 98.0), "memory/max_active(%)")] == ["near_oom"]
    values = np.full(200, 60.0)
    values[100:] = 98
    assert [e.kind for e in find(values, "gpu.0.memoryAllocated")] == ["near_oom"]


def test_a_retried_allocation_is_a_near_miss():
    assert find(np.zeros(100), "memory/num_alloc_retries") == ()
    values = np.zeros(100)
    values[60:] = 2
    (event,) = find(values, "memory/num_alloc_retries")
    assert (event.kind, event.start_step, event.peak_value) == ("near_oom", 60, 2)


@pytest.mark.parametrize(
    ("name", "capacity"),
    [
        ("system/gpu.0.memoryAllocated", 100),
        ("gpu_0_memory_usage_percentage", 100),
        ("gpu_0_mem_usage", 100),
        ("memory/max_active(GiB)", 80),
        ("system/gpu.0.memory.used (MiB)", 80 * 1024),
        ("gpu_0_memory_usage_megabytes", 80 * 1024),
        ("mem-max-allocated-bytes", 80 * GIB),
        ("active_bytes.all.peak", 80 * GIB),
        ("gpu_memory", None),
    ],
)
def test_the_unit_of_memory_is_what_its_name_proves(name, capacity):
    assert capacity_of(name, 80 * GIB) == capacity
    assert role_of(name) == "gpu_memory"


def sampled_run(values, metric, **facts):
    steps = np.arange(600)
    times = START + 2.0 * np.linspace(0, 600, len(values))
    return make_run(
        {1: {"train/loss": (steps, falling(steps))}}, power={metric: (times, values)}, **facts
    )


def test_samples_of_the_clock_are_told_in_the_runs_steps():
    values = busy(300)
    values[150:200] = 0
    report = analyze(sampled_run(values, "system/gpu.0.gpu", devices=1))
    (event,) = report.events
    assert event.kind == "idle_device"
    assert abs(event.start_step - 300) <= 4
    assert abs(event.end_step - 400) <= 4
    assert event.start_time == pytest.approx(START + 600, abs=10)


def test_the_capacity_follows_from_the_runs_device():
    values = np.linspace(60, 79, 300) * 1024
    run = sampled_run(values * 2**20, "mem-max-allocated-bytes", device="NVIDIA H100 80GB HBM3")
    assert {e.kind for e in analyze(run).events} == {"memory_growth", "near_oom"}
    unknown = sampled_run(values * 2**20, "mem-max-allocated-bytes")
    assert {e.kind for e in analyze(unknown).events} == {"memory_growth"}
