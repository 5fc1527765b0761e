"""Pictures of every kind that the formats allow, and the ones that must be refused."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vqa.data.image import ImageLimits, check_image, decode_image
from vqa.errors import DataError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halves(width: int = 40, height: int = 30) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", (width, height), RED)
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


def noise(width: int = 64, height: int = 48) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif_header(frame: int, screen: int = 1) -> bytes:
    """A GIF whose first frame stands far out of its screen, behind a comment."""
    screen_part = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0x80, 0, 0) + bytes(6)
    comment = b"\x21\xfe\x03abc\x00"
    frame_part = b"\x2c" + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\x02\x02\x44\x01\x00;"
    return screen_part + comment + frame_part


def webp_header(kind: bytes, side: int) -> bytes:
    """The first bytes of a WebP file of one of its three kinds."""
    body = {
        b"VP8X": bytes(4) + (side - 1).to_bytes(3, "little") * 2,
        b"VP8L": b"\x2f" + ((side - 1) | (side - 1) << 14).to_bytes(4, "little") + bytes(9),
        b"VP8 ": b"\x30\x01\x00\x9d\x01\x2a" + struct.pack("<HH", side, side) + bytes(4),
    }[kind]
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind):
    data = encoded(halves(), kind)
    info = check_image(data)
    pixels = decode_image(data)
    assert (info.width, info.height) == (40, 30)
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels[15, 5].astype(int) - RED).max() < 30
    assert pixels[15, 35, 2] > 200


def test_result_is_writable():
    pixels = decode_image(encoded(halves()))
    pixels[0, 0] = 7
    assert (pixels[0, 0] == 7).all()


@pytest.mark.parametrize("kind", ["PPM", "ICO", "TGA", "PCX"])
def test_other_formats_are_refused(kind):
    with pytest.raises(DataError, match=r"not a PNG, JPEG.* — convert it"):
        decode_image(encoded(Image.new("RGB", (16, 16)), kind))


@pytest.mark.parametrize("data", [b"hello", b"<svg/>", b"%!PS-Adobe", b"RIFF\0\0\0\0WAVEfmt "])
def test_what_is_no_image_is_refused(data):
    with pytest.raises(DataError, match="not a PNG"):
        check_image(data)


def test_empty_file_is_refused():
    with pytest.raises(DataError, match="empty image file"):
        check_image(b"")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.8])
def test_truncated_file_is_refused(kind, share):
    data = encoded(noise(), kind)
    for refused in (check_image, decode_image):
        with pytest.raises(DataError):
            refused(data[: max(9, int(share * len(data)))])


def test_message_names_the_file():
    with pytest.raises(DataError, match=r"^folder/7\.png: "):
        check_image(encoded(noise())[:900], where="folder/7.png")


@pytest.mark.parametrize(
    "data",
    [
        png_header(60_000, 60_000),
        gif_header(60_000),
        gif_header(2, screen=60_000),
        gif_header(10_000),
        webp_header(b"VP8X", 60_000),
        webp_header(b"VP8L", 16_000),
        webp_header(b"VP8 ", 16_000),
    ],
    ids=["png", "gif frame", "gif screen", "gif between the limits", "vp8x", "vp8l", "vp8"],
)
def test_declared_size_is_refused_before_decoding(data):
    """Neither memory nor Pillow's warning about decompression bombs is spent on it."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(DataError, match=r"declares \d\d,000×\d\d,000 pixels"):
            check_image(data)
    assert not seen


def test_declared_tiff_is_refused():
    data = encoded(Image.new("L", (10, 10)), "TIFF")
    huge = data.replace(
        struct.pack("<HHII", 256, 4, 1, 10), struct.pack("<HHII", 256, 4, 1, 1 << 30)
    )
    huge = huge.replace(
        struct.pack("<HHIHH", 256, 3, 1, 10, 0), struct.pack("<HHII", 256, 4, 1, 1 << 30)
    )
    assert huge != data
    with pytest.raises(DataError, match="declares"):
        check_image(huge)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0)])
def test_image_without_pixels_is_refused(width, height):
    with pytest.raises(DataError):
        check_image(png_header(width, height))


def test_limits():
    data = encoded(halves())
    check_image(data, limits=ImageLimits(pixels=1200, file_bytes=len(data)))
    with pytest.raises(
        DataError, match=r"declares 40×30 pixels, the limit is 1,199.* — scale it down"
    ):
        decode_image(data, limits=ImageLimits(pixels=1199))
    with pytest.raises(DataError, match="bytes, the limit is"):
        decode_image(data, limits=ImageLimits(file_bytes=len(data) - 1))


def test_cmyk():
    data = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG")
    assert np.abs(decode_image(data)[8, 8].astype(int) - RED).max() < 10


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled(kind):
    wide = np.array([[0, 128, 257], [32768, 65534, 65535]], np.uint16)
    pixels = decode_image(encoded(Image.fromarray(wide), kind))
    assert pixels[..., 0].tolist() == [[0, 0, 1], [128, 255, 255]]
    assert (pixels == pixels[..., :1]).all()


def test_sixteen_bits_big_endian():
    """Read as little-endian, 0x0100 would turn into 0x0001."""
    little = encoded(Image.fromarray(np.array([[0x0100, 0xFF00]], np.uint16)), "TIFF")
    expected = decode_image(little)[0, :, 0].tolist()
    big = io.BytesIO()
    Image.frombytes("I;16B", (2, 1), b"\x01\x00\xff\x00").save(big, "TIFF")
    assert decode_image(big.getvalue())[0, :, 0].tolist() == expected == [1, 254]


