"""The exported model: complete, checked, and of one mind with evaluation."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

import vqa
from vqa.cli import main
from vqa.config import Experiment
from vqa.data.image import DEFAULT_LIMITS
from vqa.data.sources.scenes import Scenes, split_by_image
from vqa.data.store import Store
from vqa.errors import DataError, ModelError
from vqa.evaluation.predictions import read_predictions
from vqa.export import Answer, VQAModel
from vqa.training.run import train

HEADS = {"classifier": {"name": "classifier"}, "chooser": {"name": "chooser", "dim": 8}}


@pytest.fixture(scope="module", params=HEADS)
def run(
    request: pytest.FixtureRequest, scenes_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A finished run with attention, one for each head."""
    from vqa.config import parse_experiment

    made: Experiment = parse_experiment(
        {
            "data": {"store": str(scenes_store), "batch_size": 32, "image_size": 16},
            "model": {
                "image_encoder": {"name": "small", "channels": [4, 8], "strides": [2, 2]},
                "question_encoder": {"name": "lstm", "dim": 8, "embedding_dim": 8},
                "attention": {"name": "soft", "glimpses": 2, "hidden": 8},
                "head": HEADS[request.param],
            },
            "trainer": {"max_epochs": 1, "accelerator": "cpu"},
        }
    )
    path = tmp_path_factory.mktemp("runs") / request.param
    train(made, path)
    return path


@pytest.fixture
def picture(scenes_store: Path, tmp_path: Path) -> Path:
    file = tmp_path / "picture.png"
    file.write_bytes(Store.open(scenes_store).image_bytes(0))
    return file


def test_asking_says_what_evaluation_said(run: Path, scenes_store: Path) -> None:
    """The exported model, the store's picture and the question's choices give the prediction of the run."""
    store, model = Store.open(scenes_store), vqa.load(run / "model")
    rows = store.rows("test")[:6]
    predictions = read_predictions(run / "predictions" / "test.jsonl")[:6]
    for row, prediction in zip(rows, predictions, strict=True):
        example = store.example(row)
        image = store.image_bytes(int(store.image_rows[row]))
        answer = model.ask(image, example.question, choices=example.choices)
        assert answer.answer == prediction.answer
        assert answer.confidence == pytest.approx(prediction.confidence, abs=1e-4)
        assert answer.top[0][0] == prediction.answer
        assert sum(p for _, p in answer.top) == pytest.approx(1, abs=1e-3)


def test_attention_has_the_shape_of_the_grid_and_sums_to_one(run: Path, picture: Path) -> None:
    attention = vqa.load(run).ask(picture, "what?", choices=["red", "blue"]).attention
    assert attention is not None
    assert attention.shape == (2, 4, 4)
    assert np.allclose(attention.sum((1, 2)), 1, atol=1e-5)


def test_a_model_moves_and_needs_nothing_else(run: Path, picture: Path, tmp_path: Path) -> None:
    assert main(["export", str(run), "--to", str(tmp_path / "moved")]) == 0
    here = vqa.load(run).ask(picture, "what colour?", choices=["red", "blue"])
    there = vqa.load(tmp_path / "moved").ask(
        Image.open(picture), "what colour?", choices=["red", "blue"]
    )
    assert here.top == there.top
    assert main(["export", str(run), "--to", str(tmp_path / "moved")]) == 2


@pytest.mark.parametrize(
    "part", ["weights.safetensors", "experiment.yaml", "tokenizer.json", "answers.json"]
)
def test_a_changed_or_missing_part_is_refused(part: str, run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(run / "model", copy)
    with (copy / part).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match="changed since it was exported"):
        vqa.load(copy)
    (copy / part).unlink()
    with pytest.raises(ModelError, match="is missing"):
        vqa.load(copy)


def test_weights_of_another_model_are_refused(run: Path, tmp_path: Path) -> None:
    import hashlib

    import safetensors.torch
    import torch

    copy = tmp_path / "model"
    shutil.copytree(run / "model", copy)
    safetensors.torch.save_file({"a": torch.zeros(1)}, copy / "weights.safetensors")
    manifest = json.loads((copy / "model.json").read_text())
    manifest["sha256"]["weights.safetensors"] = hashlib.sha256(
        (copy / "weights.safetensors").read_bytes()
    ).hexdigest()
    (copy / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="weights do not fit"):
        vqa.load(copy)


def test_a_model_has_the_modes_that_new_files_have(run: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        vqa.load(run).save(tmp_path / "model")
    finally:
        os.umask(before)
    files = [file for file in (tmp_path / "model").rglob("*") if file.is_file()]
    assert len(files) >= 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o640}
    assert stat.S_IMODE((tmp_path / "model").stat().st_mode) == 0o750


