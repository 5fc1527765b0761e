"""Image encoders: how a picture becomes a grid of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from vqa.model.brick import Brick, LearningRate, Width, from_name

if TYPE_CHECKING:
    from vqa.model.parts import ImageEncoder

Stride = Annotated[int, Field(ge=1, le=8)]
Several = Field(min_length=1, max_length=8)
StageNames = str | Annotated[tuple[str, ...], Several]
StageNumbers = int | Annotated[tuple[int, ...], Several]
BOX_VALUES = 6
"""A region's x1, y1, x2, y2, width and height."""


class NoImage(Brick):
    """The picture is not looked at: one constant vector. The question-only baseline."""

    name: Literal["none"] = "none"

    def build(self, image_size: tuple[int, int], *, pretrained: bool = True) -> ImageEncoder:
        """The module; it takes pictures of any size."""
        from vqa.model.image_encoder.none import ConstantImage

        del image_size, pretrained
        return ConstantImage()


class Small(Brick):
    """A small CNN for small pictures, trained from scratch: convolution, batch norm, ReLU a stage.

    Attributes:
        channels: of each stage.
        strides: by how much each stage shrinks the picture.
        kernel: side of the convolutions, odd.
        downsample: shrink by the convolution's `stride`, or by max-`pool`ing after it.
        weights: `none`, or a local file with a state dict of the same encoder, such as an exported model's
            `weights.safetensors`.
        frozen: keep the weights as they are, batch-norm statistics included.
    """

    name: Literal["small"] = "small"
    channels: tuple[Width, ...] = Field(default=(32, 64, 128, 128), min_length=1, max_length=16)
    strides: tuple[Stride, ...] = (2, 2, 2, 2)
    kernel: Literal[1, 3, 5, 7] = 3
    downsample: Literal["stride", "pool"] = "stride"
    weights: str = Field(default="none", min_length=1)
    frozen: bool = False

    @model_validator(mode="after")
    def _check(self) -> Small:
        if len(self.strides) != len(self.channels):
            raise ValueError(
                f"{len(self.channels)} channels and {len(self.strides)} strides:"
                " give one of each a stage"
            )
        return self

    def build(self, image_size: tuple[int, int], *, pretrained: bool = True) -> ImageEncoder:
        """The module for pictures of this height and width.

        Raises:
            ModelError: the weights cannot be read, or do not fit.
        """
        from vqa.model.image_encoder.small import SmallCNN, load_small

        pool = self.downsample == "pool"
        encoder = SmallCNN(
            image_size, self.channels, self.strides, self.kernel, pool, frozen=self.frozen
        )
        if pretrained and self.weights != "none":
            load_small(encoder, self.weights)
        return encoder


class Library(Brick):
    """What the encoders that libraries bring share.

    Attributes:
        frozen: keep the weights as they are, batch-norm statistics included.
        lr: its own learning rate.
        normalize: scale each position's vector to length one ("norm I" in Antol et al. 2015).
    """

    name: str
    model: str = Field(min_length=1)
    frozen: bool = False
    lr: LearningRate | None = None
    normalize: bool = False

    @model_validator(mode="after")
    def _check(self) -> Library:
        if self.frozen and self.lr is not None:
            raise ValueError("a frozen encoder has no learning rate: drop `lr` or `frozen`")
        return self


class TorchVision(Library):
    """Any CNN of torchvision by its name, up to any of its stages.

    Paper: the named model's own; by default He et al. 2016, Deep residual learning for image recognition.

    Attributes:
        model: `resnet50`, `vgg16`, `googlenet`, `densenet121`, `convnext_tiny`, …
        weights: `none`, the name of torchvision's weights (`DEFAULT`, `IMAGENET1K_V1`), or a local
            file (`.pth`, `.pt`, `.safetensors`) with a state dict of the same model.
        stage: the node whose output is the grid, by its name in
            `torchvision.models.feature_extraction`; by default the last grid before pooling. Of several,
            the others are resized to the first one's grid, and the channels stand side by side.
        frozen: keep the weights as they are, batch-norm statistics included.
        lr: its own learning rate.
        normalize: scale each position's vector to length one ("norm I" in Antol et al. 2015).
    """

    name: Literal["torchvision"] = "torchvision"
    model: str = Field(default="resnet18", pattern=r"^[A-Za-z0-9_.]+$")
    weights: str = Field(default="none", min_length=1)
    stage: StageNames | None = None

    def build(self, image_size: tuple[int, int], *, pretrained: bool = True) -> ImageEncoder:
        """The module for pictures of this height and width.

        Args:
            image_size: height and width, in pixels.
            pretrained: False leaves the weights to a state dict that is loaded afterwards.

        Raises:
            ModelError: no such model, stage or weights, or they do not fit.
        """
        from vqa.model.image_encoder.torchvision import TorchVisionCNN

        return TorchVisionCNN(self, image_size, pretrained=pretrained)


