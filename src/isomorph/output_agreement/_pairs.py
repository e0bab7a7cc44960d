"""Every measure of a pair of models, and of a model against the labels, with its chance, p and interval."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ..design import Codes
from ..errors import InputError
from ..heldout.bootstrap import Bootstrap
from ..heldout.scores import ItemScore
from ..results import Measured, OutputModel, OutputPair
from ..significance import benjamini_hochberg
from ._answers import Answers
from ._calibration import CalibrationScore, Stated
from ._chance import Repairing, judged
from ._kernels import JensenShannon, Kernel, KullbackLeibler, Shared
from ._rows import Rows, rank_biased, rowwise, top
from ._scores import KappaScore, accuracy_swap_p, agreement_bounds, calibration_swap_p, sides_of
from .settings import OutputsSettings

Found = tuple[dict[str, Measured], dict[str, str]]


@dataclasses.dataclass(frozen=True, eq=False)
class Compared:
    """What all comparisons share.

    Attributes:
        settings: The settings.
        repairing: How items are paired anew.
        bootstrap: Draws of the items.
        groups: Groups of the items, or None.
        truth: What is right, or None.
        k: Places of the overlap of first ones; 0 where it is not measured.
    """

    settings: OutputsSettings
    repairing: Repairing
    bootstrap: Bootstrap
    groups: Codes | None
    truth: Rows | None
    k: int

    def pair(self, names: tuple[str, str], a: Answers, b: Answers) -> OutputPair:
        """Two models' answers."""
        measures, undefined = self._shared_answers(a.first, b.first, "agreement", "kappa")
        agreed = measures["agreement"]
        measures = {"agreement": agreed, "disagreement": _left(agreed)} | measures
        if self.truth is not None:
            right = [rowwise(v.first, self.truth) for v in (a, b)]
            errors, unknown = self._shared_answers(sides_of(right[0]), sides_of(right[1]), None, "error_consistency")
            measures |= errors
            undefined |= unknown
        for name, kernel in self._kernels(a, b).items():
            measures[name] = self._mean(kernel)
        if self.truth is not None:
            measures["accuracy_difference"] = self._accuracies(*right)
            stated = [self._stated(v) for v in (a, b)]
            if stated[0] is not None and stated[1] is not None:
                measures["calibration_difference"] = self._calibrations(stated[0], stated[1])
        return OutputPair(*names, measures, undefined)

    def model(self, name: str, answers: Answers) -> OutputModel:
        """One model's answers against the labels."""
        count = int(np.count_nonzero(np.asarray(answers.first.sum(axis=0))))
        if self.truth is None:
            return OutputModel(name, {}, {}, count, answers.tied)
        measures, undefined = self._shared_answers(answers.first, self.truth, "accuracy", "kappa")
        stated = self._stated(answers)
        if stated is not None:
            null = stated.calibrated(self.settings.permutations, self.settings.seed)
            score = CalibrationScore.of(stated, debiased=False, chance=float(null.mean()))
            p = float((1 + np.sum(null >= score.value)) / (1 + len(null)))
            source = f"{len(null)} draws of right answers with the stated probabilities"
            measures["calibration_error"] = self._measured(score, score.chance, p, source, least=0.0)
            debiased = CalibrationScore.of(stated, debiased=True)
            measures["calibration_error_debiased"] = self._measured(debiased, 0.0, None, "", least=0.0)
        return OutputModel(name, measures, undefined, count, answers.tied)

    def _shared_answers(self, a: Rows, b: Rows, share: str | None, kappa: str) -> Found:
        """Agreement and κ of two models' answers: margins stay in every re-pairing, so that both have one p."""
        kernel = Shared(a, b)
        chance, p, source = judged(kernel, self.repairing)
        least, most = agreement_bounds(a, b)
        measures, undefined = {}, {}
        if share is not None:
            score = _mean_score(kernel, chance)
            measures[share] = self._measured(score, chance, p, source, bounds=(least, most))
        try:
            found = KappaScore.of(a, b)
        except InputError as error:
            undefined[kappa] = str(error)
            return measures, undefined
        expected = float(found.expected(np.ones((1, a.shape[0])))[0])
        # of free re-pairings the mean is that of the margins, so that chance is 0 exactly
        level = 0.0 if self.repairing.design.free else (chance - expected) / (1 - expected)
        limits = ((least - expected) / (1 - expected), (most - expected) / (1 - expected))
        measures[kappa] = self._measured(found, level, p, source, bounds=limits)
        return measures, undefined

    def _kernels(self, a: Answers, b: Answers) -> dict[str, Kernel]:
        """The other measures that two models' outputs allow for."""
        found: dict[str, Kernel] = {}
        p, q = a.distributions, b.distributions
        if p is not None and q is not None:
            found["jsd"] = JensenShannon(p, q)
        if a.logs is not None and b.logs is not None:
            found["kl"] = KullbackLeibler(a.logs, b.logs)
            found["kl_reverse"] = KullbackLeibler(b.logs, a.logs)
        if a.scores is not None and b.scores is not None:
            if self.k:
                found["top_k"] = Shared(top(a.scores, self.k), top(b.scores, self.k), 1 / self.k)
            if a.logs is None:
                listed = [v.listed for v in (a, b) if v.listed is not None]
                places = min(listed) if listed else None
                found["rbo"] = Shared(
                    *(rank_biased(scores, self.settings.persistence, places) for scores in (a.scores, b.scores))
                )
        return found

    def _mean(self, kernel: Kernel) -> Measured:
        """A mean over items of a kernel."""
        chance, p, source = judged(kernel, self.repairing)
        return self._measured(_mean_score(kernel, chance), chance, p, source)

    def _accuracies(self, a: Any, b: Any) -> Measured:
        """The difference of two accuracies."""
        p, source = accuracy_swap_p(a, b, self.groups, self.settings.permutations, self.settings.seed)
        return self._measured(ItemScore(a - b, np.ones_like(a), 0.0), 0.0, p, source)

    def _calibrations(self, a: Stated, b: Stated) -> Measured:
        """The difference of two debiased calibration errors."""
        first, second = (CalibrationScore.of(s, debiased=True) for s in (a, b))
        p, source = calibration_swap_p(a, b, self.groups, self.settings.permutations, self.settings.seed)
        margin = self.bootstrap.margin([first], [second], False)
        return Measured(margin.value, margin.low, margin.high, 0.0, p, None, source)

    def _stated(self, answers: Answers) -> Stated | None:
        """What a model says of its own answers, if it gives probabilities and there are labels."""
        confidence = answers.confidence
        if confidence is None or self.truth is None:
            return None
        return Stated(confidence, rowwise(answers.first, self.truth), self.settings.bins)

    def _measured(
        self,
        score: ItemScore,
        chance: float,
        p: float | None,
        source: str,
        *,
        least: float | None = None,
        bounds: tuple[float, float] | None = None,
    ) -> Measured:
        """A score with its interval; what cannot be below `least` has no lower end below it."""
        found = self.bootstrap.score([score])
        low, high = (v if least is None else max(v, least) for v in (found.low, found.high))
        return Measured(found.value, low, high, chance, p, None, source, bounds)


def _mean_score(kernel: Kernel, chance: float) -> ItemScore:
    own = kernel.at()
    return ItemScore(own, np.ones_like(own), chance)


def _left(agreed: Measured) -> Measured:
    """What agreement leaves."""
    chance = None if agreed.chance is None else 1 - agreed.chance
    bounds = None if agreed.bounds is None else (1 - agreed.bounds[1], 1 - agreed.bounds[0])
    return dataclasses.replace(
        agreed, value=1 - agreed.value, low=1 - agreed.high, high=1 - agreed.low, chance=chance, bounds=bounds
    )


def with_discoveries(parts: list[Any]) -> list[Any]:
    """Pairs, or models, with the p of each measure adjusted for how many of them there are."""
    names = dict.fromkeys(name for part in parts for name in part.measures)
    found = [dict(part.measures) for part in parts]
    for name in names:
        there = [k for k, m in enumerate(found) if name in m and m[name].p_value is not None]
        if there:
            q = benjamini_hochberg([found[k][name].p_value for k in there])
            for k, value in zip(there, q, strict=True):
                found[k][name] = dataclasses.replace(found[k][name], q_value=float(value))
    return [dataclasses.replace(part, measures=m) for part, m in zip(parts, found, strict=True)]
