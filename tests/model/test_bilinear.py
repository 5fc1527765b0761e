"""Bilinear fusions against the full tensors that they stand for, contracted by einsum in float64."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.func import functional_call

from vqa.model.catalogue import explained, members
from vqa.model.fusion import BLOCK, MCB, MFB, MFH, MLB, MUTAN, Bilinear, GatedTanh, Tucker
from vqa.model.layers import power_normalize

V, Q, BATCH = 5, 4, 3
RANDOM = torch.Generator().manual_seed(0)
IMAGE = torch.randn(BATCH, V, generator=RANDOM).double()
QUESTION = torch.randn(BATCH, Q, generator=RANDOM).double()
SMALL: dict[str, dict[str, Any]] = {
    "concat": {"hidden": (4, 3)},
    "concat_mlp": {"hidden": (4, 3)},
    "multiply": {"dim": 3},
    "sum": {"dim": 3},
    "gated_tanh": {"dim": 3},
    "bilinear": {"dim": 3, "rank": 2},
    "mlb": {"dim": 3, "rank": 4},
    "mcb": {"dim": 7},
    "tucker": {"dim": 3, "image_dim": 4, "question_dim": 2},
    "mutan": {"dim": 3, "image_dim": 4, "question_dim": 3, "rank": 2},
    "mfb": {"dim": 3, "factor": 2, "dropout": 0},
    "mfh": {"dim": 2, "factor": 2, "orders": 3, "dropout": 0},
    "block": {"dim": 6, "chunks": 2, "rank": 2},
    "image": {},
}
FUSIONS = [pytest.param(m, id=str(m.model_fields["name"].default)) for m in members("fusion")]


def _built(config: Any) -> Any:
    return config.build(V, Q).double().eval()


def _small(member: Any) -> Any:
    return member(**SMALL.get(member.model_fields["name"].default, {}))


def _with_one(x: Tensor) -> Tensor:
    """A column of ones, so that a weight and its bias are one matrix."""
    return torch.cat((x, torch.ones(len(x), 1, dtype=x.dtype)), dim=1)


def _affine(layer: Any) -> Tensor:
    """[inputs + 1, outputs]."""
    return torch.cat((layer.weight, layer.bias[:, None]), dim=1).T


def _contract(tensor: Tensor, image: Tensor, question: Tensor) -> Tensor:
    return torch.einsum("bi,bj,ijk->bk", image, question, tensor)


def _root(x: Tensor) -> Tensor:
    """The signed square root and length one, by their definitions."""
    root = x.sign() * x.abs().sqrt()
    return root / root.norm(dim=-1, keepdim=True)


def _pooled(a: Tensor, b: Tensor, size: int) -> Tensor:
    """The tensor [i, j, k] that Σ of `size` products a[:, k·size + r] ⊗ b[:, k·size + r] is."""
    return torch.einsum("ikr,jkr->ijk", a.view(len(a), -1, size), b.view(len(b), -1, size))


def test_bilinear_is_a_full_tensor_of_low_rank() -> None:
    fusion = _built(Bilinear(dim=3, rank=2))
    tensor = _pooled(_affine(fusion.project_image[1]), _affine(fusion.project_question[1]), 2)
    assert all(torch.linalg.matrix_rank(tensor[:, :, k]) == 2 for k in range(3))
    expected = _contract(tensor, _with_one(IMAGE), _with_one(QUESTION))
    torch.testing.assert_close(fusion(IMAGE, QUESTION), expected)


def test_mlb_without_activation_is_a_full_tensor() -> None:
    fusion = _built(MLB(dim=3, rank=4, activation="none"))
    image, question = _affine(fusion.project_image[1]), _affine(fusion.project_question[1])
    layer = fusion.project_product[1]
    tensor = torch.einsum("ir,jr,kr->ijk", image, question, layer.weight)
    expected = _contract(tensor, _with_one(IMAGE), _with_one(QUESTION)) + layer.bias
    torch.testing.assert_close(fusion(IMAGE, QUESTION), expected)


def test_mlb_activates_before_the_product() -> None:
    fusion = _built(MLB(dim=3, rank=4))
    image = (_with_one(IMAGE) @ _affine(fusion.project_image[1])).tanh()
    question = (_with_one(QUESTION) @ _affine(fusion.project_question[1])).tanh()
    expected = _with_one(image * question) @ _affine(fusion.project_product[1])
    torch.testing.assert_close(fusion(IMAGE, QUESTION), expected)


@pytest.mark.parametrize("activation", ["tanh", "none"])
def test_tucker_contracts_its_core(activation: Any) -> None:
    fusion = _built(Tucker(dim=3, image_dim=4, question_dim=2, activation=activation))
    image = _with_one(IMAGE) @ _affine(fusion.project_image[1])
    question = _with_one(QUESTION) @ _affine(fusion.project_question[1])
    if activation == "tanh":
        image, question = image.tanh(), question.tanh()
    core = fusion.core.weight.view(2, 3, 4).permute(2, 0, 1)
    torch.testing.assert_close(fusion(IMAGE, QUESTION), _contract(core, image, question))


def test_mutan_is_tucker_with_slices_of_low_rank() -> None:
    fusion = _built(MUTAN(dim=3, image_dim=4, question_dim=3, rank=2))
    image = (_with_one(IMAGE) @ _affine(fusion.project_image[1])).tanh()
    question = (_with_one(QUESTION) @ _affine(fusion.project_question[1])).tanh()
    core = _pooled(fusion.image_core.weight.T, fusion.question_core.weight.T, 2)
    assert all(torch.linalg.matrix_rank(core[:, :, k]) == 2 for k in range(3))
    torch.testing.assert_close(fusion(IMAGE, QUESTION), _contract(core, image, question))


def test_block_is_tucker_with_a_superdiagonal_core() -> None:
    dim, chunks, rank = 6, 2, 2
    size = dim // chunks
    for normalize in (False, True):
        fusion = _built(BLOCK(dim=dim, chunks=chunks, rank=rank, normalize=normalize))
        core = torch.zeros(dim, dim, dim).double()
        for c in range(chunks):
            block = slice(c * size, (c + 1) * size)
            pair = fusion.image_core[c], fusion.question_core[c]
            core[block, block, block] = _pooled(*pair, rank)
        image = _with_one(IMAGE) @ _affine(fusion.project_image[1])
        question = _with_one(QUESTION) @ _affine(fusion.project_question[1])
        expected = _contract(core, image, question)
        if normalize:
            expected = _root(expected.view(BATCH, chunks, size)).flatten(1)
        torch.testing.assert_close(fusion(IMAGE, QUESTION), expected, rtol=1e-3, atol=1e-4)


def _order_tensor(fusion: Any, order: int, factor: int) -> Tensor:
    """The tensor of an order's pooled products: with each order v and q come in once more."""
    image = [_affine(layer) for layer in fusion.project_image][: order + 1]
    question = [_affine(layer) for layer in fusion.project_question][: order + 1]
    names = "abcdef"
    left = ",".join(f"{names[o]}x" for o in range(order + 1))
    a = torch.einsum(f"{left}->{names[: order + 1]}x", *image).flatten(0, order)
    b = torch.einsum(f"{left}->{names[: order + 1]}x", *question).flatten(0, order)
    return _pooled(a, b, factor)


