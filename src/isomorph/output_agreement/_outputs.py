"""`outputs`: what models answer to the same items, compared pair by pair and against the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .._core.arrays import checked_once
from .._core.progress import Show, progress
from .._core.provenance import provenance
from ..datasets import PairedItems
from ..design import Codes, Design, Split
from ..errors import InputError
from ..heldout.bootstrap import Bootstrap
from ..results import OutputModel, OutputPair, Outputs
from ._answers import Answers, answers_of, kind_of, right_columns
from ._chance import Repairing
from ._pairs import Compared, with_discoveries
from ._sources import Joined, by_item, group_codes, read_outputs
from .settings import OutputsSettings

_EXPECTED = 5  # items, the usual least expectation of a cell of counts


@checked_once()
def outputs(
    models: Mapping[str, Any],
    labels: Any = None,
    *,
    kind: str = "auto",
    logits: bool = False,
    classes: Sequence[Any] | Mapping[str, Sequence[Any]] | None = None,
    k: int = 10,
    persistence: float = 0.9,
    bins: int = 15,
    groups: Sequence[Any] | Mapping[str, Any] | str | None = None,
    items: PairedItems | None = None,
    ids: Sequence[str] | None = None,
    alpha: float = 0.05,
    draws: int = 500,
    permutations: int = 999,
    seed: int = 0,
    show: Show = None,
) -> Outputs:
    """Compare what models answer to the same items: functional similarity, with chance, p and intervals.

    For every pair of models: agreement and disagreement, Cohen's κ, and by what there is: Jensen-Shannon divergence (of
    probabilities), Kullback-Leibler divergence both ways (of tokens), overlap of the first `k` and rank-biased overlap
    (of rankings); with labels also error consistency (Cohen's κ of being right), and differences of accuracy and of
    calibration. With labels every model has its accuracy, κ with the labels, and calibration errors.

    Chance and p are of the items paired anew, one-sided: more alike than that. They are counted among all re-pairings
    of at most 7 items, and exact for two answers (hypergeometric); else the tail comes from the exact mean, variance
    and skewness over all re-pairings from 28 items on, and from sampled ones below, and where groups are given (then
    whole groups change places). Costly measures of more than 2,048 items take that from as many, drawn at random.
    Differences are tested by exchanging the two models on random items, of accuracies exactly (McNemar). `source` of
    every measure says which. q is the false discovery rate of one measure over all pairs. Intervals come from a
    bootstrap over items, or over groups; one in which every sample is the same has no width.

    Args:
        models: Name -> outputs of one model, two models or more: probabilities of classes (n, classes), predicted
            labels (n,), similarities of queries to a gallery (queries, gallery), rankings of its items, best first
            (queries, places), or natural log-probabilities of the next token (positions, vocabulary). Arrays, tables,
            `Layers` of one layer, or files that `Layers.load` reads. Joined by id where there are ids.
        labels: What is right: one class, gallery item or token an item, in the order of the first model or by id (a
            mapping, or a series); or the name of a label set of `items`.
        kind: ``"classification"``, ``"retrieval"``, ``"rankings"`` or ``"tokens"``; ``"auto"`` where rows of
            probabilities, log-probabilities or predicted labels tell by themselves.
        logits: Whether scores of classes or tokens are logits, of which the softmax is taken.
        classes: Names of the columns, one list for all models or a mapping from models to lists; tables have their
            own. Models are joined by them: a class that a model does not know has probability 0, galleries are cut to
            what all have, and vocabularies must be the same. Without names columns are numbered from 0.
        k: Places of the overlap of first ones.
        persistence: Of the rank-biased overlap: weight of each rank in that of the one before.
        bins: Bins of equal mass of the calibration errors.
        groups: One group an item, as `labels`, or the name of a label set; items of one group are not independent. By
            default the groups of `items`.
        items: Items with label sets and groups.
        ids: One id a row, for arrays, labels and groups that carry none.
        alpha: Intervals cover 1 - alpha.
        draws: Bootstrap samples.
        permutations: Random re-pairings of the items, and exchanges of two models.
        seed: Seed of all draws.
        show: How progress is shown, as for `isomorph.show_progress`.

    Returns:
        An `Outputs`.

    Raises:
        InputError: if outputs are not of one kind, rows are no distributions and not said to be logits, columns or
            items do not join, labels are no columns, or a setting is out of range.

    Source: Klabunde et al. 2025 (ReSi: disagreement, divergence, accuracy); Geirhos et al. 2020 (error consistency);
        Kumar et al. 2019 (debiased calibration); Webber et al. 2010 (rank-biased overlap).

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(300) % 3
        >>> logits = {name: 2 * np.eye(3)[labels] + rng.normal(size=(300, 3)) for name in ("a", "b")}
        >>> found = iso.outputs(logits, labels, kind="classification", logits=True)
        >>> for name in ("agreement", "error_consistency", "jsd"):
        ...     m = found["a", "b"][name]
        ...     print(f"{name}: {m.value:.2f} [{m.low:.2f}, {m.high:.2f}], chance {m.chance:.2f}, p {m.p_value:.2f}")
        agreement: 0.76 [0.71, 0.81], chance 0.33, p 0.00
        error_consistency: 0.07 [-0.05, 0.21], chance 0.00, p 0.17
        jsd: 0.11 [0.10, 0.12], chance 0.30, p 0.00
    """
    settings = OutputsSettings(
        kind=kind, logits=logits, k=k, persistence=persistence, bins=bins, alpha=alpha, draws=draws,
        permutations=permutations, seed=seed,
    )  # fmt: skip
    joined = read_outputs(models, classes, ids, rankings=kind == "rankings")
    told = kind_of(joined.outputs, settings.kind, settings.logits)
    texts = by_item(labels, joined, ids, items, "labels")
    answers, columns = answers_of(joined.outputs, told, settings.logits, texts)
    group = _groups(groups, joined, ids, items)
    places, notes = _places(answers, len(columns), settings.k)
    compared = Compared(
        settings,
        Repairing(joined.n, Design(group), settings.permutations, settings.seed),
        _bootstrap(joined.n, group, settings),
        group,
        None if texts is None else right_columns(texts, columns, told),
        places,
    )
    names = list(answers)
    at = [(names[i], names[j]) for i, j in zip(*np.triu_indices(len(names), 1), strict=True)]
    with progress(len(at) + len(names), "comparing outputs", unit="comparisons", show=show) as advance:
        each, pairs = [], []
        for name in names:
            each.append(compared.model(name, answers[name]))
            advance(1)
        for a, b in at:
            pairs.append(compared.pair((a, b), answers[a], answers[b]))
            advance(1)
    each, pairs = with_discoveries(each), with_discoveries(pairs)
    return Outputs(
        models=tuple(names),
        pairs=tuple(pairs),
        each={m.name: m for m in each},
        output_kind="retrieval" if told == "rankings" else told,
        n=joined.n,
        columns=len(columns),
        labeled=texts is not None,
        n_groups=None if group is None else int(group.max()) + 1,
        k=places,
        persistence=float(settings.persistence),
        bins=settings.bins,
        alpha=float(settings.alpha),
        draws=settings.draws,
        permutations=settings.permutations,
        seed=settings.seed,
        notes=(*joined.notes, *notes, *_ties(answers, joined.n), *_few_errors(pairs, each, joined.n)),
        provenance=provenance(
            call="outputs", models=joined.facts, labels=texts is not None, groups=group is not None, **settings.facts()
        ),
    )


def _groups(given: Any, joined: Joined, ids: Any, items: PairedItems | None) -> Codes | None:
    """Groups of the items, which may change places whole.

    Raises:
        InputError: if they do not fit, or no two have the same size.
    """
    if given is None and items is not None and items.groups is not None:
        given = "groups"
    group = group_codes(by_item(given, joined, ids, items, "groups"))
    if group is not None:
        if int(group.max()) < 1:
            raise InputError("groups holds a single group, so that nothing can be drawn or paired anew; leave it out.")
        Design(group).orders(joined.n, 0, 0)
    return group


def _bootstrap(n: int, group: Codes | None, settings: OutputsSettings) -> Bootstrap:
    """Draws of the items: all of them are held out, since nothing is fitted."""
    whole = Split(np.arange(0), np.arange(n))
    return Bootstrap([whole], group, n, settings.draws, 1 - settings.alpha, settings.seed)


def _places(answers: Mapping[str, Answers], columns: int, k: int) -> tuple[int, list[str]]:
    """Places of the overlap of first ones, 0 where nothing is ranked, and what was changed about them."""
    if all(a.scores is None for a in answers.values()):
        return 0, []
    listed = [a.listed for a in answers.values() if a.listed is not None]
    most = min(listed) if listed else max(1, columns // 2)
    if k <= most:
        return k, []
    why = f"rankings have {most} places" if listed else f"there are {columns} columns, all of which would overlap"
    return most, [f"top_k is of the first {most}, not {k}: {why}."]


def _few_errors(pairs: Sequence[OutputPair], each: Sequence[OutputModel], n: int) -> list[str]:
    """Whose common errors, or common right answers, are too few by chance for an interval of error consistency."""
    right = {m.name: m["accuracy"].value for m in each if "accuracy" in m}
    return [
        f"{p.first} and {p.second}: by chance fewer than {_EXPECTED} items are {what} for both, so that the interval "
        "of their error consistency is rough."
        for p in pairs
        if "error_consistency" in p
        for what, share in (
            ("wrong", (1 - right[p.first]) * (1 - right[p.second])),
            ("right", right[p.first] * right[p.second]),
        )
        if n * share < _EXPECTED
    ]


def _ties(answers: Mapping[str, Answers], n: int) -> list[str]:
    """Whose highest scores tie, in words."""
    return [
        f"{name}: the highest scores tie on {a.tied:,} of {n:,} items; the tied answers share the item evenly."
        for name, a in answers.items()
        if a.tied
    ]
