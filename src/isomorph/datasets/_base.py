"""Paired items: the same things seen in several views, joined by id."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from .._core.checks import as_ids
from ..design import Codes, as_labels, coded, joint_units, share_of_units
from ..errors import InputError, UnknownNameError, quoted
from ._columns import Parts, as_covariate, collected
from ._perturbed import perturbed
from ._rows import read_rows
from ._views import JoinedView, MemoryView, View, as_view

_OUTSIDE = r"(?![^()]*\))"  # of brackets, which hold the parameters of a perturbation


@dataclasses.dataclass(frozen=True, eq=False, repr=False)  # compare fingerprints instead
class PairedItems:
    """Items with ids, one or more views of each, labels, and groups that may not be permuted apart.

    Attributes:
        name: What the collection is called in results.
        ids: One unique id an item.
        views: View name -> view, all of the same length; plain sequences are wrapped.
        labels: Label set -> one label an item, the first set being the default one.
        groups: One group an item (five captions of one image share one), or None.
        source: How it was made, such as ``emoji(n=300, seed=0)``.
        license: Terms of the content.
        skipped: What was left out on request because it could not be used: id -> reason.
        covariates: Name -> one value an item, such as norms or measurements: numbers, or texts and truth values, which
            are categories; None where an item has none. `isomorph.concepts` takes them by name. Given by id (a mapping,
            a series with an index), they are put in the order of the items.

    Raises:
        InputError: if ids repeat, a text is empty, a label is missing, a covariate is no such value or is called like a
            label set, or a view, label set, covariate or the groups have another length.

    Example:
        >>> import isomorph as iso
        >>> views = {"caption": ["a cat", "a dog", "a cow"], "name": ["cat", "dog", "cow"]}
        >>> items = iso.PairedItems("pets", ("1", "2", "3"), views, {"kind": ("pet", "pet", "farm")})
        >>> items
        PairedItems(pets: 3 items; views caption (text), name (text); labels kind)
        >>> items.subset(["3", "1"]).view("name")[0]
        'cow'
        >>> [part.ids for part in items.split(0.5, by="label:kind")]  # labels are never parted
        [('3',), ('1', '2')]
    """

    name: str
    ids: tuple[str, ...]
    views: Mapping[str, View]
    labels: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    groups: tuple[str, ...] | None = None
    source: str = ""
    license: str = ""
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
    covariates: Mapping[str, tuple[float | str | bool | None, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        set_ = object.__setattr__
        set_(self, "ids", as_ids(self.ids, self.name))
        set_(self, "views", {k: v if isinstance(v, View) else as_view(v, k) for k, v in self.views.items()})
        n = len(self.ids)
        parts: list[tuple[str, Sequence[Any]]] = [(f"view {k!r}", v) for k, v in self.views.items()]
        parts += [(f"label set {k!r}", v) for k, v in self.labels.items()]
        parts += [("groups", self.groups)] if self.groups is not None else []
        for what, values in parts:
            if not hasattr(values, "__len__") or getattr(values, "ndim", 1) == 0:
                raise InputError(f"{self.name}: {what} must hold one entry an item, found {quoted(values)}.")
            if len(values) != n:
                raise InputError(
                    f"{self.name}: {what} has {len(values)} entries but there are {n} ids; one each is needed."
                )
        set_(self, "labels", {k: self._texts(v, f"label set {k!r}") for k, v in self.labels.items()})
        if self.groups is not None:
            set_(self, "groups", self._texts(self.groups, "groups"))
        for k in self.covariates:
            if k in self.labels:
                raise InputError(f"{self.name}: {k!r} is a label set and a covariate; give one of them another name.")
        set_(self, "covariates", {k: as_covariate(v, self.ids, k, self.name) for k, v in self.covariates.items()})
        for k, v in self.views.items():
            if v.modality == "text" and isinstance(v, MemoryView):  # a lazy view is not read here
                _check_texts(v, self.ids, f"{self.name}: view {k!r}")

    def _texts(self, labels: Any, what: str) -> tuple[str, ...]:
        return tuple(as_labels(labels, len(self.ids), f"{self.name}: {what}"))

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        views = ", ".join(f"{name} ({view.modality})" for name, view in self.views.items())
        more = f"; covariates {', '.join(self.covariates)}" if self.covariates else ""
        labels = ", ".join(self.labels) or "none"
        return f"PairedItems({self.name}: {len(self)} items; views {views}; labels {labels}{more})"

    @classmethod
    def from_views(
        cls,
        ids: Any = None,
        *,
        labels: Any = None,
        groups: Any = None,
        covariates: Mapping[str, Any] | None = None,
        name: str = "items",
        **views: Any,
    ) -> PairedItems:
        """Paired items of what is at hand in a notebook: one argument a view, each with one entry an item.

        A view is a list (or column of a table) of texts; of pictures (PIL images, uint8 arrays ``(h, w, 3)``, tensors
        ``(3, h, w)``) of any sizes; of recordings (`Audio`, ``(samples, rate)``, or Hugging Face's ``{"array",
        "sampling_rate"}``); of films (uint8 ``(frames, h, w, 3)``); of paths of such files, told by their endings; or
        an array ``(n, d)`` of features. A mapping from id to entry, or a series with an index, is joined by id. Where
        the entries of a view of texts are lists of texts, such as five captions of a picture, every text becomes an
        item ``id#0``, ``id#1``, …, and those of one entry a group, which is never permuted or split apart.

        Args:
            ids: One unique id an item. Without, those of a mapping or index; else the row numbers.
            labels: One label an item, or label set -> one label an item.
            groups: One group an item.
            covariates: Name -> one value an item.
            name: What the collection is called in results.
            views: View name -> entries.

        Raises:
            InputError: if there is no view, lengths or ids differ, or an entry is of no known kind.

        Example:
            >>> import numpy as np
            >>> photos = [np.zeros((4, 6, 3), dtype=np.uint8), np.zeros((9, 9, 3), dtype=np.uint8)]
            >>> iso.PairedItems.from_views(image=photos, text=["a cat", "a dog"], ids=["1", "2"], labels=["pet", "pet"])
            PairedItems(items: 2 items; views image (image), text (text); labels label)
            >>> iso.PairedItems.from_views(image=photos, text=[["a cat", "a pet"], ["a dog"]], ids=["p", "q"]).ids
            ('p#0', 'p#1', 'q#0')
        """
        return cls._of(collected(views, ids, labels, groups, covariates), name)

    @classmethod
    def from_rows(
        cls,
        rows: Any,
        views: Mapping[str, Any] | Sequence[Any] | None = None,
        *,
        id: Any = None,
        label: Any = None,
        group: Any = None,
        covariate: Any = (),
        limit: int | None = None,
        name: str = "rows",
    ) -> PairedItems:
        """Paired items of a torch or Hugging Face ``Dataset``, or any iterable of mappings or tuples: one row an item.

        Columns are the keys of a mapping, or the positions in a tuple, from 0. Of what has a length and gives rows by
        number, such as a torch ``Dataset``, pictures, recordings and films are not kept: they are read again when they
        are used, and refused if they are others then, as under random transforms.

        Args:
            rows: The rows; a data frame too.
            views: The columns that are views, or view name -> column. By default those that hold texts, pictures,
                recordings or films, except those named below; those of a tuple are called by what they hold.
            id: Column of unique ids; ``"id"`` if there is one, else the row numbers.
            label: Column or columns of labels. By default ``"label"`` and Hugging Face's class labels, or the only
                whole number in a tuple, which is named by the ``classes`` of a torchvision dataset.
            group: Column of groups; ``"group"`` if there is one.
            covariate: Column or columns of covariates.
            limit: Take so many rows at most, such as of a stream that does not end.
            name: What the collection is called in results.

        Raises:
            InputError: if there are no rows, they differ in their columns, a column is not there (those that are there
                are named, with a call that works), or holds what no view can.

        Example:
            >>> rows = [{"url": "u/1", "alt": "a cat", "size": 3}, {"url": "u/2", "alt": "a dog", "size": 5}]
            >>> items = iso.PairedItems.from_rows(rows, ["alt"], id="url", covariate="size")
            >>> items.ids, list(items.view("alt")), items.covariates
            (('u/1', 'u/2'), ['a cat', 'a dog'], {'size': (3, 5)})
        """
        return cls._of(read_rows(rows, views, (id, label, group, covariate), limit), name)

    @classmethod
    def _of(cls, parts: Parts, name: str) -> PairedItems:
        return cls(name, parts.ids, parts.views, parts.labels, parts.groups, covariates=parts.covariates)

    def view(self, name: str) -> View:
        """One view by name.

        ``"image+text"`` is two views together, whose items are pairs; ``"text | shuffle_words(seed=1)"`` is a view with
        its items changed, as a control (`isomorph.datasets.PERTURBATIONS`), several changes after each other too.

        Raises:
            UnknownNameError: if there is no such view, or no such perturbation.
            InputError: if a perturbation does not fit the view.
        """
        if name in self.views:
            return self.views[name]
        parts = [self._one_view(part) for part in re.split(rf"\+{_OUTSIDE}", name)]
        return parts[0] if len(parts) == 1 else JoinedView(tuple(parts))

    def _one_view(self, name: str) -> View:
        own, *changes = (part.strip() for part in re.split(rf"\|{_OUTSIDE}", name)) if "|" in name else (name,)
        if own not in self.views:
            raise UnknownNameError(f"view of {self.name}", own, self.views)
        view = self.views[own]
        for how in changes:
            view = perturbed(view, how)
        return view

    def perturbed(self, view: str, how: str) -> PairedItems:
        """The same items with one view changed, as a control: same ids, labels and groups, so that results are paired.

        Args:
            view: The view that is changed; it keeps its name. To have both, name ``"view | how"`` where the view goes.
            how: Name and parameters of a perturbation, such as ``"blur(sigma=0.05)"``.

        Raises:
            UnknownNameError: if there is no such view or perturbation.
            InputError: if the perturbation does not fit the view.

        Example:
            >>> items = PairedItems("pets", ("1", "2"), {"text": ["a cat on a mat", "a dog"]})
            >>> list(items.perturbed("text", "first_words(n=2)").view("text"))
            ['a cat', 'a dog']
        """
        source = f"{self.source} with {view} | {how}" if self.source else ""
        changed = perturbed(self.view(view), how)
        return dataclasses.replace(self, views={**self.views, view: changed}, source=source)

    @property
    def fingerprint(self) -> str:
        """Hash over ids, and the content of every view, label, group and covariate; paths play no part."""
        cached = self.__dict__.get("_fingerprint")
        if cached is None:
            total = hashlib.sha256(
                repr((self.ids, self.groups, sorted(self.labels.items()))).encode("utf-8", "surrogatepass")
            )
            for name in sorted(self.views):
                total.update(self.view_fingerprint(name).encode())
            if self.covariates:  # items without any keep the hash that they had before there were covariates
                total.update(repr(sorted(self.covariates.items())).encode("utf-8", "surrogatepass"))
            cached = total.hexdigest()
            object.__setattr__(self, "_fingerprint", cached)
        return str(cached)

    def view_fingerprint(self, name: str) -> str:
        """Hash over the ids and the content of one view, which is what an encoder's features depend on."""
        key = f"_fingerprint_{name}"
        if key not in self.__dict__:
            view, total = self.view(name), hashlib.sha256(f"{name}\0{self.view(name).modality}".encode())
            for i, id_ in enumerate(self.ids):
                total.update(id_.encode("utf-8", "surrogatepass") + b"\0" + view.digest(i))
            object.__setattr__(self, key, total.hexdigest())
        return str(self.__dict__[key])

    def subset(self, ids: Iterable[str]) -> PairedItems:
        """The items with these ids, in this order.

        Raises:
            UnknownNameError: if an id is not there.
        """
        where = {id_: i for i, id_ in enumerate(self.ids)}
        indices = []
        for id_ in ids:
            if id_ not in where:
                raise UnknownNameError(f"item of {self.name}", id_, self.ids)
            indices.append(where[id_])
        return dataclasses.replace(
            self,
            ids=tuple(self.ids[i] for i in indices),
            views={k: v.take(indices) for k, v in self.views.items()},
            labels={k: tuple(v[i] for i in indices) for k, v in self.labels.items()},
            groups=None if self.groups is None else tuple(self.groups[i] for i in indices),
            covariates={k: tuple(v[i] for i in indices) for k, v in self.covariates.items()},
        )

    def split(self, fraction: float, seed: int = 0, by: str = "item") -> tuple[PairedItems, PairedItems]:
        """Two disjoint parts, the first with about `fraction` of the items.

        Args:
            fraction: Share of the units that go to the first part, between 0 and 1.
            seed: Seed of the shuffle.
            by: ``"item"``; ``"label"`` or ``"label:NAME"`` keeps items of a label together (concepts never seen);
                ``"group"`` keeps groups together. Items of one group are never parted, whatever `by` says.

        Raises:
            InputError: if `fraction` is not between 0 and 1, a part would be empty, or there are no such labels or
                groups.
        """
        if not 0 < fraction < 1:
            raise InputError(f"{self.name}: split(fraction={fraction}) must lie between 0 and 1, both excluded.")
        unit = self._units(by)
        try:
            inside = share_of_units(unit, fraction, seed).tolist()
        except InputError as error:
            raise InputError(
                f"{self.name}: split(fraction={fraction}, by={by!r}) would leave one part empty: "
                f"there are {unit.max() + 1} units to divide."
            ) from error
        return (
            self.subset(i for i, yes in zip(self.ids, inside, strict=True) if yes),
            self.subset(i for i, yes in zip(self.ids, inside, strict=True) if not yes),
        )

    def _units(self, by: str) -> Codes:
        # numbered in the order of the texts, so that the order of the items says nothing
        n, (kind, _, which) = len(self), by.partition(":")
        groups = None if self.groups is None else coded(self.groups, n, "groups", "text")
        if kind == "item" and not which:
            return coded(self.ids, n, "ids", "text") if groups is None else groups
        if kind == "group" and not which:
            if groups is None:
                raise InputError(f"{self.name} has no groups to split by; use by='item' or by='label'.")
            return groups
        if kind != "label":
            raise InputError(f"split(by={by!r}) is not known; use 'item', 'label', 'label:NAME' or 'group'.")
        if not self.labels:
            raise InputError(f"{self.name} has no labels to split by; use by='item'.")
        which = which or next(iter(self.labels))
        if which not in self.labels:
            raise UnknownNameError(f"label set of {self.name}", which, self.labels)
        labels = coded(self.labels[which], n, "labels", "text")
        return labels if groups is None else joint_units(labels, groups)


