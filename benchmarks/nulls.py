"""Which tail fits the null of a score: normal, Székely-Rizzo t, Pearson III, against long sampled runs.

`python benchmarks/nulls.py` takes a minute or two. docs/nulls.md names the run that it holds, which takes a quarter of
an hour.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from scipy import special, stats

from isomorph.metrics import Metric, metric

LEVELS = (0.05, 0.01, 1e-3, 1e-4, 1e-5, 1e-6)
DOCUMENT = Path(__file__).parent.parent / "docs" / "nulls.md"
HEAD = """# Which tail fits the null

A score's null is its distribution when the items of one side are paired anew at random. Its first three moments are
exact for CKA, RSA with Pearson and mutual k-nearest neighbours; a p-value also needs a tail. This page compares tails
with long sampled runs; `python benchmarks/nulls.py --samples 200000 --far 10000000 --write` makes its tables.

Each number is the **actual** share of random re-pairings beyond the point where the tail says that the nominal share
lies, over that nominal share: 1 is right, above 1 claims too much, below 1 too little. Its relative error is one over
the square root of samples × nominal × number. *normal*: mean and variance. *t*: Székely and Rizzo (2013),
n(n-3)/2 - 1 degrees of freedom. *Pearson III*: mean, variance, skewness. *ours*: what `Null.p_value` gives where it
also knows the leading eigenvalues and how much the spread hangs on which items meet: the largest of Pearson III, a
saddlepoint tail and that of a variable of random scale (`metrics/_tails.py`).

"""


def gaussian(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Isotropic noise."""
    return rng.standard_normal((n, d))


