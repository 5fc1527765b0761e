"""Attention against references that loop, and what its weights keep to."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence

from vqa.errors import ModelError
from vqa.model.attention import (
    CoAttention,
    ConvGRU,
    FiLM,
    Hard,
    MultiHead,
    NoAttention,
    Relation,
    Soft,
    Stacked,
)
from vqa.model.places import grid_coordinates
from vqa.model.types import EncodedText

RANDOM = torch.Generator().manual_seed(0)
GRID = torch.randn(3, 6, 7, generator=RANDOM).double()
QUESTION = EncodedText(torch.randn(6, 5, generator=RANDOM).double())
LENGTHS = [3, 5, 1, 4, 5, 2]
TEXTS = [torch.randn(length, 5, generator=RANDOM).double() for length in LENGTHS]
READ = QUESTION._replace(states=pack_sequence(TEXTS, enforce_sorted=False))
LOOKING = [
    Soft(glimpses=2, hidden=4),
    Soft(hidden=4, activation="tanh"),
    Hard(glimpses=2, hidden=4),
    Stacked(dim=8, hidden=4),
    MultiHead(dim=8, heads=2),
    CoAttention(hidden=4),
    CoAttention(hidden=4, order="alternating"),
]
JOINING = [
    NoAttention(),
    Relation(hidden=(4, 5)),
    Relation(hidden=(4, 5), ordered=False, normalize=True),
    FiLM(blocks=2, dim=4, out=5),
    ConvGRU(dim=4, hidden=3),
]


def _soft_reference(module: Any, image: Tensor, question: Tensor) -> Tensor:
    asked = module.project_question.weight @ question + module.project_question.bias
    scores = torch.stack(
        [
            module.score.weight @ (module.project_image.weight @ cell + asked).relu()
            for cell in image
        ]
    )
    weights = scores.softmax(0)  # [positions, glimpses]
    seen = [sum(w * cell for w, cell in zip(column, image, strict=True)) for column in weights.T]
    return torch.cat(seen)


def test_soft_equals_its_formula(image_of_question: Tensor) -> None:
    module = Soft(glimpses=2, hidden=4).build(7, (2, 3), 5).double()
    got = module(GRID, QUESTION, image_of_question).vector
    pairs = zip(image_of_question.tolist(), QUESTION.vector, strict=True)
    expected = torch.stack([_soft_reference(module, GRID[i], q) for i, q in pairs])
    torch.testing.assert_close(got, expected)


def _stacked_reference(module: Any, image: Tensor, query: Tensor) -> Tensor:
    layer = module.project_image[1]
    cells = (image @ layer.weight.T + layer.bias).tanh()
    query = module.project_question.weight @ query + module.project_question.bias
    for hop in module.hops:
        asked = hop.project_query.weight @ query + hop.project_query.bias
        met = (cells @ hop.project_grid.weight.T + asked).tanh()
        weights = (met @ hop.score[1].weight[0]).softmax(0)
        query = query + weights @ cells
    return query


def test_stacked_equals_its_formula(image_of_question: Tensor) -> None:
    module = Stacked(dim=8, hidden=4, hops=3).build(7, (2, 3), 5).double()
    attended = module(GRID, QUESTION, image_of_question)
    pairs = zip(image_of_question.tolist(), QUESTION.vector, strict=True)
    expected = torch.stack([_stacked_reference(module, GRID[i], q) for i, q in pairs])
    torch.testing.assert_close(attended.vector, expected)
    assert attended.weights.shape == (6, 3, 6)


@pytest.mark.parametrize("config", LOOKING, ids=lambda config: config.name)
def test_weights_are_shares_of_the_grid(config: Any, image_of_question: Tensor) -> None:
    module = config.build(7, (2, 3), 5).double().eval()
    weights = module(GRID, READ, image_of_question).weights
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(2), torch.ones_like(weights[:, :, 0]))


@pytest.mark.parametrize("config", [*LOOKING, *JOINING], ids=lambda config: config.name)
def test_an_image_once_for_all_its_questions_changes_nothing(
    config: Any, image_of_question: Tensor
) -> None:
    module = config.build(7, (2, 3), 5).double().eval()
    grouped = module(GRID, READ, image_of_question).vector
    repeated = module(GRID[image_of_question], READ, torch.arange(6)).vector
    torch.testing.assert_close(grouped, repeated)


def test_attention_learns_where_to_look() -> None:
    """One cell of the grid is marked; the vector must become what that cell holds."""
    torch.manual_seed(0)
    module = Soft(hidden=16).build(4, (3, 3), 1)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    where = torch.arange(64)
    question = EncodedText(torch.ones(64, 1))
    for _ in range(150):
        grid, place = torch.randn(64, 9, 4), torch.randint(9, (64,))
        grid[:, :, 0] = 0
        grid[where, place, 0] = 3
        loss = (module(grid, question, where).vector - grid[where, place]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    attended = module(grid, question, where)
    assert (attended.weights[:, 0].argmax(1) == place).float().mean() > 0.95


def test_pooling(image_of_question: Tensor) -> None:
    mean = NoAttention().build(7, (2, 3), 5)(GRID, QUESTION, image_of_question)
    torch.testing.assert_close(mean.vector, GRID.mean(1)[image_of_question])
    assert mean.weights is None
    flat = NoAttention(pool="flatten").build(7, (2, 3), 5)(GRID, QUESTION, image_of_question)
    torch.testing.assert_close(flat.vector, GRID.reshape(3, 42)[image_of_question])


def test_a_huge_flattened_grid_is_refused_with_the_numbers() -> None:
    with pytest.raises(ModelError, match=r"14×14×2048 has 401,408 values.*mean"):
        NoAttention(pool="flatten").build(2048, (14, 14), 5)


def test_multi_head_equals_torchs_own_module(image_of_question: Tensor) -> None:
    module = MultiHead(dim=6, heads=2).build(7, (2, 3), 5).double().eval()
    whole = nn.MultiheadAttention(6, 2, kdim=7, vdim=7, batch_first=True).double()
    state = {
        "q_proj_weight": torch.eye(6).double(),
        "k_proj_weight": module.key.weight,
        "v_proj_weight": module.value.weight,
        "in_proj_bias": torch.cat((torch.zeros(12).double(), module.value.bias)),
        "out_proj.weight": module.join.weight,
        "out_proj.bias": module.join.bias,
    }
    whole.load_state_dict(state)
    asked = module.query(QUESTION.vector)[:, None]
    grid = GRID[image_of_question]
    expected, weights = whole(asked, grid, grid, average_attn_weights=False)
    attended = module(GRID, QUESTION, image_of_question)
    torch.testing.assert_close(attended.vector, expected[:, 0])
    torch.testing.assert_close(attended.weights, weights[:, :, 0])
    assert module.train()(GRID, QUESTION, image_of_question).weights is None


def _parallel_reference(m: Any, image: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """HieCoAtt's equations 3 to 6, words and positions as columns as there."""
    v, q = image.T, words.T
    c = (q.T @ m.affinity.weight @ v).tanh()
    wv, wq = m.project_image.weight, m.project_question.weight
    hv = (wv @ v + (wq @ q) @ c).tanh()
    hq = (wq @ q + (wv @ v) @ c.T).tanh()
    av, aq = (m.score_image.weight @ hv).softmax(1), (m.score_question.weight @ hq).softmax(1)
    return (v @ av.T)[:, 0], (q @ aq.T)[:, 0]


