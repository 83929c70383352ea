"""GitHub and GitLab: where a review's comments lie and who writes with a token."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from runpages.errors import PostError, UsageError

from .http import Api
from .post import Comment, Thread

__all__ = ["HOSTS", "GitHub", "GitLab", "github_number"]

Environment = Mapping[str, str]
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHub:
    """A pull request (docs.github.com, REST API endpoints for issue comments)."""

    api: Api
    graphql: str
    repository: str
    """`owner/name`."""
    number: int

    @classmethod
    def of(cls, env: Environment, *, number: int | None = None) -> GitHub:
        """By the variables of GitHub Actions. Raises UsageError for what is missing."""
        base = env.get("GITHUB_API_URL", "").rstrip("/") or "https://api.github.com"
        repository = _needed(env, "GITHUB_REPOSITORY", "owner/name of the repository")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
            raise UsageError(f"GITHUB_REPOSITORY={repository!r}: owner/name was expected")
        found = number if number is not None else github_number(env)
        if found is None:
            raise UsageError("this is no run for a pull request: name it with --pr NUMBER")
        token = _needed(env, "GITHUB_TOKEN", "a token that may write to pull requests")
        api = Api(
            base=base,
            token=("Authorization", f"Bearer {token}"),
            needs="the permission `pull-requests: write`",
            headers={
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        graphql = env.get("GITHUB_GRAPHQL_URL", "")
        # GitHub Enterprise Server has REST at /api/v3 and GraphQL at /api/graphql
        graphql = graphql or f"{base.removesuffix('/v3')}/graphql"
        return cls(api=api, graphql=graphql, repository=repository, number=found)

    def me(self) -> str:
        """By GraphQL: `GET /user` is closed to the token of a workflow."""
        answer = self.api.replace("POST", self.graphql, {"query": "query{viewer{login}}"})
        return _read(answer, self.api, lambda a: str(a["data"]["viewer"]["login"]))

    def comments(self) -> Iterator[Comment]:
        for item in self.api.pages(self._place):
            # the account of a comment can be deleted
            yield _read(item, self.api, _github_comment)

    def create(self, body: str) -> Comment:
        return _read(self.api.create(self._place, {"body": body}), self.api, _github_comment)

    def update(self, comment: Comment, body: str) -> Comment:
        path = f"/repos/{self.repository}/issues/comments/{comment.id}"
        answer = self.api.replace("PATCH", path, {"body": body})
        return _read(answer, self.api, _github_comment)

    @property
    def _place(self) -> str:
        return f"/repos/{self.repository}/issues/{self.number}/comments"


def github_number(env: Environment) -> int | None:
    """Number of the pull request that a workflow runs for; None if for none."""
    if match := re.fullmatch(r"refs/pull/(\d+)/\w+", env.get("GITHUB_REF", "")):
        return int(match[1])
    try:
        event = json.loads(Path(env["GITHUB_EVENT_PATH"]).read_bytes())
        nested = event.get("pull_request") or event.get("issue")
        if nested is None:
            nested = next(iter(event["workflow_run"]["pull_requests"]), None)
        return int(nested["number"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _github_comment(item: Any) -> Comment:
    return Comment(
        id=int(item["id"]),
        author=str((item.get("user") or {}).get("login", "")),
        body=str(item.get("body") or ""),
        url=str(item.get("html_url", "")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLab:
    """A merge request (docs.gitlab.com, Notes API)."""

    api: Api
    project: str
    """Its number."""
    number: int
    page: str = ""
    """Address of the merge request in the browser."""

    @classmethod
    def of(cls, env: Environment, *, number: int | None = None) -> GitLab:
        """By the variables of GitLab CI. Raises UsageError for what is missing."""
        base = _needed(env, "CI_API_V4_URL", "address of the API").rstrip("/")
        project = _needed(env, "CI_PROJECT_ID", "number of the project")
        iid = str(number) if number is not None else env.get("CI_MERGE_REQUEST_IID", "")
        if not project.isdecimal() or not iid.isdecimal():
            raise UsageError("this is no pipeline of a merge request: name it with --pr NUMBER")
        # the token of a job (CI_JOB_TOKEN) may not write notes
        token = _needed(env, "GITLAB_TOKEN", "a project access token with the scope `api`")
        api = Api(
            base=base,
            token=("PRIVATE-TOKEN", token),
            needs="the scope `api` and the role Reporter or more",
        )
        web = env.get("CI_MERGE_REQUEST_PROJECT_URL", "") or env.get("CI_PROJECT_URL", "")
        page = f"{web}/-/merge_requests/{iid}" if web else ""
        return cls(api=api, project=project, number=int(iid), page=page)

    def me(self) -> str:
        return _read(self.api.get("/user"), self.api, lambda answer: str(int(answer["id"])))

    def comments(self) -> Iterator[Comment]:
        for item in self.api.pages(self._place, sort="asc", order_by="created_at"):
            if not (isinstance(item, dict) and item.get("system")):
                yield self._comment(item)

    def create(self, body: str) -> Comment:
        return self._comment(self.api.create(self._place, {"body": body}))

    def update(self, comment: Comment, body: str) -> Comment:
        answer = self.api.replace("PUT", f"{self._place}/{comment.id}", {"body": body})
        return self._comment(answer)

    def _comment(self, item: Any) -> Comment:
        def made(item: Any) -> Comment:
            number = int(item["id"])
            return Comment(
                id=number,
                author=str((item.get("author") or {}).get("id", "")),
                body=str(item.get("body") or ""),
                url=f"{self.page}#note_{number}" if self.page else "",
            )

        return _read(item, self.api, made)

    @property
    def _place(self) -> str:
        return f"/projects/{self.project}/merge_requests/{self.number}/notes"


HOSTS: Mapping[str, Callable[..., Thread]] = {"github": GitHub.of, "gitlab": GitLab.of}


def _needed(env: Environment, name: str, what: str) -> str:
    if value := env.get(name, "").strip():
        return value
    raise UsageError(f"the environment variable {name} is needed: {what}")


def _read(answer: Any, api: Api, how: Callable[[Any], _Read]) -> _Read:
    try:
        return how(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise PostError(api.base, "does not answer as its API is documented") from None