def spectrum(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with variances falling as 1/k, as network layers have: few directions carry the kernel."""
    return rng.standard_normal((n, d)) / np.sqrt(1 + np.arange(d))


def heavy(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Student-t noise with 3 degrees of freedom in every feature."""
    return rng.standard_t(3, (n, d))


def item_scales(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Noise whose items are of very different size, some far from all others."""
    return rng.standard_normal((n, d)) * np.exp(0.75 * rng.standard_normal((n, 1)))


def three_far(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Noise in which three items are five times as large as the rest."""
    return rng.standard_normal((n, d)) * np.where(np.arange(n) < 3, 5.0, 1.0)[:, None]


def clusters(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Eight tight clusters."""
    return 3 * rng.standard_normal((8, d))[rng.integers(8, size=n)] + rng.standard_normal((n, d))


Case = tuple[str, Callable[..., np.ndarray], int, int]
CASES: tuple[Case, ...] = (
    ("Gaussian", gaussian, 64, 256),
    ("1/k spectrum", spectrum, 64, 64),
    ("Student t₃", heavy, 64, 64),
    ("8 clusters", clusters, 64, 32),
    ("items of all sizes", item_scales, 64, 32),
    ("3 far items", three_far, 64, 32),
)
METRICS = ("cka(estimator='unbiased')", "cka(estimator='biased')", "rsa(comparison='pearson')", "mutual_knn(k=10)")


def entries(m: Metric, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
    """Write the score as offset + Σ w_e B[i_e, j_e]: (i, j, w, B, offset), so that permuting is one gather."""
    n, (a, b) = len(x), (m.prepare(z) for z in (x, y))
    if m.name == "mutual_knn":
        left, right = np.zeros((n, n)), np.zeros((n, n), dtype=np.float32)
        left[np.arange(n)[:, None], a.lists] = 1
        right[np.arange(n)[:, None], b.lists] = 1
        i, j = np.nonzero(left)
        return i, j, np.full(len(i), 1 / (n * m.k), dtype=np.float32), right, 0.0
    i, j = np.triu_indices(n, 1)
    if m.name == "rsa":
        dissimilarities = []
        for z in (x, y):
            r = 1 - np.corrcoef(z)
            r = r - r[i, j].mean()
            dissimilarities.append(r / np.sqrt(np.sum(r[i, j] ** 2)))
        left, right = dissimilarities
        return i, j, left[i, j].astype(np.float32), right.astype(np.float32), 0.0
    left, right = (np.asarray(s.whole(), dtype=np.float64) for s in (a, b))
    left, right = left / np.linalg.norm(left), right / np.linalg.norm(right)
    if m.estimator == "biased":  # the diagonal counts once, the rest twice
        i, j = np.concatenate([i, np.arange(n)]), np.concatenate([j, np.arange(n)])
    weight = np.where(i == j, 1.0, 2.0) * left[i, j]
    return i, j, weight.astype(np.float32), right.astype(np.float32), 0.0


def sampled(parts: tuple, count: int, seed: int, batch: int = 2048) -> Iterator[np.ndarray]:
    """Scores under random permutations, in batches."""
    i, j, weight, right, offset = parts
    n, flat = len(right), right.reshape(-1)
    rng = np.random.default_rng(seed)
    base = np.tile(np.arange(n, dtype=np.int32), (batch, 1))
    for start in range(0, count, batch):
        p = rng.permuted(base[: min(batch, count - start)], axis=1)
        yield offset + flat[p[:, i] * n + p[:, j]] @ weight


def thresholds(null: object, n: int, normed: bool) -> dict[str, np.ndarray]:
    """Score at which each tail reaches each level."""
    levels, mean, std = np.array(LEVELS), null.mean, null.std
    out = {"normal": mean + std * -special.ndtri(levels) + null.step / 2}
    if normed:  # only a cosine in the space of U-centred matrices has this law
        degrees = n * (n - 3) / 2 - 1
        t = stats.t.isf(levels, degrees)
        out["t"] = t / np.sqrt(degrees + t * t)
    out["Pearson III"] = mean + std * stats.pearson3.isf(levels, null.skewness) + null.step / 2
    if null.weights is not None or null.scale is not None:  # the p-value that users get, turned around
        grid = mean + std * np.linspace(0.5, 40, 4000)
        p = np.array([null.p_value(s) for s in grid])
        out["ours"] = np.interp(-np.log(levels), -np.log(np.maximum(p, 1e-300)), grid)
    return out


def tails(samples: int, specs: Sequence[str] = METRICS, cases: Sequence[Case] = CASES) -> list[str]:
    """The comparison, as lines of a table."""
    lines = ["| metric | features | n × d | skewness | tail | " + " | ".join(f"{p:g}" for p in LEVELS) + " |"]
    lines.append("|" + "---|" * (5 + len(LEVELS)))
    print(lines[0], flush=True)
    for spec in specs:
        m = metric(spec)
        for label, make, n, d in cases:
            rng = np.random.default_rng(1)
            x, y = make(n, d, rng), make(n, d, rng)
            parts, null = entries(m, x, y), m.null(x, y)
            i, j, weight, right, offset = parts
            assert abs(offset + float(weight @ right[i, j]) - m(x, y)) < 1e-5, "the gathered score is not the score"
            at = thresholds(null, n, spec == METRICS[0])
            counts = {name: np.zeros(len(LEVELS)) for name in at}
            for scores in sampled(parts, samples, 2):
                for name, limit in at.items():
                    counts[name] += (scores[:, None] >= limit - 1e-7).sum(axis=0)
            for name, count in counts.items():
                shares = [
                    f"{c / samples / p:.2f}" if p * samples >= 10 else "–" for c, p in zip(count, LEVELS, strict=True)
                ]
                line = f"| {spec} | {label} | {n} × {d} | {null.skewness:.2f} | {name} | {' | '.join(shares)} |"
                print(line, flush=True)
                lines.append(line)
    return lines


def far_tails(samples: int) -> list[str]:
    """The cases whose far tail is hardest: few directions or few items carry the score, or overlap comes in blocks."""
    spectral, clustered, sized = CASES[1:2], CASES[3:4], CASES[4:5]
    lines = tails(samples, METRICS[:1], spectral)
    runs = (METRICS[0], clustered), (METRICS[0], sized), (METRICS[2], spectral), (METRICS[3], clustered)
    for spec, cases in runs:
        lines += tails(samples, (spec,), cases)[2:]
    return lines


def main() -> None:
    """Print the tables, and write them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--far", type=int, default=0, help="samples for the far tails of a few cases")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/nulls.md")
    args = parser.parse_args()
    tables: dict[str, list[str]] = {}
    tables["Tails"] = [f"{args.samples:,} permutations.", "", *tails(args.samples)]
    if args.far:
        tables["Far tail"] = [f"{args.far:,} permutations.", "", *far_tails(args.far)]
    if args.write:
        write(tables)


def write(tables: dict[str, list[str]]) -> None:
    """Replace the measured sections of the document, keep what people wrote under `## Reading`."""
    old = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
    reading = old[old.index("## Reading") :] if "## Reading" in old else "## Reading\n"
    parts = [HEAD]
    for title in ("Tails", "Far tail"):
        if title in tables:
            body = "\n".join(tables[title])
        else:
            body = old.partition(f"## {title}\n\n")[2].partition("\n\n## ")[0]
        if body:
            parts.append(f"## {title}\n\n{body.strip()}\n\n")
    DOCUMENT.write_text("".join(parts) + reading, encoding="utf-8")


if __name__ == "__main__":
    main()
