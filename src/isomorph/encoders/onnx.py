"""Any ONNX graph, run by ONNX Runtime on the CPU, tapped at named or patterned places.

A model is a file (``onnx:model.onnx``, or the path alone) or a folder as optimum writes them (``onnx:folder/``), whose
tokeniser, processor and ``config.json`` are used; of a folder with ``encoder_model.onnx`` and ``decoder_model.onnx``,
``onnx:folder/#encoder`` is the one, and ``file=`` names any. Both of torch's exporters are understood: layers are found
by the blocks' numbers in the module paths of the nodes, or given as names or glob patterns of modules
(``layers="encoder.layer.*"``), nodes or tensors.

Which axis of a layer holds the features follows from the operations that made it (see `_onnx_axes`), which one the
items from running one item and two copies of it; where neither tells, the error names ``axes=``. A graph of one item a
pass is run item by item; one of texts without an input for the mask gets texts of one length together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, UnknownNameError
from ._axes import KNOWN, parse_axes
from ._base import Encoder, Features
from ._check import Fault, check_first_batch
from ._onnx_axes import FeatureAxes, items_axis, items_first, wanted_shapes
from ._onnx_files import find_graph, folder_config, folder_sides, make_session, read_graph, weights_digest
from ._onnx_graph import add_outputs, choose_tensors, randomise
from ._onnx_inputs import (
    Inputs,
    Own,
    Pass,
    audio_inputs,
    class_tokens,
    fill_in,
    guess_modality,
    image_inputs,
    in_rows,
    leads,
    text_inputs,
    together,
)
from ._pooling import pool
from ._provider import Options, Provider
from ._torch import check_finite

_IMAGE = ("size", "crop", "keep_aspect", "resample", "scale", "mean", "std")
_MODALITIES = ("image", "text", "audio")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
          "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}  # fmt: skip
_SCHEME = 2
_HALF = 10  # onnx.TensorProto.FLOAT16


class Onnx(Provider):
    """ONNX files, and folders that hold them."""

    name: ClassVar[str] = "onnx"
    extras: ClassVar[tuple[str, ...]] = (
        *_IMAGE,
        "modality",
        "tokenizer",
        "rate",
        "prefix",
        "threads",
        "preprocess",
        "init_std",
        "file",
        "side",
        "max_length",
        "truncate",
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        path = Path(id).expanduser()
        if revision is not None:
            raise InputError(f"{id}@{revision}: a file has no revisions; its content is its revision. Leave @… out.")
        file, side = extra.pop("file", None), extra.pop("side", None)
        if path.is_dir():
            return OnnxEncoder(find_graph(path, file, side), options, folder=path, **extra)
        if not path.is_file():
            raise InputError(f"There is no file {id}; an ONNX model is a file, or a folder with one.")
        if file is not None or side is not None:
            raise InputError(f"{id} is one graph; file= and side= choose among those of a folder.")
        return OnnxEncoder(path, options, **extra)

    def sides(self, id: str, revision: str | None = None) -> tuple[str, ...]:
        path = Path(id).expanduser()
        return folder_sides(path) if path.is_dir() else ()


class OnnxEncoder(Encoder):
    """One ONNX graph.

    Args:
        path: The file.
        options: Pooling, layers, axes, init and seed. `device` must be ``"cpu"`` and `dtype` ``"float32"``: a graph
            carries its own precision.
        folder: Where tokeniser, processor and ``config.json`` lie, if anywhere.
        modality: ``"image"``, ``"text"`` or ``"audio"`` (raw waveforms; equal lengths share a pass). By default the
            names of the graph's inputs say it (``pixel_values``, ``input_ids``, …), else it is images.
        tokenizer: For texts: a folder with a tokeniser of transformers.
        rate: For recordings: samples per second that the graph wants.
        prefix: How many class and register tokens stand in front, for ``pooling="mean_no_cls"``; known for the usual
            architectures of a folder.
        threads: Threads of ONNX Runtime; by default those that this process may use, or ``OMP_NUM_THREADS``.
        preprocess: Takes a list of items and returns the array for the first input, or a mapping for several; an
            ``attention_mask`` (b, t) in it is respected in pooling.
        init_std: Standard deviation of random weights; see `randomise`.
        max_length: The most tokens of a text.
        truncate: Whether longer texts are cut; otherwise they are errors.
        image: Fields of `ImagePreprocessing`. The size is read off the graph's input where it is fixed.

    Raises:
        InputError: if the file is no ONNX graph, or an option does not fit.
        UnknownNameError: if a layer is not there.
        MissingExtraError: if onnx or onnxruntime is not installed.
    """

    provider: ClassVar[str] = "onnx"

    def __init__(
        self,
        path: Path,
        options: Options,
        *,
        folder: Path | None = None,
        modality: str | None = None,
        tokenizer: str | Path | None = None,
        rate: int = 16000,
        prefix: int | None = None,
        threads: int | None = None,
        preprocess: Callable[[Sequence[Any]], Any] | None = None,
        init_std: float | None = None,
        max_length: int | None = None,
        truncate: bool = False,
        **image: Any,
    ) -> None:
        if options.device != "cpu" or options.dtype != "float32":
            raise InputError(
                "ONNX models run on device='cpu' in their own precision (dtype='float32'); "
                f"found {options.device!r}, {options.dtype!r}."
            )
        if modality is not None and modality not in _MODALITIES:
            raise UnknownNameError("modality", modality, _MODALITIES)
        self._path, self._folder, self._options = path, folder, options
        self._init_std, self._threads = init_std, threads
        model = read_graph(path)
        self._taps = choose_tensors(model.graph, options.layers)
        self._said = parse_axes(options.axes, tuple(self._taps))
        graph_axes = FeatureAxes(model.graph)
        self._by_graph = {t: graph_axes.of(t) for t in self._taps.values()}
        self._n_parameters = sum(int(np.prod(t.dims)) for t in model.graph.initializer)
        self._weights = weights_digest(model, path)
        self._half = any(t.data_type == _HALF for t in model.graph.initializer)
        if options.init == "random":
            randomise(model, options.seed, init_std)
        add_outputs(model, list(self._taps.values()))
        self._session = make_session(model, path, threads)
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        config = {} if folder is None else folder_config(folder)
        self._prefix = prefix if prefix is not None or folder is None else class_tokens(config)
        self._source = self._make_inputs(
            modality, preprocess, tokenizer, config, image, rate, {"max_length": max_length, "truncate": truncate}
        )
        self._axes: dict[str, str] = {}
        self._grouping, self._rows = self._first_grouping()

    def _make_inputs(
        self, modality: Any, preprocess: Any, tokenizer: Any, config: Any, image: Any, rate: int, text: Any
    ) -> Inputs:
        names = tuple(self._inputs)
        kind = modality or ("image" if preprocess is not None else guess_modality(names, self.name))
        if image and (preprocess is not None or kind != "image"):
            raise InputError(
                f"{', '.join(image)}: options of images without own preprocessing; this is not such a model."
            )
        if (text["max_length"] is not None or text["truncate"]) and (preprocess is not None or kind != "text"):
            raise InputError(
                "max_length= and truncate= are for texts without own preprocessing; this is not such a model."
            )
        if preprocess is not None:
            return Own(preprocess, kind, self._first)
        if kind == "image":
            return image_inputs(self._folder, self._first, self._inputs[self._first].shape, image)
        if kind == "text":
            return text_inputs(tokenizer or self._folder, names, config, **text)
        return audio_inputs(self._folder, self._first, names, config, rate)

    def _first_grouping(self) -> tuple[str, int | None]:
        """How items share passes, as far as the inputs say, and how many rows each pass must have."""
        shape = self._inputs[self._first].shape
        rows = shape[0] if shape and isinstance(shape[0], int) else None
        if rows == 1:
            return "single", None
        unmasked = self._source.modality == "text" and not {"attention_mask", "input_mask"} & set(self._inputs)
        return "equal" if unmasked and not isinstance(self._source, Own) else "padded", rows

    @property
    def name(self) -> str:
        inside = f"{self._folder.name}/" if self._folder is not None else ""
        return f"onnx:{inside}{self._path.name}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return f"sha256-{self._weights[:16]}"

    @property
    def modality(self) -> str:
        return self._source.modality

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self._taps)

    @property
    def n_parameters(self) -> int:
        return self._n_parameters

    @property
    def pooling(self) -> str:
        return self._options.pooling

    @property
    def precision(self) -> str:
        return "float16" if self._half else "float32"

    @property
    def axes(self) -> Mapping[str, str]:
        """The axes of every layer, such as ``"btd"``; empty until the graph has run once."""
        return dict(self._axes)

    @property
    def grouping(self) -> str:
        """Which items share a pass: all of a batch (``"padded"``), those of equal shape (``"equal"``), or none."""
        return self._grouping

    @property
    def identity(self) -> dict[str, Any]:
        o = self._options
        drawn = {"seed": o.seed, "init_std": self._init_std, "scheme": 1} if o.init == "random" else {}
        return {
            "provider": self.provider, "model": self._path.name, "weights": self._weights, "pooling": o.pooling,
            "init": o.init, "layers": self._taps, "prefix": self._prefix, "features": _SCHEME,
            "grouping": self._grouping, "axes": self._said, "preprocessing": self._source.facts, **drawn,
        } | self.check_facts()  # fmt: skip

    @property
    def description(self) -> str:
        return (
            f"{super().description}; ONNX graph, pooling {self._options.pooling}, layers are the tensors {self._taps}"
        )

    def cost(self, item: Any) -> float:
        samples = getattr(item, "samples", None)
        return super().cost(item) if samples is None else len(samples) / item.rate

    def probes(self) -> list[Any]:
        return self._source.probes()

    def warm_up(self, probes: Sequence[Any]) -> None:
        self._find_axes(probes[0], probes[1])

    def mend(self, fault: Fault) -> str | None:
        if fault.kind == "padding" and self._grouping == "padded":
            self._grouping = "equal"
            return "items of unequal length never share a pass: padding would change their features"
        if fault.kind in ("batch", "padding") and self._grouping != "single" and self._rows is None:
            self._grouping = "single"
            return "every item has a pass of its own: the graph computes over the whole batch (as quantised ones do)"
        return None

    def mended(self) -> dict[str, Any]:
        return super().mended() | {"axes": dict(self._axes), "grouping": self._grouping}

    def restore(self, mended: Mapping[str, Any]) -> None:
        super().restore(mended)
        self._grouping = mended.get("grouping", self._grouping)
        self._axes = mended.get("axes", {}) if set(mended.get("axes", {})) == set(self.layers) else {}

    def encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        if not self._axes:
            items = self.probes() or [batch[0], batch[-1]]
            self._find_axes(items[0], items[1])
        rows: dict[str, list[Any]] = {layer: [None] * len(batch) for layer in self._taps}
        for part in self._parts(batch):
            for layer, pooled in self._pooled(part).items():
                check_finite(self.name, layer, pooled, part.positions)
                for position, value in zip(part.positions, pooled, strict=True):
                    rows[layer][position] = value
        check_first_batch(self, batch)
        if self._options.pooling == "none":
            return rows  # type: ignore[return-value]  # lists of (t, d), as the base class says of "none"
        return {layer: np.stack(values) for layer, values in rows.items()}

    def _parts(self, batch: Sequence[Any]) -> list[Pass]:
        if self._grouping == "padded":
            return [p for part in self._source.passes(batch) for p in in_rows(part, self._rows)]
        alone = [self._alone(item, i) for i, item in enumerate(batch)]
        if self._grouping == "single":
            return alone
        alike: dict[Any, list[Pass]] = {}
        for part in alone:
            alike.setdefault(_shapes(part), []).append(part)
        return [p for parts in alike.values() for p in in_rows(together(parts), self._rows)]

    def _alone(self, item: Any, position: int) -> Pass:
        try:
            (part,) = self._source.passes([item])
        except InputError as error:
            raise InputError(str(error).replace("Item 0 of", f"Item {position} of")) from error
        return Pass([position], part.inputs, part.mask, part.prefix)

    def _pooled(self, part: Pass) -> dict[str, Any]:
        outputs = list(dict.fromkeys(self._taps.values()))
        values = dict(zip(outputs, self._run(self._session, outputs, part.inputs, self._rows), strict=True))
        pooled: dict[str, Any] = {}
        for layer, tensor in self._taps.items():
            try:
                pooled[layer] = self._pool(np.asarray(values[tensor]), self._axes[layer], part)
            except InputError as error:
                raise InputError(f"{self.name}, layer {layer!r}: {error}") from error
        return pooled

    def _pool(self, x: Any, word: str, part: Pass) -> Any:
        """Pooled activations of one layer.

        Raises:
            InputError: if they are not what they were, or the pooling makes no sense for them.
        """
        n, pooling = len(part.positions), self._options.pooling
        if x.ndim != len(word):
            raise InputError(f"activations of shape {x.shape} come where ({', '.join(word)}) was before.")
        x = items_first(x, word)[: n if "b" in word else None]
        if len(x) != n:
            raise InputError(f"activations of {len(x)} items come for {n}; say by axes= which axis holds the items.")
        tokens = x.ndim == 3
        if tokens and word.count("t") > 1 and pooling in ("cls", "last"):
            raise InputError(f"pooling={pooling!r} needs tokens; the layer gives maps: use 'mean' or 'max'.")
        prefix = part.prefix if part.prefix is not None else self._prefix
        return pool(x, part.mask if tokens else None, pooling, prefix)

    def _run(self, session: Any, outputs: list[str], inputs: dict[str, Any], rows: int | None = None) -> list[Any]:
        inputs = fill_in(inputs, self._inputs)
        missing = [n for n in self._inputs if n not in inputs]
        if missing:
            raise InputError(
                f"{self.name} also takes {', '.join(map(repr, missing))}; pass preprocess=… that gives all inputs."
            )
        cast = {n: np.asarray(inputs[n], dtype=_TYPES.get(i.type)) for n, i in self._inputs.items()}
        if rows is not None:
            cast = {n: np.concatenate([v, *[v[-1:]] * (rows - len(v))]) if v.ndim else v for n, v in cast.items()}
        try:
            return list(session.run(outputs, cast))
        except Exception as error:  # ONNX Runtime raises classes of its own that it does not export
            text = " ".join(str(error).split())
            shapes = {n: v.shape for n, v in cast.items()}
            raise InputError(f"{self.name} cannot run on inputs of shapes {shapes}: {text}") from error

    @property
    def _first(self) -> str:
        return next((str(n) for n in self._inputs if n in ("input_ids", "pixel_values")), str(next(iter(self._inputs))))

    def _find_axes(self, one: Any, other: Any) -> None:
        """Run one and two copies of an item, and another, and see which axis is which.

        Raises:
            InputError: if that cannot be told for a layer.
        """
        outputs = list(dict.fromkeys(self._taps.values()))

        def shapes(count: int, item: Any = one) -> dict[str, tuple[int, ...]]:
            part = together([self._alone(item, i) for i in range(count)])
            values = self._run(self._session, outputs, part.inputs, self._rows)
            for layer, tensor in self._taps.items():
                kind = np.asarray(values[outputs.index(tensor)]).dtype
                if kind.kind != "f":
                    raise InputError(
                        f"{self.name}: layer {layer!r} holds {kind}, no features; leave it out of layers=."
                    )
            return {name: np.shape(v) for name, v in zip(outputs, values, strict=True)}

        alone = shapes(1)
        two = None
        if self._grouping != "single" and self._rows is None:
            try:
                two = shapes(2)
            except InputError:  # its batch is fixed inside, whatever its inputs say
                self._grouping = "single"
        same = _shapes(self._alone(one, 0)) == _shapes(self._alone(other, 0))
        unlike = alone if same else shapes(1, other)
        self._look_closer(one)
        found = {}
        for layer, tensor in self._taps.items():
            if layer in self._said:
                found[layer] = self._check_said(layer, alone[tensor])
                continue
            item_axis = items_axis(alone[tensor], two[tensor]) if two else None
            if item_axis is None and (
                self._rows or (self._grouping == "single" and leads(alone[tensor], unlike[tensor]))
            ):
                item_axis = 0  # of a fixed number of rows there is nothing to compare
            found[layer] = self._word(layer, tensor, alone[tensor], unlike[tensor], item_axis)
        if any("b" not in word for word in found.values()) and self._rows is None:
            self._grouping = "single"  # items share an axis with something else: all that comes for one is its own
        self._axes = found

    def _check_said(self, layer: str, shape: tuple[int, ...]) -> str:
        word = self._said[layer]
        if len(word) != len(shape):
            raise InputError(
                f"{self.name}: axes={word!r} has {len(word)} letters, but layer {layer!r} gives activations of shape "
                f"{shape}."
            )
        return word

    def _word(
        self, layer: str, tensor: str, shape: tuple[int, ...], unlike: tuple[int, ...], item_axis: int | None
    ) -> str:
        if len(shape) != len(unlike) or not shape:
            raise InputError(
                f"{self.name}: layer {layer!r} does not give activations of one kind for every item; leave it out of "
                "layers=."
            )
        n = len(shape)
        rest = [i for i in range(n) if i != item_axis]
        if not rest:
            raise InputError(
                f"{self.name}: layer {layer!r} gives one number an item; features are needed: leave it out of layers=."
            )
        said = {a + n for a in self._by_graph[tensor]} & set(rest)
        fixed = [i for i in rest if shape[i] == unlike[i]]
        if not fixed:
            raise InputError(
                f"{self.name}: layer {layer!r} gives activations of shape {shape} for one item and {unlike} for "
                "another: no axis keeps its size, so it has no features; leave it out of layers=."
            )
        sure = [i for i in fixed if i in said] if said and len(rest) > 1 else fixed
        if len(sure) != 1:
            words = [k for k in KNOWN if len(k) == n] or KNOWN
            raise InputError(
                f"{self.name}: layer {layer!r} gives activations of shape {shape}, and which axis holds the features "
                f"cannot be told. Say it by axes=, such as {', '.join(f'axes={k!r}' for k in words)}, or leave it out "
                "of layers=."
            )
        return "".join("b" if i == item_axis else "d" if i == sure[0] else "t" for i in range(n))

    def _look_closer(self, one: Any) -> None:
        """Follow features through reshapes too, where a layer's axis is open: that takes the shapes of one run."""
        open_ = [t for k, t in self._taps.items() if k not in self._said and len(self._by_graph[t]) != 1]
        if not open_:
            return
        model = read_graph(self._path)
        wanted = wanted_shapes(model.graph, open_)
        if not wanted:
            return
        graph = type(model.graph)()
        graph.CopyFrom(model.graph)
        add_outputs(model, wanted)
        session = make_session(model, self._path, self._threads, optimise=False)
        copies = 1 if self._grouping == "single" else 2
        part = together([self._alone(one, i) for i in range(copies)])
        shapes = {
            n: np.shape(v) for n, v in zip(wanted, self._run(session, wanted, part.inputs, self._rows), strict=True)
        }
        shapes |= {n: np.shape(v) for n, v in part.inputs.items()}
        axes = FeatureAxes(graph, shapes)
        self._by_graph |= {t: axes.of(t) for t in open_}


def _shapes(part: Pass) -> tuple[Any, ...]:
    return tuple((name, np.shape(value)) for name, value in part.inputs.items())
