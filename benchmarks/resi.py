"""ReSi's own numbers on Cora: are they what Isomorph's metrics and criteria give for networks that are trained anew?

ReSi (Klabunde et al., ICLR 2025) publishes how well 24 measures tell how graph networks were trained. Here 240 networks
are trained as its configuration says (`_cora.py`), ten seeds of every kind, and the metrics whose definition is ReSi's
are judged by the league's criteria. ReSi gives no spread. Here it is the standard deviation over seeds of an experiment
of ReSi's size, five networks of each kind, from draws of five of ten (the delete-half jackknife: twice the variance of
the draws, Shao and Wu 1989); for the correlation with outputs, of ten networks in both, it is the league's error.
Claim: at least nine of ten published values lie within two standard deviations of their difference from ours.

`python benchmarks/resi.py` trains on the first run, half an hour on one core, and keeps the networks in the cache; a
killed run goes on where it was. With `--write` it puts the table into docs/league.md.
"""

from __future__ import annotations

import argparse
import functools
import os
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import _cora
import numpy as np
import torch
from _cora import Setting
from _measure import Claims, put_section
from scipy import stats

import isomorph as iso
from isomorph._core.packages import cache_dir
from isomorph._core.progress import progress
from isomorph.leagues import REGISTRY, Family, Network, Scorer
from isomorph.metrics import metric

DOCUMENT = Path(__file__).parent.parent / "docs" / "league.md"
BEGIN = "## ReSi's own numbers\n"
SEEDS, OF_EACH, DRAWS, WITHIN, SHARE, ORDER = 10, 5, 400, 2.0, 0.9, 0.8
SETTINGS = {
    "plain": Setting(),
    "labels_25": Setting(noise=0.25),
    "labels_100": Setting(noise=1.0),
    "edges_25": Setting(dropped=0.2),
    "edges_100": Setting(dropped=0.8),
    "shortcut_0": Setting(shortcut=0.0),
    "shortcut_50": Setting(shortcut=0.5),
    "shortcut_100": Setting(shortcut=1.0),
}
TESTS = {  # criterion -> settings with the value of its attribute
    "label_noise": {"plain": 0.0, "labels_25": 0.25, "labels_100": 1.0},
    "augmentation": {"plain": 0.0, "edges_25": 0.2, "edges_100": 0.8},
    "shortcut": {"shortcut_0": 0.0, "shortcut_50": 0.5, "shortcut_100": 1.0},
}
OUTPUTS = "jensen_shannon"
SAME = {  # ReSi's name -> our spec of the same definition
    "CKA": "cka(estimator='biased')",
    "DistCorr": "distance_correlation(estimator='biased')",
    "RSA": "rsa",
    "OrthProc": "procrustes_distance(kind='ding_root')",
    "ProcDist": "procrustes_distance(kind='size_and_shape')",
    "Jaccard": "jaccard_knn",
    "RankSim": "rank_similarity",
    "2nd-Cos": "second_order_cosine(values='distance')",
    "SoftCorr": "semi_matching",
    "HardCorr": "unit_matching",
    "EOS": "eigenspace_overlap",
}
OTHER = {  # measures whose code is not what they are named after, beside ours
    "SVCCA": "svcca",
    "LinReg": "linear_predictivity(folds=None)",
}
# AUPRC of the three tests and Spearman's correlation with the Jensen-Shannon divergence, each for GCN, GraphSAGE and
# GAT: experiments/paper_results/graph/graphs_{label_test,augmentation_test,shortcut_test,output_correlation_test}
# _cora_full.csv of ReSi's repository while it was being made (TaWald/similaritybench, at the commits 48bfe01, d2dd530,
# 48bfe01 and ee5bc12)
PUBLISHED = {
    "CKA": (".427 .424 .424", ".697 .731 .906", ".614 .777 .784", ".435 -.031 .535"),
    "DistCorr": (".431 .444 .424", ".785 .732 .891", ".661 .820 .802", ".597 .053 .601"),
    "RSA": (".457 .435 .425", ".385 .573 .784", ".490 .432 .726", ".117 .133 .200"),
    "OrthProc": (".426 .424 .424", ".812 .784 .835", ".629 .794 .619", ".695 .272 .282"),
    "ProcDist": (".452 .451 .433", ".764 .693 .749", ".603 .812 .676", ".516 .085 .046"),
    "Jaccard": (".425 .424 .427", ".781 .807 .953", ".736 .782 .864", ".441 .453 .379"),
    "RankSim": (".452 .423 .475", ".540 .618 .947", ".732 .645 .849", ".363 .561 .505"),
    "2nd-Cos": (".559 .735 .733", ".734 .863 .967", ".846 .907 .807", ".429 .536 .529"),
    "SoftCorr": (".425 .424 .423", ".630 .702 .496", ".306 .404 .302", ".534 -.013 .215"),
    "HardCorr": (".425 .424 .424", ".512 .633 .513", ".277 .347 .294", ".479 .162 .516"),
    "EOS": (".295 .259 .284", ".535 .618 .342", ".301 .495 .197", ".168 .224 -.036"),
    "SVCCA": (".347 .306 .422", ".267 .294 .339", ".232 .357 .458", "-.085 .018 .261"),
    "LinReg": (".492 .431 .456", ".943 .850 .872", ".699 .742 .502", ".580 .331 .190"),
}

