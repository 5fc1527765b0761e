"""What a brick's docstring says of it, read back."""

from __future__ import annotations

import re
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import vqa.model.fusion
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
    Default sizes: dim 4.

    Attributes:
        dim: width.
    """
    summary, sections = explained(doc)
    assert summary == "One sentence on two lines: here."
    assert sections == {
        "Paper": "A and B 2000, Title: a subtitle",
        "Formula": "z = v",
        "Parameters": "(v + 1) * dim",
        "Default sizes": "dim 4",
    }
    assert explained(None) == ("", {})


VARIANTS: dict[str, list[dict[str, Any]]] = {
    "soft": [{}, {"glimpses": 2, "batch_norm": True}],
    "co_attention": [{}, {"order": "alternating"}],
    "film": [{}, {"coordinates": False, "blocks": 2}],
    "relation": [{}, {"hidden": (7,), "ordered": False}],
    "conv_gru": [{}, {"kernel": 1}],
}


@pytest.mark.parametrize("member", MEMBERS)
def test_every_field_is_explained(member: Any) -> None:
    """In its own docstring or in that of what it shares with others."""
    doc = " ".join(
        base.__doc__ for base in member.__mro__[:-1] if base.__module__ != "pydantic.main"
    )
    for name in member.model_fields.keys() - {"name"}:
        assert name in doc, f"{member.__name__} does not explain {name}"


BARE = {"none", "small"}


@pytest.mark.parametrize(
    "member", [*members("image_encoder"), *members("question_encoder")], ids=lambda m: m.__name__
)
def test_every_encoder_that_somebody_published_states_its_paper(member: Any) -> None:
    published = member.model_fields["name"].default not in BARE
    assert ("Paper" in explained(member.__doc__)[1]) == published


@pytest.mark.parametrize("member", members("fusion"))
def test_every_fusion_states_paper_formula_and_parameters(member: Any) -> None:
    stated = {"Paper", "Formula", "Parameters"} & explained(member.__doc__)[1].keys()
    nobodys = "of no paper" in explained(member.__doc__)[0]
    assert stated == {"Formula", "Parameters"} | ({"Paper"} if not nobodys else set())


@pytest.mark.parametrize("member", [*members("fusion"), *members("attention")])
def test_the_stated_sizes_are_the_defaults(member: Any) -> None:
    fields = member.model_construct().model_dump(exclude={"name"})
    lists = {name: list(v) if isinstance(v, tuple) else v for name, v in fields.items()}
    sizes = ", ".join(f"{name} {v}" for name, v in lists.items() if type(v) in (int, list))
    assert explained(member.__doc__)[1].get("Default sizes", "") == sizes


@pytest.mark.parametrize("member", members("attention")[1:])
@pytest.mark.parametrize("sizes", [(2048, 1024), (30, 256)])
def test_every_attention_states_paper_formula_and_parameters(
    member: Any, sizes: tuple[int, int]
) -> None:
    said = explained(member.__doc__)[1]
    assert said.keys() == {"Paper", "Formula", "Parameters", "Default sizes"}
    for fields in VARIANTS.get(member.model_fields["name"].default, [{}]):
        config = member(**fields)
        v, q = sizes
        names = {**config.model_dump(), "v": v, "q": q, "sum": sum, "pairwise": pairwise}
        with torch.device("meta"):
            attention = config.build(v, (2, 3), q)
        counted = sum(p.numel() for p in attention.parameters())
        assert counted == eval(said["Parameters"], {"__builtins__": {}}, names)


def test_parameters_are_counted_without_allocating() -> None:
    assert parameters("fusion", Multiply) == (2048 + 1024 + 2) * 256
    built = Small().build((224, 224))
    assert parameters("image_encoder", Small) == sum(p.numel() for p in built.parameters())
    assert parameters("question_encoder", Transformers) is None


def test_the_fusion_that_the_documents_add_keeps_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    told = text.split("## Adding a fusion\n")[1].split("\n## ")[0]
    module_code, class_code = re.findall(r"```python\n(.+?)```", told, re.DOTALL)
    module = ModuleType("vqa.model.fusion.gated")
    exec(module_code, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    names = {**vars(vqa.model.fusion)}
    exec(class_code, names)
    test_every_fusion_states_paper_formula_and_parameters(names["Gated"])
    test_the_stated_sizes_are_the_defaults(names["Gated"])
    test_every_field_is_explained(names["Gated"])
    assert parameters("fusion", names["Gated"]) == (2048 + 1024 + 2) * 256
