"""A model's answer with all that is shown of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vqa
from vqa.config import Experiment
from vqa.errors import DataError
from vqa.evaluation.attention_map import overlay
from vqa.evaluation.look import answer_question
from vqa.export import VQAModel
from vqa.training.run import train


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module", params=["crop", "fit", "stretch"])
def model(
    request: pytest.FixtureRequest, scenes_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> VQAModel:
    from vqa.config import parse_experiment

    fields = {
        "data": {"store": str(scenes_store), "image_size": 16, "resize": request.param},
        "model": {
            "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
            "question_encoder": {"name": "gru", "dim": 8, "embedding_dim": 8},
            "attention": {"name": "soft", "glimpses": 3, "hidden": 8},
        },
        "trainer": {"max_steps": 2, "accelerator": "cpu"},
    }
    path = tmp_path_factory.mktemp("runs") / request.param
    train(parse_experiment(fields), path)
    return vqa.load(path)


def test_maps_lie_over_what_the_model_saw(model: VQAModel) -> None:
    said = answer_question(model, png((80, 40)), "what xyzzy is it?")
    stretched = model.experiment.data.resize == "stretch"
    assert said.seen.size == ((384, 192) if stretched else (384, 384))
    assert len(said.glimpses) == 3
    attention = model.ask(png((80, 40)), "what xyzzy is it?").attention
    assert attention is not None
    for glimpse, weights in zip(said.glimpses, attention, strict=True):
        assert np.array_equal(glimpse.weights, weights)
        assert np.array_equal(glimpse.overlay, overlay(said.seen, weights))
    assert said.words[1] == ("xyzzy", False)


def test_choices_that_cannot_be_said_are_told(model: VQAModel) -> None:
    known = model.vocabulary.answers[0]
    said = answer_question(model, png((20, 20)), "what is it?", [known, "plugh"])
    assert said.unsayable == ["plugh"]
    assert said.answer.answer == known


def test_without_attention_there_is_nothing_to_lay_over(
    experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    train(experiment(trainer={"max_epochs": 1}), tmp_path / "run")
    said = answer_question(vqa.load(tmp_path / "run"), png((20, 20)), "what?")
    assert said.glimpses == []


def test_a_picture_that_is_none(model: VQAModel) -> None:
    with pytest.raises(DataError, match="not a PNG"):
        answer_question(model, b"<html>", "what?")
