"""Question encoders: padding and batching change nothing, vectors from files, a transformer."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from vqa.errors import ModelError
from vqa.model.parts import QuestionEncoder
from vqa.model.question_encoder import GRU, LSTM, RNN, Bag, Transformers
from vqa.model.question_encoder.vectors import check_width
from vqa.model.types import EncodedText

WORDS = 12
LENGTHS = [3, 9, 1, 4, 9, 2]
RECURRENT = [
    pytest.param(member, layers, bidirectional, id=f"{member.__name__}-{layers}-{bidirectional}")
    for member in (RNN, GRU, LSTM)
    for layers in (1, 3)
    for bidirectional in (False, True)
]
every_recurrent = pytest.mark.parametrize(("member", "layers", "bidirectional"), RECURRENT)


def _texts() -> list[Tensor]:
    return [torch.randint(WORDS, (length,)) for length in LENGTHS]


def _packed(texts: list[Tensor]) -> PackedSequence:
    return pack_sequence(texts, enforce_sorted=False)


def _vector(encoder: QuestionEncoder, texts: list[Tensor]) -> Tensor:
    encoded: EncodedText = encoder(_packed(texts))
    return encoded.vector


@every_recurrent
def test_a_question_alone_equals_itself_among_others(
    member: Any, layers: int, bidirectional: bool
) -> None:
    config = member(dim=5, embedding_dim=4, layers=layers, bidirectional=bidirectional)
    encoder, texts = config.build(WORDS).double(), _texts()
    together = _vector(encoder, texts)
    for place, text in enumerate(texts):
        torch.testing.assert_close(_vector(encoder, [text])[0], together[place])
    backwards = _vector(encoder, texts[::-1])
    torch.testing.assert_close(backwards.flip(0), together)


@every_recurrent
def test_it_equals_torch_over_each_unpadded_text(
    member: Any, layers: int, bidirectional: bool
) -> None:
    """One stacked torch module with the same weights, a question at a time, unpacked."""
    config = member(dim=5, embedding_dim=4, layers=layers, bidirectional=bidirectional)
    encoder, texts = config.build(WORDS).double(), _texts()
    cell = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[config.name]
    whole = cell(4, 5, num_layers=layers, bidirectional=bidirectional).double()
    state = {
        name.replace("_l0", f"_l{depth}"): value
        for depth, layer in enumerate(encoder.layers)
        for name, value in layer.state_dict().items()
    }
    whole.load_state_dict(state)
    directions = 2 if bidirectional else 1
    for text, vector in zip(texts, _vector(encoder, texts), strict=True):
        _, last = whole(encoder.embedding(text)[:, None])
        hidden = last[0] if isinstance(last, tuple) else last
        torch.testing.assert_close(vector, hidden[-directions:, 0].flatten())


@every_recurrent
def test_gradients_of_a_question_ignore_its_neighbours(
    member: Any, layers: int, bidirectional: bool
) -> None:
    config = member(dim=5, embedding_dim=4, layers=layers, bidirectional=bidirectional)
    encoder, texts = config.build(WORDS).double(), _texts()
    _vector(encoder, texts)[2].sum().backward()
    among = [p.grad.clone() for p in encoder.parameters()]
    encoder.zero_grad()
    _vector(encoder, texts[2:3]).sum().backward()
    for got, parameter in zip(among, encoder.parameters(), strict=True):
        torch.testing.assert_close(got, parameter.grad)


def test_packing_that_is_sorted_already_needs_no_indices() -> None:
    encoder = LSTM(dim=5, embedding_dim=4).build(WORDS)
    texts = sorted(_texts(), key=len, reverse=True)
    plain = encoder(pack_sequence(texts)).vector
    torch.testing.assert_close(plain, _vector(encoder, texts))


def test_the_states_end_in_the_vector() -> None:
    encoder = GRU(dim=5, embedding_dim=4, layers=2).build(WORDS)
    encoded = encoder(_packed(_texts()))
    states, lengths = pad_packed_sequence(encoded.states, batch_first=True)
    torch.testing.assert_close(states[torch.arange(6), lengths - 1], encoded.vector)


@pytest.mark.parametrize("bias", [1.0, -2.5, 0.0])
def test_the_forget_bias_is_the_sum_of_torchs_two(bias: float) -> None:
    encoder = LSTM(dim=5, layers=2, bidirectional=True, forget_bias=bias).build(WORDS)
    for layer in encoder.layers:
        for suffix in ("l0", "l0_reverse"):
            total = getattr(layer, f"bias_ih_{suffix}") + getattr(layer, f"bias_hh_{suffix}")
            assert total[5:10].tolist() == [bias] * 5
            assert len(set(total[:5].tolist())) > 1


def test_dropout_between_layers_and_on_the_embedding() -> None:
    for fields in ({"dropout": 0.5, "layers": 2}, {"embedding_dropout": 0.5}):
        encoder = GRU(dim=5, **fields).build(WORDS)
        texts = _texts()
        assert not torch.equal(_vector(encoder, texts), _vector(encoder, texts))
        encoder.eval()
        assert torch.equal(_vector(encoder, texts), _vector(encoder, texts))


VOCABULARY = ("<unk>", "red", "is", "the", "square")


def _glove(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_word_vectors_are_put_in_their_places(tmp_path: Path) -> None:
    text = "the 0.1 0.2 0.3\n. . . 9 9 9\nred 1 -2 3e-1\nred 7 7 7\ncafé 4 5 6\n"
    file = _glove(tmp_path / "glove.txt", text)
    torch.manual_seed(5)
    encoder = LSTM(vectors=file, embedding_dim=3).build(len(VOCABULARY), VOCABULARY)
    torch.manual_seed(5)
    random = LSTM(embedding_dim=3).build(len(VOCABULARY), VOCABULARY)
    weight = encoder.embedding.weight
    torch.testing.assert_close(weight[1], torch.tensor([1, -2, 0.3]))
    torch.testing.assert_close(weight[3], torch.tensor([0.1, 0.2, 0.3]))
    assert torch.equal(weight[[0, 2, 4]], random.embedding.weight[[0, 2, 4]])
    assert weight.requires_grad


def test_frozen_vectors_and_a_header_line(tmp_path: Path) -> None:
    file = _glove(tmp_path / "crawl.vec", "2 3\nthe 1 2 3\nred 4 5 6\n")
    config = GRU(vectors=file, embedding_dim=3, freeze_vectors=True)
    encoder = config.build(len(VOCABULARY), VOCABULARY)
    assert not encoder.embedding.weight.requires_grad
    assert encoder.embedding.weight[3].tolist() == [1, 2, 3]


def test_without_reading_the_file_a_state_dict_restores_the_vectors(tmp_path: Path) -> None:
    file = _glove(tmp_path / "glove.txt", "the 1 2 3\n")
    config = GRU(vectors=file, embedding_dim=3)
    encoder = config.build(len(VOCABULARY), VOCABULARY)
    file.unlink()
    restored = config.build(len(VOCABULARY), pretrained=False)
    restored.load_state_dict(encoder.state_dict())
    assert restored.embedding.weight[3].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\n", r"line 1: has 2 values, not 3.*embedding_dim=2"),
        ("the 1 2 3 4\n", r"line 1: has 4 values, not 3.*embedding_dim=4"),
        ("a 1 2 3\nred 1 2\n", r"line 2: has 2 values, not 3.*mend"),
        ("a 1 2 3\nred 1 2 3 4\n", r"line 2: has 4 values"),
        ("a 1 2 3\nred 1 x 3\n", r"line 2: a value is no finite number"),
        ("a 1 2 3\nred 1 nan 3\n", r"line 2: a value is no finite number"),
        ("hello\n", r"line 1: has 0 values"),
        ("a 1 2 3\nRED 1 2 3\n", "none of the vocabulary's words"),
        ("", "has no vector"),
        ("0 3\n", "has no vector"),
        ("3 3\na 1 2 3\nred 1 2 3\n", r"glove\.txt: has 2 vectors, its first line says 3.*again"),
        ("1 3\na 1 2 3\nred 1 2 3\n", r"has 2 vectors, its first line says 1"),
        ("2 4\na 1 2 3\nred 1 2 3\n", r"line 2: has 3 values, the file's first line says 4"),
        ("2 2\na 1 2 3\nred 1 2 3\n", r"line 2: has 3 values, the file's first line says 2"),
        ("a\t1\t2\t3\nred\t1\t2\t3\n", r"line 1: .*separated by tabs.*tr '"),
        ("2\t3\na\t1\t2\t3\nred\t1\t2\t3\n", r"line 2: .*separated by tabs"),
    ],
)
def test_wrong_vector_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = _glove(tmp_path / "glove.txt", text)
    with pytest.raises(ModelError, match=message):
        LSTM(vectors=file, embedding_dim=3).build(len(VOCABULARY), VOCABULARY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"red 1 2 3\n", mtime=0), r"glove\.txt: is packed.*unpack it"),
        (b"PK\x03\x04 and so on", r"is packed.*unpack it"),
        (b"2 3\nred \x00\x00\x80?\x00\x00\x80?\x00\x00\x80?", r"is a binary file.*\.vec"),
        (b"\xba\x16O/\x0c\x00\x00\x00", r"is a binary file"),
    ],
)
def test_vector_files_that_are_no_text_are_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "glove.txt"
    file.write_bytes(content)
    with pytest.raises(ModelError, match=message):
        LSTM(vectors=file, embedding_dim=3).build(len(VOCABULARY), VOCABULARY)
    with pytest.raises(ModelError, match=message):
        check_width(file, 3)


@pytest.mark.parametrize("vocabulary", [("[PAD]", "red", "?"), ("[PAD]", "red", "2")])
def test_signs_and_numbers_alone_are_none_of_the_words(
    tmp_path: Path, vocabulary: tuple[str, ...]
) -> None:
    file = _glove(tmp_path / "glove.txt", "rot 1 2 3\n? 1 2 3\n2 1 2 3\n[PAD] 1 2 3\n")
    with pytest.raises(ModelError, match="none of the vocabulary's words"):
        LSTM(vectors=file, embedding_dim=3).build(3, vocabulary)


def test_how_many_words_were_found_is_told(tmp_path: Path) -> None:
    file = _glove(tmp_path / "glove.txt", "red 1 2 3\nred 4 5 6\nthe 1 2 3\nblue 1 2 3\n? 1 2 3\n")
    vocabulary = ("[PAD]", "[UNK]", "red", "is", "the", "?", "3")
    encoder = Bag(vectors=file, embedding_dim=3).build(len(vocabulary), vocabulary)
    assert encoder.embedding.coverage.line() == "found 2 of 3 words in glove.txt"
    assert Bag(embedding_dim=3).build(len(vocabulary)).embedding.coverage is None


def test_a_missing_vector_file_and_a_missing_vocabulary(tmp_path: Path) -> None:
    config = LSTM(vectors=tmp_path / "none.txt", embedding_dim=3)
    with pytest.raises(ModelError, match=r"none\.txt: cannot read the word vectors"):
        config.build(len(VOCABULARY), VOCABULARY)
    with pytest.raises(ModelError, match="need the vocabulary's words"):
        config.build(7, VOCABULARY)


def test_fasttexts_own_file_is_read(tmp_path: Path) -> None:
    """As fastText writes it: a header, a blank at the end of each line, rare words with odd bytes."""
    text = "5 3\n</s> 1 1 1 \nthe 0.1 0.2 0.3 \nna\u00efve 2 2 2 \nred -1e-2 0 4 \n\u00a0 3 3 3 \n"
    file = _glove(tmp_path / "wiki.vec", text)
    encoder = Bag(vectors=file, embedding_dim=3).build(len(VOCABULARY), VOCABULARY)
    torch.testing.assert_close(encoder.embedding.weight[3], torch.tensor([0.1, 0.2, 0.3]))
    torch.testing.assert_close(encoder.embedding.weight[1], torch.tensor([-0.01, 0, 4]))
    with pytest.raises(ModelError, match=r"line 2: has 3 values, not 4.*embedding_dim=3"):
        Bag(vectors=file, embedding_dim=4).build(len(VOCABULARY), VOCABULARY)


@pytest.mark.parametrize("pooling", ["mean", "sum"])
def test_a_bag_pools_each_texts_words(pooling: Any) -> None:
    encoder, texts = Bag(embedding_dim=4, pooling=pooling).build(WORDS).double(), _texts()
    together = _vector(encoder, texts)
    for text, vector in zip(texts, together, strict=True):
        words = encoder.embedding.weight[text]
        torch.testing.assert_close(vector, words.mean(0) if pooling == "mean" else words.sum(0))
        torch.testing.assert_close(_vector(encoder, [text.flip(0)])[0], vector)


def test_a_bags_states_are_its_words() -> None:
    encoder, texts = Bag(embedding_dim=4).build(WORDS), _texts()
    states, present = encoder(_packed(texts)).words()
    assert present.sum(1).tolist() == LENGTHS
    for row, text in zip(states, texts, strict=True):
        torch.testing.assert_close(row[: len(text)], encoder.embedding.weight[text])
        assert not row[len(text) :].any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_attention_pooling_weighs_the_states(bidirectional: bool) -> None:
    config = GRU(
        dim=5, pooling="attention", glimpses=2, glimpse_hidden=6, bidirectional=bidirectional
    )
    encoder, texts = config.build(WORDS).double(), _texts()
    together, states = _vector(encoder, texts), encoder(_packed(texts)).states
    assert encoder.dim == 2 * 5 * (1 + bidirectional) == together.shape[1]
    rows, lengths = pad_packed_sequence(states, batch_first=True)
    project, score = encoder.pool.project.weight, encoder.pool.score.weight
    for place, (row, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        h = row[:length]
        weights = ((h @ project.T).tanh() @ score.T).softmax(0)
        torch.testing.assert_close(together[place], (weights.T @ h).flatten())
        torch.testing.assert_close(_vector(encoder, [texts[place]])[0], together[place])


def test_words_are_each_questions_own(image_of_question: Tensor) -> None:
    """Two questions with one text read the same words."""
    texts = _texts()
    encoded = LSTM(dim=5).build(WORDS)(_packed(texts))
    which = torch.tensor([2, 1, 1, 5])
    states, present = encoded.words()
    chosen = encoded._replace(vector=encoded.vector[which], text_of_question=which).words()
    assert torch.equal(chosen[0], states[which])
    assert chosen[1].sum(1).tolist() == [LENGTHS[i] for i in which.tolist()]
    alone, one = EncodedText(encoded.vector).words()
    assert torch.equal(alone[:, 0], encoded.vector)
    assert one.tolist() == [[True]] * 6
    assert present.sum(1).tolist() == LENGTHS


def test_a_skip_thought_wide_gru_is_configuration() -> None:
    with torch.device("meta"):
        encoder = GRU(dim=2400, embedding_dim=620).build(WORDS)
    assert encoder.dim == 2400
    # torch's GRU has two biases a gate: 3 (620 + 2400 + 2) 2400.
    assert sum(p.numel() for p in encoder.layers.parameters()) == 3 * 3022 * 2400


def _transformer(tiny_bert: Path, **fields: Any) -> QuestionEncoder:
    return Transformers(model=str(tiny_bert), **fields).build(WORDS)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_transformer_ignores_padding(tiny_bert: Path, pooling: str) -> None:
    encoder, texts = _transformer(tiny_bert, pooling=pooling).eval(), _texts()
    together = _vector(encoder, texts)
    for place, text in enumerate(texts):
        hidden = encoder.network(input_ids=text[None]).last_hidden_state[0]
        expected = hidden[0] if pooling == "cls" else hidden.mean(0)
        torch.testing.assert_close(together[place], expected, rtol=1e-4, atol=1e-5)


def test_a_transformer_gives_every_tokens_state(tiny_bert: Path) -> None:
    encoder, texts = _transformer(tiny_bert, pooling="cls").eval(), _texts()
    encoded = encoder(_packed(texts))
    states, lengths = pad_packed_sequence(encoded.states, batch_first=True)
    assert lengths.tolist() == LENGTHS
    torch.testing.assert_close(states[:, 0], encoded.vector)


def test_a_frozen_transformer_never_trains(tiny_bert: Path) -> None:
    encoder = _transformer(tiny_bert, frozen=True).train()
    texts = _texts()
    assert not any(p.requires_grad for p in encoder.parameters())
    assert torch.equal(_vector(encoder, texts), _vector(encoder, texts))  # its dropout is off
    tuned = _transformer(tiny_bert, lr=1e-5).train()
    assert not torch.equal(_vector(tuned, texts), _vector(tuned, texts))
    assert tuned.learning_rate == 1e-5


def test_a_transformer_without_its_weights_waits_for_a_state_dict(
    tiny_bert: Path, tmp_path: Path
) -> None:
    encoder = _transformer(tiny_bert).eval()
    encoder.network.config.save_pretrained(tmp_path)
    bare = Transformers(model=str(tmp_path)).build(WORDS, pretrained=False).eval()
    bare.load_state_dict(encoder.state_dict())
    texts = _texts()
    torch.testing.assert_close(_vector(bare, texts), _vector(encoder, texts))


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
        _vector(encoder, [torch.zeros(17, dtype=torch.long)])


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
    _vector(encoder.train(), _texts()).square().sum().backward()
    trained = [p for p in encoder.parameters() if p.requires_grad]
    assert trained
    assert all(parameter.grad is not None for parameter in trained)


def test_of_a_model_of_pictures_and_texts_the_texts_part_is_taken(tmp_path: Path) -> None:
    vision = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    vision |= {"intermediate_size": 8, "image_size": 32, "patch_size": 16}
    folder = _saved("clip", tmp_path / "clip", text_config=SMALL, vision_config=vision)
    encoder, texts = Transformers(model=str(folder)).build(WORDS).eval(), _texts()
    assert encoder.dim == 8
    encoder.network.config.save_pretrained(tmp_path / "kept")
    kept = Transformers(model=str(tmp_path / "kept")).build(WORDS, pretrained=False).eval()
    kept.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(_vector(kept, texts), _vector(encoder, texts))
    folder = _saved("siglip", tmp_path / "siglip", text_config=SMALL, vision_config=vision)
    with pytest.raises(ModelError, match="a siglip is no text encoder"):
        Transformers(model=str(folder)).build(WORDS)


def test_roberta_counts_positions_from_behind_its_padding(tmp_path: Path) -> None:
    encoder = Transformers(model=str(_saved("roberta", tmp_path, **SMALL))).build(WORDS)
    assert len(_vector(encoder, [torch.zeros(14, dtype=torch.long)])) == 1
    with pytest.raises(ModelError, match="15 tokens, the model reads at most 14"):
        _vector(encoder, [torch.zeros(15, dtype=torch.long)])


def test_the_first_token_of_a_decoder_stands_for_no_text(tmp_path: Path) -> None:
    fields = {"vocab_size": WORDS, "n_embd": 8, "n_layer": 1, "n_head": 2, "n_positions": 16}
    folder = str(_saved("gpt2", tmp_path, **fields))
    with pytest.raises(ModelError, match=r"hears nothing of those after it.*pooling=mean"):
        Transformers(model=folder, pooling="cls").build(WORDS)
    Transformers(model=folder).build(WORDS)
    Transformers(model=folder, pooling="cls").build(WORDS, pretrained=False)  # learnt before


@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_a_forgetting_bag_is_the_recursion_of_its_paper(keep: float) -> None:
    encoder = Bag(pooling="forgetting", keep=keep, embedding_dim=3).build(9)
    texts = [torch.tensor(words) for words in ([1, 2], [3, 4, 5, 3], [6])]
    got = encoder(pack_sequence(texts, enforce_sorted=False)).vector
    for vector, words in zip(got, texts, strict=True):
        expected = torch.zeros(3)
        for word in words:
            expected = keep * expected + encoder.embedding.weight[word]
        torch.testing.assert_close(vector, expected)
