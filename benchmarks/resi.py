"""ReSi's own numbers on Cora: are they what Isomorph's metrics and criteria give for networks that are trained anew?

ReSi (Klabunde et al., ICLR 2025) publishes how well 24 measures tell how graph networks were trained. Here 240 networks
are trained as its configuration says (`_cora.py`), ten seeds of every kind, and the metrics whose definition is ReSi's
are judged by leagues: for each test two of ReSi's size, with five seeds of each of three kinds, and for the correlation
with outputs one of ten networks. ReSi gives no spread; here it is the league's standard error over networks. Claim: in
the tests by design at least nine of ten published values lie within two standard errors of their difference from ours.
For augmentation that is judged with plain networks of other seeds than the rest, which the first comparison made
likely (see the page); as configured it stands beside.

`python benchmarks/resi.py` trains on the first run, half an hour on one core, and keeps the networks in the cache; a
killed run goes on where it was. With `--write` it puts the table into docs/league.md.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Sequence
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
from isomorph.leagues import Family, Network
from isomorph.metrics import metric

DOCUMENT = Path(__file__).parent.parent / "docs" / "league.md"
BEGIN = "## ReSi's own numbers\n"
SEEDS, OF_EACH, WITHIN, SHARE = 10, 5, 2.0, 0.9
ROUNDING = 0.0005  # of the published values below
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


class Test(NamedTuple):
    """A test of ReSi.

    Attributes:
        criterion: Spec of ours.
        settings: Settings with the value of the criterion's attribute.
        place: Its values in `PUBLISHED`.
        plain_apart: Whether plain networks are of other seeds than the rest, and so begin with other weights.
    """

    criterion: str
    settings: dict[str, float]
    place: int
    plain_apart: bool = False


_THINNED = {"plain": 0.0, "edges_25": 0.2, "edges_100": 0.8}
TESTS = {
    "label noise": Test(
        "label_noise(statistic='auprc_by_kind')", {"plain": 0.0, "labels_25": 0.25, "labels_100": 1.0}, 0
    ),
    "augmentation": Test("augmentation(statistic='auprc_by_kind')", _THINNED, 1),
    "augmentation, plain ones of other seeds": Test("augmentation(statistic='auprc_by_kind')", _THINNED, 1, True),
    "shortcut": Test(
        "shortcut(statistic='auprc_by_kind')", {"shortcut_0": 0.0, "shortcut_50": 0.5, "shortcut_100": 1.0}, 2
    ),
    "divergence of outputs": Test("jensen_shannon", {"plain": 0.0}, 3),
}
DESIGN = ("label noise", "augmentation, plain ones of other seeds", "shortcut")
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
    "SVCCA of one axis": "svcca(variance=1e-9)",
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
    "SVCCA of one axis": (".347 .306 .422", ".267 .294 .339", ".232 .357 .458", "-.085 .018 .261"),
    "LinReg": (".492 .431 .456", ".943 .850 .872", ".699 .742 .502", ".580 .331 .190"),
}

INTRODUCTION = """\
ReSi (Klabunde et al., ICLR 2025) publishes how well 24 measures tell how networks were made. Its graph networks can
be trained anew: `python benchmarks/resi.py --write` takes Cora (2,708 papers, 7 topics) from a package of PyPI,
trains 240 networks as ReSi's configuration says, and holds the metrics whose definition is ReSi's against the
criteria of the league: `label_noise`, `augmentation` and `shortcut` with `statistic='auprc_by_kind'`, which is ReSi's
area under the precision-recall curve, and `jensen_shannon`, the rank correlation with how far outputs diverge.

A cell is *published / ours ± standard error*: ours is the mean of two experiments of ReSi's size (five networks of
each of three kinds; for outputs one of ten networks), the error that of one, by leaving networks out. **Bold**:
further apart than two standard errors of the difference. \\*: ReSi's code is not the definition that it is named
after.
"""

READING = """
- **The tests by design give ReSi's numbers again**, for metrics of every kind. The one that lies further off, Jaccard
  on GAT, is at its ceiling, where leaving networks out moves nothing.