class Dataset(ABC):
    """A registered maker of paired items: a frozen dataclass whose fields are its parameters.

    Example:
        >>> from isomorph.datasets import REGISTRY
        >>> "table" in REGISTRY.classes
        True
        >>> REGISTRY.make("table(path='pets.csv', label='kind')").label
        ('kind',)
    """

    name: ClassVar[str]
    """Registered name."""
    reference: ClassVar[str] = ""
    """Where the data come from, and their terms."""

    @classmethod
    def example(cls, folder: Path, n: int = 6) -> Self:
        """A small one of `n` items, made of files that are written to `folder` if it reads any.

        One of more items begins with those of one of fewer. The contract suite runs over it.
        """
        raise NotImplementedError(f"{cls.__name__} gives no example")

    def skipping_bad(self) -> Dataset:
        """The same, leaving out items that cannot be used, where that is a choice of this kind."""
        return self

    @abstractmethod
    def load(self) -> PairedItems:
        """Make the items.

        Raises:
            InputError: if the parameters or the files do not fit.
            FetchError: if a package that carries the data cannot be had.
        """


def as_names(value: Any, where: str) -> tuple[str, ...]:
    """One name or several, as a tuple.

    Raises:
        InputError: if it is neither a text nor a list of texts.
    """
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{where} must be a text or a list of texts, found {quoted(value)}.")
    return tuple(names)


def _check_texts(view: View, ids: Sequence[str], where: str) -> None:
    for id_, text in zip(ids, view, strict=True):
        if not text.strip():
            raise InputError(f"{where} has an empty text for the item {id_!r}; every item needs one, or leave it out.")
