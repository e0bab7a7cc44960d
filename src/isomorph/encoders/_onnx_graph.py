"""Surgery on ONNX graphs: finding the blocks, adding taps as outputs, drawing the weights anew."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError, UnknownNameError

_BLOCK = re.compile(r"(?:^|.*?[/.])(?:blocks?|layers?|h|stages?|resblocks)[/._](\d+)(?=[/.])")


def import_onnx() -> Any:
    """The onnx package.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import onnx
        import onnx.numpy_helper  # noqa: F401  # callers read it as an attribute of the package
    except ImportError as error:
        raise MissingExtraError("Reading an ONNX model", "onnx", "models") from error
    return onnx


def tensors(graph: Any) -> list[str]:
    """Names of all float tensors that nodes put out, in the order of the graph; constants are left out."""
    return [o for node in graph.node if node.op_type != "Constant" for o in node.output if o]


def find_taps(graph: Any) -> dict[str, str]:
    """Layer name -> tensor for a graph whose nodes carry the module paths of the network it was exported from.

    A block is all nodes below one numbered path such as ``/blocks.3/``; its output is the last of them. ``embedding``
    is what the first block takes in, ``final_norm`` the output of a norm right after the last block.

    Raises:
        InputError: if no node is named so.
    """
    last: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for node in graph.node:
        match = _BLOCK.match(node.name)
        if match and node.op_type != "Constant":
            first.setdefault(match.group(0), node)
            last[match.group(0)] = node
    if not last:
        raise InputError(
            "The nodes of this ONNX graph carry no block names, so its layers cannot be found; name them, for example "
            f"layers=[{tensors(graph)[-1]!r}]. Names and glob patterns of nodes or of their outputs are understood."
        )
    digits = max(2, len(str(len(last))))
    blocks = {f"block_{i:0{digits}d}": node.output[0] for i, node in enumerate(last.values(), 1)}
    weights = {t.name for t in graph.initializer}
    entry = next((i for i in next(iter(first.values())).input if i and i not in weights), None)
    inputs = {i.name for i in graph.input}
    taps = ({"embedding": entry} if entry and entry not in inputs else {}) | blocks
    norm = _final_norm(graph, next(reversed(last.values())))
    return taps | ({"final_norm": norm} if norm else {})


def choose_tensors(graph: Any, patterns: Sequence[str] | None) -> dict[str, str]:
    """Layer name -> tensor for names or glob patterns of layers, nodes or tensors; all blocks for None.

    Raises:
        UnknownNameError: if a pattern matches nothing.
        InputError: if there are no patterns and no blocks are found.
    """
    if patterns is None:
        return find_taps(graph)
    try:
        readable = find_taps(graph)
    except InputError:
        readable = {}
    everything = tensors(graph)
    by_node = {n.name: n.output[0] for n in graph.node if n.name and n.output and n.op_type != "Constant"}
    chosen: dict[str, str] = {}
    for pattern in patterns:
        for names in (readable, by_node, {t: t for t in everything}):
            found = {k: v for k, v in names.items() if k == pattern or fnmatch.fnmatchcase(k, pattern)}
            if found:
                break
        else:
            raise UnknownNameError("layer", pattern, [*readable, *by_node, *everything])
        chosen.update(found)
    order = {t: i for i, t in enumerate(everything)}
    return dict(sorted(chosen.items(), key=lambda item: order.get(item[1], -1)))


def add_outputs(model: Any, names: Sequence[str]) -> None:
    """Make tensors outputs of the graph, in place and in place of the outputs that were there."""
    onnx = import_onnx()
    del model.graph.output[:]
    for name in dict.fromkeys(names):
        model.graph.output.append(onnx.ValueInfoProto(name=name))


def randomise(model: Any, seed: int, std: float | None = None) -> None:
    """Draw the weights of a graph anew, in place: the same architecture untrained.

    Weights of matrix products and convolutions come from a normal distribution truncated at two standard deviations, of
    standard deviation `std`, or 1/√fan-in if None; other float arrays of two or more axes (position and token
    embeddings) from one of 0.02. Biases and running means become 0; scales, layer scales and running variances 1.
    Scalars, integers and constants inside nodes stay.

    Raises:
        InputError: if the graph holds quantised weights, which have no untrained form here.
    """
    onnx = import_onnx()
    rng = np.random.default_rng(seed)
    uses = _uses(model.graph)
    for tensor in model.graph.initializer:
        if tensor.data_type in (onnx.TensorProto.INT8, onnx.TensorProto.UINT8) and math.prod(tensor.dims) > 1:
            raise InputError(
                "This ONNX graph holds quantised weights, which cannot be drawn anew; use init='pretrained'."
            )
        if tensor.data_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16) or math.prod(tensor.dims) <= 1:
            continue
        old = onnx.numpy_helper.to_array(tensor)
        new = _drawn(old.shape, uses.get(tensor.name, ("", 0)), rng, std)
        tensor.CopyFrom(onnx.numpy_helper.from_array(new.astype(old.dtype), tensor.name))


def _drawn(shape: tuple[int, ...], use: tuple[str, int], rng: Any, std: float | None) -> np.ndarray[Any, Any]:
    op, slot = use
    if sum(n > 1 for n in shape) <= 1 and op not in ("MatMul", "Gemm", "Conv", "ConvTranspose"):
        one = op in ("Mul", "Div") or (op.endswith("Normalization") and slot in (1, 4))
        return np.full(shape, 1.0 if one else 0.0)
    if op in ("Gemm", "Conv", "ConvTranspose") and slot == 2:
        return np.zeros(shape)
    spread = 0.02
    if op in ("MatMul", "Gemm", "Conv", "ConvTranspose"):
        fan_in = math.prod(shape[1:]) if op.startswith("Conv") else shape[-2] if len(shape) > 1 else shape[0]
        spread = std if std is not None else 1 / math.sqrt(fan_in)
    draws = rng.standard_normal(shape)
    while (far := np.abs(draws) > 2).any():
        draws[far] = rng.standard_normal(int(far.sum()))
    drawn: np.ndarray[Any, Any] = draws * spread
    return drawn


def _uses(graph: Any) -> dict[str, tuple[str, int]]:
    """Weight -> the operation that uses it first and at which input, looking through transposes."""
    through = {n.output[0]: n.input[0] for n in graph.node if n.op_type in ("Transpose", "Identity", "Cast")}
    uses: dict[str, tuple[str, int]] = {}
    for node in graph.node:
        if node.op_type in ("Transpose", "Identity", "Cast"):
            continue
        for slot, name in enumerate(node.input):
            source = name
            while source in through:
                source = through[source]
            uses.setdefault(source, (node.op_type, slot))
    return uses


def _final_norm(graph: Any, block: Any) -> str | None:
    """Output of a norm that takes in the last block's output: one node, or nodes below one path with "norm" in it."""
    users = [n for n in graph.node if block.output[0] in n.input]
    if not users:
        return None
    if users[0].op_type == "LayerNormalization":
        return str(users[0].output[0])
    scope = users[0].name.rpartition("/")[0]
    if "norm" not in scope.rpartition("/")[2].lower() and "ln" not in scope.rpartition("/")[2].lower():
        return None
    inside = [n for n in graph.node if n.name.startswith(f"{scope}/") and n.op_type != "Constant"]
    return str(inside[-1].output[0])