def _alternating_reference(m: Any, image: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Its equation 7, three times."""

    def attend(part: Any, rows: Tensor, guide: Tensor | None) -> Tensor:
        met = part.project.weight @ rows.T
        if guide is not None:
            met = met + (part.guide.weight @ guide)[:, None]
        return (part.score[1].weight @ met.tanh()).softmax(1)[0] @ rows

    summary = attend(m.summary, words, None)
    seen = attend(m.look, image, summary)
    return seen, attend(m.reading, words, seen)


@pytest.mark.parametrize("order", ["parallel", "alternating"])
def test_co_attention_equals_its_formula(order: Any, image_of_question: Tensor) -> None:
    module = CoAttention(order=order, hidden=4).build(7, (2, 3), 5).double()
    attended = module(GRID, READ, image_of_question)
    reference = _parallel_reference if order == "parallel" else _alternating_reference
    assert module.dim == 7
    for place, (image, words) in enumerate(zip(image_of_question.tolist(), TEXTS, strict=True)):
        seen, read = reference(module, GRID[image], words)
        torch.testing.assert_close(attended.vector[place], seen)
        torch.testing.assert_close(attended.question[place], read)


def test_co_attention_without_words_reads_the_vector_as_one_word(image_of_question: Tensor) -> None:
    module = CoAttention(hidden=4).build(7, (2, 3), 5).double()
    one_word = pack_sequence(list(QUESTION.vector[:, None]))
    alone = module(GRID, QUESTION, image_of_question)
    packed = module(GRID, QUESTION._replace(states=one_word), image_of_question)
    torch.testing.assert_close(alone.vector, packed.vector)
    torch.testing.assert_close(alone.question, QUESTION.vector)


@pytest.mark.parametrize("ordered", [True, False])
def test_relation_adds_a_reading_of_every_pair(image_of_question: Tensor, ordered: bool) -> None:
    module = Relation(hidden=(4, 6, 5), ordered=ordered).build(7, (2, 3), 5).double()
    first = torch.cat([m.weight for m in (module.first, module.second, module.question)], dim=1)
    got = module(GRID, QUESTION, image_of_question).vector
    for place, image in enumerate(image_of_question.tolist()):
        total = torch.zeros(5).double()
        for i, left in enumerate(GRID[image]):
            for right in GRID[image][0 if ordered else i :]:
                x = torch.cat((left, right, QUESTION.vector[place]))
                x = (first @ x + module.question.bias).relu()
                for _, layer, _ in module.layers:
                    x = (layer.weight @ x + layer.bias).relu()
                total = total + x
        torch.testing.assert_close(got[place], total)


def test_a_normalized_relation_is_the_same_reading_at_one_size() -> None:
    plain = Relation(hidden=(4, 6, 5)).build(7, (2, 3), 5).double()
    normal = Relation(hidden=(4, 6, 5), normalize=True).build(7, (2, 3), 5).double()
    plain.load_state_dict(normal.state_dict())
    grid, question = torch.randn(2, 6, 7).double(), torch.randn(2, 5).double()
    words = EncodedText(question)
    summed = plain(grid, words, torch.arange(2)).vector
    scaled = normal(grid, words, torch.arange(2)).vector
    deviation = summed.var(dim=1, keepdim=True, correction=0).add(1e-5).sqrt()
    torch.testing.assert_close(scaled, (summed - summed.mean(1, keepdim=True)) / deviation)


def test_too_many_pairs_are_refused_with_the_numbers() -> None:
    with pytest.raises(ModelError, match=r"14×14 has 38,416 pairs; at 256 .*38 MiB.* 16 — use"):
        Relation().build(7, (14, 14), 5)


def _film_reference(m: Any, image: Tensor, question: Tensor) -> Tensor:
    """One question at a time, convolutions as torch's functions, batch norm by its formula."""
    conv, relu = torch.nn.functional.conv2d, torch.relu
    places = grid_coordinates((2, 3))[0].double().T.reshape(1, 2, 2, 3)

    def normal(x: Tensor, norm: Any) -> Tensor:
        shape = (1, -1, 1, 1)
        x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + norm.eps).sqrt()
        return x if norm.weight is None else x * norm.weight.view(shape) + norm.bias.view(shape)

    x = image.T.reshape(1, 7, 2, 3)
    x = relu(normal(conv(x, m.stem[0].weight, padding=1), m.stem[1]))
    film = (m.modulate.weight @ question + m.modulate.bias).view(len(m.blocks), 2, 1, -1, 1, 1)
    for block, (change, shift) in zip(m.blocks, film, strict=True):
        x = relu(conv(torch.cat((x, places), 1), block.enter.weight, block.enter.bias))
        y = normal(conv(x, block.convolve.weight, padding=1), block.normalize)
        x = x + relu((1 + change) * y + shift)
    x = relu(conv(torch.cat((x, places), 1), m.leave.weight, m.leave.bias))
    return x.flatten(2).max(2).values[0]


