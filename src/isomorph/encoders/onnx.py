"""Any ONNX file, run by ONNX Runtime on the CPU, tapped at named or patterned nodes.

Layers are found by the block numbers in the names of nodes (``/blocks.3/…``), or given as names or glob patterns of
nodes or of their output tensors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .._packages import file_sha256
from ..errors import InputError, MissingExtraError, UnknownNameError
from ._base import Encoder, Features
from ._inputs import IMAGENET_MEAN, IMAGENET_STD, RESAMPLING, ImagePreprocessing, as_samples, as_text
from ._onnx_graph import add_outputs, choose_tensors, import_onnx, randomise
from ._pooling import pool
from ._provider import Options, Provider
from ._torch import check_finite, json_digest

_IMAGE = ("size", "crop", "keep_aspect", "resample", "scale", "mean", "std")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
          "tensor(int64)": np.int64, "tensor(int32)": np.int32}  # fmt: skip


class Onnx(Provider):
    """ONNX files."""

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
    )

    def load(self, id: str, revision: str | None, options: Options, **extra: Any) -> Encoder:
        path = Path(id).expanduser()
        if not path.is_file():
            raise InputError(f"There is no file {id}; an ONNX model is a file.")
        if revision is not None:
            raise InputError(f"{id}@{revision}: a file has no revisions; its content is its revision. Leave @… out.")
        return OnnxEncoder(path, options, **extra)


class OnnxEncoder(Encoder):
    """One ONNX graph.

    Args:
        path: The file.
        options: Pooling, layers, init and seed. `device` must be ``"cpu"`` and `dtype` ``"float32"``: a graph carries
            its own precision.
        modality: ``"image"``, ``"text"`` or ``"audio"`` (raw waveforms; equal lengths share a pass).
        tokenizer: For texts: a folder with a tokeniser of transformers.
        rate: For recordings: samples per second that the graph wants.
        prefix: How many class and register tokens stand in front, for ``pooling="mean_no_cls"``.
        threads: Threads of ONNX Runtime; by default those that this process may use, or ``OMP_NUM_THREADS``.
        preprocess: Takes a list of items and returns the array for the first input, or a mapping for several; an
            ``attention_mask`` (b, t) in it is respected in pooling.
        init_std: Standard deviation of random weights; see `randomise`.
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
        modality: str = "image",
        tokenizer: str | Path | None = None,
        rate: int = 16000,
        prefix: int | None = None,
        threads: int | None = None,
        preprocess: Callable[[Sequence[Any]], Any] | None = None,
        init_std: float | None = None,
        **image: Any,
    ) -> None:
        if options.device != "cpu" or options.dtype != "float32":
            raise InputError(
                "ONNX models run on device='cpu' in their own precision (dtype='float32'); "
                f"found {options.device!r}, {options.dtype!r}."
            )
        if modality not in ("image", "text", "audio"):
            raise UnknownNameError("modality", modality, ("image", "text", "audio"))
        self._path, self._options, self._modality, self._rate, self._prefix = path, options, modality, rate, prefix
        model = _read(path)
        self._taps = choose_tensors(model.graph, options.layers)
        self._n_parameters = sum(int(np.prod(t.dims)) for t in model.graph.initializer)
        self._weights = file_sha256(path)
        self._init_std = init_std
        if options.init == "random":
            randomise(model, options.seed, init_std)
        add_outputs(model, list(self._taps.values()))
        self._session = _session(model, path, threads)
        self._inputs = {i.name: i for i in self._session.get_inputs()}
        self._tokenizer = _tokenizer(tokenizer) if modality == "text" and preprocess is None else None
        self._preprocess = preprocess
        self._image = self._image_preprocessing(image) if modality == "image" and preprocess is None else None
        if image and self._image is None:
            raise InputError(
                f"{', '.join(image)}: options of images without own preprocessing; this is not such a model."
            )

    @property
    def name(self) -> str:
        return f"onnx:{self._path.name}{'?init=random' if self._options.init == 'random' else ''}"

    @property
    def revision(self) -> str:
        return f"sha256-{self._weights[:16]}"

    @property
    def modality(self) -> str:
        return self._modality

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(self._taps)

    @property
    def n_parameters(self) -> int:
        return self._n_parameters

    @property
    def identity(self) -> dict[str, Any]:
        o = self._options
        drawn = {"seed": o.seed, "init_std": self._init_std, "scheme": 1} if o.init == "random" else {}
        return {
            "provider": self.provider, "model": self.name, "weights": self._weights, "pooling": o.pooling,
            "init": o.init, "layers": self._taps, "prefix": self._prefix,
            "preprocessing": self._preprocessing_facts(), **drawn,
        }  # fmt: skip

    @property
    def description(self) -> str:
        return (
            f"{super().description}; ONNX graph, pooling {self._options.pooling}, layers are the tensors {self._taps}"
        )

    def cost(self, item: Any) -> float:
        samples = getattr(item, "samples", None)
        return super().cost(item) if samples is None else len(samples) / item.rate

    def encode(self, batch: Sequence[Any]) -> Features:
        if not len(batch):
            raise InputError(f"{self.name}: there is nothing to encode in an empty batch.")
        rows: dict[str, list[Any]] = {layer: [None] * len(batch) for layer in self._taps}
        outputs = list(dict.fromkeys(self._taps.values()))
        for positions, inputs, mask in self._prepare(batch):
            values = dict(zip(outputs, self._run(outputs, inputs), strict=True))
            for layer, tensor in self._taps.items():
                try:
                    pooled = pool(np.asarray(values[tensor]), mask, self._options.pooling, self._prefix)
                except InputError as error:
                    raise InputError(f"{self.name}, layer {layer!r}: {error}") from error
                check_finite(self.name, layer, pooled, positions)
                for position, value in zip(positions, pooled, strict=True):
                    rows[layer][position] = value
        if self._options.pooling == "none":
            return rows  # type: ignore[return-value]  # lists of (t, d), as the base class says of "none"
        return {layer: np.stack(values) for layer, values in rows.items()}

    def _prepare(self, batch: Sequence[Any]) -> list[tuple[Sequence[int], dict[str, Any], Any]]:
        everything = range(len(batch))
        if self._preprocess is not None:
            made = self._preprocess(list(batch))
            inputs = dict(made) if isinstance(made, Mapping) else {self._first: made}
            mask = inputs.get("attention_mask")
            return [(everything, inputs, None if mask is None else np.asarray(mask, dtype=bool))]
        if self._image is not None:
            return [(everything, {self._first: self._image(batch)}, None)]
        if self._tokenizer is not None:
            texts = [as_text(item, i) for i, item in enumerate(batch)]
            encoded = self._tokenizer(texts, padding=True, return_tensors="np", return_attention_mask=True)
            inputs = {k: v for k, v in encoded.items() if k in self._inputs}
            return [(everything, inputs, encoded["attention_mask"].astype(bool))]
        waves = [as_samples(item, i, self._rate) for i, item in enumerate(batch)]
        by_length: dict[int, list[int]] = {}
        for i, wave in enumerate(waves):
            by_length.setdefault(len(wave), []).append(i)
        return [(p, {self._first: np.stack([waves[i] for i in p])}, None) for p in by_length.values()]

    def _run(self, outputs: list[str], inputs: Mapping[str, Any]) -> list[Any]:
        missing = [n for n in self._inputs if n not in inputs]
        if missing:
            raise InputError(
                f"{self.name} also takes {', '.join(map(repr, missing))}; pass preprocess=… that gives all inputs."
            )
        cast = {n: np.asarray(inputs[n], dtype=_TYPES.get(i.type)) for n, i in self._inputs.items()}
        try:
            return list(self._session.run(outputs, cast))
        except Exception as error:  # ONNX Runtime raises classes of its own that it does not export
            text = " ".join(str(error).split())
            shapes = {n: v.shape for n, v in cast.items()}
            raise InputError(f"{self.name} cannot run on inputs of shapes {shapes}: {text}") from error

    @property
    def _first(self) -> str:
        return str(next(iter(self._inputs)))

    def _image_preprocessing(self, image: dict[str, Any]) -> ImagePreprocessing:
        shape = self._inputs[self._first].shape
        fixed = shape[2] if len(shape) == 4 and isinstance(shape[2], int) else 224
        values: dict[str, Any] = {"size": fixed, "crop": fixed, "mean": IMAGENET_MEAN, "std": IMAGENET_STD} | image
        if values.get("resample", "bicubic") not in RESAMPLING:
            raise UnknownNameError("resample", str(values["resample"]), RESAMPLING)
        values |= {k: tuple(values[k]) for k in ("mean", "std")}
        return ImagePreprocessing(**values)

    def _preprocessing_facts(self) -> Any:
        if self._image is not None:
            return self._image.facts
        if self._preprocess is not None:
            from .module import describe

            return describe(self._preprocess)
        if self._tokenizer is not None:
            backend = getattr(self._tokenizer, "backend_tokenizer", None)
            vocabulary = self._tokenizer.get_vocab() if backend is None else backend.to_str()
            return {"kind": "text", "version": 1, "tokenizer": json_digest({"content": vocabulary})}
        return {"kind": "audio", "version": 1, "rate": self._rate}


def _read(path: Path) -> Any:
    onnx = import_onnx()
    try:
        return onnx.load(str(path))
    except Exception as error:  # protobuf and onnx raise many classes for a file that is no graph
        raise InputError(f"{path} cannot be read as an ONNX model: {error}") from error


def _session(model: Any, path: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("Running an ONNX model", "onnxruntime", "models") from error
    options = onnxruntime.SessionOptions()
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0) or allowed
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that it does not export
        raise InputError(f"{path} cannot be run by ONNX Runtime: {' '.join(str(error).split())}") from error


def _tokenizer(folder: str | Path | None) -> Any:
    if folder is None:
        raise InputError("An ONNX model of texts needs tokenizer=…, a folder with a tokeniser of transformers.")
    from .transformers import import_transformers, reading

    transformers = import_transformers()
    with reading(str(folder), local=True):
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(Path(folder).expanduser()), local_files_only=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer
