"""What GitHub Actions reads: escaped, each line one command, no value another's."""

from __future__ import annotations

import re

from pages import factory
from runpages.review import annotation, finding_commands, write_outputs, write_summary


def test_a_command_is_one_line_and_its_parts_stay_apart():
    line = annotation("error", "a:b,c%\n::error::x", "100 %\r\n::warning::no, it: is")
    assert line == (
        "::error title=a%3Ab%2Cc%25%0A%3A%3Aerror%3A%3Ax::100 %25%0D%0A::warning::no, it: is"
    )


def test_findings_have_the_level_of_their_severity():
    report = factory.rolled_back()
    lines = finding_commands(report.events, name="run")
    assert [line.split(" ")[0] for line in lines] == ["::warning", "::notice"]
    assert lines[0].startswith("::warning title=run%3A spike::Loss ")


def test_no_more_than_ten_of_a_kind():
    event = factory.rolled_back().events[0]
    assert len(finding_commands([event] * 25, name="run")) == 10


def test_no_value_of_an_output_can_set_another(tmp_path):
    path = tmp_path / "output"
    env = {"GITHUB_OUTPUT": str(path)}
    write_outputs(env, {"one": "x\nEOF\ntwo=evil", "three": "3"})
    text = path.read_text()
    found = re.findall(
        r"^(\S+)<<(runpages-[0-9a-f]{32})\n(.*?)\n\2\n", text, re.MULTILINE | re.DOTALL
    )
    assert [(name, value) for name, _, value in found] == [
        ("one", "x\nEOF\ntwo=evil"),
        ("three", "3"),
    ]
    assert len({end for _, end, _ in found}) == 2


def test_the_summary_is_added_to_what_is_there(tmp_path):
    path = tmp_path / "summary"
    path.write_text("before\n")
    write_summary({"GITHUB_STEP_SUMMARY": str(path)}, "### Run\n")
    assert path.read_text() == "before\n### Run\n\n"


def test_outside_of_a_step_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_summary({"GITHUB_STEP_SUMMARY": ""}, "x")
    write_outputs({}, {"a": "b"})
    assert not list(tmp_path.iterdir())
