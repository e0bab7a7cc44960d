import threading

import numpy as np
import pytest
from PIL import Image
from scipy.signal import resample_poly
from threadpoolctl import threadpool_limits

from isomorph.datasets import Audio
from isomorph.encoders._inputs import ImagePreprocessing, as_pil, as_samples, as_text, each_picture
from isomorph.errors import InputError


@pytest.mark.parametrize("shape", [(40, 61), (61, 40), (50, 50), (32, 200)])
@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
def test_images_are_resized_cropped_and_normalised_as_transformers_does(shape, resample):
    from transformers import BitImageProcessorPil

    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    ours = ImagePreprocessing(size=36, crop=32, resample=resample, mean=mean, std=std)([image])
    theirs = BitImageProcessorPil(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}, image_mean=mean, image_std=std,
        resample={"bilinear": 2, "bicubic": 3}[resample],
    )(images=[Image.fromarray(image)], return_tensors="np")["pixel_values"]  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_images_of_a_given_square_size_lose_their_shape():
    image = np.zeros((20, 50, 3), dtype=np.uint8)
    made = ImagePreprocessing(size=16, crop=None, keep_aspect=False, mean=(0, 0, 0), std=(1, 1, 1))([image])
    assert made.shape == (1, 3, 16, 16)
    assert not made.any()


def test_transparency_is_laid_over_white():
    clear = Image.new("RGBA", (4, 4), (0, 0, 0, 0))
    assert (np.asarray(as_pil(clear, 0)) == 255).all()


@pytest.mark.parametrize(
    "item", ["text", np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), dtype=np.uint8), None]
)
def test_what_is_no_image_is_refused_with_its_position(item):
    with pytest.raises(InputError, match="Item 3 of the batch"):
        as_pil(item, 3)


def test_an_image_smaller_than_the_crop_is_refused():
    with pytest.raises(InputError, match="smaller than the crop"):
        ImagePreprocessing(size=None, crop=32)([np.zeros((16, 40, 3), dtype=np.uint8)])


def test_images_of_unlike_size_are_refused_where_nothing_resizes_them():
    with pytest.raises(InputError, match="unlike size"):
        ImagePreprocessing(size=None, crop=None)([np.zeros((n, 8, 3), dtype=np.uint8) for n in (8, 9)])


@pytest.mark.parametrize(("item", "says"), [("", "empty"), (" \n", "empty"), (3, "int")])
def test_what_is_no_text_or_empty_is_refused(item, says):
    with pytest.raises(InputError, match=says):
        as_text(item, 0)


def test_recordings_are_resampled_to_the_rate_of_the_model():
    samples = np.sin(np.arange(2205) / 10).astype(np.float32)
    made = as_samples(Audio(samples, 22050), 0, 16000)
    assert made.dtype == np.float32
    assert len(made) == 1600
    np.testing.assert_allclose(made, resample_poly(samples.astype(float), 320, 441), atol=1e-6)
    np.testing.assert_array_equal(as_samples(Audio(samples, 16000), 0, 16000), samples)


@pytest.mark.parametrize(
    ("item", "says"),
    [
        ("text", "recording is needed"),
        (Audio(np.zeros(0, dtype=np.float32), 16000), "no samples"),
        (Audio(np.zeros((2, 5), dtype=np.float32), 16000), "shape"),
        (Audio(np.array([0, np.nan], dtype=np.float32), 16000), "non-finite"),
    ],
)
def test_what_is_no_recording_is_refused(item, says):
    with pytest.raises(InputError, match=says):
        as_samples(item, 0, 16000)


@pytest.mark.parametrize("threads", [1, 2])
def test_pictures_of_a_batch_are_prepared_on_several_threads_as_on_one(threads):
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40 + i, 61, 3), dtype=np.uint8) for i in range(9)]
    prepare, seen = ImagePreprocessing(size=36, crop=32), set()
    barrier = threading.Barrier(threads)

    def one(image, position):
        if position < threads:
            barrier.wait(timeout=20)  # passes only if as many are prepared at once
        seen.add(threading.get_ident())
        return prepare([image])[0]

    with threadpool_limits(threads, user_api="blas"):
        found = each_picture(one, pictures)
    assert len(seen) == threads
    np.testing.assert_array_equal(np.stack(found), np.concatenate([prepare([p]) for p in pictures]))


def test_of_several_wrong_pictures_the_first_is_named_on_any_number_of_threads():
    picture = np.zeros((40, 40, 3), dtype=np.uint8)
    with threadpool_limits(2, user_api="blas"), pytest.raises(InputError, match="Item 1 of the batch"):
        ImagePreprocessing(size=36, crop=32)([picture, "no picture", picture, None])