def test_what_is_printed_cannot_steer_a_terminal(
    run: Path, picture: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = Answer("\x1b[31mred", 0.5, [("\x1b[31mred", 0.5), ("blue\n", 0.5)], None, [])
    monkeypatch.setattr(VQAModel, "ask", Mock(return_value=hostile))
    assert main(["ask", str(run), str(picture), "what?"]) == 0
    shown = capsys.readouterr().out
    assert "red" in shown
    assert all(line.isprintable() for line in shown.splitlines())
    assert len(shown.splitlines()) == 3


def test_bad_questions_and_pictures_are_refused(run: Path, picture: Path, tmp_path: Path) -> None:
    model = vqa.load(run)
    for text in ("", "  ", "word " * 5000, "\ud83d"):
        with pytest.raises(ModelError, match=r"^question: "):
            model.ask(picture, text, choices=["a", "b"])
        with pytest.raises(ModelError, match=r"^choices: "):
            model.ask(picture, "what?", choices=["a", text])
    with pytest.raises(DataError, match="no such image file"):
        model.ask(tmp_path / "missing.png", "what?", choices=["a", "b"])
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match="not a plain file"):
        model.ask(tmp_path / "pipe.png", "what?", choices=["a", "b"])
    with (tmp_path / "huge.png").open("wb") as out:
        out.truncate(DEFAULT_LIMITS.file_bytes + 1)
    with pytest.raises(DataError, match=r"huge\.png"):
        model.ask(tmp_path / "huge.png", "what?", choices=["a", "b"])
    with pytest.raises(DataError):
        model.ask(b"no picture", "what?", choices=["a", "b"])
    with pytest.raises(
        ModelError, match=r"choices: a list of texts is expected, not 'red' — write"
    ):
        model.ask(picture, "what?", choices="red")
    with pytest.raises(ModelError, match="question: text is expected, not None"):
        model.ask(picture, None, choices=["a", "b"])  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"image: a file, .* expected, not None"):
        model.ask(None, "what?", choices=["a", "b"])  # type: ignore[arg-type]
    if model.experiment.model.reads_choices:
        with pytest.raises(ModelError, match="picks among choices"):
            model.ask(picture, "what?")


def test_an_array_of_pixels_is_a_picture(run: Path, picture: Path) -> None:
    model, choices = vqa.load(run), ["red", "blue"]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    said = model.ask(pixels, "what?", choices)
    assert said.top == model.ask(picture, "what?", choices).top
    for other in (pixels[..., 0], pixels / 255, pixels.transpose(2, 0, 1), pixels[:0]):
        with pytest.raises(ModelError, match=r"image: pixels are uint8 \[height, width, 3\], not "):
            model.ask(other, "what?", choices)


def test_the_command_answers_and_draws(
    run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "ask",
        str(run),
        str(picture),
        "what colour?",
        "--choice",
        "red",
        "--choice",
        "blue",
        "--json",
    ]
    assert main([*words, "--attention", str(tmp_path / "map.png")]) == 0
    shown = capsys.readouterr()
    said = json.loads(shown.out)
    assert said["answer"] in ("red", "blue")
    assert said["words"] == ["what", "colour", "?"] or "[UNK]" in said["words"]
    assert ("has not learnt" in shown.err) == ("[UNK]" in said["words"])
    assert main(["ask", str(run), str(picture), "what zyzzyva?", *words[4:8]]) == 0
    assert "it reads 'what … ?'" in capsys.readouterr().err
    with Image.open(tmp_path / "map.png") as image:
        assert image.width > image.height
    assert main(["ask", str(run), str(picture), "what?", "--choice", "red"]) == 2


def test_a_full_disk_leaves_no_part_of_a_model_or_a_picture(
    run: Path,
    picture: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = set(tmp_path.iterdir())
    told = "Error while serializing: I/O error: No space left on device (os error 28)"
    monkeypatch.setattr(
        safetensors.torch, "save_file", Mock(side_effect=safetensors.SafetensorError(told))
    )
    assert main(["export", str(run), "--to", str(tmp_path / "model")]) == 1
    assert capsys.readouterr().err == f"vqa: {tmp_path / 'model'}: no space left on device\n"
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(28, os.strerror(28))))
    words = ["ask", str(run), str(picture), "what colour?", "--choice", "red", "--choice", "blue"]
    assert main([*words, "--attention", str(tmp_path / "map.png")]) == 1
    assert capsys.readouterr().err == f"vqa: {tmp_path / 'map.png'}: no space left on device\n"
    assert set(tmp_path.iterdir()) == before