- **Networks of one seed begin with the same weights, whatever they are then trained on.** Two networks of one seed
  and two kinds can then be more alike than two seeds of one kind, above all by what compares units or spans
  (`semi_matching`, `unit_matching`, `eigenspace_overlap`), and the area falls: GraphSAGE, augmentation, soft matching
  .42 where all kinds have the same seeds, .66 where the plain networks have others. ReSi's configuration gives all
  kinds the same seeds, and its numbers for label noise and shortcuts agree with that; those for augmentation agree,
  on all three kinds of networks, with plain ones that began otherwise. Its repository does not say so, and this
  column was added after the first comparison. In families of your own, give networks of different kinds different
  seeds.
- **The papers are other ones**: the package lacks the public split, so that 20 papers a topic, 500 and 1,000 others
  were drawn. Four draws moved the augmentation of GCN by CKA between .52 and .65.
- **Correlations with outputs are of ten networks of one recipe**, which differ little: Procrustes' .82 on GraphSAGE
  is .57 without two of our ten, and .56 for another ten. ReSi's .27 is of none of these: on GraphSAGE five of its
  eleven numbers are not ours, and why is not known.
- **\\* Other definitions.** ReSi's SVCCA keeps one axis at any threshold: ours of one axis is its value, ours of 99 %
  of the variance another. Its regression predicts in the one direction in which a pair is listed (ours: the mean of
  both). PWCCA is left out: its weights are not those of Morcos et al. (2018). `jaccard_knn` and `rank_similarity`
  differ where items coincide: 16 of the 1,000 papers have the features of another, and ReSi's code then counts ten
  papers among their own neighbors (rank similarity of one pair of networks: .375 against our .389).
- Sources: ReSi's networks and tests as in its repository (mklabunde/resi, `graphs/`, `configs/graphs/`), its numbers
  as in the repository in which it was made (TaWald/similaritybench, `experiments/paper_results/graph/`, commits
  48bfe01, d2dd530 and ee5bc12). No code of either is used.
"""


Networks = dict[tuple[str, int], tuple[np.ndarray, np.ndarray]]
"""Features and outputs by setting and seed."""


def networks(kind: str) -> Networks:
    """Features and outputs of all networks of one kind, by setting and seed; trained where they are not yet."""
    data, folder, found = _cora.cora(), cache_dir() / "benchmarks" / "resi", {}
    with progress(SEEDS * len(SETTINGS), f"networks ({kind})") as advance:
        for seed in range(SEEDS):
            for name, setting in SETTINGS.items():
                make = functools.partial(_cora.trained, kind, data, setting, seed)
                found[name, seed] = _cora.kept(folder, f"{kind}-{name}-{seed}", make)
                advance(1)
    return found


def family(found: Networks, test: Test, seeds: Sequence[int]) -> Family:
    """The networks of one test, with the attribute that its criterion reads."""
    made = []
    for name, value in test.settings.items():
        for seed in seeds:
            own = (seed + OF_EACH) % SEEDS if test.plain_apart and name == "plain" else seed
            features, outputs = found[name, own]
            attributes = {test.criterion.partition("(")[0]: value}
            made.append(Network(f"{name} {own}", {"hidden": features}, outputs, attributes))
    return Family("Cora", made)


def judged(found: Networks, test: Test, specs: list[str]) -> list[Found]:
    """Of each spec the league's value, mean over experiments of ReSi's size, and its error in one of them."""
    size = OF_EACH if len(test.settings) > 1 else SEEDS
    every = np.arange(SEEDS).reshape(-1, size).tolist()
    leagues = [
        iso.league(family(found, test, seeds), specs, criteria=[test.criterion], permutations=19, draws=100)
        for seeds in every
    ]
    at = [leagues[0].metrics.index(spec) for spec in specs]
    values = np.mean([league.values[0, at] for league in leagues], axis=0)
    errors = np.sqrt(np.mean([league.errors[0, at] ** 2 for league in leagues], axis=0))
    return [Found(value, error, len(every)) for value, error in zip(values.tolist(), errors.tolist(), strict=True)]


class Found(NamedTuple):
    """What a metric got: mean over so many experiments, and the standard error of one."""

    value: float
    error: float
    experiments: int


class Row(NamedTuple):
    """One measure on one test.

    Attributes:
        name, kind, test: Measure, network, test.
        published, ours: The two values.
        spread: Standard error of an experiment of ReSi's size, over networks.
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
        for title, test in TESTS.items():
            ours = judged(found, test, specs)
            for name, (value, error, experiments) in zip(SAME | OTHER, ours, strict=True):
                published = float(PUBLISHED[name][test.place].split()[column])
                gap = (published - value) / max(ROUNDING, error * (1 + 1 / experiments) ** 0.5)
                rows.append(Row(name, kind, title, published, value, error, gap))
    return rows