def _powers(x: Tensor, order: int) -> Tensor:
    """x ⊗ x ⊗ …, flat."""
    power = x
    for _ in range(order):
        power = torch.einsum("bi,bj->bij", power, x).flatten(1)
    return power


@pytest.mark.parametrize(
    "config", [MFB(dim=3, factor=2), MFH(dim=2, factor=2), MFH(dim=2, factor=3, orders=3)]
)
def test_mfb_and_mfh_are_tensors_of_each_order(config: Any) -> None:
    fusion = _built(config)
    image, question = _with_one(IMAGE), _with_one(QUESTION)
    expected = [
        _contract(
            _order_tensor(fusion, order, config.factor),
            _powers(image, order),
            _powers(question, order),
        )
        for order in range(getattr(config, "orders", 1))
    ]
    # The safe root differs from √ by a share of 5e-7 / |x|: little but next to zero.
    got, wanted = fusion(IMAGE, QUESTION), torch.cat([_root(e) for e in expected], dim=1)
    torch.testing.assert_close(got, wanted, rtol=5e-3, atol=5e-4)
    assert fusion.dim == wanted.shape[1]


def _sketch(x: Tensor, sketch: Any, dim: int) -> Tensor:
    matrix = torch.zeros(len(sketch.place), dim).double()
    for i, (place, sign) in enumerate(zip(sketch.place, sketch.sign, strict=True)):
        matrix[i, place] = sign
    return x @ matrix


