"""Parameters of specs are checked against the types that their classes state, before anything is made."""

import pytest

from isomorph import InputError, metric
from isomorph._core.hints import fits
from isomorph.maps import make_map


@pytest.mark.parametrize(
    "spec",
    [
        "svcca(variance='')",
        "svcca(variance=1e999)",
        "mutual_knn(k=1.5)",
        "mutual_knn(k='5')",
        "mutual_knn(k=True)",
        f"mutual_knn(k=1{'0' * 400})",
        f"mutual_knn(k=1{'0' * 5000})",
        "cka(kernel={[]:1})",
        "cka(bandwidth=" + "-" * 3000 + "1)",
        "cka(bandwidth=" + "(" * 500,
        "cka(estimator=[1])",
        "ridge_predictivity(seed=-1)",
        "cka(" + "a" * 200_000 + ")",
    ],
)
def test_a_parameter_of_another_type_or_beyond_numbers_is_refused_in_a_line(spec):
    with pytest.raises(InputError) as caught:
        metric(spec)
    assert len(str(caught.value)) < 1700


@pytest.mark.parametrize(
    "spec", ["ridge(penalties=[1" + "0" * 400 + "])", "contrastive(steps=10000000000)", "structure(levels=10**9)"]
)
def test_maps_without_end_are_refused(spec):
    import numpy as np

    with pytest.raises(InputError):
        make_map(spec).fit(np.eye(9), np.eye(9))


def test_types_are_read_as_they_are_stated():
    assert fits(1, float)
    assert fits(None, int | None)
    assert fits((1, 2), tuple[int, ...])
    assert not fits(True, int)
    assert not fits(1.0, int)
    assert not fits((1, "a"), tuple[int, int])
    assert not fits({"a": "b"}, dict[str, int])
