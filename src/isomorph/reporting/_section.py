"""What a section of the report is: all that it shows for one kind of result."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ._pictures import Pictures
from ._recipe import Recipe
from ._svg import Figure

R = TypeVar("R")


@dataclasses.dataclass(frozen=True)
class Context:
    """What all sections of one report share.

    Attributes:
        pictures: The items, shown by id.
        short: Full model names -> short ones.
        given: Whether items were given at all.
        drawn: What is called with 1 after each result, for the progress.
    """

    pictures: Pictures
    short: Mapping[str, str]
    given: bool
    drawn: Callable[[int], object] = lambda n: None

    def each(self, results: Sequence[R]) -> Iterator[tuple[int, R]]:
        """Results with their numbers from 1, each told as drawn once the next is asked for."""
        for k, result in enumerate(results, start=1):
            yield k, result
            self.drawn(1)

    def name(self, full: str) -> str:
        """The short name of a model."""
        return self.short.get(full, full)


@dataclasses.dataclass(frozen=True)
class Block:
    """One part of the page.

    Attributes:
        anchor: Its id in the page.
        title: Its heading.
        html: What it shows.
        figures: The figures in it, which are also written as files.
        told: Its answer in a sentence, for the line that it is folded to; empty where that stands elsewhere.
        recipe: How it was made, to copy.
        more: Tables that stand below it; on paper they follow the summary.
    """

    anchor: str
    title: str
    html: Markup
    figures: tuple[Figure, ...] = ()
    told: str = ""
    recipe: Recipe | None = None
    more: Markup | None = None


@dataclasses.dataclass(frozen=True)
class Shown:
    """What a section makes of all results of its kind.

    Attributes:
        question: What was asked, as the end of the sentence "Asked: …".
        overview: The answer in words, and the summary; None if the blocks say it all.
        blocks: One an answer in detail.
        facts: Sizes, settings and provenance: heading -> rows of name and text.
    """

    question: str
    overview: Block | None
    blocks: tuple[Block, ...]
    facts: tuple[tuple[str, Sequence[tuple[str, str]]], ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of ``table.html.j2``: cells are texts, the first of a row is its name.

    Attributes:
        title: Its heading.
        columns: Headings of the columns; none for rows of a name and a value.
        rows: The cells, row by row.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Cell(NamedTuple):
    """A cell of a table that sorts: what is read, and what it is sorted by."""

    text: str
    value: str


class Sorted(NamedTuple):
    """A table that sorts by a click on a heading; columns are a name and whether they are numbers."""

    title: str
    columns: list[tuple[str, bool]]
    rows: list[list[Cell]]


class Section(ABC):
    """Shows the results of one kind.

    `name` is that `Result.kind`, `heading` that of a page of this kind alone; a page begins with those that `leads`.
    """

    name: ClassVar[str]
    leads: ClassVar[bool] = False
    heading: ClassVar[str] = "How alike are {}?"

    @classmethod
    def example(cls, text: str) -> Any:
        """A small result of its kind in which all that users name is called `text`; None where a verb makes one.

        The contract suite runs over it, or over one that it makes itself.
        """
        return None

    @abstractmethod
    def models(self, result: Any) -> Sequence[str]:
        """Full names of the models in a result, for short names that keep them apart."""

    @abstractmethod
    def show(self, results: Sequence[Any], context: Context) -> Shown:
        """All results of this kind, in the order given, gone through by `context.each`."""


@functools.cache
def environment() -> Environment:
    """The templates, with every text escaped and every missing name an error."""
    env = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False, "separators": (",", ":")}
    return env


def render(template: str, **values: Any) -> Markup:
    """One template as markup."""
    return Markup(environment().get_template(template).render(**values))  # autoescape is on
