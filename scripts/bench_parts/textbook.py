"""The loop of a textbook: what most public code for this task does, written plainly.

A `Dataset` that reads a row of float16 features and converts it, pads the question and makes a dense soft target;
a `DataLoader` with worker processes; float32; a padded `nn.LSTM`; a 1×1 convolution; attention by broadcasting;
features normalised at every step; the default Adam.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bench_parts.generated import ANSWERS, LONGEST, WORDS, Questions, Shape, read_rows


class Rows(Dataset[tuple[Tensor, Tensor, int, Tensor]]):
    """A question, its picture's features, and a score for every answer."""

    def __init__(self, questions: Questions, path: Path, shape: Shape) -> None:
        self.questions, self.rows = questions, read_rows(path, shape)

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor, int, Tensor]:
        q = self.questions
        start, end = q.offsets[i], q.offsets[i + 1]
        words = torch.zeros(LONGEST, dtype=torch.long)
        words[: end - start] = torch.from_numpy(q.tokens[start:end].astype(np.int64))
        target = torch.zeros(ANSWERS)
        for answer, weight in zip(q.answer_id[i], q.weight[i], strict=True):
            if answer >= 0:
                target[answer] += float(weight)
        features = torch.from_numpy(self.rows[q.image[i]].astype(np.float32))
        return features, words, int(end - start), target


class Encoder(nn.Module):
    """A padded LSTM; the state at each question's end."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS + 1, 300, padding_idx=0)
        self.drop = nn.Dropout(0.5)
        self.lstm = nn.LSTM(300, 1024, batch_first=True)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        states: Tensor = self.lstm(self.drop(self.embedding(words)))[0]
        return states[torch.arange(len(words)), lengths - 1]


class GridNet(nn.Module):
    """Two glimpses over a grid of features."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.v_conv = nn.Conv2d(2048, 512, 1, bias=False)
        self.q_lin = nn.Linear(1024, 512)
        self.x_conv = nn.Conv2d(512, 2, 1)
        self.lin1, self.lin2 = nn.Linear(2 * 2048 + 1024, 1024), nn.Linear(1024, ANSWERS)
        self.drop = nn.Dropout(0.5)

    def forward(self, v: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
        q = self.encoder(words, lengths)
        v = v.view(len(v), 2048, 14, 14)
        v = v / (v.norm(p=2, dim=1, keepdim=True) + 1e-8)
        asked = self.q_lin(q)[:, :, None, None].expand(-1, -1, 14, 14)
        scores = self.x_conv(self.drop(functional.relu(self.v_conv(self.drop(v)) + asked)))
        weights = functional.softmax(scores.view(len(v), 2, -1), dim=-1)
        seen = (weights[:, :, None] * v.view(len(v), 1, 2048, -1)).sum(dim=-1)
        joined = torch.cat([seen.flatten(1), q], dim=1)
        answers: Tensor = self.lin2(self.drop(functional.relu(self.lin1(self.drop(joined)))))
        return answers


class PooledNet(nn.Module):
    """One vector a picture, multiplied with the question's."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.v_lin, self.q_lin = nn.Linear(2048, 1024), nn.Linear(1024, 1024)
        self.lin1, self.lin2 = nn.Linear(1024, 1024), nn.Linear(1024, ANSWERS)
        self.drop = nn.Dropout(0.5)

    def forward(self, v: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
        v = v[:, :, 0]
        v = v / (v.norm(p=2, dim=1, keepdim=True) + 1e-8)
        joined = torch.tanh(self.v_lin(v)) * torch.tanh(self.q_lin(self.encoder(words, lengths)))
        answers: Tensor = self.lin2(self.drop(functional.relu(self.lin1(self.drop(joined)))))
        return answers


def steps(questions: Questions, path: Path, shape: Shape, workers: int) -> Iterator[int]:
    """Train for ever; yields the questions of each step after it."""
    if shape.encoder_only:
        yield from _encode(questions, shape)
    net = GridNet() if shape.attention else PooledNet()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    loader = DataLoader(
        Rows(questions, path, shape),
        batch_size=shape.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        for v, words, lengths, target in loader:
            scores = net(v, words, lengths)
            loss = -(functional.log_softmax(scores, dim=1) * target).sum(dim=1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # most loops show it
            yield len(v)


def _encode(questions: Questions, shape: Shape) -> Iterator[int]:
    """The encoder alone, forward and backward, on padded words that are there already."""
    net, random = Encoder(), np.random.default_rng(0)
    lengths = np.diff(questions.offsets)
    while True:
        index = random.permutation(len(questions))[: shape.batch]
        words = torch.zeros((len(index), LONGEST), dtype=torch.long)
        for row, i in enumerate(index):
            tokens = questions.tokens[questions.offsets[i] : questions.offsets[i + 1]]
            words[row, : len(tokens)] = torch.from_numpy(tokens.astype(np.int64))
        vector = net(words, torch.from_numpy(lengths[index]))
        net.zero_grad()
        vector.backward(torch.ones_like(vector))
        yield len(index)
