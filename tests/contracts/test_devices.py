"""Every metric on a GPU: its scores, its permuted scores and its chance are those of NumPy."""

from __future__ import annotations

import pytest
import torch

from isomorph._core.arrays import to_numpy
from isomorph.errors import MissingExtraError
from isomorph.metrics import metric

from .metric_cases import OPTIONS, SPECS, items, pair
from .metric_shared import same, score

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")


@pytest.mark.parametrize("spec", [*SPECS, *OPTIONS])
@pytest.mark.parametrize(("dtype", "precision"), [("float64", 1e-9), ("float32", 1e-4)])
def test_a_metric_scores_on_a_gpu_what_it_scores_in_numpy(spec: str, dtype: str, precision: float) -> None:
    m = metric(spec)
    x, y = (a.astype(dtype) for a in pair(8, items(m)))
    there = [torch.tensor(a, device="cuda") for a in (x, y)]
    try:
        expected = score(m, x, y)
    except MissingExtraError as error:
        pytest.skip(str(error))
    found = m.score(*there)
    assert found.device.type == "cuda", "the score left the device of its inputs"
    same(m, float(to_numpy(found)), expected, precision, "on the GPU")
    chance, on_gpu = (m.null(*sides, permutations=19) for sides in ((x, y), there))
    assert on_gpu.mean == pytest.approx(chance.mean, abs=precision), "chance on the GPU"
