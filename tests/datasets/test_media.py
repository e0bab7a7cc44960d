from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from isomorph.datasets._media import read_audio, read_image
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


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
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
    with pytest.raises(InputError, match=r"Cannot read .*gone\.png as an image: No such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(InputError, match="Cannot read item 7 as an image"):
        read_image(b"", name="item 7")


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
