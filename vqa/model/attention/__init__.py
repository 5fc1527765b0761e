"""Attentions: how a grid of vectors becomes one vector in the light of a question.

An attention may also read the question's words and give a question vector (co-attention), or work the question
into the image vector so thoroughly that nothing need be fused (relation network, FiLM; see fusion=image).
In the docstrings v is a position's vector and its width, q the question vector and its width; "Parameters" is as in the
fusions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from vqa.model.brick import Activation, Brick, Dropout, Width, Widths, from_name, refuse_large

if TYPE_CHECKING:
    from vqa.model.parts import Attention


class NoAttention(Brick):
    """The grid without regard to the question.

    Attributes:
        pool: `mean` over the positions, or `flatten`: all of them side by side.
    """

    name: Literal["none"] = "none"
    pool: Literal["mean", "flatten"] = "mean"

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of this many vectors of this size."""
        from vqa.model.attention.none import FlattenedGrid, GridMean

        del question_dim
        if self.pool == "mean":
            return GridMean(image_dim)
        return FlattenedGrid(image_dim, grid)


class Glimpses(Brick):
    """What soft and hard attention share: a score of each position for each glimpse.

    Attributes:
        glimpses: independent sets of weights; their vectors stand side by side.
        hidden: width in which grid and question meet.
        meeting: they are added and then activated, or activated and then multiplied.
        activation: of the meeting.
        dropout: on what the scores are computed from.
        grid_dropout: on the grid that the scores are computed from, one mask an image; what is averaged keeps it all.
    """

    name: str
    glimpses: int = Field(default=1, ge=1, le=64)
    hidden: Width = 256
    meeting: Literal["sum", "product"] = "sum"
    activation: Activation = "relu"
    dropout: Dropout = 0.0
    grid_dropout: Dropout = 0.0


class Soft(Glimpses):
    """Soft spatial attention: a weighted mean of the grid for each glimpse.

    Paper: Xu et al. 2015, Show, attend and tell; Kazemi and Elqursh 2017, Show, ask, attend, and answer.
    Formula: sᵍₚ = wᵍ · f(A vₚ + B q + b), or wᵍ · (f(A vₚ) ⊙ f(B q + b)); α = softmax over p; Σₚ αᵍₚ vₚ side by side.
    Parameters: (v + q + 1 + glimpses) * hidden + 2 * v * glimpses * batch_norm.
    Default sizes: glimpses 1, hidden 256.

    Attributes:
        glimpses: independent sets of weights; their means stand side by side.
        hidden: width in which grid and question meet.
        meeting: they are added and then activated, or activated and then multiplied.
        activation: of the meeting.
        dropout, grid_dropout: on what the scores are computed from, and on the grid before that.
        batch_norm: normalise the weighted means before they are fused.
    """

    name: Literal["soft"] = "soft"
    batch_norm: bool = False

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size."""
        from vqa.model.attention.soft import SoftAttention

        del grid
        return SoftAttention(image_dim, question_dim, self)


class Hard(Glimpses):
    """Hard attention: the vector of one position, sampled in training, the likeliest in evaluation.

    Paper: Xu et al. 2015, Show, attend and tell (REINFORCE); Jang et al. 2017, Categorical reparameterization
        with Gumbel-softmax.
    Formula: scores as in soft; one position p ~ softmax(s) for each glimpse, and its vₚ.
    Parameters: (v + q + 1 + glimpses) * hidden.
    Default sizes: glimpses 1, hidden 256.

    Attributes:
        glimpses: independent looks; their vectors stand side by side.
        hidden: width in which grid and question meet.
        meeting: they are added and then activated, or activated and then multiplied.
        activation: of the meeting.
        dropout, grid_dropout: on what the scores are computed from, and on the grid before that.
        estimator: `reinforce` learns where to look from the loss's value beside a moving baseline,
            `straight-through` from the gradient that a soft sample would have.
        baseline_momentum: of the moving mean of the loss (`reinforce`).
        entropy: how much is gained by looking evenly (`reinforce`).
        temperature: of the soft sample; lower is nearer to the hard one (`straight-through`).
    """

    name: Literal["hard"] = "hard"
    estimator: Literal["reinforce", "straight-through"] = "straight-through"
    baseline_momentum: float = Field(default=0.9, ge=0, lt=1)
    entropy: float = Field(default=0.01, ge=0, le=100)
    temperature: float = Field(default=1.0, gt=0, le=100)

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size."""
        from vqa.model.attention.hard import HardAttention

        del grid
        return HardAttention(image_dim, question_dim, self)


