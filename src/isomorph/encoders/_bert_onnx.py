"""The weights of BERT out of an ONNX graph, under the names of transformers' ``BertModel``.

Exporters keep the names of embeddings, biases and norms, and give the transposed weights of products numbers instead;
the nodes that use these still carry the module's path. ONNX Runtime's optimiser fuses the projections to queries, keys
and values into one array a block.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._onnx_files import read_graph
from ._onnx_graph import import_onnx
from ._torch import import_torch

_MODULE = re.compile(r"(?:^|[./])((?:embeddings|encoder[./]layer\.\d+)[./].*)")


def bert_weights(path: Path) -> dict[str, Any]:
    """State of a ``BertModel`` without pooler, in float32.

    Args:
        path: The ONNX file.

    Raises:
        InputError: if the file is no ONNX graph, or an array of it belongs to no part of BERT.
    """
    torch = import_torch("Reading BERT's weights")
    numpy_helper = import_onnx().numpy_helper
    graph = read_graph(path).graph
    arrays = {t.name: numpy_helper.to_array(t).astype(np.float32) for t in graph.initializer if len(t.dims)}
    state: dict[str, np.ndarray[Any, Any]] = {}
    blocks = itertools.count()  # fused nodes come one a block
    for node in graph.node:
        held = [name for name in node.input if name in arrays]
        if node.op_type == "Attention" and len(held) == 2:
            _put_fused(state, next(blocks), *(arrays.pop(name) for name in held))
        elif node.op_type == "MatMul" and len(held) == 1:
            state[f"{_module(node.name.rpartition('/')[0], path)}.weight"] = arrays.pop(held[0]).T
    state |= {_module(name, path): array for name, array in arrays.items()}
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in state.items()}


def _put_fused(state: dict[str, Any], layer: int, weight: Any, bias: Any) -> None:
    """Cut the weights (d, 3 d) and biases (3 d,) of one block's queries, keys and values apart."""
    kinds = zip(("query", "key", "value"), np.split(weight, 3, axis=1), np.split(bias, 3), strict=True)
    for kind, w, b in kinds:
        stem = f"encoder.layer.{layer}.attention.self.{kind}"
        state[f"{stem}.weight"], state[f"{stem}.bias"] = w.T, b


def _module(name: str, path: Path) -> str:
    """The path of a module or parameter inside BERT, from the name of a node or array.

    Raises:
        InputError: if it is of no part of BERT.
    """
    found = _MODULE.search(name)
    if found is None:
        raise InputError(f"{path} holds {name!r}, which is no part of a BERT; another graph was expected.")
    return found[1].replace("/", ".")
