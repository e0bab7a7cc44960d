"""Image and audio files to arrays; whatever cannot be read gets an error that names the file."""

from __future__ import annotations

import io
import re
import struct
from typing import Any, BinaryIO

import numpy as np

from .._core.files import regular
from ..errors import InputError, MissingExtraError
from ._views import Audio

MAX_PIXELS = 2**26
"""Largest picture that is read, 67 megapixels (8192 × 8192): decoding and converting one takes up to 1 GB."""

_TOO_LARGE = (
    f"The image {{}} is too large: {{}}, and at most {MAX_PIXELS:,} pixels are read, since decoding takes that memory. "
    "Scale it down first, or leave it out."
)
# What Pillow may decode: pictures only, nothing that starts a program (PostScript) or reads another file
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".avif")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")


def read_image(source: Any, name: str = "the image") -> np.ndarray[Any, Any]:
    """Decode an image to uint8 RGB of shape (h, w, 3).

    Transparent pixels are composited on white, the EXIF orientation is applied, 16-bit greys are scaled to 8 bits,
    and of an animation the first frame is taken. What is read is told by the content, whatever the file is called: one
    of `FORMATS`, of at most `MAX_PIXELS`, which is seen in the file's head before anything is decoded.

    Args:
        source: A path, or the bytes of an image file.
        name: What to call it in messages when bytes are given.

    Raises:
        InputError: if it cannot be read, is of no such format, too large, truncated, or holds floating-point or 32-bit
            values.
        MissingExtraError: if Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("Reading images", "Pillow", "data") from error

    is_bytes = isinstance(source, bytes | bytearray | memoryview)
    where = name if is_bytes else str(source)
    Image.init()  # makes all formats known; unknown ones cannot be asked for
    formats = [f for f in FORMATS if f in Image.OPEN]
    try:
        if not is_bytes:
            regular(source, "the image")
        with Image.open(io.BytesIO(source) if is_bytes else source, formats=formats) as image:
            _refuse_large(image, where)
            image.load()
            return _to_rgb(ImageOps.exif_transpose(image), where)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(
            f"Cannot read {where} as an image: cannot identify it as one of {', '.join(formats)}. "
            "Repair, convert or leave it out."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # Pillow's own, wider bound
        raise InputError(_TOO_LARGE.format(where, str(error).strip("."))) from error
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them trip over
        raise InputError(
            f"Cannot read {where} as an image: {_reason(error, where)}. Repair or leave it out."
        ) from error


def read_audio(source: Any, name: str = "the recording") -> Audio:
    """Decode a recording to mono float32 at its own rate; several channels are averaged.

    Args:
        source: A path, or the bytes of an audio file.
        name: What to call it in messages when bytes are given.

    Raises:
        InputError: if it cannot be read, is truncated, empty or not finite.
        MissingExtraError: if soundfile is not installed.
    """
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("Reading recordings", "soundfile", "data") from error

    is_bytes = isinstance(source, bytes | bytearray | memoryview)
    where = name if is_bytes else str(source)
    if not is_bytes:
        regular(source, "the recording")
    try:
        with soundfile.SoundFile(io.BytesIO(source) if is_bytes else source) as file:
            expected, rate = file.frames, file.samplerate
            samples = file.read(dtype="float32", always_2d=True)
        with io.BytesIO(source) if is_bytes else open(source, "rb") as raw:
            missing = _missing_wav_bytes(raw)
    except Exception as error:  # libsndfile's and the system's errors alike
        raise InputError(
            f"Cannot read {where} as a recording: {_reason(error, where)}. Repair or leave it out."
        ) from error
    if missing or len(samples) < expected:
        what = f"{missing} bytes are missing" if missing else f"{len(samples)} of {expected} samples are there"
        raise InputError(f"The recording {where} is truncated: {what}. Repair or leave it out.")
    if len(samples) == 0:
        raise InputError(f"The recording {where} is empty: it holds no samples. Leave it out.")
    mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
    if not np.isfinite(mono).all():
        raise InputError(f"The recording {where} holds non-finite samples. Repair or leave it out.")
    return Audio(np.ascontiguousarray(mono), int(rate))


def _refuse_large(image: Any, where: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(_TOO_LARGE.format(where, f"it has {width} × {height} pixels"))


def _to_rgb(image: Any, where: str) -> np.ndarray[Any, Any]:
    from PIL import Image

    if image.mode.startswith("I;16"):  # Pillow's own conversion would clip these instead of scaling them
        gray = ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.mode in ("I", "F"):
        raise InputError(f"{where} holds 32-bit pixel values, whose scale is unknown. Convert it to 8-bit RGB first.")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def _missing_wav_bytes(file: BinaryIO) -> int:
    """How many bytes a RIFF file's data chunk promises beyond the end of the file: libsndfile does not tell."""
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0
    promised = _wav_data_size(file)
    start = file.tell()
    return max(0, promised - (file.seek(0, io.SEEK_END) - start))


def _wav_data_size(file: BinaryIO) -> int:
    while len(header := file.read(8)) == 8:
        size = int(struct.unpack("<I", header[4:])[0])
        if header[:4] == b"data":
            return 0 if size == 0xFFFFFFFF else size  # streamed files do not know their length
        file.seek(size + size % 2, io.SEEK_CUR)
    return 0


def _reason(error: Exception, where: str) -> str:
    text = str(getattr(error, "strerror", None) or error).strip().rstrip(".")
    text = re.sub(r"^Error opening <_io\.BytesIO[^>]*>: ", "", text)  # soundfile's name of what was given as bytes
    # libraries end with the path ("cannot identify image file '…'"), which the message has already
    for tail in (repr(where), where):
        text = text.removesuffix(tail).rstrip(": ")
    return text or type(error).__name__