class Stacked(Brick):
    """Stacked attention: each hop refines the query that the next one uses.

    Paper: Yang et al. 2016, Stacked attention networks for image question answering.
    Formula: gₚ = tanh(A vₚ + a), u₀ = B q + b or, where it is as wide, q; uₖ = uₖ₋₁ + Σₚ αₚ gₚ with
        α = softmax(w · tanh(C gₚ + D uₖ₋₁ + d)).
    Parameters: (v + 1) * dim + (q + 1) * dim * (q != dim) + hops * (2 * dim + 2) * hidden.
    Default sizes: hops 2, dim 256, hidden 256.

    Attributes:
        hops: how many times it looks.
        dim: width of the query; grid and question are brought to it.
        hidden: width in which grid and query meet.
        dropout: on what the scores are computed from.
    """

    name: Literal["stacked"] = "stacked"
    hops: int = Field(default=2, ge=1, le=16)
    dim: Width = 256
    hidden: Width = 256
    dropout: Dropout = 0.0

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size."""
        from vqa.model.attention.stacked import StackedAttention

        del grid
        return StackedAttention(
            image_dim, question_dim, self.hops, self.dim, self.hidden, self.dropout
        )


class MultiHead(Brick):
    """Multi-head scaled dot-product attention: the question asks, the grid's positions answer.

    Paper: Vaswani et al. 2017, Attention is all you need.
    Formula: z = W [α₁ V₁; α₂ V₂; …] + w, each α = softmax(q′ · K / √d) over the positions.
    Parameters: (v + q + 1) * dim + (v + 1) * dim + (dim + 1) * dim.
    Default sizes: heads 8, dim 512.

    Attributes:
        heads: independent looks, each with its own projections.
        dim: width of all heads together, and of the vector.
        dropout: on the weights.
    """

    name: Literal["multi_head"] = "multi_head"
    heads: int = Field(default=8, ge=1, le=64)
    dim: Width = 512
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _check(self) -> MultiHead:
        if self.dim % self.heads:
            raise ValueError(f"{self.heads} heads do not divide dim {self.dim}")
        return self

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size."""
        from vqa.model.attention.multi_head import MultiHeadAttention

        del grid
        return MultiHeadAttention(image_dim, question_dim, self.heads, self.dim, self.dropout)


