from __future__ import annotations

import pickle

import pytest

from runpages import errors


@pytest.mark.parametrize(
    "error",
    [
        errors.UnknownNameError("source", "jsonI", ["jsonl", "csv"]),
        errors.ConfigError("runpages.toml", "bad", line=3),
        errors.MissingExtraError("reading mlflow", "mlflow"),
        errors.SourceError("a.log", "cut off", place="line 7", remedy="copy it again"),
        errors.LockedError("archive"),
        errors.ArchiveError("run.json", "damaged", "restore it"),
        errors.ForeignFileError("a.md", "was changed"),
        errors.SiteSizeError("docs/runs", 950_000, 1, [("a-0123456789", 500_000)]),
        errors.StrictError("3 secrets"),
        errors.PostError("https://api.example", "answers 403", remedy="ask"),
        errors.PassingPostError("https://api.example", "answers 503", wait_seconds=2.0),
    ],
)
def test_an_error_survives_the_way_back_from_a_worker(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_an_unknown_name_lists_the_known():
    error = errors.UnknownNameError("source", "jsonI", ["jsonl", "csv"])
    assert str(error) == "no source named 'jsonI'; there are: csv, jsonl"


def test_a_source_error_names_file_place_and_remedy():
    error = errors.SourceError("a.log", "cut off", place="line 7", remedy="copy it again")
    assert str(error) == "a.log: cut off (line 7); copy it again"


def test_a_missing_extra_is_the_command_to_type():
    assert str(errors.MissingExtraError("reading mlflow", "mlflow")) == (
        "reading mlflow needs: pip install 'runpages[mlflow]'"
    )
