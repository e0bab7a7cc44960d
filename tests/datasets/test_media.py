from __future__ import annotations

import io
import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import EpsImagePlugin, Image, ImageFile, features

from isomorph.datasets import _media
from isomorph.datasets._media import FORMATS, IMAGE_SUFFIXES, MAX_PIXELS, read_audio, read_image
from isomorph.datasets.table import Table
from isomorph.errors import InputError

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def test_an_image_is_read_from_a_path_and_from_bytes(tmp_path: Path) -> None:
    path = tmp_path / "größe 📷.png"
    path.write_bytes(encoded(Image.fromarray(NOISE)))
    for source in (path, str(path), path.read_bytes()):
        image = read_image(source)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, NOISE)


def test_transparency_is_composited_on_white() -> None:
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [0, 0, 0, 128]]], np.uint8)
    image = read_image(encoded(Image.fromarray(pixels)))
    np.testing.assert_array_equal(image[0, :2], [[255, 0, 0], [255, 255, 255]])
    np.testing.assert_allclose(image[0, 2], 127, atol=1)


def test_a_palette_with_transparency_is_composited_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putdata([0, 1])
    np.testing.assert_array_equal(read_image(encoded(image, transparency=1)), [[[10, 20, 30], [255, 255, 255]]])


def test_16_bit_greys_are_scaled_and_not_clipped() -> None:
    grey = np.array([[0, 257 * 100, 65535]], np.uint16)
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(grey)))[0, :, 0], [0, 100, 255])


def test_floating_point_pixels_are_refused() -> None:
    with pytest.raises(InputError, match="32-bit pixel values"):
        read_image(encoded(Image.fromarray(np.zeros((2, 2), np.float32)), "TIFF"))


def test_the_orientation_that_a_camera_wrote_down_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is at its right
    turned = read_image(encoded(Image.fromarray(NOISE), "PNG", exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(NOISE, -1))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_a_truncated_image_is_named(tmp_path: Path, format: str) -> None:
    path = tmp_path / "cut.img"
    whole = encoded(Image.fromarray(NOISE), format)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"Cannot read .*cut\.img as an image"):
        read_image(path)


def test_a_file_that_is_no_image_or_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match=r"Cannot read .*text\.png as an image: cannot identify"):
        read_image(tmp_path / "text.png")
    with pytest.raises(InputError, match=r"Cannot read the image .*gone\.png: No such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="Cannot read item 7 as an image"):
        read_image(b"", name="item 7")


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"


def programs() -> dict[str, bytes]:
    pdf = encoded(Image.fromarray(NOISE), "PDF")
    return {"PostScript": POSTSCRIPT, "PDF": pdf, "dos": b"\xc5\xd0\xd3\xc6" + struct.pack("<I", 30) + POSTSCRIPT}


@pytest.mark.parametrize("what", programs())
def test_a_picture_that_is_a_program_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def started(*args: object, **kwargs: object) -> None:
        pytest.fail("an outside program was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    monkeypatch.setattr(subprocess, "Popen", started)
    path = tmp_path / "e.png"
    path.write_bytes(programs()[what])
    for source in (path, path.read_bytes()):
        with pytest.raises(InputError, match="as an image: cannot identify it as one of PNG, JPEG"):
            read_image(source, name="e.png")
    (tmp_path / "e.csv").write_text("id,image\na b,e.png\n")
    view = Table(path=str(tmp_path / "e.csv")).load().views["image"]
    with pytest.raises(InputError, match=r"^Item 'a b': Cannot read .*e\.png as an image"):
        view[0]
    with pytest.raises(InputError, match=r"^Item 'a b': Cannot read"):
        view.take([0])[0:1]
    with pytest.raises(InputError, match=r"item 'a b', column 'image': Cannot read .*e\.png as an image"):
        Table(path=str(tmp_path / "e.csv"), skip_bad=True).load()


@pytest.mark.parametrize("format", ["ICO", "TGA", "PCX", "PDF", "EPS"])
def test_other_formats_are_refused_and_the_readable_ones_named(format: str) -> None:
    with pytest.raises(InputError, match="cannot identify it as one of PNG, JPEG, WEBP, GIF, BMP, TIFF, PPM"):
        read_image(encoded(Image.fromarray(NOISE), format))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG", "AVIF", "MPO"])
def test_every_format_of_pictures_is_read_whatever_the_file_is_called(tmp_path: Path, format: str) -> None:
    if format == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(Image.fromarray(NOISE), format, **({"lossless": True} if format == "WEBP" else {})))
    image = read_image(path)
    assert image.shape == NOISE.shape
    if format in ("PNG", "WEBP", "BMP", "TIFF", "PPM"):
        np.testing.assert_array_equal(image, NOISE)


def test_every_ending_that_is_taken_for_a_picture_is_of_a_format_that_is_read() -> None:
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in IMAGE_SUFFIXES if suffix in Image.EXTENSION} <= set(FORMATS)


