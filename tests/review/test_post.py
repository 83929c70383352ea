"""One sticky comment at a host: found by marker and author, whatever fails on the way."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from review.hosts import PLACES, TOKEN, serving
from runpages.errors import PassingPostError, PostError, UsageError
from runpages.review.hosts import HOSTS, github_number
from runpages.review.post import post_sticky

MARKER = "<!-- runpages:review -->"


@pytest.fixture(params=["github", "gitlab"])
def host(request):
    with serving(request.param) as found:
        yield found


def thread_of(host):
    """Without waits between tries."""
    thread = HOSTS[host.kind](host.env())
    return replace(thread, api=replace(thread.api, first_wait_seconds=0.0))


def post(host, text="### Run\n", **given):
    return post_sticky(thread_of(host), text, **given)


def bodies(host):
    return [item["body"] for item in host.bodies]


def edits(host):
    return [line for line in host.asked if line.split()[0] in {"PATCH", "PUT"}]


def test_the_first_one_is_created(host):
    host.add("alice", "hello")
    done = post(host)
    assert done.action == "created"
    assert bodies(host) == ["hello", f"{MARKER}\n### Run\n"]
    assert done.url in {"https://gh.example/c/2",
                        "https://gl.example/team/recipes/-/merge_requests/12#note_2"}  # fmt: skip


def test_the_next_one_replaces_it(host):
    post(host)
    host.add("alice", "thanks")
    assert post(host, "### New\n").action == "updated"
    assert bodies(host) == [f"{MARKER}\n### New\n", "thanks"]


def test_the_same_words_are_not_sent_again(host):
    post(host)
    host.bodies[0]["body"] = host.bodies[0]["body"].replace("\n", "\r\n").strip()
    assert post(host).action == "unchanged"
    assert edits(host) == []


def test_the_marker_in_somebody_elses_comment_is_left_alone(host):
    theirs = f"{MARKER}\nmine"
    host.add("mallory", theirs)
    assert post(host).action == "created"
    assert bodies(host)[0] == theirs


def test_a_comment_of_ones_own_without_the_marker_at_its_beginning_is_left_alone(host):
    own = f"as I said:\n{MARKER}"
    host.add(host.me, own)
    assert post(host).action == "created"
    assert bodies(host)[0] == own


def test_a_name_that_is_only_like_ones_own_is_another_author():
    with serving("github") as host:
        host.add("github-actions", f"{MARKER}\nx")
        assert post(host).action == "created"


def test_each_key_has_a_comment_of_its_own(host):
    post(host)
    assert post(host, "### Other\n", key="nightly").action == "created"
    assert post(host, "### Newer\n", key="nightly").action == "updated"
    assert bodies(host)[0].endswith("### Run\n")


@pytest.mark.parametrize("key", ["", "a b", "-->", "A", "x" * 41])
def test_a_key_that_could_end_the_marker_is_refused(host, key):
    with pytest.raises(UsageError, match="--key"):
        post(host, key=key)
    assert host.asked == []


def test_it_is_found_behind_hundreds_of_comments(host):
    for number in range(250):
        host.add("alice", f"comment {number}")
    host.add(host.me, f"{MARKER}\nold")
    host.add("alice", "last")
    assert post(host).action == "updated"
    assert len(host.bodies) == 252
    assert bodies(host)[250] == f"{MARKER}\n### Run\n"


def test_a_page_that_is_short_is_not_the_last_if_the_host_says_so(host):
    """As where comments that the token may not see are left out."""
    for number in range(150):
        host.add("alice", f"comment {number}")
    host.add(host.me, f"{MARKER}\nold")
    host.hidden = 60
    assert post(host).action == "updated"


@pytest.mark.parametrize("status", [429, 500, 502, 503, "reset"])
@pytest.mark.parametrize("call", ["GET", "POST", "PATCH", "PUT"])
def test_what_passes_is_tried_again(host, call, status):
    host.add(host.me, f"{MARKER}\nold")
    host.faults = [(call, status)] * 2
    assert post(host).action == "updated"
    assert bodies(host) == [f"{MARKER}\n### Run\n"]


@pytest.mark.parametrize("fault", [502, "reset", "done"])
def test_a_creation_that_breaks_off_makes_one_comment(host, fault):
    host.faults = [(f"POST {PLACES[host.kind]}", fault)]
    done = post(host)
    assert bodies(host) == [f"{MARKER}\n### Run\n"]
    assert done.action == ("unchanged" if fault == "done" else "created")


def test_a_host_that_stays_down_is_given_up_after_five_tries(host):
    host.faults = [("GET", 503)] * 99
    with pytest.raises(PassingPostError, match="answers 503"):
        post(host)
    assert len([line for line in host.asked if line.startswith("GET")]) == 5


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_names_the_permission_and_not_the_token(host, status):
    host.faults = [(f"POST {PLACES[host.kind]}", status)]
    with pytest.raises(PostError) as caught:
        post(host)
    words = str(caught.value)
    assert f"answers {status}" in words
    assert ("pull-requests: write" if host.kind == "github" else "scope `api`") in words
    assert TOKEN not in words
    assert TOKEN not in repr(thread_of(host))
    assert host.bodies == []


def test_a_wrong_token_is_told_without_it(host):
    env = {**host.env(), "GITHUB_TOKEN": "wr0ng", "GITLAB_TOKEN": "wr0ng"}
    with pytest.raises(PostError, match="token is not valid") as caught:
        post_sticky(HOSTS[host.kind](env), "x")
    assert "wr0ng" not in str(caught.value)


def test_a_redirect_is_not_followed(host):
    host.faults = [("GET", 301)]
    with pytest.raises(PostError, match="moved"):
        post(host)
    assert host.bodies == []


def test_netrc_does_not_take_the_place_of_the_token(host, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert post(host).action == "created"


def test_what_is_no_answer_of_the_api_is_an_error():
    with serving("github") as host:
        thread = replace(thread_of(host), graphql=f"{host.base}/user")
        with pytest.raises(PostError, match="answers 404"):
            thread.me()


@pytest.mark.parametrize("missing", ["GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_REF"])
def test_what_github_needs_is_named(missing):
    with serving("github") as host:
        env = {name: value for name, value in host.env().items() if name != missing}
        with pytest.raises(UsageError, match=missing if missing != "GITHUB_REF" else "--pr"):
            HOSTS["github"](env)


@pytest.mark.parametrize("missing", ["GITLAB_TOKEN", "CI_API_V4_URL", "CI_MERGE_REQUEST_IID"])
def test_what_gitlab_needs_is_named(missing):
    with serving("gitlab") as host:
        env = {name: value for name, value in host.env().items() if name != missing}
        with pytest.raises(UsageError, match=missing if "IID" not in missing else "--pr"):
            HOSTS["gitlab"](env)


@pytest.mark.parametrize(
    ("event", "number"),
    [
        ({"pull_request": {"number": 5}}, 5),
        ({"issue": {"number": 6}}, 6),
        ({"workflow_run": {"pull_requests": [{"number": 7}]}}, 7),
        ({"workflow_run": {"pull_requests": []}}, None),
        ({"pull_request": {"number": "x"}}, None),
        ([], None),
    ],
)
def test_the_number_is_that_of_the_event(tmp_path, event, number):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event))
    assert (
        github_number({"GITHUB_EVENT_PATH": str(path), "GITHUB_REF": "refs/heads/main"}) == number
    )


def test_an_enterprise_server_has_graphql_beside_rest():
    env = {"GITHUB_API_URL": "https://ghe.example/api/v3", "GITHUB_REPOSITORY": "a/b",
           "GITHUB_TOKEN": "x"}  # fmt: skip
    assert HOSTS["github"](env, number=1).graphql == "https://ghe.example/api/graphql"
