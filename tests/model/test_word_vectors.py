"""Word vectors from files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch

from vqa.errors import ModelError
from vqa.model.question_encoder import GRU, LSTM, Bag
from vqa.model.question_encoder.vectors import check_width

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
