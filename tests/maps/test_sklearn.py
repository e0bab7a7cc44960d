"""Maps are scikit-learn estimators: its own checks, and for each that does not apply the reason."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import check_estimator

from isomorph.maps import REGISTRY, Map

WORDING = "our errors name the argument and the fix in our own words"
EVERY_MAP = {
    "check_estimators_unfitted": "an InputError of ours (a ValueError) is raised, since scikit-learn may be missing",
    "check_n_features_in_after_fitting": WORDING,
    "check_complex_data": WORDING,
    "check_estimators_empty_data_messages": WORDING,
    "check_fit2d_1sample": WORDING,
    "check_fit2d_predict1d": WORDING,
    "check_requires_y_none": WORDING,
    "check_dtype_object": "numbers wrapped in objects are refused, not converted",
}
NEEDS_PREDICT = "the check calls predict, which a map into a shared space does not have: it embeds both sides"
NO_PREDICTION = dict.fromkeys(
    (
        "check_fit_score_takes_y",
        "check_estimators_dtypes",
        "check_pipeline_consistency",
        "check_estimators_nan_inf",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_dict_unchanged",
        "check_fit_idempotent",
    ),
    NEEDS_PREDICT,
)
ONE_COLUMN = (
    "check_estimators_overwrite_params",
    "check_dont_overwrite_parameters",
    "check_estimators_fit_returns_self",
    "check_readonly_memmap_input",
    "check_positive_only_tag_during_fit",
)


def not_applicable(fitted: Map) -> dict[str, str]:
    """Names of the checks that cannot apply to a map, with the reasons."""
    reasons = dict(EVERY_MAP)
    if not fitted.direct:
        reasons |= NO_PREDICTION
    if fitted.name in ("relative", "asif", "indra"):
        reasons |= dict.fromkeys(
            ONE_COLUMN, "the y of the check has one column, with items that have no direction in it"
        )
    if fitted.name == "identity":
        names = (*ONE_COLUMN, *NO_PREDICTION, "check_fit_check_is_fitted", "check_n_features_in")
        reasons |= dict.fromkeys(names, "the y of the check has another width than x, which identity refuses")
    return reasons


MAPS = [cls(**cls.quick) for cls in REGISTRY.classes.values()]


# the checks set off warnings on purpose, and one says that maps do not inherit from scikit-learn's base
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", MAPS, ids=lambda m: m.name)
def test_every_check_of_scikit_learn_passes_but_those_that_cannot_apply(estimator: Map) -> None:
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    unexpected = {name: error for name, error in failed.items() if name not in not_applicable(estimator)}
    assert not unexpected
    # the list must not outlive its reasons
    assert set(not_applicable(estimator)) == set(failed)
    assert sum(r["status"] == "passed" for r in results) >= 15
