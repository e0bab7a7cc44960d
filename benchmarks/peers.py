"""All 13 × 25 layer pairs against the programs that the field uses, and a permutation of them against theirs.

n = 1024, d = 768 × 1024, float32. The peers compute everything anew for each pair, in full: 325 pairs a round. In every
round the items of y come in another random order, as in a permutation test, so that a round of a peer is also the time
of one of its permutations; ours share what a permutation does not change (a hundred of them are timed a round).
Programs take turns in one process on the same threads. A round of all peers takes some ten minutes: `--peer-rounds 1`
runs each once in full, `--pairs` cuts their loops short (then marked ~).
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import numpy as np
from _measure import LAYERS_X, LAYERS_Y, Claims, Layers, N, seconds, shared_orders, two_models
from scipy import stats

from isomorph.metrics import metric
from isomorph.significance import maximum_p, sampled_null

K = 10
Pair = Callable[[np.ndarray, np.ndarray], float]


def platonic_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased CKA as platonic-rep computes it, written here from its algorithm."""
    import torch

    def hsic(k: torch.Tensor, l: torch.Tensor) -> torch.Tensor:  # noqa: E741  # K and L are the field's names
        m = k.shape[0]
        k, l = k.clone().fill_diagonal_(0), l.clone().fill_diagonal_(0)  # noqa: E741  # as above
        value = (k * l.T).sum() + k.sum() * l.sum() / ((m - 1) * (m - 2)) - 2 * (k @ l).sum() / (m - 2)
        return value / (m * (m - 3))

    a, b = torch.from_numpy(x), torch.from_numpy(y)
    k, l = a @ a.T, b @ b.T  # noqa: E741  # as above
    return float(hsic(k, l) / (torch.sqrt(hsic(k, k) * hsic(l, l)) + 1e-6))