class CoAttention(Brick):
    """Question-guided co-attention: over the grid in the light of the words, and over the words of the grid.

    It gives a question vector too, which is fused in place of the question encoder's.

    Paper: Lu et al. 2016, Hierarchical question-image co-attention (one of its levels).
    Formula: C = tanh(Q W Vᵀ), Hᵥ = tanh(V A + Cᵀ Q B), H_q = tanh(Q B + C V A), a = softmax(H w) of each (parallel);
        q₀ = att(Q), v′ = att(V; q₀), q′ = att(Q; v′) with att(X; g) = Σ a x, a = softmax(tanh(X A + g B) w),
        each time its own A, B and w, and at first no g B (alternating).
    Parameters: v * q + (v + q + 2) * hidden if order == 'parallel' else (2 * v + 3 * q + 3) * hidden.
    Default sizes: hidden 512.

    Attributes:
        order: `parallel` compares every word with every position; `alternating` sums up the question, looks at
            the picture, and reads the question again.
        hidden: width in which they meet.
        dropout: on what the scores are computed from.
    """

    name: Literal["co_attention"] = "co_attention"
    order: Literal["parallel", "alternating"] = "parallel"
    hidden: Width = 512
    dropout: Dropout = 0.0

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of vectors of this size, and words of `question_dim` values."""
        from vqa.model.attention.co_attention import AlternatingCoAttention, ParallelCoAttention

        del grid
        kind = ParallelCoAttention if self.order == "parallel" else AlternatingCoAttention
        return kind(image_dim, question_dim, self.hidden, self.dropout)


class Relation(Brick):
    """Relation network: every pair of positions is read with the question, and the readings are added.

    As published: fusion=image, `coordinates`, and a classifier with hidden layers.

    Paper: Santoro et al. 2017, A simple neural network module for relational reasoning (CLEVR's sizes).
    Formula: z = Σᵢⱼ g([vᵢ; vⱼ; q]).
    Parameters: (2 * v + q + 1) * hidden[0] + sum((i + 1) * o for i, o in pairwise(hidden)).
    Default sizes: hidden [256, 256, 256, 256].

    Attributes:
        hidden: widths of the layers that read a pair.
        dropout: before each layer after the first; behind the first where there is no other.
        ordered: read a pair both ways, as published; or once, for half of the work.
        normalize: bring the sum to mean 0 and variance 1 (with `model.initialization=he`, else it drowns the head).
    """

    name: Literal["relation"] = "relation"
    ordered: bool = True
    normalize: bool = False
    hidden: Widths = Field(default=(256, 256, 256, 256), min_length=1, max_length=16)
    dropout: Dropout = 0.0

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of this many vectors of this size.

        Raises:
            ModelError: there are more pairs than memory would hold.
        """
        from vqa.model.attention.relation import RelationNetwork

        return RelationNetwork(
            image_dim,
            grid,
            question_dim,
            self.hidden,
            self.dropout,
            ordered=self.ordered,
            normalize=self.normalize,
        )


class FiLM(Brick):
    """Convolutions over the grid whose every channel the question scales and shifts; then the maximum.

    As published: fusion=image and a classifier with one hidden layer of 1024.

    Paper: Perez et al. 2018, FiLM: visual reasoning with a general conditioning layer.
    Formula: x ← x + ReLU((1 + γ) ⊙ BN(conv₃ₓ₃(x)) + β), x = ReLU(conv₁ₓ₁(x)) before; (γ, β) = W q + w.
    Parameters: (9 * v + 2) * dim + blocks * ((10 * dim + 2 * coordinates + 1) * dim + (q + 1) * 2 * dim)
        + (dim + 2 * coordinates + 1) * out.
    Default sizes: blocks 4, dim 128, out 512.

    Attributes:
        blocks: residual blocks, each conditioned on the question.
        dim: their channels.
        out: width of the vector, a convolution and a maximum over the positions later.
        coordinates: give each block the positions' x and y.
    """

    name: Literal["film"] = "film"
    blocks: int = Field(default=4, ge=1, le=64)
    dim: Width = 128
    out: Width = 512
    coordinates: bool = True

    @model_validator(mode="after")
    def _check(self) -> FiLM:
        refuse_large("a block's convolution", (self.dim, self.dim, 3, 3), "lower dim")
        return self

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of this many vectors of this size."""
        from vqa.model.attention.film import FiLMNetwork

        return FiLMNetwork(image_dim, grid, question_dim, self)


class ConvGRU(Brick):
    """A map over the grid that each word changes in turn, every position hearing of its neighbours; then the maximum.

    It reads the words themselves, so what it has learnt of one holds wherever the word stands: with
    question_encoder=bag they are word vectors, with a recurrent one its states. fusion=image.

    Paper: Liu et al. 2017, Recurrent multimodal interaction for referring image segmentation (a convolutional LSTM of
        1×1 over words); Ballas et al. 2016, Delving deeper into convolutional networks (the gated unit).
    Formula: hₜ = GRU((A vₚ + a) ⊙ (B wₜ + b), conv(hₜ₋₁)) at each p; the maximum over p of the last.
    Parameters: (v + q + 2) * hidden + (hidden + 1) * 3 * dim + (kernel ** 2 * dim + 1) * 3 * dim.
    Default sizes: dim 64, hidden 64, kernel 3.

    Attributes:
        dim: channels of the map, and width of the vector.
        hidden: width in which a word meets a position.
        kernel: side of the convolution that brings the neighbours' news, odd; the paper's is 1.
        dropout: on what a word makes of a position.
    """

    name: Literal["conv_gru"] = "conv_gru"
    dim: Width = 64
    hidden: Width = 64
    kernel: Literal[1, 3, 5, 7] = 3
    dropout: Dropout = 0.0

    @model_validator(mode="after")
    def _check(self) -> ConvGRU:
        weights = (3 * self.dim, self.dim, self.kernel, self.kernel)
        refuse_large("the cell's convolution", weights, "lower dim or kernel")
        return self

    def build(self, image_dim: int, grid: tuple[int, int], question_dim: int) -> Attention:
        """The module for a grid of this many vectors of this size, and words of `question_dim` values."""
        from vqa.model.attention.conv_gru import ConvGRUAttention

        return ConvGRUAttention(image_dim, grid, question_dim, self)


AnyAttention = Annotated[
    NoAttention | Soft | Hard | Stacked | MultiHead | CoAttention | Relation | FiLM | ConvGRU,
    Field(discriminator="name"),
    BeforeValidator(from_name),
]