def test_film_equals_its_formula(image_of_question: Tensor) -> None:
    module = FiLM(blocks=2, dim=4, out=5).build(7, (2, 3), 5).double()
    for _ in range(3):  # statistics of their own
        module(GRID + torch.randn(3, 6, 7), QUESTION, image_of_question)
    got = module.eval()(GRID, QUESTION, image_of_question).vector
    pairs = zip(image_of_question.tolist(), QUESTION.vector, strict=True)
    torch.testing.assert_close(
        got, torch.stack([_film_reference(module, GRID[i], q) for i, q in pairs])
    )


def _conv_gru_reference(m: Any, image: Tensor, words: Tensor, kernel: int) -> Tensor:
    """One word, one cell and one neighbour at a time; a neighbour outside the grid of 2×3 is zero."""
    enter, convolve, reach = m.cell.enter, m.cell.convolve, kernel // 2
    maps = torch.zeros(2, 3, m.dim).double()
    for word in words:
        read = m.project_word.weight @ word + m.project_word.bias
        after = torch.zeros_like(maps)
        for row, column in product(range(2), range(3)):
            seen = m.project_image.weight @ image[3 * row + column] + m.project_image.bias
            x = (enter.weight @ (seen * read) + enter.bias).view(3, -1)
            around = convolve.bias
            for down, right in product(range(-reach, reach + 1), repeat=2):
                if 0 <= row + down < 2 and 0 <= column + right < 3:
                    weight = convolve.weight[:, :, reach + down, reach + right]
                    around = around + weight @ maps[row + down, column + right]
            u = around.view(3, -1)
            z, r = (x[0] + u[0]).sigmoid(), (x[1] + u[1]).sigmoid()
            n = (x[2] + r * u[2]).tanh()
            after[row, column] = (1 - z) * n + z * maps[row, column]
        maps = after
    return maps.flatten(0, 1).max(0).values