def test_mcb_is_the_circular_convolution_of_count_sketches() -> None:
    fusion = _built(MCB(dim=7, normalize=False))
    image = _sketch(IMAGE, fusion.sketch_image, 7)
    question = _sketch(QUESTION, fusion.sketch_question, 7)
    expected = torch.zeros(BATCH, 7).double()
    for i in range(7):
        for j in range(7):
            expected[:, (i + j) % 7] += image[:, i] * question[:, j]
    torch.testing.assert_close(fusion(IMAGE, QUESTION), expected)
    normal = MCB(dim=7).build(V, Q).double()
    normal.load_state_dict(fusion.state_dict())
    torch.testing.assert_close(normal(IMAGE, QUESTION), _root(expected), rtol=1e-3, atol=1e-4)


def test_mcb_sketches_the_outer_product() -> None:
    """The place of each product is the sum of both places, its sign the product of both signs."""
    fusion = _built(MCB(dim=11, normalize=False))
    h, s, g, t = (
        *(fusion.sketch_image.place, fusion.sketch_image.sign),
        *(fusion.sketch_question.place, fusion.sketch_question.sign),
    )
    expected = torch.zeros(BATCH, 11).double()
    for i in range(V):
        for j in range(Q):
            place, sign = (h[i] + g[j]) % 11, s[i] * t[j]
            expected[:, place] += sign * IMAGE[:, i] * QUESTION[:, j]
    torch.testing.assert_close(fusion(IMAGE, QUESTION), expected)


def test_mcb_keeps_inner_products_in_the_mean() -> None:
    """E⟨ψ(v, q), ψ(v′, q′)⟩ = ⟨v, v′⟩ ⟨q, q′⟩ over the hashes."""
    torch.manual_seed(0)
    found = []
    for _ in range(400):
        fused = MCB(dim=64, normalize=False).build(V, Q).double()(IMAGE, QUESTION)
        found.append(fused[0] @ fused[1])
    expected = (IMAGE[0] @ IMAGE[1]) * (QUESTION[0] @ QUESTION[1])
    error = torch.stack(found).std() / 20
    assert abs(torch.stack(found).mean() - expected) < 4 * error


def test_mcb_hashes_are_in_the_state_and_from_the_random_state() -> None:
    torch.manual_seed(1)
    first, other = MCB(dim=50).build(200, 100), MCB(dim=50).build(200, 100)
    assert not torch.equal(first.sketch_image.place, other.sketch_image.place)
    assert set(first.sketch_image.sign.tolist()) == {-1, 1}
    assert set(first.sketch_image.place.tolist()) <= set(range(50))
    assert {"sketch_image.place", "sketch_question.sign"} <= first.state_dict().keys()
    other.load_state_dict(first.state_dict())
    image, question = torch.randn(2, 200), torch.randn(2, 100)
    assert torch.equal(first(image, question), other(image, question))


def test_gated_tanh() -> None:
    fusion = _built(GatedTanh(dim=3))
    expected = torch.ones(BATCH, 3).double()
    for x, layer in ((IMAGE, fusion.image), (QUESTION, fusion.question)):
        value, gate = _affine(layer.value[1]), _affine(layer.gate)
        expected = expected * (_with_one(x) @ value).tanh() * (_with_one(x) @ gate).sigmoid()
    torch.testing.assert_close(fusion(IMAGE, QUESTION), expected)


@pytest.mark.parametrize("member", FUSIONS)
def test_gradients_are_those_of_finite_differences(member: Any) -> None:
    fusion = _built(_small(member))
    names, values = [], []
    for name, parameter in fusion.named_parameters():
        names.append(name)
        values.append(parameter.detach().clone().requires_grad_())

    def joined(image: Tensor, question: Tensor, *parameters: Tensor) -> Tensor:
        state = dict(zip(names, parameters, strict=True))
        return functional_call(fusion, state, (image, question))

    vectors = [x.clone().requires_grad_() for x in (IMAGE, QUESTION)]
    assert torch.autograd.gradcheck(joined, (*vectors, *values))


