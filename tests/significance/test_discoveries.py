"""p of the maximum of many scans, adjusted for their number."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import isomorph as iso
from isomorph.errors import InputError
from isomorph.scanning import scan
from isomorph.significance import false_discovery


def test_every_metric_of_every_scan_is_adjusted_over_all_of_them():
    rng = np.random.default_rng(0)
    x, noise = rng.normal(size=(2, 40, 5))
    scans = [
        scan(x, y, ["cka", "mutual_knn(k=5)"], permutations=19, y_baselines={"twin": noise})
        for y in (x + 0.1 * noise, noise, rng.normal(size=(40, 5)))
    ]
    found = false_discovery(scans)
    assert [d.metric for d in found] == [a.metric for s in scans for a in s.values()]
    p = [a.p_maximum for s in scans for a in s.values()]
    assert [d.p_maximum for d in found] == p
    np.testing.assert_allclose([d.hochberg for d in found], stats.false_discovery_control(p, method="bh"))
    np.testing.assert_allclose([d.yekutieli for d in found], stats.false_discovery_control(p, method="by"))
    assert found[0].alignment is scans[0]["cka"]


def test_no_scan_at_all_is_refused():
    with pytest.raises(InputError, match="there is no scan"):
        false_discovery([])


def test_the_package_itself_has_the_functions_that_compare():
    rng = np.random.default_rng(0)
    y, noise = rng.normal(size=(2, 40, 5))
    found = iso.difference(iso.metric("cka"), (y + 0.1 * noise, y), (noise, y))
    assert found.p_value < 0.01 < found.low
    assert [p.n for p in iso.gallery_curve("mutual_knn(k=5)", y, noise, [20, 40])] == [20, 40]
    assert iso.false_discovery([iso.scan(y, noise, "cka", permutations=19)])[0].hochberg > 0.05


def test_what_is_no_list_of_scans_is_named():
    x, y = np.random.default_rng(1).normal(size=(2, 20, 4))
    one = scan(x, y, "cka", permutations=19)
    for bad, found in (
        (one, "found Scan"),
        ("scan.json", "found str"),
        (None, "found NoneType"),
        ([one, 3], "entry 1"),
    ):
        with pytest.raises(InputError, match=f"false_discovery.*{found}"):
            false_discovery(bad)