def test_a_model_is_on_the_disk_before_it_has_its_name(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut soon after would leave files without content: a run's model stands before its result does."""
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted(descriptor: int) -> None:
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def named(self: Path, target: Path) -> Path:
        done.append("named")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(Path, "replace", named)
    vqa.load(run).save(tmp_path / "model")
    files = {file.name for file in (tmp_path / "model").iterdir()}
    assert files <= set(done[: done.index("named")])
    assert done[-1] == tmp_path.name


def test_choices_that_cannot_be_said_are_told(
    run: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if vqa.load(run).experiment.model.reads_choices:
        pytest.skip("a chooser reads any choice")
    words = ["ask", str(run), str(picture), "what?", "--choice", "xyzzy"]
    assert main([*words, "--choice", "red"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == "red"
    assert "cannot say 'xyzzy'" in printed.err
    drawn = tmp_path / "map.png"
    assert main([*words, "--choice", "plugh", "--attention", str(drawn)]) == 2
    printed = capsys.readouterr()
    assert "--choice: the model can say none of the choices" in printed.err
    assert (printed.out, drawn.exists()) == ("", False)


def test_another_store_and_split_are_scored(
    run: Path, scenes_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run), "--split", "val", "--json"]) == 0
    one = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(run), "--split", "val", "--batch-size", "3", "--json"]) == 0
    other = json.loads(capsys.readouterr().out)
    assert one == other
    assert one["n"] == 40
    assert main(["evaluate", str(run), "--split", "nope"]) == 2


def test_open_questions_get_the_likeliest_answers(run: Path, picture: Path) -> None:
    model = vqa.load(run)
    if model.experiment.model.reads_choices:
        pytest.skip("a chooser needs choices")
    answer = model.ask(picture, "what colour?")
    assert len(answer.top) == 5
    assert answer.answer == answer.top[0][0]


def test_a_text_encoder_of_transformers_travels_with_its_model(
    experiment: Callable[..., Experiment], scenes_store: Path, picture: Path, tmp_path: Path
) -> None:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    store = Store.open(scenes_store)
    words = sorted(
        {
            word
            for e in map(store.example, store.rows("train"))
            for word in e.question.lower().split()
        }
    )
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *words])
    )
    folder = tmp_path / "bert"
    tokenizer = BertTokenizerFast(vocab=str(tmp_path / "vocab.txt"), model_max_length=32)
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    encoder = {"name": "transformers", "model": str(folder)}
    made = experiment(
        model={"question_encoder": encoder}, trainer={"max_epochs": 1, "accelerator": "cpu"}
    )
    train(made, tmp_path / "run")
    here = vqa.load(tmp_path / "run").ask(picture, "what colour is it?", choices=["red", "blue"])
    shutil.rmtree(folder)
    assert (
        vqa.load(tmp_path / "run").ask(picture, "what colour is it?", choices=["red", "blue"]).top
        == here.top
    )
    assert here.words[0] == "[CLS]"


def test_a_backbone_of_transformers_travels_with_its_model(
    experiment: Callable[..., Experiment], picture: Path, tmp_path: Path
) -> None:
    from transformers import CLIPConfig, CLIPModel, ResNetBackbone, ResNetConfig

    folder, clip = tmp_path / "resnet", tmp_path / "clip"
    settings = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1]}
    ResNetBackbone(ResNetConfig(**settings)).save_pretrained(folder)
    half = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    sees = {**half, "intermediate_size": 8, "image_size": 16, "patch_size": 8}
    reads = {**half, "intermediate_size": 8, "vocab_size": 9, "bos_token_id": 1, "eos_token_id": 2}
    config = CLIPConfig(text_config=reads, vision_config=sees, projection_dim=4)
    CLIPModel(config).save_pretrained(clip)
    encoders = ({"model": str(folder)}, {"settings": settings}, {"model": str(clip)})
    for number, encoder in enumerate(encoders):
        made = experiment(model={"image_encoder": {"name": "backbone", **encoder}})
        run = tmp_path / f"run{number}"
        train(made, run)
        shutil.rmtree(encoder.get("model", folder), ignore_errors=True)
        model = vqa.load(run)
        moved = tmp_path / f"moved{number}"
        model.save(moved)
        shutil.rmtree(run)
        question = "what colour is the circle?"
        assert vqa.load(moved).ask(picture, question).top == model.ask(picture, question).top
        config = moved / "image_backbone" / "config.json"
        config.write_text(config.read_text() + " ")
        with pytest.raises(ModelError, match="changed since it was exported"):
            vqa.load(moved)


def test_the_read_me_asks_about_what_its_picture_shows() -> None:
    """The last picture of the generated scenes as they are by default has one square, a green one."""
    images = split_by_image(10_000)
    rows = Scenes(images).image_rows("test", images["test"] - 1)
    answers = {row.example.question: row.example.answers for row in rows}
    assert answers["Which colour does the square have?"] == ["green"]
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    asked = '"what colour is the square?" --choice green --choice blue --attention map.png  # green'
    assert f"vqa ask runs/mul picture.png {asked}" in text
