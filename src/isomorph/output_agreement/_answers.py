"""What each model answers: scores, probabilities and first answers over columns that all models share by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy

from ..errors import InputError, quoted
from ._rows import Floats, Rows, one_hot, top
from ._sources import Output
from .measures import SUMS_TO_ONE, as_log_probabilities, as_probabilities


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """One model's answers over the shared columns.

    Attributes:
        first: Its answer to each item, shared where scores tie (n, columns).
        scores: Higher comes first (n, columns); None of predicted labels.
        probabilities: Of classes (n, columns), or None.
        logs: Natural log-probabilities of tokens (n, columns), or None.
        listed: Places that its rankings have; None where all columns are ranked.
    """

    first: Rows
    scores: Floats | None = None
    probabilities: Floats | None = None
    logs: Floats | None = None
    listed: int | None = None

    @property
    def distributions(self) -> Floats | None:
        """Probabilities of classes or tokens, if it gives any."""
        return self.probabilities if self.logs is None else np.exp(self.logs)

    @property
    def confidence(self) -> Floats | None:
        """Probability that it gives to its answers (n,)."""
        if self.logs is not None:
            return np.exp(np.asarray(self.logs.max(axis=1), dtype=np.float64))
        return None if self.probabilities is None else self.probabilities.max(axis=1)

    @property
    def tied(self) -> int:
        """Items on which several columns share the first place."""
        return int(np.sum(np.diff(self.first.indptr) > 1))


def kind_of(outputs: Mapping[str, Output], kind: str, logits: bool) -> str:
    """What the outputs are: as the user says, or as all of them tell by themselves.

    Raises:
        InputError: if they do not tell, or tell different things.
    """
    if kind != "auto":
        return kind
    if logits:
        return "classification"
    told = {name: _told(o, name) for name, o in outputs.items()}
    if len(set(told.values())) > 1:
        (a, first), (b, second) = next((x, y) for x in told.items() for y in told.items() if x[1] != y[1])
        raise InputError(f"models are of two kinds: {quoted(a)} is {first} and {quoted(b)} is {second}; say kind=.")
    return next(iter(told.values()))


def _told(output: Output, name: str) -> str:
    """What a model's outputs are by their looks.

    Raises:
        InputError: if that cannot be told.
    """
    if output.names is not None:
        return "classification"
    rows = output.values
    if rows.min() >= 0 and np.abs(rows.sum(axis=1) - 1).max() <= SUMS_TO_ONE:
        return "classification"
    if rows.max() <= 0 and np.abs(scipy.special.logsumexp(rows, axis=1)).max() <= 10 * SUMS_TO_ONE:
        return "tokens"
    raise InputError(
        f"models[{quoted(name)}] holds rows that are neither probabilities nor log-probabilities, and what they are is "
        "not known. Say kind='classification' or kind='tokens' with logits=True, or kind='retrieval' for similarities."
    )


def answers_of(
    outputs: Mapping[str, Output], kind: str, logits: bool, labels: tuple[str, ...] | None
) -> tuple[dict[str, Answers], tuple[str, ...]]:
    """Every model's answers over the same columns, and the names of these, also of right answers that nobody gives.

    Raises:
        InputError: if outputs are not of that kind, or their columns do not join.
    """
    columns, places = _shared_columns(outputs, kind)
    if labels is not None and not places and set(labels) & set(columns):
        columns = tuple(dict.fromkeys((*columns, *labels)))
    number = {c: k for k, c in enumerate(columns)}
    found = {}
    for name, output in outputs.items():
        where = f"models[{quoted(name)}]"
        if output.names is not None:
            codes = np.array([number[c] for c in output.names])[output.values.astype(np.int64)]
            hard = kind != "rankings"
            found[name] = Answers(one_hot(codes[:, 0], len(columns))) if hard else _ranked(codes, len(columns))
            continue
        at, values = places[name], output.values
        if kind == "retrieval":
            scores = np.asarray(values[:, at])
            found[name] = Answers(top(scores, 1), scores)
        elif kind == "tokens":
            logs = np.asarray(
                scipy.special.log_softmax(values, axis=1) if logits else as_log_probabilities(values, where)
            )
            logs = logs[:, at]
            found[name] = Answers(top(logs, 1), logs, None, logs)
        else:
            given = (
                scipy.special.softmax(values.astype(np.float64), axis=1) if logits else as_probabilities(values, where)
            )
            p = np.zeros((len(given), len(columns)))
            p[:, at] = given
            found[name] = Answers(top(p, 1), None, p)
    return found, columns


def _ranked(codes: Any, width: int) -> Answers:
    """Rankings as scores: the best has the highest, and what is not listed is not in the running.

    Raises:
        InputError: if a row names an item twice.
    """
    n, listed = codes.shape
    scores = np.full((n, width), -np.inf)
    np.put_along_axis(scores, codes, -np.arange(listed, dtype=np.float64)[None, :], axis=1)
    twice = np.flatnonzero(np.isfinite(scores).sum(axis=1) < listed)
    if len(twice):
        raise InputError(
            f"A ranking names an item twice, in row {twice[0]}; each item of the gallery has one place. If these are "
            "similarities, say kind='retrieval'."
        )
    return Answers(top(scores, 1), scores, listed=listed)


def _shared_columns(outputs: Mapping[str, Output], kind: str) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Names of the columns that all outputs are over, and where those of each model lie: its k-th shared column.

    Of classes and rankings all that some model knows; of galleries what all have; vocabularies must be the same.

    Raises:
        InputError: if outputs of several widths have no names, only some have, or nothing is shared.
    """
    scored = {k: o for k, o in outputs.items() if o.names is None}
    _require_kind(outputs, kind)
    if len({o.columns is None for o in scored.values()}) > 1:
        bare = next(k for k, o in scored.items() if o.columns is None)
        raise InputError(
            f"models[{quoted(bare)}] has no names of its columns and others have; give all of them, such as "
            f"classes={{{quoted(bare)}: […], …}}."
        )
    widths = {k: o.values.shape[1] for k, o in scored.items()}
    if len(set(widths.values())) > 1 and all(o.columns is None for o in scored.values()):
        told = " and ".join(f"{quoted(k)} has {v}" for k, v in list(widths.items())[:2])
        raise InputError(
            f"models have different numbers of columns ({told}) and no names to join them by. Give classes= a list of "
            "names for each model."
        )
    named = {k: o.columns or tuple(map(str, range(widths[k]))) for k, o in scored.items()}
    lists = [*named.values(), *(o.names for o in outputs.values() if o.names is not None)]
    union = tuple(dict.fromkeys(c for names in lists for c in names))
    common = set(union).intersection(*map(set, lists))
    if kind in ("retrieval", "tokens"):
        return _all_have(named, union, common, kind)
    if not common and len(scored) > 0:
        raise InputError(
            f"models have no class in common: {quoted(lists[0][0])}, … and {quoted(lists[-1][0])}, …. They are joined "
            "by name: give classes= the names that all models use."
        )
    number = {c: k for k, c in enumerate(union)}
    return union, {k: np.array([number[c] for c in names]) for k, names in named.items()}


