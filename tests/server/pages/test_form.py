"""The form made from the schema: nothing missing, nothing invented, defaults that are the defaults."""

from __future__ import annotations

from typing import Any

import pytest

from vqa.config import Experiment, by_path, parse_experiment, set_value
from vqa.server.pages.form import (
    HIDDEN,
    Choice,
    Entry,
    Part,
    entries,
    experiment_form,
    flat,
    written,
)
from vqa.yaml_file import parse_foreign

DEFAULT = Experiment.model_validate({"data": {"store": "s"}})


def fields_by_path() -> dict[str, list[Entry | Choice]]:
    found: dict[str, list[Entry | Choice]] = {}
    for one in entries(experiment_form()):
        found.setdefault(one.path, []).append(one)
    return found


def test_every_key_has_a_field() -> None:
    paths = fields_by_path()
    for key in by_path(DEFAULT.to_dict()):
        here = key.removesuffix(".name") if key.removesuffix(".name") in paths else key
        assert here in paths or here in HIDDEN, key


@pytest.mark.parametrize(
    "kind", ["image_encoder", "question_encoder", "attention", "fusion", "head"]
)
def test_every_brick_has_its_own_fields(kind: str) -> None:
    (choice,) = fields_by_path()[f"model.{kind}"]
    assert isinstance(choice, Choice)
    for member in choice.members:
        assert member.help, member.name
        fields: dict[str, Any] = {"name": member.name}
        for child in member.children:
            if isinstance(child, Entry) and child.default:
                fields[child.label] = parse_foreign(child.default, child.path)
        if not all(child.default for child in member.children if isinstance(child, Entry)):
            continue  # it needs a file's name
        experiment = DEFAULT.to_dict()
        experiment["model"][kind] = fields
        if (kind, member.name) in (("fusion", "image"), ("question_encoder", "none")):
            experiment["model"]["attention"] = {"name": "soft"}
        assert parse_experiment(experiment).to_dict()["model"][kind]["name"] == member.name


def test_what_is_shown_as_default_is_the_default() -> None:
    fields: dict[str, Any] = {}
    for path, (one, *others) in fields_by_path().items():
        known = isinstance(one, Entry) and one.default and not others
        if known and path != "data.store" and not path.startswith("model."):
            set_value(fields, path, parse_foreign(one.default, path), path)
    fields["data"]["store"] = "s"
    assert parse_experiment(fields) == DEFAULT


@pytest.mark.parametrize(
    "value",
    [
        "multiply",
        "32-true",
        "off",
        "null",
        "true",
        "1e-3",
        3,
        0.5,
        None,
        True,
        [1, 2],
        "a, b",
        "ü: x",
        "",
    ],
)
def test_values_survive_being_written(value: Any) -> None:
    assert parse_foreign(written(value), "x") == value or value in ("off", "null", "true")


def test_what_differs_is_written_so_that_it_can_be_read_again() -> None:
    other = parse_experiment(
        {
            "data": {"store": "t", "image_size": [32, 48]},
            "model": {"fusion": {"name": "concat"}, "attention": {"name": "soft", "glimpses": 3}},
            "optimizer": {"name": "sgd", "schedule": "cosine"},
            "trainer": {"precision": "bf16-mixed"},
        }
    )
    found = flat(other.to_dict(), DEFAULT.to_dict())
    assert found["model.fusion"] == "concat"
    assert found["optimizer.name"] == "sgd"
    fields: dict[str, Any] = {}
    for path, text in sorted(found.items()):
        set_value(fields, path, parse_foreign(text, path), path)
    assert parse_experiment(fields) == other


def test_a_precision_may_be_left_to_the_machine() -> None:
    (precision,) = fields_by_path()["trainer.precision"]
    assert isinstance(precision, Entry)
    assert (precision.kind, precision.default) == ("choice", "32-true")
    assert "auto" in precision.options
    assert "decided when a run begins" in precision.help


def test_a_default_is_one_of_its_options() -> None:
    """Else the page offers it twice, once in quotes."""
    for one in (one for found in fields_by_path().values() for one in found):
        if isinstance(one, Entry) and one.kind == "choice" and one.default:
            assert one.default in one.options, one.path


@pytest.mark.parametrize(
    ("value", "text"),
    [("32-true", "32-true"), ("3", '"3"'), ("2026-11-30", '"2026-11-30"'), ("a b", '"a b"')],
)
def test_a_text_is_quoted_where_it_would_read_as_something_else(value: str, text: str) -> None:
    assert written(value) == text
    assert parse_foreign(text, "here") == value


def test_help_comes_from_the_docstrings() -> None:
    (store,) = fields_by_path()["data.store"]
    assert store.help == "a prepared store."
    assert all(
        "WordVectors" not in one.help for found in fields_by_path().values() for one in found
    )
    assert isinstance(experiment_form(), Part)
