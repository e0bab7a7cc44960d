"""TFLite files, run by LiteRT on the CPU with every tensor kept: ``./model.tflite``, or ``tflite:model.tflite``.

Layers are outputs of operations, named by their place in the graph and their kind, such as ``op_012_add``. By default
they are those at which a residual sum is formed, or, where there are fewer than two of these, those of all convolutions
and products with weights; and what the graph puts out, if that is one tensor. Every other tensor of real numbers is had
by ``layers=``: names or glob patterns of operations (``"op_*_conv_2d"``) or of tensors as the file calls them, or a
tensor's number (``"17"``).
Quantised tensors are given as the real numbers that they stand for, by their scale and zero point.

Features lie along the last axis of convolutions and products, and are followed from there through transpositions and
reshapes; where that does not tell, the error names ``axes=``. A graph whose batch is not free is run item by item.

Images are resized to what the graph takes. Their default normalisation is that of ImageNet for graphs that take floats
(``mean=`` and ``std=`` say otherwise: 0.5 each is −1…1), and the whole range of the input for those that take integers.
Texts, and recordings that do not go in as waveforms, need ``preprocess=``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from .._core.packages import file_sha256
from ..errors import InputError, MissingExtraError, UnknownNameError
from ._axes import parse_axes
from ._base import Encoder
from ._graph_encoder import GraphEncoder
from ._onnx_inputs import Inputs, Own, Waves, fill_in, image_inputs, together
from ._provider import Options, Provider
from ._tflite_graph import TfliteGraph

_IMAGE = ("size", "crop", "keep_aspect", "resample", "scale", "mean", "std")
_MODALITIES = ("image", "text", "audio")
_SCHEME = 1


class Tflite(Provider):
    """A TensorFlow Lite file, tapped at its residual sums and outcomes.

    Example:
        >>> import numpy as np
        >>> import isomorph as iso
        >>> picture = np.zeros((32, 32, 3), dtype=np.uint8)
        >>> encoder = iso.load_encoder("./net.tflite", size=8, crop=8, mean=(0, 0, 0), std=(1, 1, 1))
        >>> encoder.layers
        ('op_002_add', 'op_004_add', 'op_006_fully_connected')
        >>> encoder.encode([picture])[encoder.layers[-1]].shape
        (1, 5)
    """

    name: ClassVar[str] = "tflite"
    spec: ClassVar[str] = "tflite:FILE"
    reads: ClassVar[str] = "any"
    takes: ClassVar[frozenset[str]] = frozenset({"init", "pooling"})
    extras: ClassVar[tuple[str, ...]] = (*_IMAGE, "modality", "rate", "prefix", "threads", "preprocess")

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        path = Path(id).expanduser()
        if revision is not None:
            raise InputError(f"{id}@{revision}: a file has no revisions; its content is its revision. Leave @… out.")
        if not path.is_file():
            raise InputError(f"There is no file {id}; a TFLite model is a file.")
        return TfliteEncoder(path, options, **extra)


class TfliteEncoder(GraphEncoder):
    """One TFLite graph.

    Args:
        path: The file.
        options: Pooling, layers, axes, init and seed. `device` must be ``"cpu"`` and `dtype` ``"float32"``: a graph
            carries its own precision.
        modality: ``"image"``, ``"text"`` or ``"audio"``; by default what the first input looks like.
        rate: For waveforms: samples per second that the graph wants.
        prefix: How many class and register tokens stand in front, for ``pooling="mean_no_cls"``.
        threads: Threads of LiteRT; by default those that this process may use, or ``OMP_NUM_THREADS``.
        preprocess: Takes a list of items and returns the array for the first input, or a mapping for several; an
            ``attention_mask`` (b, t) in it is respected in pooling.
        image: Fields of `ImagePreprocessing`.

    Raises:
        InputError: if the file is no TFLite model, or an option does not fit.
        UnknownNameError: if a layer is not there.
        MissingExtraError: if ai-edge-litert is not installed.
    """

    provider: ClassVar[str] = "tflite"

    def __init__(
        self,
        path: Path,
        options: Options,
        *,
        modality: str | None = None,
        rate: int = 16000,
        prefix: int | None = None,
        threads: int | None = None,
        preprocess: Callable[[Sequence[Any]], Any] | None = None,
        **image: Any,
    ) -> None:
        if options.device != "cpu" or options.dtype != "float32":
            raise InputError(
                "TFLite models run on device='cpu' in their own precision (dtype='float32'); "
                f"found {options.device!r}, {options.dtype!r}."
            )
        if modality is not None and modality not in _MODALITIES:
            raise UnknownNameError("modality", modality, _MODALITIES)
        self._path, self._options, self._prefix = path, options, prefix
        self._graph = graph = TfliteGraph(path)
        self._n_parameters = graph.n_parameters
        self._weights = file_sha256(path)
        self._taps = {layer: str(i) for layer, i in graph.choose(options.layers).items()}
        self._said = parse_axes(options.axes, tuple(self._taps))
        self._by_graph = dict.fromkeys(self._taps.values(), frozenset())
        if options.init == "random":
            graph.randomize(options.seed)
        self._interpreter = _interpreter(graph.content, path, threads)
        self._now: dict[str, tuple[int, ...]] = {}  # shapes that memory is laid out for
        graph.content = bytearray()  # the interpreter has its own
        self._scales = self._details()
        self._inputs = _named(self._interpreter.get_input_details())
        first = next(iter(self._inputs.values()))
        self._first, self._shape = next(iter(self._inputs)), _free(first)
        self._source = self._make_inputs(modality, preprocess, rate, image, first)
        self._axes: dict[str, str] = {}
        rows = self._shape[0] if len(self._shape) > 1 else 1
        self._grouping = "single" if rows == 1 else "padded"
        self._rows = rows if isinstance(rows, int) and rows > 1 else None

    def _make_inputs(self, modality: Any, preprocess: Any, rate: int, image: Any, first: Any) -> Inputs:
        kind = modality or ("image" if preprocess is not None else _looks_like(self._shape, first["dtype"]))
        if image and (preprocess is not None or kind != "image"):
            raise InputError(
                f"{', '.join(image)}: options of images without own preprocessing; this is not such a model."
            )
        if preprocess is not None:
            return Own(preprocess, kind, self._first)
        if kind == "image" and len(self._shape) == 4:
            return image_inputs(None, self._first, self._shape, _range(first) | dict(image))
        if kind == "audio" and len(self._shape) in (1, 2):
            length = self._shape[-1]
            return Waves(rate, self._first, length if isinstance(length, int) else None)
        raise InputError(
            f"{self.name} takes inputs of shape {tuple(first['shape'])}; for {kind} items it needs preprocess=…, a "
            "function from a list of items to the arrays that go in."
        )

    @property
    def name(self) -> str:
        return f"tflite:{self._path.name}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return f"sha256-{self._weights[:16]}"

    @property
    def n_parameters(self) -> int:
        return self._n_parameters

    @property
    def identity(self) -> dict[str, Any]:
        o = self._options
        drawn = {"seed": o.seed, "scheme": 2} if o.init == "random" else {}
        return {
            "provider": self.provider, "model": self._path.name, "weights": self._weights, "pooling": o.pooling,
            "init": o.init, "layers": self._taps, "prefix": self._prefix, "features": _SCHEME,
            "grouping": self._grouping, "axes": self._said, "preprocessing": self._source.facts, **drawn,
        } | self.check_facts()  # fmt: skip

    @property
    def description(self) -> str:
        more = f", the first of its {self._graph.n_graphs} graphs" if self._graph.n_graphs > 1 else ""
        return f"{super().description}; TFLite graph{more}, pooling {self._options.pooling}"

    def run(self, outputs: Sequence[str], inputs: dict[str, Any]) -> list[Any]:
        self._invoke(inputs)
        return [_real(self._interpreter.get_tensor(int(o)), self._scales[int(o)]) for o in outputs]

    def _invoke(self, inputs: dict[str, Any]) -> None:
        """Run the graph.

        Raises:
            InputError: if an input is missing, or the graph cannot run on these.
        """  # errors of ours pass
        wanted = {n: SimpleNamespace(shape=_free(d)) for n, d in self._inputs.items()}
        inputs = fill_in(inputs, wanted)
        missing = [n for n in self._inputs if n not in inputs]
        if missing:
            raise InputError(
                f"{self.name} also takes {', '.join(map(repr, missing))}; pass preprocess=… that gives all inputs."
            )
        arrays = {n: _as_input(inputs[n], d) for n, d in self._inputs.items()}
        runner = self._interpreter
        try:
            for name, array in arrays.items():
                detail = self._inputs[name]
                _check_shape(self.name, name, array.shape, _free(detail))
                if tuple(self._now.get(name, ())) != array.shape:
                    self._now = {}
                    runner.resize_tensor_input(detail["index"], array.shape, strict=False)
            if not self._now:
                runner.allocate_tensors()
                self._now = {n: v.shape for n, v in arrays.items()}
            for name, array in arrays.items():
                runner.set_tensor(self._inputs[name]["index"], array)
            runner.reset_all_variables()  # what a recurrent graph carries from call to call
            runner.invoke()
        except InputError:
            raise
        except (RuntimeError, ValueError) as error:
            self._now = {}
            shapes = {n: v.shape for n, v in arrays.items()}
            text = " ".join(str(error).split())
            raise InputError(f"{self.name} cannot run on inputs of shapes {shapes}: {text}") from error

    def _details(self) -> dict[int, Any]:
        return {d["index"]: d for d in self._interpreter.get_tensor_details()}

    def look_closer(self, one: Any, open_: Sequence[str]) -> None:
        copies = 1 if self._grouping == "single" else self._rows or 2
        self._invoke(together([self._alone(one, i) for i in range(copies)]).inputs)
        shapes = {i: d["shape"] for i, d in self._details().items()}
        axes = self._graph.feature_axes(shapes)
        self._by_graph |= {t: axes.of(t) for t in open_}


def _interpreter(content: bytearray, path: Path, threads: int | None) -> Any:
    """LiteRT's interpreter, without delegates, which would not keep what lies between the operations that they fuse.

    Raises:
        InputError: if it cannot run this model.
        MissingExtraError: if the package is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType
    except ImportError as error:
        raise MissingExtraError("Running a TFLite model", "ai-edge-litert", "tflite") from error
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        interpreter = Interpreter(
            model_content=bytes(content),
            num_threads=threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or allowed,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        hint = " It needs operations of TensorFlow's own (Flex), which LiteRT lacks." if "Flex" in text else ""
        raise InputError(f"{path} cannot be run by LiteRT: {text}.{hint}") from error
    return interpreter


def _plain(name: str) -> str:
    """The name of an input without what converters put around it."""
    return re.sub(r"^serving_default_|:\d+$", "", name)


def _named(details: Sequence[Any]) -> dict[str, Any]:
    """Inputs by their plain names, or as the file calls or counts them where those are not all different."""
    for names in ([_plain(d["name"]) for d in details], [d["name"] for d in details]):
        if len(set(names)) == len(names):
            return dict(zip(names, details, strict=True))
    return {f"{d['name']}#{d['index']}": d for d in details}


def _free(detail: Mapping[str, Any]) -> tuple[Any, ...]:
    """An input's shape, with a word where any size will do."""
    signature = [int(n) for n in detail["shape_signature"]] or [int(n) for n in detail["shape"]]
    return tuple("any" if n < 0 else n for n in signature)


def _looks_like(shape: Sequence[Any], dtype: Any) -> str:
    if len(shape) == 4:
        return "image"
    return "text" if np.dtype(dtype).kind == "i" and np.dtype(dtype).itemsize > 1 else "audio"


def _range(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Normalisation that spreads pixels over the whole range of an integer input; none for floats."""
    kind = np.dtype(detail["dtype"])
    if kind.kind == "f":
        return {}
    scale, zero = detail["quantization"]
    if not scale:  # plain bytes
        return {"scale": 1.0, "mean": (0, 0, 0), "std": (1, 1, 1)}
    limits = np.iinfo(kind)
    low, high = scale * (limits.min - zero), scale * (limits.max - zero)
    return {"mean": (-low / (high - low),) * 3, "std": (1 / (high - low),) * 3}


def _as_input(value: Any, detail: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """An array in the type that an input takes, quantised if it is."""
    array, kind = np.asarray(value), np.dtype(detail["dtype"])
    if array.ndim == len(detail["shape"]) + 1 and len(array) == 1:
        array = array[0]  # a graph of one waveform has no axis for items
    scale, zero = detail["quantization"]
    if array.dtype.kind == "f" and kind.kind in "iu":
        limits = np.iinfo(kind)
        array = np.clip(np.rint(array / scale + zero if scale else array), limits.min, limits.max)
    return np.ascontiguousarray(array, dtype=kind)


def _check_shape(name: str, input: str, shape: Sequence[int], free: Sequence[Any]) -> None:
    """See that an array fits an input.

    Raises:
        InputError: if it does not.
    """
    if len(shape) != len(free) or any(isinstance(n, int) and n != m for n, m in zip(free, shape, strict=True)):
        raise InputError(f"{name} takes arrays of shape {tuple(free)} for {input!r}, found {tuple(shape)}.")


def _real(value: Any, detail: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The real numbers that a tensor stands for."""
    array = np.asarray(value)
    if array.dtype.kind == "f":
        return array
    facts = detail["quantization_parameters"]
    scales, zeros = np.asarray(facts["scales"], dtype=np.float32), np.asarray(facts["zero_points"])
    if not scales.size:
        return array
    if scales.size > 1:
        shape = [1] * array.ndim
        shape[facts["quantized_dimension"]] = scales.size
        scales, zeros = scales.reshape(shape), zeros.reshape(shape)
    real: np.ndarray[Any, Any] = (array.astype(np.float32) - zeros.astype(np.float32)) * scales
    return real