def test_of_an_animation_the_first_frame_is_taken() -> None:
    frames = [Image.new("RGB", (4, 3), color) for color in ("red", "blue")]
    for format, options in (("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        whole = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        assert Image.open(io.BytesIO(whole)).n_frames == 2
        assert read_image(whole).tolist() == [[[255, 0, 0]] * 4] * 3


def png_of_size(width: int, height: int) -> bytes:
    """The head of a huge picture, and a few rows of it."""
    whole = bytearray(encoded(Image.new("L", (8, 8))))
    whole[16:24] = struct.pack(">II", width, height)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


def heads(width: int, height: int) -> dict[str, bytes]:
    bmp = bytearray(encoded(Image.new("L", (8, 8)), "BMP"))
    bmp[18:26] = struct.pack("<ii", width, height)
    gif = bytearray(encoded(Image.new("L", (8, 8)), "GIF"))
    at = gif.index(b",\0\0\0\0")
    gif[at + 5 : at + 9] = struct.pack(
        "<HH", min(width, 65535), min(height, 65535)
    )  # the frame, larger than the screen
    return {
        "PNG": png_of_size(width, height), "BMP": bytes(bmp), "GIF": bytes(gif),
        "PPM": b"P6 %d %d 255\n" % (width, height) + b"\0" * 50,
    }  # fmt: skip


@pytest.mark.parametrize("size", [(8193, 8192), (9000, 10000), (60000, 60000)])
@pytest.mark.parametrize("format", ["PNG", "BMP", "GIF", "PPM"])
# of pictures of more than 89 megapixels Pillow itself warns
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_head(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, size: tuple[int, int]
) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    path = tmp_path / "bomb.png"
    path.write_bytes(heads(*size)[format])
    with pytest.raises(
        InputError, match=rf"bomb\.png is too large: .*at most {MAX_PIXELS:,} pixels are read.*Scale it down"
    ):
        read_image(path)


def test_the_bound_itself_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_media, "MAX_PIXELS", NOISE.shape[0] * NOISE.shape[1])
    np.testing.assert_array_equal(read_image(encoded(Image.fromarray(NOISE))), NOISE)
    monkeypatch.setattr(_media, "MAX_PIXELS", NOISE.shape[0] * NOISE.shape[1] - 1)
    with pytest.raises(InputError, match="30 × 40 pixels"):
        read_image(encoded(Image.fromarray(NOISE)))


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path, Path("/dev/zero")):
        with pytest.raises(InputError, match="only regular files are read"):
            read_image(path)
    for path in ("a" * 5000, "a\0b"):
        with pytest.raises(InputError, match=r"Cannot read|must be the path"):
            read_image(path)


def test_16_bit_greys_are_rounded_to_the_nearest() -> None:
    grey = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    image = read_image(encoded(Image.fromarray(grey)))
    np.testing.assert_array_equal(image[:, :, 2], np.round(grey / 257).astype(np.uint8))


def tone(n: int = 4000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(n) / 7)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_a_recording_is_read_at_its_own_rate(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tone{suffix}"
    soundfile.write(path, tone(), 11025, subtype="PCM_16")
    audio = read_audio(path)
    assert audio.rate == 11025
    assert audio.samples.dtype == np.float32
    np.testing.assert_allclose(audio.samples, tone(), atol=1e-4)


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "two.wav", np.stack([tone(), -0.5 * tone()], axis=1), 8000, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "two.wav").samples, 0.25 * tone(), atol=1e-7)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("share", [0.02, 0.6, 0.9])
def test_a_truncated_recording_is_named(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    soundfile.write(path, tone(40000), 22050)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError, match=rf"cut\{suffix}"):
        read_audio(path)


def test_a_wav_that_was_streamed_with_an_unknown_length_is_read(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    soundfile.write(path, tone(), 8000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(content)
    assert len(read_audio(path).samples) == 4000


def test_an_empty_unreadable_or_missing_recording_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    (tmp_path / "text.wav").write_text("no sound")
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan], np.float32), 8000, subtype="FLOAT")
    for name, message in [
        ("empty.wav", "is empty"),
        ("text.wav", "Cannot read"),
        ("gone.wav", "Cannot read"),
        ("nan.wav", "non-finite"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            read_audio(tmp_path / name)
        assert name in str(caught.value)