@pytest.mark.parametrize("mode", ["F", "I"])
def test_thirty_two_bits_are_refused(mode):
    data = encoded(Image.new(mode, (4, 4)), "TIFF")
    for refused in (check_image, decode_image):
        with pytest.raises(DataError, match="32 bits a pixel"):
            refused(data)


@pytest.mark.parametrize("mode", ["1", "L"])
def test_grey_and_one_bit(mode):
    pixels = decode_image(encoded(Image.new(mode, (5, 4), 255)))
    assert pixels.shape == (4, 5, 3)
    assert (pixels == 255).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white(kind):
    image = Image.new("RGBA", (16, 16), (*RED, 255))
    image.paste((0, 0, 0, 0), (8, 0, 16, 16))
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = decode_image(encoded(image, kind, **options))
    assert tuple(pixels[0, 0]) == RED
    assert tuple(pixels[0, 15]) == WHITE


def test_grey_with_alpha_is_laid_on_white():
    pixels = decode_image(encoded(Image.new("LA", (4, 4), (0, 128))))
    assert np.abs(pixels.astype(int) - 127).max() <= 1


@pytest.mark.parametrize("transparency", [1, b"\xff\x00"])
def test_palette_with_transparency(transparency):
    image = Image.new("P", (4, 4), 0)
    image.putpalette([*RED, 0, 0, 255])
    image.putpixel((3, 3), 1)
    pixels = decode_image(encoded(image, transparency=transparency))
    assert tuple(pixels[0, 0]) == RED
    assert tuple(pixels[3, 3]) == WHITE


def test_palette_without_transparency():
    pixels = decode_image(encoded(halves().convert("P", palette=Image.Palette.ADAPTIVE), "GIF"))
    assert tuple(pixels[5, 5]) == RED


def quarters() -> np.ndarray:
    """Four flat quarters of different grey, 32 × 48, so that every turn shows."""
    return np.kron(np.array([[0, 80], [160, 240]], np.uint8), np.ones((16, 24), np.uint8))


# where the stored picture's four corners are seen, and whether the sides change places
TURNS = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"tiffinfo": {0x0112: orientation}} if kind == "TIFF" else {"exif": exif}
    options |= {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(quarters()).convert("RGB"), kind, **options)
    seen = TURNS[orientation](quarters())
    pixels = decode_image(data)[..., 0].astype(int)
    info = check_image(data)
    assert (info.height, info.width) == pixels.shape == seen.shape
    assert np.abs(pixels - seen).max() <= 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_counts_as_upright():
    data = encoded(halves(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode_image(data).shape == (30, 40, 3)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, (0, 255, 0))]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert np.abs(decode_image(data)[8, 8].astype(int) - RED).max() < 10


def test_stretch_brings_to_the_size():
    pixels = decode_image(encoded(halves(40, 30)), size=(12, 20))
    assert pixels.shape == (12, 20, 3)
    assert tuple(pixels[6, 2]) == RED
    assert tuple(pixels[6, 17]) == (0, 0, 255)


def test_fit_keeps_the_ratio_and_adds_grey_margins():
    pixels = decode_image(encoded(halves(40, 20)), size=(40, 40), resize="fit")
    assert (pixels[:10] == 127).all()
    assert (pixels[30:] == 127).all()
    assert tuple(pixels[12, 2]) == RED
    assert tuple(pixels[27, 37]) == (0, 0, 255)


def test_fit_of_a_thin_line():
    assert decode_image(encoded(Image.new("RGB", (900, 1))), size=(8, 8), resize="fit").any()


def test_crop_keeps_the_middle():
    image = Image.new("RGB", (60, 20), RED)
    image.paste((0, 0, 255), (20, 0, 40, 20))
    pixels = decode_image(encoded(image), size=(20, 20), resize="crop")
    assert (pixels == (0, 0, 255)).all()


@pytest.mark.parametrize("resize", ["stretch", "fit", "crop"])
def test_right_size_is_not_resampled(resize):
    image = noise(64, 48)
    pixels = decode_image(encoded(image), size=(48, 64), resize=resize)
    assert (pixels == np.asarray(image)).all()


def test_large_jpeg_looks_the_same_when_decoded_small():
    """JPEGs are decoded at a fraction of their size, which shows in no pixel."""
    waves = np.sin(np.arange(800)[:, None] / 60) * np.cos(np.arange(1200) / 90)
    image = Image.fromarray((127 + 120 * waves).astype(np.uint8)).convert("RGB")
    small = decode_image(encoded(image, "JPEG", quality=95), size=(64, 96)).astype(int)
    whole = decode_image(encoded(image), size=(64, 96)).astype(int)
    assert np.abs(small - whole).max() <= 6


def test_threads_get_the_same_pictures():
    files = [encoded(noise(), kind) for kind in FORMATS] * 8
    alone = [decode_image(data, size=(20, 20)) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: decode_image(data, size=(20, 20)), files))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_pillow_keeps_its_limit():
    before = Image.MAX_IMAGE_PIXELS
    decode_image(encoded(halves()))
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_bytes_never_raise_anything_else(data):
    """Whatever is done to a file, the outcome is a picture or a `DataError`."""
    kind = data.draw(st.sampled_from(FORMATS))
    file = bytearray(encoded(halves(), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DataError):
        assert decode_image(bytes(file)).ndim == 3
