"""ClearML servers: what the real SDK sent to a loopback server is what is read back through it."""

from __future__ import annotations

import copy
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clearml.backend_api.session.session import Session
from PIL import Image

from runpages.errors import SourceError, UnknownNameError, UnreachableError, UsageError
from runpages.model import Run, RunRef
from runpages.sources import _clearml_api, open_source
from runpages.sources.clearml_offline import ClearmlOffline
from runpages.sources.clearml_server import ClearmlServer
from sources.clearml_api_server import ACCESS_KEY, SECRET_KEY, ClearmlApi, serving
from sources.clearml_writer import VALUES, log_to, write


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> ClearmlApi:
    """What a server holds when the SDK has logged two runs to it."""
    with serving() as api:
        for scenario in ("rows", "rich"):
            folder = tmp_path_factory.mktemp(scenario)
            log_to(api.address, (ACCESS_KEY, SECRET_KEY), scenario, folder)
    return api


@pytest.fixture
def api(
    logged: ClearmlApi, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[ClearmlApi]:
    """A server with a copy of it, and keys to it in the environment."""
    monkeypatch.setattr(_clearml_api, "_WAITS_SECONDS", (0.0, 0.0, 0.0))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLEARML_API_ACCESS_KEY", ACCESS_KEY)
    monkeypatch.setenv("CLEARML_API_SECRET_KEY", SECRET_KEY)
    with serving() as server:
        for name in ("tasks", "projects", "models", "events", "files"):
            setattr(server, name, copy.deepcopy(getattr(logged, name)))
        for event in server.events.values():
            if "url" in event:
                event["url"] = event["url"].replace(logged.address, server.address)
        monkeypatch.setenv("CLEARML_FILES_HOST", f"{server.address}/files")
        yield server


def source(api: ClearmlApi, **options: object) -> ClearmlServer:
    found = open_source("clearml", api.address, **options)
    assert isinstance(found, ClearmlServer)
    return found


def ref_of(api: ClearmlApi, name: str, **options: object) -> RunRef:
    (ref,) = (ref for ref in source(api, **options).discover() if ref.name == name)
    return ref


def read(api: ClearmlApi, name: str = "first try", **options: object) -> Run:
    return source(api, **options).read(ref_of(api, name))


def task_id(api: ClearmlApi, name: str = "first try") -> str:
    (key,) = (key for key, task in api.tasks.items() if task["name"] == name)
    return key


def scalar(api: ClearmlApi, step: int, value: float, milliseconds: int) -> None:
    api.add_event(
        {
            "type": "training_stats_scalar",
            "task": task_id(api),
            "iter": step,
            "metric": "added",
            "variant": "loss",
            "value": value,
            "timestamp": milliseconds,
        }
    )


# what is found


def test_every_task_is_found_once(api: ClearmlApi) -> None:
    refs = list(source(api).discover())
    assert sorted(ref.name for ref in refs) == ["first try", "rich <b>"]
    assert {ref.run_id for ref in refs} == set(api.tasks)
    assert [ref.run_id for ref in refs] == sorted(ref.run_id for ref in refs)
    for ref in refs:
        assert (ref.project, ref.source, ref.kind) == ("team/llm", "127.0.0.1", "clearml")
        assert ref.state == "finished"
        assert ref.location.startswith(api.address)
        assert SECRET_KEY not in repr(ref)
        assert ACCESS_KEY not in repr(ref)


def test_tasks_come_page_by_page(api: ClearmlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    from runpages.sources import clearml_server

    monkeypatch.setattr(clearml_server, "_PAGE_TASKS", 1)
    assert len(list(source(api).discover())) == 2
    asked = [body.get("page") for action, body in api.calls if action == "tasks.get_all"]
    assert asked == [0, 1, 2]


def test_the_stamp_changes_when_the_run_does(api: ClearmlApi) -> None:
    before = ref_of(api, "first try").stamp
    assert ref_of(api, "first try").stamp == before
    scalar(api, 1, 2.0, 1795593399580)
    assert ref_of(api, "first try").stamp != before


def test_archived_tasks_are_left_out(api: ClearmlApi) -> None:
    api.tasks[task_id(api)]["system_tags"] = ["archived"]
    assert [ref.name for ref in source(api).discover()] == ["rich <b>"]
    everything = source(api, filter='{"system_tags": []}')
    assert len(list(everything.discover())) == 2


def test_project_and_filter_limit_what_is_found(api: ClearmlApi) -> None:
    api.projects["other"] = {"id": "other", "name": "elsewhere"}
    api.tasks[task_id(api)]["project"] = "other"
    found = source(api, project="elsewhere").discover()
    assert [(ref.name, ref.project) for ref in found] == [("first try", "elsewhere")]
    found = source(api, filter='{"tags": ["a"]}').discover()
    assert [ref.name for ref in found] == ["rich <b>"]


def test_a_project_that_is_not_there_lists_those_that_are(api: ClearmlApi) -> None:
    with pytest.raises(UnknownNameError, match=r"no project named 'llm'; there are: team/llm"):
        list(source(api, project="llm").discover())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("tags=a", "is no JSON"),
        ("[1]", "is no JSON object"),
        ('{"colour": 1}', "does not fit tasks.get_all"),
        ('{"tags": 7}', "does not fit tasks.get_all"),
    ],
)
def test_a_filter_that_cannot_be_is_a_usage_error(api: ClearmlApi, words: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        list(source(api, filter=words).discover())


# what is read


def test_series_are_what_was_logged(api: ClearmlApi) -> None:
    run = read(api)
    for name, values in {
        "train/loss": VALUES,
        "accuracy": [0.5 + step for step in range(len(VALUES))],
    }.items():
        np.testing.assert_array_equal(run.series[name].recorded.value, np.array(values))
        assert run.series[name].step.tolist() == list(range(len(values)))
    assert run.state == "finished"
    assert len(run.attempts) == 1
    assert run.provenance.records_damaged == 0
    assert run.incomplete == ()


def test_offline_and_server_give_the_same_run(api: ClearmlApi, tmp_path: Path) -> None:
    ours = read(api, "rich <b>")
    theirs = ClearmlOffline(str(write("rich", tmp_path / "offline")))
    (ref,) = theirs.discover()
    other = theirs.read(ref)
    assert (ours.ref.project, ours.name) == (other.ref.project, other.name)
    assert set(ours.series) == set(other.series)
    for name in other.series:
        if name not in {"a/b/c", "a/b/c (2)"}:  # alike names, told apart in the order of reading
            np.testing.assert_array_equal(ours.series[name].value, other.series[name].value)
    assert json.dumps(ours.config, sort_keys=True) == json.dumps(other.config, sort_keys=True)
    assert ours.summary == other.summary
    assert sorted(ours.tags) == sorted(other.tags)
    assert (ours.seed, ours.parent, ours.job_type) == (other.seed, other.parent, other.job_type)
    assert ours.code.entry_point == other.code.entry_point
    assert _plain(ours) == _plain(other)
    assert "said by the program" in ours.console
    assert ("artifact", "dict tokens") in [(e.kind, e.text) for e in ours.logged_events]


def _plain(run: Run) -> list[tuple[object, ...]]:
    """Tables and sounds without their times."""
    found = [(s.kind, s.name, s.step, s.columns, s.rows) for s in run.samples if s.kind != "image"]
    return sorted(found, key=repr)


def test_single_values_are_the_summary(api: ClearmlApi) -> None:
    api.add_event(
        {
            "type": "training_stats_scalar",
            "task": task_id(api),
            "iter": -(2**31),
            "metric": "Summary",
            "variant": "best",
            "value": 0.25,
            "timestamp": 1795593399580,
        }
    )
    run = read(api)
    assert run.summary == {"best": 0.25}
    assert "Summary/best" not in run.series


def test_what_a_server_cannot_tell_is_said(api: ClearmlApi) -> None:
    lossy = read(api).provenance.lossy
    assert any("stores NaN and infinities as 0" in sentence for sentence in lossy)
    assert any("keeps one value of a metric at an iteration" in sentence for sentence in lossy)


def test_models_are_named(api: ClearmlApi) -> None:
    found = [e for e in read(api, "rich <b>").logged_events if e.kind == "model"]
    assert [e.text for e in found] == ["output step-5"]
    assert found[0].time is not None
    assert math.isfinite(found[0].time)


def test_the_machine_is_what_the_sdk_told(api: ClearmlApi) -> None:
    api.tasks[task_id(api)]["runtime"] = {
        "hostname": "node1",
        "gpu_type": "NVIDIA A100, NVIDIA A100",
        "gpu_count": "2",
        "cpu_cores": "64",
        "memory_gb": "512.0",
        "python_version": "3.11.7",
        "gpu_driver_cuda_version": "12.2",
    }
    run = read(api)
    assert run.hardware.hosts == ("node1",)
    assert (run.hardware.device, run.hardware.devices) == ("NVIDIA A100", 2)
    assert (run.hardware.cpu_count, run.hardware.memory_bytes) == (64, 512 * 2**30)
    assert run.environment["cuda"] == "12.2"
    assert run.attempts[0].devices == 2


def test_datasets_by_their_alias(api: ClearmlApi) -> None:
    entry = {"section": "Datasets", "name": "corpus", "value": "abc123", "type": ""}
    api.tasks[task_id(api)].setdefault("hyperparams", {})["Datasets"] = {"corpus": entry}
    (dataset,) = read(api).datasets
    assert (dataset.name, dataset.version) == ("corpus", "abc123")


@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_scrolling_loses_nothing(api: ClearmlApi, size: int) -> None:
    expected = read(api, "rich <b>")
    api.largest_page = size
    found = read(api, "rich <b>")
    assert found.provenance == expected.provenance
    assert [(s.kind, s.step) for s in found.samples] == [(s.kind, s.step) for s in expected.samples]
    for name in expected.series:
        np.testing.assert_array_equal(
            found.series[name].recorded.value, expected.series[name].recorded.value
        )


def test_more_rows_than_a_sampled_curve_has_are_all_read(api: ClearmlApi) -> None:
    """The histogram endpoint gives 6,000 points, a page 10,000."""
    for step in range(25_000):
        scalar(api, step, step / 7, 1795593399580 + step // 3)
    run = read(api)
    series = run.series["added/loss"]
    assert series.step.tolist() == list(range(25_000))
    np.testing.assert_array_equal(series.value, np.arange(25_000) / 7)
    assert len(run.attempts) == 1


def test_a_restart_is_seen_by_the_times(api: ClearmlApi) -> None:
    after = 1000 + max(event["timestamp"] for event in api.events.values())
    for step in range(10):
        scalar(api, step, 1.0, after + step)
    for step in range(5, 8):
        scalar(api, step, 2.0, after + 100_000 + step)
    series = read(api).series["added/loss"]
    assert series.recorded.step.tolist() == [0, 1, 2, 3, 4, 8, 9, 5, 6, 7]
    assert series.recorded.attempt.tolist() == [1] * 7 + [2] * 3
    assert series.value.tolist() == [1.0] * 5 + [2.0] * 3


def test_a_scroll_that_ends_early_is_said(api: ClearmlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ClearmlApi._events_get_task_events

    def promised(self: ClearmlApi, body: dict[str, object]) -> dict[str, object]:
        return {**real(self, body), "total": 99}

    monkeypatch.setattr(ClearmlApi, "_events_get_task_events", promised)
    assert read(api).incomplete[0] == ("the server gave 14 of 99 events (training_stats_scalar)")


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("completed", "finished"),
        ("published", "finished"),
        ("closed", "finished"),
        ("failed", "failed"),
        ("stopped", "killed"),
        ("in_progress", "running"),
        ("created", "running"),
    ],
)
def test_state(api: ClearmlApi, status: str, state: str) -> None:
    api.tasks[task_id(api)]["status"] = status
    assert read(api).state == state
    assert read(api, settle_minutes=0).state == ("ended" if state == "running" else state)


# pictures


def test_images_come_from_the_files_server(api: ClearmlApi) -> None:
    run = read(api, "rich <b>")
    images = {s.step: s for s in run.samples if s.kind == "image"}
    assert set(images) >= {3, 4}
    for step in (3, 4):
        media = images[step].media
        assert media is not None
        shade = np.asarray(Image.open(io.BytesIO(media.read()))).mean()
        assert shade == pytest.approx(30 * step, abs=2)


def test_images_are_read_once_and_stay(api: ClearmlApi) -> None:
    run = read(api, "rich <b>")
    fetched = [body["path"] for action, body in api.calls if action == "file"]
    assert len(fetched) == len(set(fetched)) > 0
    api.files.clear()
    assert all(s.media.read() for s in run.samples if s.media is not None)


@pytest.mark.parametrize("where", ["http://127.0.0.1:9/files", "s3://bucket", "file:///etc"])
def test_the_token_goes_to_clearmls_servers_only(api: ClearmlApi, where: str) -> None:
    for event in api.events.values():
        if "url" in event:
            event["url"] = event["url"].replace(f"{api.address}/files", where)
    run = read(api, "rich <b>")
    assert all(s.media is None for s in run.samples)
    assert [action for action, _ in api.calls if action == "file"] == []
    assert any("not on the files server" in s for s in run.provenance.lossy)


def test_an_image_that_is_gone_is_a_sentence(api: ClearmlApi) -> None:
    api.files.clear()
    run = read(api, "rich <b>")
    assert all(s.media is None for s in run.samples)
    assert any("the files server answers 404" in w for w in run.provenance.warnings)


@pytest.mark.parametrize(
    ("address", "files", "web"),
    [
        ("https://api.clear.ml", "https://files.clear.ml", "https://app.clear.ml"),
        ("http://host:8008", "http://host:8081", "http://host:8080"),
        ("http://host:9000", "", ""),
        ("https://host/api", "", ""),
    ],
)
def test_neighbours(monkeypatch: pytest.MonkeyPatch, address: str, files: str, web: str) -> None:
    monkeypatch.delenv("CLEARML_FILES_HOST", raising=False)
    assert _clearml_api.files_origin(address) == files
    assert _clearml_api.web_address(address) == web


# what goes wrong


@pytest.mark.parametrize("fault", ["500", "502", "503", "504", "429", "cut", "stale"])
@pytest.mark.parametrize("action", ["auth.login", "events.get_task_events", "tasks.get_all"])
def test_what_passes_by_is_tried_again(api: ClearmlApi, fault: str, action: str) -> None:
    expected = read(api)
    # a token that is not known any more is asked for anew, once a request
    api.faults[action] = [fault] if fault == "stale" else [fault, fault]
    found = read(api)
    assert api.faults[action] == []
    assert found.provenance == expected.provenance
    assert list(found.series) == list(expected.series)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("500", "answers 500"),
        ("503", "answers 503"),
        ("cut", "cuts its answers off"),
        ("html", "does not answer as a ClearML API server"),
        ("no data", "does not answer as a ClearML API server"),
        ("deep", "does not answer as a ClearML API server"),
        ("redirect", "answers with a redirect to another address"),
        ("401", "accept the keys|let these keys read"),
        ("403", "accept the keys|let these keys read"),
    ],
)
@pytest.mark.parametrize("action", ["auth.login", "tasks.get_all"])
def test_what_stays_is_unreachable(api: ClearmlApi, fault: str, said: str, action: str) -> None:
    api.faults[action] = [fault] * 50
    with pytest.raises(UnreachableError, match=said) as caught:
        list(source(api).discover())
    assert caught.value.exit_code == 6
    assert SECRET_KEY not in str(caught.value)
    assert ACCESS_KEY not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert len(api.faults[action]) >= 45


