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

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ..errors import InputError, UnknownNameError
from ._axes import parse_axes
from ._base import Encoder
from ._graph_encoder import GraphEncoder
from ._onnx_axes import FeatureAxes, wanted_shapes
from ._onnx_files import find_graph, folder_config, folder_sides, make_session, read_graph, weights_digest
from ._onnx_graph import add_outputs, choose_tensors, randomize
from ._onnx_inputs import (
    Inputs,
    Own,
    audio_inputs,
    class_tokens,
    fill_in,
    guess_modality,
    image_inputs,
    text_inputs,
    together,
)
from ._provider import Options, Provider

_IMAGE = ("size", "crop", "keep_aspect", "resample", "scale", "mean", "std")
_MODALITIES = ("image", "text", "audio")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
          "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}  # fmt: skip
_SCHEME = 2
_HALF = 10  # onnx.TensorProto.FLOAT16


class Onnx(Provider):
    """An ONNX file, or a folder that holds some, tapped at named nodes.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> picture = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> encoder = iso.load_encoder("./net.onnx", layers=["/0/Conv", "/2/Conv"])  # nodes of the graph
        >>> encoder.modality, encoder.layers
        ('image', ('/0/Conv', '/2/Conv'))
        >>> encoder.encode([picture])["/2/Conv"].shape
        (1, 5)
    """

    name: ClassVar[str] = "onnx"
    spec: ClassVar[str] = "onnx:FILE"
    reads: ClassVar[str] = "any"
    takes: ClassVar[frozenset[str]] = frozenset({"init", "pooling"})
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


class OnnxEncoder(GraphEncoder):
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
        init_std: Standard deviation of random weights; see `randomize`.
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
            randomize(model, options.seed, init_std)
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
        return audio_inputs(self._folder, self._first, names, config, rate, self._inputs[self._first].shape)

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
    def n_parameters(self) -> int:
        return self._n_parameters

    @property
    def precision(self) -> str:
        return "float16" if self._half else "float32"

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

    def run(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        return self._run(self._session, outputs, inputs)

    def _run(self, session: Any, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        inputs = fill_in(inputs, self._inputs)
        missing = [n for n in self._inputs if n not in inputs]
        if missing:
            raise InputError(
                f"{self.name} also takes {', '.join(map(repr, missing))}; pass preprocess=… that gives all inputs."
            )
        cast = {n: np.asarray(inputs[n], dtype=_TYPES.get(i.type)) for n, i in self._inputs.items()}
        try:
            return list(session.run(list(outputs), cast))
        except Exception as error:  # ONNX Runtime raises classes of its own that it does not export
            text = " ".join(str(error).split())
            shapes = {n: v.shape for n, v in cast.items()}
            raise InputError(f"{self.name} cannot run on inputs of shapes {shapes}: {text}") from error

    @property
    def _first(self) -> str:
        return next((str(n) for n in self._inputs if n in ("input_ids", "pixel_values")), str(next(iter(self._inputs))))

    def look_closer(self, one: Any, open_: Sequence[str]) -> None:
        """Follow features through reshapes too: that takes the shapes of one run."""
        model = read_graph(self._path)
        wanted = wanted_shapes(model.graph, open_)
        if not wanted:
            return
        graph = type(model.graph)()
        graph.CopyFrom(model.graph)
        add_outputs(model, wanted)
        session = make_session(model, self._path, self._threads, optimize=False)
        copies = 1 if self._grouping == "single" else self._rows or 2
        part = together([self._alone(one, i) for i in range(copies)])
        shapes = {n: np.shape(v) for n, v in zip(wanted, self._run(session, wanted, part.inputs), strict=True)}
        axes = FeatureAxes(graph, shapes | {n: np.shape(v) for n, v in part.inputs.items()})
        self._by_graph |= {t: axes.of(t) for t in open_}
