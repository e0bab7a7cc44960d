"""What the tables of a study file say, one value a table."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from ..atlases import AtlasSettings
from ..concept_maps import ConceptSettings
from ..extraction import ExtractSettings
from ..fusion import FuseSettings
from ..matching import MatchSettings
from ..migration import MigrationSettings
from ..networks import NetworkSettings
from ..scanning import ScanSettings
from ..stitching import StitchSettings


@dataclasses.dataclass(frozen=True)
class EncoderEntry:
    """One ``[encoders.NAME]`` table.

    Attributes:
        name: The name that scans use.
        model: Model spec.
        settings: How it is run over the items.
        untrained: Whether the untrained twin is a baseline of every scan.
        inputs: Whether statistics of the inputs (pixels, bag of words, spectrum) are a baseline of every scan.
        attributes: What an atlas is told of the model beside what the encoder says, such as its family.
        options: Everything else, passed to `load_encoder`.

    Example:
        >>> entry = EncoderEntry("vision", "bundled:dinov2-small", untrained=True)
        >>> entry.settings.storage, entry.untrained
        ('float32', True)
    """

    name: str
    model: str
    settings: ExtractSettings = dataclasses.field(default_factory=ExtractSettings)
    untrained: bool = False
    inputs: bool = False
    attributes: Mapping[str, str | float] = dataclasses.field(default_factory=dict)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ScanEntry:
    """One ``[[scans]]`` table.

    Attributes:
        x: Name of an encoder.
        y: Name of an encoder.
        settings: How the scan is made.
        x_ceilings: Names of encoders of the kind of `x` (another seed, another model) that it is compared with, to say
            how alike two of a kind are.
        y_ceilings: The same for `y`.

    Example:
        >>> ScanEntry("vision", "text", ScanSettings(permutations=500), x_ceilings=("other-vision",)).file
        'scan-vision-text.json'
    """

    x: str
    y: str
    settings: ScanSettings = dataclasses.field(default_factory=ScanSettings)
    x_ceilings: tuple[str, ...] = ()
    y_ceilings: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Name of the result file, which also tells scans of one pair under several designs apart."""
        s = self.settings
        design = (
            ("groups", s.groups),
            ("within", s.strata),
            ("circular", "" if s.circular else None),
            ("in-order", None if s.within else ""),
        )
        words = [f"-{word}{f'-{name}' if name else ''}" for word, name in design if name is not None]
        return re.sub(r"[/\\\0]", "-", f"scan-{self.x}-{self.y}{''.join(words)}.json")


@dataclasses.dataclass(frozen=True)
class StitchEntry:
    """One ``[[stitches]]`` table.

    Attributes:
        x: Name of an encoder.
        y: Name of an encoder.
        settings: How maps are fitted and scored.
        x_ceilings: Names of encoders that take the place of `y`, to say what can be had from `x`.
        y_ceilings: Names of encoders that take the place of `x`, to say what can be had of `y`.

    Example:
        >>> StitchEntry("vision", "text", StitchSettings(by="label")).file
        'stitch-vision-text-by-label.json'
    """

    x: str
    y: str
    settings: StitchSettings = dataclasses.field(default_factory=StitchSettings)
    x_ceilings: tuple[str, ...] = ()
    y_ceilings: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the encoders or sides that it reads."""
        return (self.x, self.y, *self.x_ceilings, *self.y_ceilings)

    @property
    def file(self) -> str:
        """Name of the result file."""
        return f"stitch-{self.x}-{self.y}-by-{self.settings.by}.json"


@dataclasses.dataclass(frozen=True)
class MatchEntry:
    """One ``[[matches]]`` table.

    Attributes:
        x: Name of an encoder.
        y: Name of an encoder.
        x_layer: Layer of `x`; None takes the last.
        y_layer: Layer of `y`; None takes the last.
        by: Label set of the items of whose classes the means are matched, or None to match the items themselves.
        settings: How they are matched.
    """

    x: str
    y: str
    x_layer: str | None = None
    y_layer: str | None = None
    by: str | None = None
    settings: MatchSettings = dataclasses.field(default_factory=MatchSettings)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the encoders or sides that it reads."""
        return (self.x, self.y)

    @property
    def file(self) -> str:
        """Name of the result file."""
        layers = "".join(f"-{layer}" for layer in (self.x_layer, self.y_layer) if layer)
        return re.sub(r"[/\\\0]", "-", f"match-{self.x}-{self.y}{layers}{f'-by-{self.by}' if self.by else ''}.json")


