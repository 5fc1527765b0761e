"""Transformers that read questions, and the folders that they come from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.utils.rnn import pad_packed_sequence

from tests.model import questions
from tests.model.questions import LENGTHS, WORDS
from vqa.errors import ModelError
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import Transformers


def _transformer(tiny_bert: Path, **fields: Any) -> QuestionEncoder:
    return Transformers(model=str(tiny_bert), **fields).build(WORDS)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_transformer_ignores_padding(tiny_bert: Path, pooling: str) -> None:
    encoder, texts = _transformer(tiny_bert, pooling=pooling).eval(), questions.texts()
    together = questions.vector(encoder, texts)
    for place, text in enumerate(texts):
        hidden = encoder.network(input_ids=text[None]).last_hidden_state[0]
        expected = hidden[0] if pooling == "cls" else hidden.mean(0)
        torch.testing.assert_close(together[place], expected, rtol=1e-4, atol=1e-5)


def test_a_transformer_gives_every_tokens_state(tiny_bert: Path) -> None:
    encoder, texts = _transformer(tiny_bert, pooling="cls").eval(), questions.texts()
    encoded = encoder(questions.packed(texts))
    states, lengths = pad_packed_sequence(encoded.states, batch_first=True)
    assert lengths.tolist() == LENGTHS
    torch.testing.assert_close(states[:, 0], encoded.vector)


def test_a_frozen_transformer_never_trains(tiny_bert: Path) -> None:
    encoder = _transformer(tiny_bert, frozen=True).train()
    texts = questions.texts()
    assert not any(p.requires_grad for p in encoder.parameters())
    assert torch.equal(
        questions.vector(encoder, texts), questions.vector(encoder, texts)
    )  # its dropout is off
    tuned = _transformer(tiny_bert, lr=1e-5).train()
    assert not torch.equal(questions.vector(tuned, texts), questions.vector(tuned, texts))
    assert tuned.learning_rate == 1e-5


def test_a_transformer_without_its_weights_waits_for_a_state_dict(
    tiny_bert: Path, tmp_path: Path
) -> None:
    encoder = _transformer(tiny_bert).eval()
    encoder.network.config.save_pretrained(tmp_path)
    bare = Transformers(model=str(tmp_path)).build(WORDS, pretrained=False).eval()
    bare.load_state_dict(encoder.state_dict())
    texts = questions.texts()
    torch.testing.assert_close(questions.vector(bare, texts), questions.vector(encoder, texts))


def test_transformer_errors(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="knows 12 tokens, the texts use 13"):
        Transformers(model=str(tiny_bert)).build(13)
    with pytest.raises(ModelError, match="cannot load this text encoder"):
        Transformers(model=str(tmp_path / "nothing")).build(WORDS)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelError, match="cannot load this text encoder"):
        Transformers(model=str(tmp_path)).build(WORDS)
    encoder = _transformer(tiny_bert)
    with pytest.raises(ModelError, match="17 tokens, the model reads at most 16"):
        questions.vector(encoder, [torch.zeros(17, dtype=torch.long)])


SMALL = {
    "vocab_size": WORDS,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}


def _saved(kind: str, folder: Path, **fields: Any) -> Path:
    """A tiny model of a kind, as `transformers` saves it."""
    from transformers import AutoConfig, AutoModel

    AutoModel.from_config(AutoConfig.for_model(kind, **fields)).save_pretrained(folder)
    return folder


def test_a_folder_whose_weights_do_not_fit_is_refused(tiny_bert: Path, tmp_path: Path) -> None:
    """`transformers` would give random values to what is missing, and go on."""
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    state = load_file(tiny_bert / "model.safetensors")
    others = {name.replace("encoder", "enc0der"): tensor for name, tensor in state.items()}
    save_file(others, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ModelError, match=r"16 of 21 tensors missing \(encoder\.layer\.0\.att.*whole"
    ):
        Transformers(model=str(tmp_path), frozen=True).build(WORDS)
    short = state | {"embeddings.word_embeddings.weight": torch.zeros(WORDS, 7)}
    save_file(short, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 of 21 tensors of another shape \(embeddings\.word"):
        Transformers(model=str(tmp_path)).build(WORDS)


def test_weights_in_half_precision_are_computed_with_in_float32(
    tiny_bert: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    state = load_file(tiny_bert / "model.safetensors")
    half = {name: tensor.bfloat16() for name, tensor in state.items()}
    save_file(half, tmp_path / "model.safetensors", metadata={"format": "pt"})
    encoder = Transformers(model=str(tmp_path)).build(WORDS)
    assert questions.vector(encoder, questions.texts()).dtype == torch.float32


def test_what_is_cut_off_may_be_missing(tiny_bert: Path, tmp_path: Path) -> None:
    """As of a model that was published for another task than the pooling layer's."""
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    state = load_file(tiny_bert / "model.safetensors")
    bare = {name: tensor for name, tensor in state.items() if not name.startswith("pooler")}
    assert len(bare) < len(state)
    save_file(bare, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert Transformers(model=str(tmp_path)).build(WORDS).dim == 8


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("squeezebert", {**SMALL, "embedding_size": 8}),
        ("layoutlm", SMALL),
        ("longformer", {**SMALL, "attention_window": [4]}),
        ("roformer", {**SMALL, "embedding_size": 8}),
    ],
)
def test_all_that_is_trained_is_read(kind: str, fields: dict[str, Any], tmp_path: Path) -> None:
    encoder = Transformers(model=str(_saved(kind, tmp_path, **fields))).build(WORDS)
    questions.vector(encoder.train(), questions.texts()).square().sum().backward()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    assert trained
    assert all(parameter.grad is not None for parameter in trained)


def test_of_a_model_of_pictures_and_texts_the_texts_part_is_taken(tmp_path: Path) -> None:
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"intermediate_size": 8, "image_size": 32, "patch_size": 16}
    folder = _saved("clip", tmp_path / "clip", text_config=SMALL, vision_config=vision)
    encoder, texts = Transformers(model=str(folder)).build(WORDS).eval(), questions.texts()
    assert encoder.dim == 8
    encoder.network.config.save_pretrained(tmp_path / "kept")
    kept = Transformers(model=str(tmp_path / "kept")).build(WORDS, pretrained=False).eval()
    kept.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(questions.vector(kept, texts), questions.vector(encoder, texts))
    folder = _saved("siglip", tmp_path / "siglip", text_config=SMALL, vision_config=vision)
    with pytest.raises(ModelError, match="a siglip is no text encoder"):
        Transformers(model=str(folder)).build(WORDS)


def test_roberta_counts_positions_from_behind_its_padding(tmp_path: Path) -> None:
    encoder = Transformers(model=str(_saved("roberta", tmp_path, **SMALL))).build(WORDS)
    assert len(questions.vector(encoder, [torch.zeros(14, dtype=torch.long)])) == 1
    with pytest.raises(ModelError, match="15 tokens, the model reads at most 14"):
        questions.vector(encoder, [torch.zeros(15, dtype=torch.long)])


def test_the_first_token_of_a_decoder_stands_for_no_text(tmp_path: Path) -> None:
    fields = {"vocab_size": WORDS, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    folder = str(_saved("gpt2", tmp_path, **fields))
    with pytest.raises(ModelError, match=r"hears nothing of those after it.*pooling=mean"):
        Transformers(model=folder, pooling="cls").build(WORDS)
    Transformers(model=folder).build(WORDS)
    Transformers(model=folder, pooling="cls").build(WORDS, pretrained=False)  # learnt before