def _all_have(
    named: Mapping[str, tuple[str, ...]], union: tuple[str, ...], common: set[str], kind: str
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The columns that all models have, and where each model's lie.

    Raises:
        InputError: if vocabularies differ, or galleries have fewer than two items in common.
    """
    if kind == "tokens" and len(common) < len(union):
        odd = next(c for c in union if c not in common)
        raise InputError(
            f"models have different vocabularies: {quoted(odd)} is not in all of them. Probabilities of the next token "
            "are comparable over one vocabulary only; compare models that share a tokenizer."
        )
    if len(common) < 2:
        raise InputError(
            f"models have {len(common)} columns in common by name, and two are needed; give classes= the same names."
        )
    kept = tuple(c for c in union if c in common)
    where = {name: {c: k for k, c in enumerate(own)} for name, own in named.items()}
    return kept, {
        name: slice(None) if own == kept else np.array([where[name][c] for c in kept]) for name, own in named.items()
    }


def _require_kind(outputs: Mapping[str, Output], kind: str) -> None:
    """Refuse lists of labels where scores are needed.

    Raises:
        InputError: if there are some.
    """
    for name, o in outputs.items():
        if o.names is not None and kind in ("retrieval", "tokens"):
            what = (
                "similarities (queries, gallery)"
                if kind == "retrieval"
                else "log-probabilities (positions, vocabulary)"
            )
            raise InputError(
                f"models[{quoted(name)}] is one answer an item, and kind={kind!r} needs {what}. Of answers alone, use "
                "kind='classification'."
            )
        if kind not in ("rankings",) and o.names is None and o.values.shape[1] < 2:
            raise InputError(
                f"models[{quoted(name)}] has one column, and there is nothing to choose from. Of two classes, give the "
                "probabilities of both; predicted labels have one axis: x[:, 0]."
            )


def right_columns(labels: tuple[str, ...], columns: tuple[str, ...], kind: str) -> Rows:
    """What is right, as sure answers over the columns.

    Raises:
        InputError: if labels are no columns.
    """
    number = {c: k for k, c in enumerate(columns)}
    lost = [v for v in dict.fromkeys(labels) if v not in number]
    what = {"classification": "class", "tokens": "token", "retrieval": "gallery item", "rankings": "gallery item"}[kind]
    if lost:
        raise InputError(
            f"labels hold {quoted(lost[0])}, which is no {what}: there are {', '.join(map(quoted, columns[:5]))}"
            f"{', …' if len(columns) > 5 else ''}. Labels are names of columns, or their numbers where columns have no "
            "names; give classes= their names."
        )
    return one_hot([number[v] for v in labels], len(columns))