@dataclasses.dataclass(frozen=True)
class MigrationEntry:
    """One ``[[migrations]]`` table.

    Attributes:
        old: Name of the encoder or side whose embeddings are there.
        new: Name of the one that takes its place.
        old_layer: Layer of `old`; None takes the last.
        new_layer: Layer of `new`; None takes the last.
        settings: How the map is fitted and scored.

    Example:
        >>> MigrationEntry("minilm", "mpnet").file
        'migration-minilm-mpnet-ridge.json'
    """

    old: str
    new: str
    old_layer: str | None = None
    new_layer: str | None = None
    settings: MigrationSettings = dataclasses.field(default_factory=MigrationSettings)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the encoders or sides that it reads."""
        return (self.old, self.new)

    @property
    def file(self) -> str:
        """Name of the result file."""
        layers = "".join(f"-{layer}" for layer in (self.old_layer, self.new_layer) if layer)
        return re.sub(r"[/\\\0]", "-", f"migration-{self.old}-{self.new}{layers}-{self.settings.map.spec}.json")


@dataclasses.dataclass(frozen=True)
class NetworksEntry:
    """One ``[[networks]]`` table.

    Attributes:
        bottom: ``file.py:function`` that makes the bottom.
        top: The same for the top.
        data: A ``.npz`` file with data and labels, or ``file.py:function`` that gives them.
        name: Name of the result file.
        settings: How they are joined.
    """

    bottom: str
    top: str
    data: str
    name: str
    settings: NetworkSettings

    @property
    def file(self) -> str:
        """Name of the result file."""
        return re.sub(r"[/\\\0]", "-", f"networks-{self.name}.json")


@dataclasses.dataclass(frozen=True)
class FusionEntry:
    """One ``[[fusions]]`` table.

    Attributes:
        spaces: What each space is called -> name of an encoder.
        target: Name of a label set of the items (``"group"``: their groups) or several of them, or of an encoder whose
            rows are to be found.
        target_layer: Layer of that encoder; None takes the last.
        seconds: Space -> name of an encoder that is a second model of the same kind.
        settings: How heads are fitted and scored.

    Example:
        >>> FusionEntry({"image": "vision", "text": "text"}, ("group",), settings=FuseSettings(by="group")).file
        'fusion-image-text-group-by-group.json'
    """

    spaces: Mapping[str, str]
    target: tuple[str, ...]
    target_layer: str | None = None
    seconds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    settings: FuseSettings = dataclasses.field(default_factory=FuseSettings)

    @property
    def name(self) -> str:
        """Spaces and target, for people."""
        return f"{' + '.join(self.spaces)} for {' + '.join(self.target)}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the encoders or sides that it reads."""
        return (*self.spaces.values(), *self.seconds.values(), *self.target)

    @property
    def file(self) -> str:
        """Name of the result file."""
        words = [*self.spaces, *self.target, *([self.target_layer] if self.target_layer else [])]
        return re.sub(r"[/\\\0]", "-", f"fusion-{'-'.join(words)}-by-{self.settings.by}.json")


@dataclasses.dataclass(frozen=True)
class ConceptEntry:
    """One ``[[concepts]]`` table.

    Attributes:
        x: Name of an encoder.
        y: Name of an encoder of another modality.
        settings: How the map is made.
        x_ceilings: Names of other encoders of the modality of `x`.
        y_ceilings: Names of other encoders of the modality of `y`.
        labels: Label sets of the items, ``"words"`` of their texts; empty for the first label set.
        covariates: What may predict agreement: name -> the same name where the items or the features give it, or id ->
            value where a table beside the study does.
        others: Name of an encoder of a third modality; empty for none.
        name: Tells the maps of one pair apart.

    Example:
        >>> ConceptEntry("vision", "text", x_ceilings=("lite",), y_ceilings=("lm",), labels=("group",)).file
        'concepts-vision-text.json'
    """

    x: str
    y: str
    settings: ConceptSettings = dataclasses.field(default_factory=ConceptSettings)
    x_ceilings: tuple[str, ...] = ()
    y_ceilings: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    covariates: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    others: str = ""
    name: str = ""

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the encoders or sides that it reads."""
        return (self.x, self.y, *self.x_ceilings, *self.y_ceilings, *([self.others] if self.others else []))

    @property
    def file(self) -> str:
        """Name of the result file."""
        return re.sub(r"[/\\\0]", "-", f"concepts-{self.x}-{self.y}{f'-{self.name}' if self.name else ''}.json")


@dataclasses.dataclass(frozen=True)
class AtlasEntry:
    """One ``[[atlases]]`` table.

    Attributes:
        models: Names of encoders.
        settings: How they are compared.
        baselines: Whether the untrained twins of those that have one are compared as well.
        questions: What else is asked, as `Atlas.questions` keeps it.
        name: Tells the atlases of a study apart.
        attributes: Attribute -> model -> value, of a table beside the study; they go before those of the encoders.
        keep: Folder for the scores of all layers with all layers, inside the study's output; empty for none.

    Example:
        >>> AtlasEntry(("vision", "text", "speech"), name="small").file
        'atlas-small.json'
    """

    models: tuple[str, ...]
    settings: AtlasSettings = dataclasses.field(default_factory=AtlasSettings)
    baselines: bool = True
    questions: tuple[Mapping[str, Any], ...] = ()
    name: str = ""
    attributes: Mapping[str, Mapping[str, str | float | None]] = dataclasses.field(default_factory=dict)
    keep: str = ""

    @property
    def file(self) -> str:
        """Name of the result file."""
        return re.sub(r"[/\\\0]", "-", f"atlas{f'-{self.name}' if self.name else ''}.json")
