"""How a map of concepts was computed, rule by rule, with its own numbers."""

from __future__ import annotations

from ...results import ConceptMap
from .._text import percent, printable
from ._concept_figures import Words


def rules_of(result: ConceptMap, words: Words) -> list[tuple[str, str]]:
    """Term and sentences."""
    level = percent(1 - result.alpha)
    drawn = f"{result.permutations:,} re-pairings of the items" + (f" ({result.design})" if result.design else "")
    found = [
        (
            "Score of an item",
            f"{result.item_score[:1].upper()}{result.item_score[1:].rstrip('.')} ({result.variant}). Its layers were "
            "chosen on other items, or fixed beforehand: items are cut into folds, and the layers of a fold are the "
            "best pair by the metric on all other folds.",
        ),
        (
            "Chance, p and q",
            f"Chance is the expectation if the items of one side were paired anew. The p of an item is "
            f"{result.item_p or 'counted among the re-pairings'}, that of a concept is counted among {drawn}. q is the "
            "false discovery rate at which it passes, over all items or over the concepts of the label set "
            "(Benjamini-Hochberg).",
        ),
        (
            "Concept",
            f"The mean score of its items, with a {level} interval over items: the infinitesimal jackknife, which also "
            "counts what an item adds to the scores of others, with Student's t. Shrunk: drawn towards the mean of all "
            "concepts by the share of its variance that is error (empirical Bayes).",
        ),
        (
            "Against others, within, between",
            "Against others is the score less that of all other items. Within compares the items of the concept among "
            "themselves alone: its fine structure. Between correlates the concept's similarities to the other concepts "
            "on both sides, by mean features: its place among them.",
        ),
    ]
    if result.x_ceilings and result.y_ceilings:
        found += [
            (
                "Beyond chance, ceilings and share",
                "Beyond chance is (score − chance) / (1 − chance): chance at 0, the most at 1. A ceiling is the same "
                "of a side and other models of its modality, at the side's own layers, the mean over these models. The "
                "share is agreement across modalities over the geometric mean of both ceilings.",
            ),
            (
                "Verdicts",
                f"With {level} intervals over the same items. A concept is stable in a modality where its ceiling is "
                f"above {result.stable:g}, and unstable there where it is below; what is seen alike across modalities "
                f"above {result.stable:g} is stable in both. Stable in both: shared where agreement across is above "
                f"{result.shared:g} of the ceilings, bound to both where it is below. Stable in one alone: bound to "
                "it. Stable in neither: unstable. Wherever an interval holds the boundary: undecided, with the number "
                "of items that would decide it, if variance stays as it is.",
            ),
        ]
    return [(term, printable(said)) for term, said in found]