def test_wrong_keys(api: ClearmlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARML_API_SECRET_KEY", "wrong")
    with pytest.raises(UnreachableError, match="does not accept the keys; check CLEARML_API_ACCE"):
        list(source(api).discover())


def test_no_keys(api: ClearmlApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARML_API_SECRET_KEY")
    with pytest.raises(UnreachableError, match="no keys; set CLEARML_API_ACCESS_KEY and CLEARML_A"):
        list(source(api).discover())
    assert api.calls == []


def test_nobody_listens(api: ClearmlApi) -> None:
    with serving() as gone:
        pass
    with pytest.raises(UnreachableError, match="cannot be reached"):
        list(source(gone).discover())


def test_a_run_that_takes_too_long_is_given_up(api: ClearmlApi) -> None:
    ref = ref_of(api, "first try")
    with pytest.raises(SourceError, match=r"takes longer than 1e-09 s for one run") as caught:
        source(api, run_seconds=1e-9).read(ref)
    assert not isinstance(caught.value, UnreachableError)


def test_a_server_that_trickles_is_given_up(api: ClearmlApi) -> None:
    ref = ref_of(api, "first try")
    api.faults["events.get_task_events"] = ["trickle"]
    with pytest.raises(SourceError, match=r"takes longer than 0\.5 s for one run"):
        source(api, run_seconds=0.5).read(ref)


def test_a_task_that_is_gone(api: ClearmlApi) -> None:
    ref = ref_of(api, "first try")
    del api.tasks[ref.run_id]
    with pytest.raises(SourceError, match=r"tasks.get_by_id is refused \(400\): Invalid task id"):
        source(api).read(ref)


def test_events_of_no_use_are_counted(api: ClearmlApi) -> None:
    before = read(api)
    scalar(api, 1, 1.0, 1795593399580)
    next(e for e in api.events.values() if e.get("metric") == "added")["value"] = "x"
    run = read(api)
    assert run.provenance.records_damaged == 1
    assert run.provenance.records_read == before.provenance.records_read
    assert any("a scalar without a number" in w for w in run.provenance.warnings)


def test_a_listing_that_is_refused(api: ClearmlApi) -> None:
    api.faults["tasks.get_all"] = ["400"] * 2
    with pytest.raises(UsageError, match=r"a fault of the test; see `filter`"):
        list(source(api, filter='{"tags": ["a"]}').discover())
    with pytest.raises(UnreachableError, match=r"tasks.get_all is refused \(400\)"):
        list(source(api).discover())


def test_a_process_that_logs_offline_still_reads(
    api: ClearmlApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "_offline_mode", True)
    assert len(list(source(api).discover())) == 2


def test_nothing_is_printed(api: ClearmlApi, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output belongs to `--json`."""
    api.faults["tasks.get_all"] = ["503", "cut"]
    read(api)
    assert capfd.readouterr() == ("", "")


def test_the_settings_file_of_the_user_has_no_say(api: ClearmlApi, tmp_path: Path) -> None:
    (tmp_path / "clearml.conf").write_text(
        'api { api_server: "http://127.0.0.1:9", credentials { access_key: "k" } }\n'
        'files { evil { contents: "x", path: "' + str(tmp_path / "evil") + '" } }\n'
        "sdk { apply_files: true, apply_environment: true }\n"
    )
    assert len(list(source(api).discover())) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clearml.conf"]


def test_no_key_is_in_a_run(api: ClearmlApi) -> None:
    run = read(api, "rich <b>")
    text = repr((run.ref, run.links, run.provenance, run.config))
    assert not any(key in text for key in (SECRET_KEY, *api.tokens))
