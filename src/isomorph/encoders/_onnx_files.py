"""ONNX files and folders: which file is meant, whether it is whole, and a session that runs it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._core.packages import file_sha256
from ..errors import InputError, MissingExtraError, UnknownNameError
from ._hub import refuse_pointer
from ._onnx_graph import import_onnx
from ._torch import json_digest

_SMALL = 1024


def find_graph(folder: Path, file: str | None, side: str | None) -> Path:
    """The graph of a folder, as optimum writes them: ``model.onnx``, or one a side (``encoder_model.onnx``).

    Raises:
        InputError: if there is none, or several and neither `file` nor `side` says which.
        UnknownNameError: if there is no such file or side.
    """
    there = {p.relative_to(folder).as_posix(): p for d in (folder, folder / "onnx") for p in sorted(d.glob("*.onnx"))}
    if file is not None and side is not None:
        raise InputError(f"file={file!r} and side={side!r} both say which graph is meant; say it once.")
    if not there:
        raise InputError(f"The folder {folder} holds no .onnx file.")
    if file is not None:
        if file not in there:
            raise UnknownNameError(f"file in {folder.name}", file, there)
        return there[file]
    sides = folder_sides(folder)
    if side is not None:
        if side not in sides:
            raise UnknownNameError(
                f"side of {folder.name}", side, sides, "A side is a file such as encoder_model.onnx."
            )
        return next(p for n, p in there.items() if n.rpartition("/")[2] == f"{side}_model.onnx")
    for name in ("model.onnx", "onnx/model.onnx"):
        if name in there:
            return there[name]
    if len(there) == 1:
        return next(iter(there.values()))
    ways = [f"'#{s}'" for s in sides] or [f"file={n!r}" for n in there]
    known = ", ".join(there)
    raise InputError(f"The folder {folder} holds {len(there)} graphs ({known}); say which by {' or '.join(ways)}.")


def folder_sides(folder: Path) -> tuple[str, ...]:
    """Sides that have a graph of their own: those of files such as ``encoder_model.onnx``."""
    names = [p.name for d in (folder, folder / "onnx") for p in sorted(d.glob("*_model.onnx"))]
    return tuple(dict.fromkeys(n.removesuffix("_model.onnx") for n in names))


def folder_config(folder: Path) -> dict[str, Any]:
    """The settings in a folder's ``config.json``; empty if there is none.

    Raises:
        InputError: if it cannot be read.
    """
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} cannot be read: it holds no table of settings.")
    return found


def read_graph(path: Path) -> Any:
    """The graph of a file; weights in files beside it stay there.

    Raises:
        InputError: if it is no graph, is damaged, or a file beside it is missing or too short.
    """
    onnx = import_onnx()
    refuse_pointer(path)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf and onnx raise many classes for a file that is no graph
        text = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read as an ONNX model: {text}. Is the download complete?") from error
    if not model.graph.node:
        raise InputError(f"{path} cannot be read as an ONNX model: it holds no operations.")
    for location, end in _external(model, path).items():
        data = path.parent / location
        if not data.is_file():
            raise InputError(f"{path} keeps weights in {location}, which is not beside it; put it there.")
        refuse_pointer(data)
        if data.stat().st_size < end:
            raise InputError(f"{data} has {data.stat().st_size} bytes where {path.name} needs {end}; it was cut off.")
    return model


def weights_digest(model: Any, path: Path) -> str:
    """Sha256 over a graph and all files that it keeps weights in."""
    files = [path, *(path.parent / location for location in sorted(_external(model, path)))]
    hashes = [file_sha256(f) for f in files]
    return hashes[0] if len(hashes) == 1 else json_digest({"files": hashes})


def make_session(model: Any, path: Path, threads: int | None, *, optimize: bool = True) -> Any:
    """A session of ONNX Runtime on the CPU.

    Args:
        model: The graph, taps and all.
        path: Where it was read from; weights may be in files beside it.
        threads: Number of threads; by default those that this process may use, or ``OMP_NUM_THREADS``.
        optimize: Whether operations are fused: slower to load, faster to run.

    Raises:
        InputError: if it cannot be run.
        MissingExtraError: if onnxruntime is not installed.
    """
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
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(path.parent))
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    _inline_small(model, path.parent)
    try:
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises classes of its own that it does not export
        raise InputError(f"{path} cannot be run by ONNX Runtime: {' '.join(str(error).split())}") from error


def _inline_small(model: Any, folder: Path) -> None:
    """Put shapes and the like into the graph, in place: ONNX Runtime wants these at once."""
    onnx = import_onnx()
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL and math.prod(tensor.dims) <= _SMALL:
            onnx.external_data_helper.load_external_data_for_tensor(tensor, str(folder))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _external(model: Any, path: Path) -> dict[str, int]:
    """Files beside a graph that hold weights, and how long each must be.

    Raises:
        InputError: if one lies elsewhere.
    """
    onnx = import_onnx()
    ends: dict[str, int] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        facts = {entry.key: entry.value for entry in tensor.external_data}
        location = facts.get("location", "")
        inside = Path(location)
        if not location or inside.is_absolute() or ".." in inside.parts or "\\" in location:
            raise InputError(f"{path} keeps weights in {location!r}, which does not lie beside it; that is not read.")
        try:
            end = int(facts.get("offset", 0)) + int(facts.get("length", 0))
        except ValueError as error:
            raise InputError(f"{path} does not say where its weights lie in {location}.") from error
        ends[location] = max(ends.get(location, 0), end)
    return ends


def _tensors(graph: Any) -> Iterator[Any]:
    """All stored tensors of a graph and the graphs inside it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]:
                yield from _tensors(inner)
