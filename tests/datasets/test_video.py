"""Frames of films, animations and arrays."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from isomorph.datasets import load_dataset
from isomorph.datasets._video import read_video
from isomorph.errors import InputError

GREYS = [10 * i for i in range(1, 21)]
FRAMES = np.stack([np.full((24, 32, 3), g, dtype=np.uint8) for g in GREYS])


def test_frames_are_evenly_spaced_from_first_to_last(tmp_path):
    np.save(tmp_path / "a.npy", FRAMES)
    found = read_video(tmp_path / "a.npy", 5)
    assert found.shape == (5, 24, 32, 3)
    assert found[:, 0, 0, 0].tolist() == [10, 60, 110, 150, 200]  # places 0, 4.75, 9.5, 14.25, 19


def test_an_animation_is_a_video(tmp_path):
    images = [Image.fromarray(f) for f in FRAMES]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
    assert read_video(tmp_path / "a.gif", 20)[:, 5, 5, 0].tolist() == GREYS
    assert len(read_video(tmp_path / "a.gif", 40)) == 40


def test_a_film_is_read_by_pyav(tmp_path):
    av = pytest.importorskip("av", reason="PyAV reads films")
    with av.open(str(tmp_path / "a.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for frame in FRAMES:
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        film.mux(stream.encode())
    (tmp_path / "t.csv").write_text("id,clip,text\na,a.mp4,one\nb,a.mp4,two\n")
    items = load_dataset(f"table(path={str(tmp_path / 't.csv')!r})")
    assert items.view("clip").modality == "video"
    found = items.view("clip")[0]
    assert found.shape == (16, 24, 32, 3)
    assert np.abs(found[[0, -1], 5, 5, 0].astype(int) - [10, 200]).max() < 8  # the codec loses a little


@pytest.mark.parametrize("content", [b"", b"not a film", b"\x93NUMPY"])
def test_what_is_no_video_is_named(tmp_path, content):
    for name in ("a.mp4", "a.gif", "a.npy"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} as a video"):
            read_video(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_video(tmp_path / "b.mp4")


def test_arrays_that_are_no_frames_and_too_many_pixels_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 4)))
    with pytest.raises(InputError, match="shape"):
        read_video(tmp_path / "a.npy")
    np.lib.format.open_memmap(tmp_path / "b.npy", "w+", np.uint8, (2, 8192, 8192, 3))
    with pytest.raises(InputError, match="too large"):
        read_video(tmp_path / "b.npy")