@pytest.mark.parametrize("kernel", [1, 3])
def test_conv_gru_equals_its_formula(kernel: Any, image_of_question: Tensor) -> None:
    module = ConvGRU(dim=4, hidden=3, kernel=kernel).build(7, (2, 3), 5).double()
    got = module(GRID, READ, image_of_question).vector
    pairs = zip(image_of_question.tolist(), TEXTS, strict=True)
    expected = [_conv_gru_reference(module, GRID[image], words, kernel) for image, words in pairs]
    torch.testing.assert_close(got, torch.stack(expected))


def test_conv_gru_hears_of_a_position_as_far_away_as_there_are_words_after_it() -> None:
    """News of one end of a row of cells takes a step for each cell; with a kernel of 1 it never travels."""
    grid = torch.randn(1, 5, 7, generator=RANDOM).double()
    changed = grid.clone()
    changed[:, 0] += 1
    for kernel, words, reached in ((3, 2, 2), (3, 3, 3), (1, 3, 1)):
        module = ConvGRU(dim=4, hidden=3, kernel=kernel).build(7, (1, 5), 5).double()
        question = READ._replace(states=pack_sequence([torch.randn(words, 5).double()]))
        before, after = (module.maps(g, question, torch.tensor([0]))[0] for g in (grid, changed))
        assert [bool(m.any()) for m in before != after] == [
            *[True] * reached,
            *[False] * (5 - reached),
        ]


@pytest.mark.parametrize(
    "config", [Relation(hidden=(6,), dropout=0.5), MultiHead(dim=6, heads=2, dropout=0.5)]
)
def test_dropout_acts_in_training_alone(config: Any) -> None:
    torch.manual_seed(0)
    module = config.build(4, (2, 2), 3)
    grid, question = torch.rand(1, 4, 4), EncodedText(torch.rand(1, 3))
    for training in (True, False):
        module.train(training)
        first, second = (module(grid, question, torch.tensor([0])).vector for _ in range(2))
        assert torch.equal(first, second) != training


@pytest.mark.parametrize("positions", [1, 6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_attention_each_question_gets_the_mean_of_its_picture(
    positions: int, dtype: torch.dtype
) -> None:
    grid, asked = GRID[:, :positions].to(dtype), torch.tensor([2, 0, 0])
    pooled = NoAttention().build(7, (1, positions), 5)(grid, QUESTION, asked).vector
    assert torch.equal(pooled, grid.mean(dim=1)[asked])
