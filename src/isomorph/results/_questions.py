"""What is asked of an atlas beside its scores: kept with it as plain data, so that a page of its file answers too."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from .._core.checks import check_choice
from .._core.settings import Settings
from ..errors import InputError, UnknownNameError, quoted
from ._model_alignment import KINDS
from ._specialists import two_domains

_FEW = 4  # models that a sentence names one by one
Named = str | tuple[str, ...] | dict[str, str | float]
"""Models: one, several, or those of an attribute's value."""


@dataclasses.dataclass(frozen=True)
class Question(Settings):
    """Base of the questions; `asks` is the method of `Atlas` that answers, the fields are its arguments."""

    asks: ClassVar[str]
    of_attributes: ClassVar[tuple[str, ...]] = ()
    of_models: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        of = getattr(self, "of", None)
        if of is not None:
            check_choice(of, "of", KINDS)

    def plain(self) -> dict[str, Any]:
        """The question as a result keeps it: ``ask`` and the arguments that are given."""
        given = {name: getattr(self, name) for name in self.names()}
        return {"ask": self.asks} | {k: v for k, v in given.items() if v is not None}


@dataclasses.dataclass(frozen=True)
class TrendQuestion(Question):
    """How alignment changes with an attribute; see `Atlas.trend`.

    Attributes:
        attribute: Name of a number that models have.
        reference: What models are compared with; all others if it is left out.
        within: Attribute whose values are families.
        models: The rungs; all that have the attribute if they are left out.
        metric: One metric; every one of the atlas if it is left out.
        logarithmic: Whether the slope is per doubling.
    """

    asks: ClassVar[str] = "trend"
    of_attributes: ClassVar[tuple[str, ...]] = ("attribute", "within")
    of_models: ClassVar[tuple[str, ...]] = ("reference", "models")

    attribute: str
    reference: Named | None = None
    within: str | None = None
    models: tuple[str, ...] | None = None
    metric: str | None = None
    logarithmic: bool | None = None


@dataclasses.dataclass(frozen=True)
class ThresholdQuestion(Question):
    """From which rung on alignment is above that of the untrained twins; see `Atlas.threshold`.

    Attributes:
        attribute: Name of a number that models have.
        reference: What models are compared with; all others if it is left out.
        models: The rungs; all that have the attribute if they are left out.
        metric: One metric; every one of the atlas if it is left out.
    """

    asks: ClassVar[str] = "threshold"
    of_attributes: ClassVar[tuple[str, ...]] = ("attribute",)
    of_models: ClassVar[tuple[str, ...]] = ("reference", "models")

    attribute: str
    reference: Named | None = None
    models: tuple[str, ...] | None = None
    metric: str | None = None


@dataclasses.dataclass(frozen=True)
class DivergenceQuestion(Question):
    """Whether specialists lie outside a pool of generalists; see `Atlas.divergence`.

    Attributes:
        specialists: Names of models.
        pool: Names of models, a value of the attribute ``role``, or a table of attribute and value.
        metric: One metric; every one of the atlas if it is left out.
        of: Which scores: ``"held_out"``, ``"raw"`` or ``"calibrated"``.
    """

    asks: ClassVar[str] = "divergence"
    of_models: ClassVar[tuple[str, ...]] = ("specialists", "pool")

    specialists: tuple[str, ...]
    pool: Named
    metric: str | None = None
    of: str | None = None


@dataclasses.dataclass(frozen=True)
class DomainDivergenceQuestion(DivergenceQuestion):
    """Whether specialists lie farther outside a pool on one domain than on another; see `Atlas.domain_divergence`.

    Attributes:
        specialists: Names of models.
        pool: Names of models, a value of the attribute ``role``, or a table of attribute and value.
        metric: One metric; every one of the atlas if it is left out.
        of: Which scores: ``"held_out"``, ``"raw"`` or ``"calibrated"``.
        inside: The domain that comes first; the first of two if it is left out.
        outside: The one that it is compared with; the other if it is left out.
    """

    asks: ClassVar[str] = "domain_divergence"

    inside: str | None = None
    outside: str | None = None


@dataclasses.dataclass(frozen=True)
class FactorsQuestion(Question):
    """What explains which models are alike; see `Atlas.factors`.

    Attributes:
        factors: Names of attributes; ``"log NAME"`` takes the logarithm.
        metric: One metric; every one of the atlas if it is left out.
        of: Which scores: ``"held_out"``, ``"raw"`` or ``"calibrated"``.
    """

    asks: ClassVar[str] = "factors"
    of_attributes: ClassVar[tuple[str, ...]] = ("factors",)

    factors: tuple[str, ...]
    metric: str | None = None
    of: str | None = None


QUESTIONS: Mapping[str, type[Question]] = {
    kind.asks: kind
    for kind in (TrendQuestion, ThresholdQuestion, DivergenceQuestion, DomainDivergenceQuestion, FactorsQuestion)
}
"""Ask -> the question, whose fields are what may be given."""


