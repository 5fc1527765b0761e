"""What a brick's docstring says of it, read back."""

from __future__ import annotations

from typing import Any

import pytest

from vqa.model.catalogue import UNIONS, explained, members, parameters
from vqa.model.fusion import Multiply
from vqa.model.image_encoder import Small
from vqa.model.question_encoder import Transformers

MEMBERS = [
    pytest.param(member, id=f"{family}-{member.model_fields['name'].default}")
    for family in UNIONS
    for member in members(family)
]


def test_a_docstring_is_taken_apart() -> None:
    doc = """One sentence
    on two lines: here.

    More of it.

    Paper: A and B 2000, Title: a
        subtitle.
    Formula: z = v.
    Parameters: (v + 1) * dim.

    Attributes:
        dim: width.
    """
    summary, sections = explained(doc)
    assert summary == "One sentence on two lines: here."
    assert sections == {
        "Paper": "A and B 2000, Title: a subtitle",
        "Formula": "z = v",
        "Parameters": "(v + 1) * dim",
    }
    assert explained(None) == ("", {})


@pytest.mark.parametrize("member", MEMBERS)
def test_every_field_is_explained(member: Any) -> None:
    """In its own docstring or in that of what it shares with others."""
    doc = " ".join(
        base.__doc__ for base in member.__mro__[:-1] if base.__module__ != "pydantic.main"
    )
    for name in member.model_fields.keys() - {"name"}:
        assert name in doc, f"{member.__name__} does not explain {name}"


@pytest.mark.parametrize("member", members("fusion"))
def test_every_fusion_states_paper_formula_and_parameters(member: Any) -> None:
    stated = {"Paper", "Formula", "Parameters"} & explained(member.__doc__)[1].keys()
    nobodys = member.model_fields["name"].default in {"sum", "image"}
    assert stated == {"Formula", "Parameters"} | ({"Paper"} if not nobodys else set())


def test_parameters_are_counted_without_allocating() -> None:
    assert parameters("fusion", Multiply) == (2048 + 1024 + 2) * 256
    built = Small().build((224, 224))
    assert parameters("image_encoder", Small) == sum(p.numel() for p in built.parameters())
    assert parameters("question_encoder", Transformers) is None