class Backbone(Library):
    """Any backbone of `transformers` (ResNet, Swin, DINOv2, …) or vision transformer (ViT, DeiT, CLIP, SigLIP, …).

    Of a vision transformer the grid is its patch tokens, without class and register tokens: the library's last hidden
    state, with the final norm where the library applies one (of CLIP it does not). Position embeddings are interpolated
    to other picture sizes where the model can. Of a model that reads texts, too, the half that sees is taken.

    Paper: the named model's own; by default He et al. 2016, Deep residual learning for image recognition.

    Attributes:
        model: a local folder with configuration and weights, a name on Hugging Face's hub, or a kind
            (`resnet`, `swin`, `vit`, `clip`, …) with random weights.
        settings: of that kind's configuration, such as {depths: [2, 2, 2, 2]}; for a kind alone.
        stage: which stage's output is the grid: `stage3`, …; by default the last. A vision transformer's stages are its
            layers, `stem` what goes into the first. Of several, the others are resized to the first one's grid, and the
            channels stand side by side.
        frozen: keep the weights as they are, batch-norm statistics included.
        lr: its own learning rate.
        normalize: scale each position's vector to length one.
    """

    name: Literal["backbone"] = "backbone"
    model: str = Field(default="resnet", min_length=1)
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    stage: StageNames | None = None

    def build(self, image_size: tuple[int, int], *, pretrained: bool = True) -> ImageEncoder:
        """The module for pictures of this height and width.

        Args:
            image_size: height and width, in pixels.
            pretrained: False reads the configuration alone and leaves the weights to a state dict.

        Raises:
            ModelError: no such model or stage, or they do not fit.
        """
        from vqa.model.image_encoder.backbone import TransformersBackbone

        return TransformersBackbone(self, image_size, pretrained=pretrained)


class Timm(Library):
    """Any model of timm by its name, up to any of its stages; timm is an optional extra.

    Paper: the named model's own; by default He et al. 2016, Deep residual learning for image recognition.

    Attributes:
        model: `resnet50`, `convnext_tiny`, `vit_base_patch16_224`, …
        weights: `none`, `pretrained` (from Hugging Face's hub), or a local file with a state dict of the
            same model.
        stage: which of the intermediate grids, counted from 0 or, negative, from the last. Of several, the
            others are resized to the first one's grid, and the channels stand side by side.
        frozen: keep the weights as they are, batch-norm statistics included.
        lr: its own learning rate.
        normalize: scale each position's vector to length one.
    """

    name: Literal["timm"] = "timm"
    model: str = Field(default="resnet18", pattern=r"^[A-Za-z0-9_.]+$")
    weights: str = Field(default="none", min_length=1)
    stage: StageNumbers = -1

    def build(self, image_size: tuple[int, int], *, pretrained: bool = True) -> ImageEncoder:
        """The module for pictures of this height and width.

        Args:
            image_size: height and width, in pixels.
            pretrained: False leaves the weights to a state dict that is loaded afterwards.

        Raises:
            ModelError: timm is not installed; no such model, stage or weights, or they do not fit.
        """
        from vqa.model.image_encoder.timm import TimmBackbone

        return TimmBackbone(self, image_size, pretrained=pretrained)


class Regions(Brick):
    """Regions that a detector found, brought in by `vqa prepare regions`: no picture is looked at here.

    They are a set: what needs neighbours (attention=film) or places on a grid (coordinates, octaves) is refused. They
    learn nothing and count as frozen.

    Paper: Anderson et al. 2018, Bottom-up and top-down attention for image captioning and visual question answering.

    Attributes:
        source: the name that the features were brought in under.
        count: regions a picture.
        dim: values of each region's features.
        boxes: put each region's x1, y1, x2, y2, width and height, as shares of the picture, behind its features.
        normalize: scale each region's features to length one.
    """

    name: Literal["regions"] = "regions"
    source: str = Field(default="bottom-up", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    count: int = Field(default=36, ge=1, le=1000)
    dim: Width = 2048
    boxes: bool = False
    normalize: bool = False

    @property
    def channels(self) -> int:
        """Values of each region in the network."""
        return self.dim + BOX_VALUES * self.boxes

    def build(self, image_size: tuple[int, int], *, pretrained: bool = True) -> ImageEncoder:
        """The module; it takes rows as they were brought in."""
        from vqa.model.image_encoder.regions import RegionFeatures

        del image_size, pretrained
        return RegionFeatures(self)


AnyImageEncoder = Annotated[
    NoImage | Small | TorchVision | Backbone | Timm | Regions,
    Field(discriminator="name"),
    BeforeValidator(from_name),
]
