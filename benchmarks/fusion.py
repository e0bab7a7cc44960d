"""Fusion against scikit-learn by hand, and its cost.

Claims: (1) `concat` is not worse than scaling, concatenating and `LogisticRegressionCV` on the same splits by more than
its interval, on digits split in halves and on planted data; (2) where a space of pure noise, ten times as wide, stands
beside one that tells, it is better; (3) three spaces of 768 features, 1,000 items, five splits, three heads and all
controls take less than a minute; (4) layers of two spaces are chosen together for a ridge
target among all 13 × 25 pairs, n = 1024, d = 768 and 1024, in at most a tenth of scaling, joining and `RidgeCV` on
every pair (timed on ten, extrapolated), beside the floor: a decomposition a layer, and a product and the eigenvalues of
a matrix of 256 rows a pair.
"""

from __future__ import annotations

import warnings

import numpy as np
from _measure import Claims, seconds
from scipy import linalg
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from isomorph.fusion import fuse
from isomorph.heads import Target, chosen_together
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


def layer_pairs(claims: Claims) -> None:
    """All pairs of layers for a ridge target, ours and by hand."""
    rng = np.random.default_rng(0)
    n, z = 1024, rng.normal(size=(1024, 16))

    def layer(d: int, told: float) -> np.ndarray:
        spread = np.arange(1, d + 1) ** -0.5
        return (rng.normal(size=(n, d)) * spread) @ rng.normal(size=(d, d)) + told * z @ rng.normal(size=(16, d))

    xs = {f"{k}": layer(768, 0.1 * k) for k in range(13)}
    ys = {f"{k}": layer(1024, 0.05 * k) for k in range(25)}
    goal = Target("numbers", z[:, :1] + rng.normal(size=(n, 1)), ("number",))

    def ours() -> None:
        chosen_together({"x": xs, "y": ys}, goal)

    def theirs() -> None:
        for k in range(10):
            whole = np.hstack([xs[str(k)], ys[str(k)]])
            make_pipeline(StandardScaler(), RidgeCV(alphas=np.logspace(-3, 5, 9))).fit(whole, goal.values[:, 0])

    def floor() -> None:
        parts = {(side, k): rows for side, layers in (("x", xs), ("y", ys)) for k, rows in layers.items()}
        axes = {}
        for key, rows in parts.items():
            gram = (rows.T @ rows if rows.shape[1] <= n else rows @ rows.T).astype(np.float32)
            linalg.eigh(gram, subset_by_index=(len(gram) - 128, len(gram) - 1), driver="evr")
            axes[key] = rows[:, :128]
        for i in xs:
            for j in ys:
                product = axes["x", i].T @ axes["y", j]
                linalg.eigvalsh(np.block([[np.eye(128), product], [product.T, np.eye(128)]]))

    spent, by_loop, least = seconds(ours), 32.5 * seconds(theirs), seconds(floor)
    claims.say(f"13 × 25 pairs of layers, ridge target: {spent:.1f} s, RidgeCV ~{by_loop:.0f} s, floor {least:.1f} s")
    claims.at_least("RidgeCV on every pair of layers over ours", by_loop / spent, 10)


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
    layer_pairs(claims)
    claims.end()


if __name__ == "__main__":
    main()
