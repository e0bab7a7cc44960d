"""Fusion against scikit-learn by hand, and its cost.

Claims: (1) `concat` is not worse than scaling, concatenating and `LogisticRegressionCV` on the same splits by more than
its interval, on digits split in halves and on planted data; (2) where a space of pure noise, ten times as wide, stands
beside one that tells, it is better; (3) three spaces of 768 features, 1,000 items, five splits, three heads and all
controls take less than a minute.
"""

from __future__ import annotations

import warnings

import numpy as np
from _measure import Claims, seconds
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isomorph.fusion import fuse
from isomorph.heldout.holdout import splits_of


def digits() -> tuple[dict, np.ndarray]:
    """Upper and lower half of 800 digits."""
    x, y = load_digits(return_X_y=True)
    return {"upper": x[:800, :32], "lower": x[:800, 32:]}, y[:800]


def planted() -> tuple[dict, np.ndarray]:
    """Classes of which each space tells a part."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(600, 6))
    x, y = (z[:, a:b] @ rng.normal(size=(b - a, 30)) + 0.5 * rng.normal(size=(600, 30)) for a, b in ((0, 4), (2, 6)))
    return {"x": x, "y": y}, np.argmax(z @ rng.normal(size=(6, 5)), axis=1)


def wide_noise() -> tuple[dict, np.ndarray]:
    """A telling space of 30 features beside noise of 300."""
    spaces, target = planted()
    return {"x": spaces["x"], "noise": np.random.default_rng(1).normal(size=(600, 300))}, target


def by_hand(spaces: dict, target: np.ndarray, splits: list) -> list[float]:
    """Accuracy of scikit-learn on each split."""
    whole, found = np.hstack(list(spaces.values())), []
    for split in splits:
        model = make_pipeline(StandardScaler(), LogisticRegressionCV(Cs=np.logspace(-4, 2, 7), cv=3, max_iter=1000))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(whole[split.train], target[split.train])
        found.append(float(np.mean(model.predict(whole[split.test]) == target[split.test])))
    return found


def main() -> None:
    """Measure and print."""
    claims = Claims("Heads against scikit-learn by hand, five splits")
    for name, made in (("digits", digits), ("planted", planted), ("noise of ten times the width", wide_noise)):
        spaces, target = made()
        splits, _ = splits_of(len(target), repeats=5, seed=0)
        theirs = float(np.mean(by_hand(spaces, target, splits)))
        ours = fuse(spaces, target, heads=["concat"], controls=False, show=False)["concat"]["accuracy"]
        claims.say(f"{name}: concat {ours.value:.3f} ({ours.low:.3f} to {ours.high:.3f}), scikit-learn {theirs:.3f}")
        claims.at_most(f"{name}: accuracy of scikit-learn over the interval's end", theirs / ours.high, 1)
        if made is wide_noise:
            claims.at_least(f"{name}: accuracy of concat over scikit-learn's", ours.value / theirs, 1)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(1000, 8))
    parts = {"a": slice(0, 4), "b": slice(3, 8), "c": slice(0, 8, 2)}
    spaces = {k: z[:, s] @ rng.normal(size=(z[:, s].shape[1], 768)) for k, s in parts.items()}
    spaces = {k: rows + 1.5 * rng.normal(size=rows.shape) for k, rows in spaces.items()}
    classes = np.argmax(z @ rng.normal(size=(8, 8)), axis=1)
    spent = seconds(lambda: fuse(spaces, classes, show=False))
    claims.at_most("three spaces, three heads, all controls, in seconds", spent, 60)
    claims.end()


if __name__ == "__main__":
    main()
