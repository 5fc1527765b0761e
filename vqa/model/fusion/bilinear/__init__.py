"""Bilinear fusions: every value of the image vector may meet every value of the question vector.

A full bilinear map of 2048 and 1024 values to 1000 has two billion parameters; each fusion here is a way to
have fewer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from vqa.model.brick import Activation, Brick, Dropout, Width, refuse_large

if TYPE_CHECKING:
    from vqa.model.parts import Fusion

Rank = Annotated[int, Field(ge=1, le=4096)]
"""Number of terms in a sum of products."""

WIDEST = 65_536
"""The most values that a vector is expanded to."""


def _refuse_wide(what: str, dim: int, rank: int) -> None:
    if dim * rank > WIDEST:
        raise ValueError(
            f"{what}: {dim:,} × {rank:,} = {dim * rank:,} products a question,"
            f" more than {WIDEST:,}; lower one of them"
        )


class Bilinear(Brick):
    """A bilinear map whose slice for each output has a low rank.

    Paper: Pirsiavash et al. 2009, Bilinear classifiers for visual recognition.
    Formula: zₖ = Σᵣ (a₍ₖᵣ₎ · v + a′₍ₖᵣ₎) (b₍ₖᵣ₎ · q + b′₍ₖᵣ₎).
    Parameters: rank * dim * (v + q + 2).
    Default sizes: dim 256, rank 5.

    Attributes:
        dim: width of the output.
        rank: of each slice of the bilinear map.
        dropout: on both vectors.
    """

    name: Literal["bilinear"] = "bilinear"
    dim: Width = 256
    rank: Rank = 5
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _check(self) -> Bilinear:
        _refuse_wide("dim × rank", self.dim, self.rank)
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.low_rank import LowRankFusion

        return LowRankFusion(image_dim, question_dim, self.dim, self.rank, self.dropout)


class MLB(Brick):
    """Multimodal low-rank bilinear pooling: a projection of the product of two projections.

    Paper: Kim et al. 2017, Hadamard product for low-rank bilinear pooling.
    Formula: z = P (f(A v + a) ⊙ f(B q + b)) + p.
    Parameters: (v + q + 2) * rank + (rank + 1) * dim.
    Default sizes: dim 1200, rank 1200.

    Attributes:
        dim: width of the output; in the paper it is the answers' scores.
        rank: width of the product, shared by all outputs.
        activation: f; the paper's is `tanh`.
        dropout: before all three projections.
    """

    name: Literal["mlb"] = "mlb"
    dim: Width = 1200
    rank: Width = 1200
    activation: Activation = "tanh"
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _check(self) -> MLB:
        refuse_large("the last projection", (self.rank, self.dim), "lower rank or dim")
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.mlb import MLBFusion

        return MLBFusion(image_dim, question_dim, self)


class MCB(Brick):
    """Multimodal compact bilinear pooling: the outer product, hashed to a fixed width; nothing is learnt.

    Paper: Fukui et al. 2016, Multimodal compact bilinear pooling.
    Formula: z = ψ(v) ∗ ψ(q), circular convolution of count sketches ψ(x)ₖ = Σ₍ᵢ : h(i) = k₎ s(i) xᵢ, then
        normalised: the signed square root, then length one, each with 1e-6 added under its root.
    Parameters: 0.
    Default sizes: dim 16000.

    Attributes:
        dim: width of the sketch.
        normalize: the signed square root and length one.
    """

    name: Literal["mcb"] = "mcb"
    dim: Width = 16_000
    normalize: bool = True

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes; the hashes come from torch's random state."""
        from vqa.model.fusion.bilinear.mcb import MCBFusion

        return MCBFusion(image_dim, question_dim, self.dim, self.normalize)


class Tucker(Brick):
    """A bilinear map in Tucker's form: both vectors projected, then a full core.

    Paper: Ben-younes et al. 2017, MUTAN (its form without a rank); Tucker 1966.
    Formula: z = T ×₁ f(A v + a) ×₂ f(B q + b): zₖ = Σᵢⱼ T₍ᵢⱼₖ₎ ṽᵢ q̃ⱼ.
    Parameters: (v + 1) * image_dim + (q + 1) * question_dim + image_dim * question_dim * dim.
    Default sizes: dim 160, image_dim 160, question_dim 160.

    Attributes:
        dim: width of the output.
        image_dim, question_dim: widths of the projections.
        activation: of both projections.
        dropout: before and after both projections.
    """

    name: Literal["tucker"] = "tucker"
    dim: Width = 160
    image_dim: Width = 160
    question_dim: Width = 160
    activation: Activation = "tanh"
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _check(self) -> Tucker:
        shape = (self.image_dim, self.question_dim, self.dim)
        refuse_large("a full core", shape, "lower them, or use fusion=mutan")
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.tucker import TuckerFusion

        return TuckerFusion(image_dim, question_dim, self)