INTRODUCTION = READING = ""


def networks(kind: str) -> dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]:
    """Features and outputs of all networks of one kind, by setting and seed; trained where they are not yet."""
    data, folder, found = _cora.cora(), cache_dir() / "benchmarks" / "resi", {}
    with progress(SEEDS * len(SETTINGS), f"networks ({kind})") as advance:
        for seed in range(SEEDS):
            for name, setting in SETTINGS.items():
                make = functools.partial(_cora.trained, kind, data, setting, seed)
                found[name, seed] = _cora.kept(folder, f"{kind}-{name}-{seed}", make)
                advance(1)
    return found


def family(found: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]], test: str) -> Family:
    """The networks of one test, with the attribute that its criterion reads."""
    values = TESTS.get(test, {"plain": 0.0})
    return Family(
        test,
        [
            Network(f"{name} {seed}", {"hidden": found[name, seed][0]}, found[name, seed][1], {test: value})
            for name, value in values.items()
            for seed in range(SEEDS)
        ],
    )


def grouped(made: Family, test: str, specs: list[str]) -> dict[str, tuple[float, float]]:
    """Spec -> value of an experiment of ReSi's size, and its standard deviation over seeds."""
    criterion = REGISTRY.make(f"{test}(statistic='auprc_by_kind')")
    question, rng = criterion.ask(made, 0), np.random.default_rng(0)
    kinds = len(TESTS[test])
    keep = [
        np.concatenate([k * SEEDS + np.sort(rng.choice(SEEDS, OF_EACH, replace=False)) for k in range(kinds)])
        for _ in range(DRAWS)
    ]
    league = iso.league(made, specs, criteria=[criterion], permutations=99, draws=100)
    out = {}
    for spec in specs:
        scores = question.scores(Scorer(metric(spec)))
        drawn = np.array([question.value(scores, units) for units in keep])
        whole = question.value(scores, np.arange(len(made)))
        assert np.isclose(whole, league.values[0, league.metrics.index(spec)], rtol=0, atol=1e-12), spec
        # half of the networks were drawn: twice the variance is that of other networks
        out[spec] = float(drawn.mean()), float(drawn.std(ddof=1) / (1 - OF_EACH / SEEDS) ** 0.5)
    return out