class Answer(NamedTuple):
    """A question with what came of it, for one metric.

    Attributes:
        question: As `Atlas.questions` keeps it.
        metric: Spec of the metric.
        found: A `Trend`, `Threshold`, `Divergence`, `DomainDivergence` or `Factors`; None if there is none.
        lacking: Why there is none.

    Example:
        >>> Answer({"ask": "trend", "attribute": "size"}, "cka", None, "Unknown attribute 'size'.").found is None
        True
    """

    question: Mapping[str, Any]
    metric: str
    found: Any
    lacking: str = ""

    @property
    def asked(self) -> str:
        """The question in a few words."""
        q = self.question
        if q["ask"] == "divergence":
            return f"divergence of {models_told(q['specialists'])} from {models_told(q['pool'])}"
        if q["ask"] == "domain_divergence":
            domains = " against ".join(q[k] for k in ("inside", "outside") if k in q) or "both"
            return f"divergence of {models_told(q['specialists'])} from {models_told(q['pool'])} by domain, {domains}"
        if q["ask"] == "factors":
            return f"factors {', '.join(q['factors'])}"
        words = f"{q['ask']} by {q['attribute']}" + (f" of {models_told(q['models'])}" if q.get("models") else "")
        words += f" within {q['within']}" if q.get("within") else ""
        return words + (f", to {models_told(q['reference'])}" if q.get("reference") else ", to all others")

    @property
    def told(self) -> str:
        """The answer in words."""
        if self.found is None:
            return self.lacking
        return str(getattr(self.found, "verdict", None) or self.found.told)


def models_told(named: Any) -> str:
    """Models as a question names them, in words."""
    if isinstance(named, Mapping):
        return "models of " + ", ".join(f"{attribute} {value}" for attribute, value in named.items())
    if isinstance(named, str):
        return named
    return ", ".join(named) if len(named) <= _FEW else f"{len(named)} models, {named[0]} to {named[-1]}"


def read_question(table: Any, where: str) -> dict[str, Any]:
    """A question as plain data, checked as far as it can be without an atlas.

    Args:
        table: ``ask``, the name of a question (``"trend"``, ``"threshold"``, ``"divergence"``, ``"domain_divergence"``
            or ``"factors"``), and its arguments.
        where: What it is called in messages.

    Raises:
        InputError: if it is no table, an argument is missing, or a value does not fit.
        UnknownNameError: if there is no such question or argument.

    Example:
        >>> read_question({"ask": "factors", "factors": ["family"]}, "questions[0]")
        {'ask': 'factors', 'factors': ('family',)}
    """
    if not isinstance(table, Mapping) or not isinstance(table.get("ask"), str):
        raise InputError(
            f"{where} must be a table such as {{'ask': 'trend', 'attribute': 'parameters'}}, found {quoted(table)}."
        )
    if table["ask"] not in QUESTIONS:
        raise UnknownNameError(f"question in {where}", table["ask"], QUESTIONS)
    kind, given = QUESTIONS[table["ask"]], {str(k): v for k, v in table.items() if k != "ask"}
    for field in dataclasses.fields(kind):
        if isinstance(given.get(field.name), str) and str(field.type).startswith("tuple"):
            given[field.name] = (given[field.name],)  # one name for a list of one
        if field.default is dataclasses.MISSING and not given.get(field.name):
            raise InputError(f"{where}: a question for {kind.asks} needs {field.name!r}.")
    return kind.read(given, where).plain()


def check_question(
    question: Mapping[str, Any],
    where: str,
    *,
    models: Sequence[str],
    attributes: Sequence[str] | None = None,
    domains: Sequence[str] | None = None,
) -> None:
    """See that a question names models, attributes and domains that there are.

    Args:
        question: Of `read_question`.
        where: What it is called in messages.
        models: Names of the models.
        attributes: Names of the attributes; None if they are not known yet.
        domains: Names of the domains; None if they are not known yet.

    Raises:
        UnknownNameError: if it names another.
        InputError: if it is of two domains and it is not clear of which.

    Example:
        >>> trend = {"ask": "trend", "attribute": "size", "reference": "a"}
        >>> check_question(trend, "questions[0]", models=["a", "b", "c"], attributes=["size"])
        >>> check_question(trend, "questions[0]", models=["a1", "b", "c"])
        Traceback (most recent call last):
        isomorph.errors.UnknownNameError: Unknown model in questions[0]: reference 'a'. Did you mean 'a1'?
    """
    kind = QUESTIONS[question["ask"]]
    named = {name: question[name] for name in kind.of_models if name in question}
    asked = [a for value in named.values() if isinstance(value, Mapping) for a in value]
    for name, value in named.items():
        role = name == "pool" and isinstance(value, str) and value not in models  # a value of the attribute role
        for model in () if role or isinstance(value, Mapping) else (value,) if isinstance(value, str) else value:
            if model not in models:
                raise UnknownNameError(f"model in {where}: {name}", model, models)
        asked += ["role"] if role else []
    for name in kind.of_attributes:
        value = question.get(name, ())
        asked += [value] if isinstance(value, str) else value
    if domains is not None and kind is DomainDivergenceQuestion:
        two_domains(domains, question.get("inside"), question.get("outside"), where)
    if attributes is None:
        return
    for attribute in asked:
        if attribute not in attributes and attribute.removeprefix("log ") not in attributes:
            raise UnknownNameError(f"attribute in {where}", attribute, attributes)


def answers_of(atlas: Any) -> tuple[Answer, ...]:
    """Every question of an atlas, answered for every metric that it is of; what cannot be answered says why."""
    found = []
    for question in atlas.questions:
        given = {k: v for k, v in question.items() if k != "ask"}
        only = given.pop("metric", None)
        for metric in atlas if only is None else (only,):
            try:
                answer = Answer(question, metric, getattr(atlas, question["ask"])(**given, metric=metric))
            except InputError as error:
                answer = Answer(question, metric, None, str(error))
            found.append(answer)
    return tuple(found)
