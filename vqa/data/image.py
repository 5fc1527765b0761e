"""Pictures from strangers: read, checked and decoded under limits.

The format is told from the first bytes, never from the file's name, and the size is read from the
header before a single pixel is decoded, so a file that declares 60,000×60,000 costs nothing.
"""

from __future__ import annotations

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from vqa.data.record import ImageInput
from vqa.errors import DataError

Resize = Literal["stretch", "fit", "crop"]

MARGIN = (127, 127, 127)
"""Colour of the margins that `fit` adds."""
ORIENTATION = 0x0112
CONVERT = "convert it, as a HEIC or AVIF picture to JPEG"
UPRIGHT, SIDEWAYS = 1, {5, 6, 7, 8}

FORMATS: tuple[tuple[bytes, type[Any]], ...] = (
    (b"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    (b"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    (b"GIF87a", GifImagePlugin.GifImageFile),
    (b"GIF89a", GifImagePlugin.GifImageFile),
    (b"RIFF", WebPImagePlugin.WebPImageFile),
    (b"BM", BmpImagePlugin.BmpImageFile),
    (b"II*\x00", TiffImagePlugin.TiffImageFile),
    (b"MM\x00*", TiffImagePlugin.TiffImageFile),
)


@dataclass(frozen=True)
class ImageLimits:
    """What one picture may cost.

    Attributes:
        pixels: width times height.
        file_bytes: size of the encoded file.
    """

    pixels: int = 50_000_000
    file_bytes: int = 64 * 1024 * 1024


DEFAULT_LIMITS = ImageLimits()
DIM = 16
"""What the greatest value of 12 bits is of 255, where it is taken for one of 16 bits."""


@dataclass(frozen=True)
class ImageInfo:
    """A picture that decodes: its size as seen (orientation applied) and the hash of its file.

    `dim`: of its 16 bits a pixel the upper four are used nowhere, so that it is seen nearly black.
    """

    width: int
    height: int
    sha256: str
    dim: bool = False


def read_image(image: ImageInput, limits: ImageLimits = DEFAULT_LIMITS) -> bytes:
    """The encoded bytes of `image`.

    Raises:
        DataError: no such file, not a plain file, too large, or outside `image.root`, be it by
            `..` or by a symbolic link.
    """
    if image.data is not None:
        return image.data
    if image.path is None:
        raise DataError("no picture was given")
    path = _inside(image.path, image.root)
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise DataError("not a plain file", where=str(image.path))
        if facts.st_size > limits.file_bytes:
            raise _too_large(facts.st_size, limits, str(image.path))
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError("no such image file", where=str(image.path)) from None
    except (OSError, ValueError) as error:
        raise DataError(f"unreadable ({_os_reason(error)})", where=str(image.path)) from error


def check_image(data: bytes, *, limits: ImageLimits = DEFAULT_LIMITS, where: str = "") -> ImageInfo:
    """Decode the whole of `data` once, as small as its format allows, and tell its size and hash.

    Raises:
        DataError: not a picture, truncated, or beyond `limits`.
    """
    picture = _open(data, limits, where)
    width, height = picture.size
    if _orientation(picture) in SIDEWAYS:
        width, height = height, width
    _draft(picture, (1, 1))
    _load(picture, where)
    seen = _as_rgb(picture, where)
    dim = _is_wide(picture) and 0 < max(high for _, high in seen.getextrema()) <= DIM
    return ImageInfo(width, height, hashlib.sha256(data).hexdigest(), dim)


def decode_image(
    data: bytes,
    *,
    size: tuple[int, int] | None = None,
    resize: Resize = "stretch",
    limits: ImageLimits = DEFAULT_LIMITS,
    where: str = "",
) -> NDArray[np.uint8]:
    """Decode a picture to RGB; uint8 [height, width, 3], writable.

    Orientation from EXIF is applied, transparency laid on white, 16 bits scaled to 8, and of an
    animation the first frame is taken.

    Args:
        data: an encoded PNG, JPEG, WebP, GIF, BMP or TIFF file.
        size: height and width to bring it to; None keeps its own.
        resize: `stretch` ignores the aspect ratio; `fit` keeps it and adds grey margins; `crop`
            keeps it, fills the size and cuts off what stands out at both ends.
        limits: what the picture may cost.
        where: named in messages.

    Raises:
        DataError: not a picture, truncated, or beyond `limits`.
    """
    picture = _open(data, limits, where)
    orientation = _orientation(picture)
    if size is not None:
        side = 2 * max(size)
        _draft(picture, (side, side))
    _load(picture, where)
    rgb = _upright(_as_rgb(picture, where), orientation)
    return np.array(rgb if size is None else _resized(rgb, size, resize), dtype=np.uint8)


def _too_large(count: int, limits: ImageLimits, where: str) -> DataError:
    return DataError(
        f"{count:,} bytes, the limit is {limits.file_bytes:,}",
        where=where,
        fix="scale it down, or save it as JPEG",
    )


def _inside(path: Path, root: Path | None) -> Path:
    """The real place of `path`, refused where it lies outside the real `root`."""
    try:
        real = path.resolve()
        if root is None or real.is_relative_to(root.resolve()):
            return real
    except (OSError, ValueError, RuntimeError) as error:  # a NUL in the name, a loop of links
        raise DataError(
            f"not a usable path ({_os_reason(error)})", where=repr(str(path))
        ) from error
    raise DataError(
        "leads out of the image folder", where=str(path), fix="put the file itself into the folder"
    )


def _open(data: bytes, limits: ImageLimits, where: str) -> Any:
    """Read the header, by the format's own class: `Image.open` would warn of the size."""
    if len(data) > limits.file_bytes:
        raise _too_large(len(data), limits, where)
    if not data:
        raise DataError("empty image file", where=where)
    kind = next((kind for magic, kind in FORMATS if data.startswith(magic)), None)
    if kind is None or (data[:4] == b"RIFF" and data[8:12] != b"WEBP"):
        raise DataError("not a PNG, JPEG, WebP, GIF, BMP or TIFF image", where=where, fix=CONVERT)
    _check_size(_declared(data), limits, where)
    try:
        picture = kind(io.BytesIO(data))
    except Exception as error:  # a broken header raises whatever the format's reader stumbles over
        raise DataError(f"broken image header ({_reason(error)})", where=where) from error
    _check_size(picture.size, limits, where)
    return picture


def _declared(data: bytes) -> tuple[int, int]:
    """What a WebP or GIF header declares, whose readers allocate or warn at once; else (1, 1)."""
    if data.startswith(b"GIF8"):
        return _gif_size(data)
    if data[8:12] != b"WEBP" or len(data) < 30:
        return 1, 1
    if data[12:16] == b"VP8X":
        return 1 + _little(data[24:27]), 1 + _little(data[27:30])
    if data[12:16] == b"VP8L":
        bits = _little(data[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _gif_size(data: bytes) -> tuple[int, int]:
    """The screen of a GIF file, widened to its first frame; a broken one is left to the reader."""
    width, height = _little(data[6:8]), _little(data[8:10])
    try:
        at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
        while data[at] == 0x21:  # an extension: label, then blocks up to an empty one
            at += 2
            while data[at]:
                at += 1 + data[at]
            at += 1
    except IndexError:
        return width, height
    if data[at] == 0x2C:
        left, top, wide, high = (_little(data[at + k : at + k + 2]) for k in (1, 3, 5, 7))
        width, height = max(width, left + wide), max(height, top + high)
    return width, height


def _check_size(size: tuple[int, int], limits: ImageLimits, where: str) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise DataError(f"declares {width}×{height} pixels", where=where)
    if width * height > limits.pixels:
        raise DataError(
            f"declares {width:,}×{height:,} pixels, the limit is {limits.pixels:,} in all",
            where=where,
            fix="scale it down",
        )


def _draft(picture: Any, size: tuple[int, int]) -> None:
    """Let a JPEG decode at a half, a quarter or an eighth, never below `size`."""
    if isinstance(picture, JpegImagePlugin.JpegImageFile):
        picture.draft(None, size)


def _load(picture: Any, where: str) -> None:
    try:
        picture.load()
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, …
        raise DataError(f"truncated or damaged image ({_reason(error)})", where=where) from error


def _os_reason(error: Exception) -> str:
    """What the system says, without the file's name."""
    return getattr(error, "strerror", None) or str(error)


def _reason(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _orientation(picture: Any) -> int:
    """EXIF orientation, 1 to 8; damaged EXIF counts as upright, as viewers show it.

    The TIFF reader turns its pictures itself.
    """
    if isinstance(picture, TiffImagePlugin.TiffImageFile):
        return UPRIGHT
    try:
        value = picture.getexif().get(ORIENTATION, UPRIGHT)
    except Exception:
        return UPRIGHT
    return value if value in range(1, 9) else UPRIGHT


def _upright(rgb: Image.Image, orientation: int) -> Image.Image:
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return rgb if turn is None else rgb.transpose(turn)


def _is_wide(picture: Any) -> bool:
    mode: str = picture.mode
    return mode.startswith("I;16") or (mode == "I" and picture.format == "PNG")


def _eight_bits(picture: Any, where: str) -> Image.Image:
    """Scale 16 bits a pixel to 8; refuse 32, whose range the file does not tell."""
    if _is_wide(picture):
        wide = np.asarray(picture).astype(np.uint32)
        return Image.fromarray(((wide * 255 + 32767) // 65535).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise DataError("32 bits a pixel without a range", where=where, fix="convert it to 8 bits")
    return picture


def _as_rgb(picture: Any, where: str) -> Image.Image:
    try:
        return _on_white(_eight_bits(picture, where))
    except (OSError, ValueError, MemoryError) as error:
        raise DataError(f"cannot be turned into RGB ({_reason(error)})", where=where) from error


def _on_white(picture: Image.Image) -> Image.Image:
    """RGB, with what is transparent shown on white."""
    if not picture.has_transparency_data:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    layer = picture.convert("RGBA")
    canvas = Image.new("RGBA", layer.size, "white")
    canvas.alpha_composite(layer)
    return canvas.convert("RGB")


def _resized(rgb: Image.Image, size: tuple[int, int], resize: Resize) -> Image.Image:
    """Bring to `size` (height, width); bicubic, which averages where it makes smaller."""
    height, width = size
    if rgb.size == (width, height):
        return rgb
    if resize == "stretch":
        return rgb.resize((width, height), Image.Resampling.BICUBIC)
    if resize == "crop":
        return ImageOps.fit(rgb, (width, height), Image.Resampling.BICUBIC)
    scale = min(width / rgb.width, height / rgb.height)
    inner = max(1, round(rgb.width * scale)), max(1, round(rgb.height * scale))
    canvas = Image.new("RGB", (width, height), MARGIN)
    place = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas.paste(rgb.resize(inner, Image.Resampling.BICUBIC), place)
    return canvas


def encode_image(picture: Image.Image, *, where: str = "") -> bytes:
    """A Pillow image as a PNG file that decodes as the file would from which it was opened.

    Raises:
        DataError: truncated, or of a kind that has no RGB.
    """
    orientation = _orientation(picture)
    _load(picture, where)
    return png(_upright(_as_rgb(picture, where), orientation))


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()
