"""MLflow and ClearML at an address, from runpages.toml to pages: real processes, real sockets."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builder.projects import Project
from runs import write_rundir
from sources.clearml_api_server import ACCESS_KEY, SECRET_KEY, ClearmlApi, serving
from sources.clearml_writer import log_to
from sources.mlflow_writer import client_at
from sources.test_mlflow_server import Proxy, Served, disturbed, served

__all__ = ["disturbed", "served"]

PASSWORD = "mlflow-password-never-printed"
BASIC = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
LOGS = 'kind = "auto"\nlocation = "logs"'


def links_of(page: Path) -> list[str]:
    return [html.unescape(link) for link in re.findall(r'href="(http[^"]*)"', page.read_text())]


def test_mlflow_from_settings_to_pages(served: Served, disturbed: Any, tmp_path: Path) -> None:
    keys = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    project = Project(tmp_path, keys)
    bad: dict[str, int] = {}

    def fault(handler: Any, _number: int) -> bool:
        status = next((status for part, status in bad.items() if part in handler.path), 0)
        if status:
            handler.whole(status, f'{{"message": "no {PASSWORD} {BASIC}"}}'.encode())
        return bool(status)

    proxy: Proxy = disturbed(fault)
    client = client_at(f"sqlite:///{served.root}/mlflow.db")
    address = "https://u:p4ss@models.example/lm/2?token=tok3n#/models/lm?x=s1gn"
    client.create_model_version("lm", f"runs:/{served.rich}/m", served.rich, run_link=address)
    server = f'kind = "mlflow"\nlocation = "{proxy.url}/?token=tok3n"\nname = "team"'
    store = f'kind = "mlflow"\nlocation = "{served.root}"\nname = "team"'

    # one run cannot be read, and its store is not here: the other is kept
    bad[f"get-history?run_id={served.plain}"] = 500
    project.settings(server, engine="processes")
    document, err = project.pull(code=3)
    assert document["written"] == [served.rich]
    (reason,) = document["failed"].values()
    assert reason.startswith(f"{proxy.url}/#/experiments/")
    assert served.plain in reason
    assert "answers 500" in reason
    assert "no (key) (key)" in reason
    assert reason.endswith("see whether the server is well, then pull again")
    assert f"failed: {reason}" in err
    assert set(proxy.keys) == {f"Basic {BASIC}"}

    # the same run by the server and from its store
    bad.clear()
    project.settings(server, store)
    document, _ = project.pull()
    assert (document["written"], document["unchanged"]) == ([served.plain], [served.rich])
    assert all("found twice" in reason for reason in document["skipped"].values())
    assert set(project.runs()) == {served.rich, served.plain}
    asked = len(proxy.seen)
    document, _ = project.pull()
    assert set(document["unchanged"]) == {served.rich, served.plain}
    assert {path.rpartition("/")[2] for path in proxy.seen[asked:]} == {"search"}

    client.set_tag(served.plain, "note", "later")
    asked = len(proxy.seen)
    document, _ = project.pull()
    assert document["written"] == [served.plain]
    assert not any(served.rich in path for path in proxy.seen[asked:])

    assert "2 pages written" in project.run("build")[0]
    page = next(project.folder.glob(f"docs/runs/{served.rich}-*.md"))
    links = links_of(page)
    assert any("models.example/lm/2" in link for link in links), links
    assert not any("?" in link or "@" in link for link in links)

    # it lets us in no more, then it is gone
    bad["/api/"] = 401
    write_rundir(project.folder / "logs" / "mine", steps=5)
    project.settings(server, LOGS)
    document, err = project.pull(code=6)
    assert document["written"] == ["mine"]
    assert "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in err
    project.settings(server.replace(proxy.url, "http://127.0.0.1:9"), LOGS)
    document, _ = project.pull(code=6)
    assert document["unreachable"] == ["http://127.0.0.1:9: does not answer (refused)"]
    assert project.holds(PASSWORD, BASIC, "tok3n", "s1gn", "p4ss") == []


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ClearmlApi]:
    with serving() as server:
        log_to(server.address, (ACCESS_KEY, SECRET_KEY), "rich", tmp_path / "logged")
        yield server


def test_clearml_from_settings_to_pages(api: ClearmlApi, tmp_path: Path) -> None:
    keys = {
        "CLEARML_API_ACCESS_KEY": ACCESS_KEY,
        "CLEARML_API_SECRET_KEY": SECRET_KEY,
        "CLEARML_FILES_HOST": f"{api.address}/files",
    }
    project = Project(tmp_path, keys)
    (rich,) = api.tasks
    for key, status in (("bad", "completed"), ("live", "in_progress")):
        api.tasks[key] = {**api.tasks[rich], "id": key, "name": key, "status": status}
        for name, event in list(api.events.items()):
            if event["task"] == rich:
                api.events[f"{key}-{name}"] = {**event, "task": key}
    answer = api.answer

    def answers(action: str, body: dict[str, Any]) -> dict[str, Any]:
        if action == "events.get_task_events" and body["task"] == "bad":
            api.calls.append((action, body))
            raise LookupError
        return answer(action, body)

    api.answer = answers  # type: ignore[method-assign]
    settings = (
        f'kind = "clearml"\nlocation = "{api.address}/?token=tok3n"\nproject = "team/llm"\n'
        """filter = '{"tags": ["a"]}'"""
    )
    project.settings(settings, engine="processes")
    document, err = project.pull(code=3)
    assert document["written"] == [rich]
    assert "still running (less than 30 min" in document["skipped"]["live"]
    reason = document["failed"]["bad"]
    assert reason.startswith(f"{api.address}/tasks.get_by_id?task=bad: events.get_task_events is")
    assert reason.endswith("see whether the server is well, then pull again")
    assert f"failed: {reason}" in err
    assert any(s.kind == "image" for s in project.runs()[rich].samples)

    api.answer = answer  # type: ignore[method-assign]
    api.tasks["live"]["status"] = "failed"
    assert set(project.pull()[0]["written"]) == {"bad", "live"}
    asked = len(api.calls)
    document, _ = project.pull()
    assert set(document["unchanged"]) == {rich, "bad", "live"}
    assert {action for action, _ in api.calls[asked:]} == {"projects.get_all", "tasks.get_all"}
    api.tasks["live"]["comment"] = "looked at"
    asked = len(api.calls)
    assert project.pull()[0]["written"] == ["live"]
    assert {body["task"] for _, body in api.calls[asked:] if "task" in body} == {"live"}
    assert "3 pages written" in project.run("build")[0]

    write_rundir(project.folder / "logs" / "mine", steps=5)
    project.settings(settings, LOGS)
    document, err = project.pull(code=6, CLEARML_API_SECRET_KEY="wrong-key")
    assert document["written"] == ["mine"]
    assert "does not accept the keys; check CLEARML_API_ACCESS_KEY" in err
    project.settings(settings.replace(api.address, "http://127.0.0.1:9"), LOGS)
    document, _ = project.pull(code=6)
    (gone,) = document["unreachable"]
    assert gone == "http://127.0.0.1:9: cannot be reached (tried 4 times); try again later"
    assert project.holds(ACCESS_KEY, SECRET_KEY, "wrong-key", "tok3n", *api.tokens) == []