def ckatorch(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased CKA by the package itself."""
    import torch
    from ckatorch.core import cka_base

    return float(cka_base(torch.from_numpy(x), torch.from_numpy(y), unbiased=True))


def torch_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Unbiased CKA with the HSIC of torch_cka, written here from its algorithm: a full product and a trace a term."""
    import torch

    def hsic(k: torch.Tensor, l: torch.Tensor) -> torch.Tensor:  # noqa: E741  # K and L are the field's names
        m = k.shape[0]
        ones = torch.ones(m, 1)
        value = torch.trace(k @ l)
        value = value + (ones.t() @ k @ ones @ ones.t() @ l @ ones).item() / ((m - 1) * (m - 2))
        return (value - (ones.t() @ k @ l @ ones).item() * 2 / (m - 2)) / (m * (m - 3))

    a, b = torch.from_numpy(x), torch.from_numpy(y)
    k, l = (a @ a.T).fill_diagonal_(0), (b @ b.T).fill_diagonal_(0)  # noqa: E741  # as above
    return float(hsic(k, l) / (torch.sqrt(hsic(k, k)) * torch.sqrt(hsic(l, l))))


def platonic_knn(x: np.ndarray, y: np.ndarray) -> float:
    """Mutual kNN as platonic-rep computes it: full sort of both sides, dense masks."""
    import torch

    masks = []
    for side in (x, y):
        f = torch.nn.functional.normalize(torch.from_numpy(side), dim=-1)
        near = (f @ f.T).fill_diagonal_(-1e8).argsort(dim=1, descending=True)[:, :K]
        mask = torch.zeros(N, N)
        mask[torch.arange(N)[:, None], near] = 1.0
        masks.append(mask)
    return float(((masks[0] * masks[1]).sum(dim=1) / K).mean())


def resi_jaccard(x: np.ndarray, y: np.ndarray) -> float:
    """Jaccard similarity as ReSi computes it: scikit-learn's search on both sides, Python sets."""
    from sklearn.neighbors import NearestNeighbors

    sides = []
    for side in (x, y):
        search = NearestNeighbors(n_neighbors=K + 1, metric="cosine", n_jobs=8).fit(side)
        sides.append([set(row) for row in search.kneighbors(side)[1][:, 1:].tolist()])
    return float(np.mean([len(a & b) / len(a | b) for a, b in zip(*sides, strict=True)]))


def resi_rsa(x: np.ndarray, y: np.ndarray) -> float:
    """RSA as ReSi computes it: two correlation matrices, Spearman's function of SciPy."""
    lower = np.tril_indices(N, -1)
    return float(stats.spearmanr(np.corrcoef(x)[lower], np.corrcoef(y)[lower]).statistic)


def rsatoolbox(x: np.ndarray, y: np.ndarray) -> float:
    """RSA by the toolbox itself."""
    from rsatoolbox.data import Dataset
    from rsatoolbox.rdm import calc_rdm, compare

    return float(compare(*(calc_rdm(Dataset(v), method="correlation") for v in (x, y)), "spearman")[0, 0])


PEERS: dict[str, dict[str, tuple[Pair, float]]] = {
    "cka(estimator='unbiased')": {
        "platonic-rep's loop": (platonic_cka, 40),
        "ckatorch": (ckatorch, 40),
        "torch_cka's HSIC": (torch_cka, 40),
    },
    "mutual_knn(k=10)": {"platonic-rep's loop": (platonic_knn, 40)},
    "jaccard_knn(k=10)": {"ReSi's loop": (resi_jaccard, 40)},
    "rsa": {"ReSi's loop": (resi_rsa, 15), "rsatoolbox": (rsatoolbox, 15)},
}


def measured(
    spec: str, xs: Layers, ys: Layers, rounds: tuple[int, int], pairs: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Median seconds of our scores, of one of our permutations and of each peer; largest differences of the peers."""
    m, orders = metric(spec), shared_orders(max(rounds))
    cells = [(i, j) for i in range(LAYERS_X) for j in range(LAYERS_Y)][:pairs]
    times: dict[str, list[float]] = {name: [] for name in ("ours", "permutation", *PEERS[spec])}
    apart = dict.fromkeys(PEERS[spec], 0.0)
    for peer, _ in PEERS[spec].values():
        peer(xs[0], ys[0])  # imports and thread pools are not what is measured
    m(xs[0], ys[0])
    for turn, order in enumerate(orders):
        mixed = [np.ascontiguousarray(y[order]) for y in ys]
        state: dict[str, object] = {}

        def ours(mixed=mixed, state=state) -> None:
            state["x"], state["y"] = [m.prepare(x) for x in xs], [m.prepare(y) for y in mixed]
            state["v"] = np.asarray(m.compare(state["x"], state["y"]))

        times["ours"].append(seconds(ours))
        many = shared_orders(100)
        spent = seconds(lambda s=state, o=many: maximum_p(s["v"], sampled_null(m, s["x"], s["y"], o)))
        times["permutation"].append(spent / len(many))
        for name, (peer, _) in PEERS[spec].items() if turn < rounds[1] else ():
            theirs: list[float] = []
            spent = seconds(lambda p=peer, out=theirs, mixed=mixed: out.extend(p(xs[i], mixed[j]) for i, j in cells))
            times[name].append(spent * LAYERS_X * LAYERS_Y / len(cells))
            gap = max(abs(v - state["v"][c]) for v, c in zip(theirs, cells, strict=True))
            apart[name] = max(apart[name], float(gap))
    return {name: statistics.median(v) for name, v in times.items()}, apart


def main() -> None:
    """Measure the claims and fail if one does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=LAYERS_X * LAYERS_Y, help="pairs that the peers' loops run over")
    options = parser.parse_args()
    xs, ys = two_models()
    rounds = (options.rounds, options.peer_rounds)
    claims = Claims(
        f"13 × 25 layers, n = {N}, d = 768 × 1024, float32; medians of {rounds[0]}, of the peers' rounds of {rounds[1]}"
    )
    about = "" if options.pairs >= LAYERS_X * LAYERS_Y else "~"
    for spec, peers in PEERS.items():
        took, apart = measured(spec, xs, ys, rounds, options.pairs)
        claims.say(f"{spec}: ours {took['ours']:.3f} s, one of our permutations {took['permutation'] * 1000:.1f} ms")
        for name, (_, limit) in peers.items():
            claims.say(f"  {name}: {about}{took[name]:.1f} s, largest difference of a score {apart[name]:.1e}")
            claims.at_least(f"  {about}{name} over our scores", took[name] / took["ours"], limit)
            claims.at_least(f"  {about}{name}, a permutation, over ours", took[name] / took["permutation"], 100)
    claims.end()


if __name__ == "__main__":
    main()