def correlated(made: Family, specs: list[str]) -> dict[str, tuple[float, float]]:
    """Spec -> correlation over pairs of ten networks with how far their outputs diverge, and its error."""
    league = iso.league(made, specs, criteria=[OUTPUTS], permutations=99, draws=100)
    return {
        spec: (float(v), float(e))
        for spec, v, e in zip(league.metrics, league.values[0], league.errors[0], strict=True)
    }


class Row(NamedTuple):
    """One measure on one test.

    Attributes:
        name, kind, test: Measure, network, criterion.
        published, ours: The two values.
        spread: Standard deviation of an experiment of ReSi's size over seeds.
        gap: Published minus ours, in standard deviations of their difference.
    """

    name: str
    kind: str
    test: str
    published: float
    ours: float
    spread: float
    gap: float


def compared() -> list[Row]:
    """All measures on all tests."""
    specs = [metric(spec).spec for spec in (SAME | OTHER).values()]
    rows = []
    for column, kind in enumerate(_cora.KINDS):
        found = networks(kind)
        for place, test in enumerate([*TESTS, OUTPUTS]):
            made = family(found, test)
            ours = grouped(made, test, specs) if test in TESTS else correlated(made, specs)
            own = OF_EACH / SEEDS if test in TESTS else 1.0  # the variance of our value, as a share of that of ReSi's
            for name, spec in zip(SAME | OTHER, specs, strict=True):
                value, spread = ours[spec]
                published = float(PUBLISHED[name][place].split()[column])
                rounding = 0.0005  # of the published value
                gap = (published - value) / max(rounding, spread * (1 + own) ** 0.5)
                rows.append(Row(name, kind, test, published, value, spread, gap))
    return rows


def cell(row: Row) -> str:
    """Published, ours and its standard deviation; bold where they are further apart than seeds make them."""
    published, ours, spread = (f"{v:.3f}".replace("0.", ".", 1) for v in (row.published, row.ours, row.spread))
    text = f"{published} / {ours} ± {spread}"
    return f"**{text}**" if abs(row.gap) > WITHIN else text


def table(rows: list[Row], title: str) -> str:
    """The section of docs/league.md: a table for each kind of network."""
    parts = [BEGIN, INTRODUCTION]
    for kind in _cora.KINDS:
        parts += [
            f"| {kind} | label noise | augmentation | shortcut | divergence of outputs |",
            "|---|---|---|---|---|",
        ]
        for name in SAME | OTHER:
            cells = [cell(row) for row in rows if row.kind == kind and row.name == name]
            parts.append(f"| {name}{'' if name in SAME else ' *'} | {' | '.join(cells)} |")
        parts.append("")
    return "\n".join([*parts, READING.format(title=title), ""])


def agreement(rows: list[Row]) -> tuple[int, int, float]:
    """Cells whose values are as near as seeds make them, all cells, and the mean rank correlation of a column."""
    same = [row for row in rows if row.name in SAME]
    within = sum(abs(row.gap) <= WITHIN for row in same)
    columns = {(row.kind, row.test) for row in same}
    orders = [
        stats.spearmanr(*zip(*[(r.published, r.ours) for r in same if (r.kind, r.test) == column], strict=True))[0]
        for column in sorted(columns)
    ]
    return within, len(same), float(np.mean(orders))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/league.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    claims = Claims("ReSi's own numbers on Cora")
    rows = compared()
    for row in rows:
        claims.say(
            f"{row.name:9} {row.kind:10} {row.test:15} published {row.published:6.3f}, "
            f"ours {row.ours:6.3f} ± {row.spread:.3f}, apart {row.gap:+.1f}"
        )
    within, cells, order = agreement(rows)
    claims.at_least("published values within the spread of ours", within / cells, SHARE)
    claims.at_least("order of the metrics, mean rank correlation", order, ORDER)
    if arguments.write:
        put_section(DOCUMENT, BEGIN, "## What came of the digits", table(rows, f"{within} of {cells}"))
    claims.end()


if __name__ == "__main__":
    main()