def cell(row: Row) -> str:
    """Published, ours and its standard deviation; bold where they are further apart than seeds make them."""
    published, ours, spread = (f"{v:.3f}".replace("0.", ".", 1) for v in (row.published, row.ours, row.spread))
    text = f"{published} / {ours} ± {spread}"
    return f"**{text}**" if abs(row.gap) > WITHIN else text


def table(rows: list[Row]) -> str:
    """The section of docs/league.md: a table for each kind of network."""
    parts = [BEGIN, INTRODUCTION]
    for kind in _cora.KINDS:
        parts += [f"| {kind} | {' | '.join(TESTS)} |", "|---" * (len(TESTS) + 1) + "|"]
        for name in SAME | OTHER:
            cells = [cell(row) for row in rows if row.kind == kind and row.name == name]
            parts.append(f"| {name}{'' if name in SAME else ' *'} | {' | '.join(cells)} |")
        parts.append("")
    parts += ["| test | within two standard errors | median distance | order of the metrics |", "|---|---|---|---|"]
    for title in TESTS:
        found = agreement(rows, [title])
        numbers = f"{found.distance:.3f} | {found.order:.2f}".replace("0.", ".")
        parts.append(f"| {title} | {found.within} of {found.cells} | {numbers} |")
    return "\n".join([*parts, READING, ""])


class Agreement(NamedTuple):
    """How near the values of some tests are.

    Attributes:
        within, cells: Values no further from ours than networks make them, and all.
        distance: Median distance of the two.
        order: Rank correlation over the metrics, mean over the kinds of networks.
    """

    within: int
    cells: int
    distance: float
    order: float


def agreement(rows: list[Row], titles: Sequence[str]) -> Agreement:
    """How near published values are to ours, of some tests and the metrics with ReSi's definition."""
    same = [row for row in rows if row.name in SAME and row.test in titles]
    columns: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in same:
        columns.setdefault((row.kind, row.test), []).append((row.published, row.ours))
    return Agreement(
        sum(abs(row.gap) <= WITHIN for row in same),
        len(same),
        float(np.median([abs(row.published - row.ours) for row in same])),
        float(np.mean([stats.spearmanr(*np.array(pairs).T).statistic for pairs in columns.values()])),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the table into docs/league.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    claims = Claims("ReSi's own numbers on Cora")
    rows = compared()
    for row in rows:
        claims.say(
            f"{row.name:9} {row.kind:10} {row.test:39} published {row.published:6.3f}, "
            f"ours {row.ours:6.3f} ± {row.spread:.3f}, apart {row.gap:+.1f}"
        )
    for title in TESTS:
        found = agreement(rows, [title])
        claims.say(
            f"{title:39} {found.within} of {found.cells} within the spread, median distance {found.distance:.3f}, "
            f"order of the metrics {found.order:.2f}"
        )
    found = agreement(rows, DESIGN)
    claims.at_least("tests by design: published values within the spread", found.within / found.cells, SHARE)
    if arguments.write:
        put_section(DOCUMENT, BEGIN, "## What came of the digits", table(rows))
    claims.end()


if __name__ == "__main__":
    main()