class MUTAN(Brick):
    """Tucker's form with a core whose slice for each output has a low rank.

    Paper: Ben-younes et al. 2017, MUTAN: multimodal Tucker fusion for visual question answering.
    Formula: z = Σᵣ (Mᵣ ṽ) ⊙ (Nᵣ q̃) with ṽ = f(A v + a), q̃ = f(B q + b).
    Parameters: (v + 1) * image_dim + (q + 1) * question_dim + rank * dim * (image_dim + question_dim).
    Default sizes: dim 360, image_dim 360, question_dim 360, rank 10.

    Attributes:
        dim: width of the output.
        image_dim, question_dim: widths of the projections.
        rank: of each slice of the core; no more than the smaller width.
        activation: of both projections.
        dropout: before and after both projections.
    """

    name: Literal["mutan"] = "mutan"
    dim: Width = 360
    image_dim: Width = 360
    question_dim: Width = 360
    rank: Rank = 10
    activation: Activation = "tanh"
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _check(self) -> MUTAN:
        smaller = min(self.image_dim, self.question_dim)
        if self.rank > smaller:
            raise ValueError(
                f"rank {self.rank}: a slice of {self.image_dim}×{self.question_dim} has a rank of"
                f" {smaller} at most"
            )
        _refuse_wide("dim × rank", self.dim, self.rank)
        wider = max(self.image_dim, self.question_dim)
        refuse_large("the core's factor", (self.rank, self.dim, wider), "lower rank or a width")
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.mutan import MUTANFusion

        return MUTANFusion(image_dim, question_dim, self)


class MFB(Brick):
    """Multimodal factorised bilinear pooling: low-rank slices, normalised.

    Paper: Yu et al. 2017, Multi-modal factorized bilinear pooling with co-attention learning.
    Formula: z = n(SumPool((A v + a) ⊙ (B q + b), factor)); n is the signed square root, then length one, each
        with 1e-6 added under its root.
    Parameters: factor * dim * (v + q + 2).
    Default sizes: dim 1000, factor 5.

    Attributes:
        dim: width of the output.
        factor: how many products each output sums.
        dropout: on the products.
    """

    name: Literal["mfb"] = "mfb"
    dim: Width = 1000
    factor: Rank = 5
    dropout: Dropout = 0.1

    @model_validator(mode="after")
    def _check(self) -> MFB:
        _refuse_wide("dim × factor", self.dim, self.factor)
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.mfb import FactorizedFusion

        return FactorizedFusion(image_dim, question_dim, self.dim, self.factor, 1, self.dropout)


class MFH(Brick):
    """Multimodal factorised high-order pooling: MFBs in a cascade, side by side.

    Paper: Yu et al. 2018, Beyond bilinear: generalized multimodal factorized high-order pooling.
    Formula: z = [n(SumPool(e₁, factor)); n(SumPool(e₂, factor)); …] with eᵢ = eᵢ₋₁ ⊙ (Aᵢ v + aᵢ) ⊙ (Bᵢ q + bᵢ), e₀ = 1;
        n as in mfb, with 1e-6 added under both roots.
    Parameters: orders * factor * dim * (v + q + 2).
    Default sizes: dim 1000, factor 5, orders 2.

    Attributes:
        dim: width of each order's output.
        factor: how many products each output sums.
        orders: length of the cascade; `mfb` has one.
        dropout: on the products of each order.
    """

    name: Literal["mfh"] = "mfh"
    dim: Width = 1000
    factor: Rank = 5
    orders: int = Field(default=2, ge=1, le=8)
    dropout: Dropout = 0.1

    @model_validator(mode="after")
    def _check(self) -> MFH:
        _refuse_wide("dim × (factor · orders)", self.dim, self.factor * self.orders)
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.mfb import FactorizedFusion

        sizes = (self.dim, self.factor, self.orders)
        return FactorizedFusion(image_dim, question_dim, *sizes, self.dropout)


class BLOCK(Brick):
    """Tucker's form with a block-superdiagonal core, each block of low rank.

    Both projections are cut into chunks; chunk c of one meets chunk c of the other alone.

    Paper: Ben-younes et al. 2019, BLOCK: bilinear superdiagonal fusion (sizes of the authors' program).
    Formula: z = [n(z₁); n(z₂); …] with z_c = Σᵣ (M₍cᵣ₎ ṽ_c) ⊙ (N₍cᵣ₎ q̃_c), ṽ = A v + a, q̃ = B q + b; n is
        the signed square root, then length one, each with 1e-6 added under its root.
    Parameters: (v + q + 2) * dim + 2 * rank * dim * dim // chunks.
    Default sizes: dim 1600, chunks 20, rank 15.

    Attributes:
        dim: width of both projections and of the output.
        chunks: blocks of the core; they divide `dim`.
        rank: of each slice of a block; no more than `dim` / `chunks`.
        dropout: on both projections.
        normalize: the signed square root and length one, chunk by chunk.
    """

    name: Literal["block"] = "block"
    dim: Width = 1600
    chunks: Rank = 20
    rank: Rank = 15
    dropout: Dropout = 0.0
    normalize: bool = True

    @model_validator(mode="after")
    def _check(self) -> BLOCK:
        if self.dim % self.chunks:
            above = self.dim - self.dim % self.chunks + self.chunks
            near = f"{above - self.chunks} or {above}" if above > self.chunks else f"{above}"
            raise ValueError(
                f"{self.chunks} chunks do not divide dim {self.dim}; a dim of {near} would do"
            )
        size = self.dim // self.chunks
        if self.rank > size:
            raise ValueError(
                f"rank {self.rank}: a chunk of {self.dim} / {self.chunks} = {size} values has"
                f" slices of rank {size} at most"
            )
        _refuse_wide("dim × rank", self.dim, self.rank)
        shape = (self.chunks, size, size, self.rank)
        refuse_large("the core's factor", shape, "lower dim or rank, or use more chunks")
        return self

    def build(self, image_dim: int, question_dim: int) -> Fusion:
        """The module for vectors of these sizes."""
        from vqa.model.fusion.bilinear.block import BLOCKFusion

        return BLOCKFusion(image_dim, question_dim, self)