@pytest.mark.parametrize("member", FUSIONS)
@pytest.mark.parametrize("sizes", [None, (V, Q), (3, 9)])
def test_the_parameters_are_as_many_as_the_docstring_says(
    member: Any, sizes: tuple[int, int] | None
) -> None:
    config = member() if sizes is None else _small(member)
    v, q = sizes or (2048, 1024)
    formula = explained(member.__doc__)[1]["Parameters"]
    names = {**config.model_dump(), "v": v, "q": q, "sum": sum, "pairwise": pairwise}
    with torch.device("meta"):
        fusion = config.build(v, q)
    assert sum(p.numel() for p in fusion.parameters()) == eval(formula, {"__builtins__": {}}, names)


@pytest.mark.parametrize("member", FUSIONS)
def test_the_output_is_as_wide_as_it_says_by_default(member: Any) -> None:
    fusion = member().build(6, 5).eval()
    assert fusion(torch.randn(2, 6), torch.randn(2, 5)).shape == (2, fusion.dim)


def test_published_sizes_give_the_published_counts() -> None:
    """MUTAN's table 1, in millions, with vectors of 2048 and 2400 and 2,000 answers; matrices alone."""
    published = {MCB(): 32.0, MLB(dim=2000): 7.7, MUTAN(): 4.9}
    for config, millions in published.items():
        with torch.device("meta"):
            fusion = config.build(2048, 2400)
        weights = sum(p.numel() for p in fusion.parameters() if p.ndim > 1)
        answers = 0 if config.name == "mlb" else 2000 * fusion.dim
        assert round((weights + answers) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("member", "fields", "message"),
    [
        (BLOCK, {"dim": 100, "chunks": 7}, r"7 chunks do not divide dim 100; a dim of 98 or 105"),
        (BLOCK, {"dim": 4, "chunks": 7}, r"7 chunks do not divide dim 4; a dim of 7 would do"),
        (BLOCK, {"dim": 40, "chunks": 20, "rank": 3}, r"40 / 20 = 2 values.*rank 2 at most"),
        (BLOCK, {"dim": 16_000, "chunks": 1, "rank": 4}, r"1×16000×16000×4 has 1,024,000,000 v.*3\.8 GiB"),
        (MUTAN, {"image_dim": 4, "question_dim": 9}, r"rank 10: a slice of 4×9 has a rank of 4"),
        (MUTAN, {"dim": 65_536, "rank": 10}, r"65,536 × 10 = 655,360 products.*65,536"),
        (MUTAN, {"dim": 6000, "image_dim": 9000}, r"10×6000×9000 has 540,000,000 values"),
        (Tucker, {"dim": 1000, "image_dim": 1000, "question_dim": 1000}, r"1,000,000,000 .*3\.7 GiB.*mutan"),
        (MFB, {"dim": 30_000}, r"30,000 × 5 = 150,000 products"),
        (MFH, {"dim": 30_000}, r"30,000 × 10 = 300,000 products"),
        (MFH, {"dim": 13_000, "orders": 8}, r"orders.*13,000 × 40 = 520,000 products"),
        (Bilinear, {"dim": 30_000}, r"30,000 × 5 = 150,000 products"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused_with_the_numbers(
    member: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        member(**fields)


def test_power_normalize_is_the_signed_root_with_length_one() -> None:
    x = torch.randn(4, 50, generator=RANDOM).double() * 100
    torch.testing.assert_close(power_normalize(x), _root(x), rtol=1e-5, atol=1e-6)
    assert power_normalize(torch.zeros(2, 3)).tolist() == [[0] * 3] * 2
    assert power_normalize(torch.ones(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


@pytest.mark.parametrize("value", [0.0, 1e-30, -1e-12, 1e-6, 1e30])
def test_power_normalize_has_a_finite_gradient(value: float) -> None:
    x = torch.tensor([[value, 0.0, 1.0], [value, 0.0, 0.0]], requires_grad=True)
    y = power_normalize(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
