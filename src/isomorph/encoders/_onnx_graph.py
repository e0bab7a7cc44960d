"""Surgery on ONNX graphs: finding the blocks, adding taps as outputs, drawing the weights anew.

The nodes of a graph carry the module paths of the network that it was exported from: in their names
(``/blocks.3/mlp/Add``, as torch's older exporter and optimum write them) or beside them in
``pkg.torch.onnx.name_scopes`` (torch's newer one).
"""

from __future__ import annotations

import ast
import fnmatch
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError, UnknownNameError

_LISTS = re.compile(r"(blocks?|layers?|stages?|resblocks|features)\d*|h")
_UNDERSCORED = re.compile(r"(blocks?|layers?|h|stages?|resblocks)_(?:\._)?(\d+)")
_NORM = re.compile(r"norm|(^|[._])ln([._\d]|$)", re.IGNORECASE)
_NO_FEATURES = frozenset(
    ("Constant", "Shape", "Size", "NonZero", "ConstantOfShape", "Range", "Equal", "Less", "Greater")
)
_SCOPES = "pkg.torch.onnx.name_scopes"


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


def module_path(node: Any) -> str:
    """Path of the module that a node belongs to, such as ``"encoder.layer.0.attention"``; empty if it is not said."""
    for entry in node.metadata_props:
        if entry.key == _SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError, RecursionError):
                return ""
            named = [
                s for s in scopes[:-1] if isinstance(s, str) and not s.startswith("_empty")
            ]  # the last is the node
            return named[-1] if named else ""
    parts = node.name.strip("/").split("/")[:-1]
    path: list[str] = []
    for part in parts:
        name = _UNDERSCORED.sub(r"\1.\2", part)
        if path and name.startswith(f"{path[-1]}."):  # a Sequential's members repeat its name
            path.pop()
        path.append(name)
    return ".".join(path)


class Scopes:
    """The modules of the network that a graph was exported from, as its nodes tell them.

    Args:
        graph: An ONNX graph.
    """

    def __init__(self, graph: Any) -> None:
        self._fixed = {t.name for t in graph.initializer}
        self._nodes = []
        sizes: set[str] = set()  # what is computed from shapes alone
        for node in graph.node:
            inputs = [i for i in node.input if i]
            if node.op_type == "Constant" or (inputs and all(i in self._fixed for i in inputs)):
                self._fixed.update(node.output)
            elif node.op_type in _NO_FEATURES or all(i in self._fixed or i in sizes for i in inputs):
                sizes.update(node.output)
            else:
                self._nodes.append((module_path(node), node))
        self._fixed |= sizes
        self._shown = {o.name for o in graph.output}
        self._inputs = {i.name for i in graph.input}
        self._users: dict[str, list[tuple[str, Any]]] = {}
        for path, node in self._nodes:
            for name in node.input:
                self._users.setdefault(name, []).append((path, node))

    def paths(self) -> list[str]:
        """All modules that run, in the order in which they begin."""
        found: dict[str, None] = {}
        for path, _ in self._nodes:
            parts = path.split(".") if path else []
            for i in range(1, len(parts) + 1):
                found.setdefault(".".join(parts[:i]))
        return list(found)

    def output(self, path: str) -> str | None:
        """The tensor that a module puts out: the last of those that others take in."""
        inside = [node for p, node in self._nodes if _within(p, path)]
        given = [
            o
            for node in inside
            for o in node.output
            if o and (o in self._shown or any(not _within(p, path) for p, _ in self._users.get(o, ())))
        ]
        return str(given[-1]) if given else str(inside[-1].output[0]) if inside else None

    def entry(self, path: str) -> str | None:
        """The tensor that a module takes in first; None if that is an input of the graph."""
        made: set[str] = set()
        for p, node in self._nodes:
            if _within(p, path):
                for name in node.input:
                    if name and name not in self._fixed and name not in made and "mask" not in name:
                        return None if name in self._inputs else str(name)
                made.update(node.output)
        return None

    def blocks(self) -> list[str]:
        """Paths of the blocks, in the order in which they run; lists inside lists are taken apart.

        Raises:
            InputError: if several networks have blocks.
        """
        members: dict[str, list[str]] = {}
        for path, _ in self._nodes:
            for i, prefix in enumerate(_memberships(path)):
                if i == 0:
                    members.setdefault(prefix, []).append(path)
        chosen = [inner for outer, inside in members.items() for inner in _taken_apart(outer, inside)]
        stacks: dict[str, list[str]] = {}
        for path in chosen:
            named = [p for p in path.split(".") if not p.isdigit() and not _LISTS.fullmatch(p)]
            stacks.setdefault(".".join(named), []).append(path)
        several = [paths for paths in stacks.values() if len(paths) > 1]
        if len(several) > 1:
            known = " or ".join(f"layers='{paths[0].rpartition('.')[0]}.*'" for paths in several)
            raise InputError(f"This ONNX graph holds several stacks of blocks; say which are meant: {known}.")
        return chosen

    def final_norm(self, tensor: str) -> str | None:
        """What a norm right after a tensor puts out, if there is one."""
        users = self._users.get(tensor, [])
        for path, node in users:
            if _memberships(path):
                continue
            name = path.rpartition(".")[2]
            if _NORM.search(name):
                return self.output(path)
            if node.op_type in ("LayerNormalization", "RMSNormalization"):
                return str(node.output[0])
        return None


def find_taps(graph: Any) -> dict[str, str]:
    """Layer name -> tensor for a graph whose nodes carry the module paths of the network it was exported from.

    A block is all nodes below one numbered path such as ``blocks.3``; its output is the last of their tensors that
    other nodes take in. ``embedding`` is what the first block takes in, ``final_norm`` the output of a norm right after
    the last block.

    Raises:
        InputError: if no node is named so, or several networks have blocks.
    """
    scopes = Scopes(graph)
    blocks = scopes.blocks()
    if not blocks:
        every = tensors(graph)
        example = f", for example layers=[{every[-1]!r}]" if every else ""
        raise InputError(
            f"The nodes of this ONNX graph carry no block names, so its layers cannot be found; name them{example}. "
            "Names and glob patterns of modules, nodes or their outputs are understood."
        )
    digits = max(2, len(str(len(blocks))))
    outputs = [scopes.output(path) for path in blocks]
    taps = {f"block_{i:0{digits}d}": name for i, name in enumerate(outputs, 1) if name}
    entry = scopes.entry(blocks[0])
    norm = scopes.final_norm(str(outputs[-1]))
    return ({"embedding": entry} if entry else {}) | taps | ({"final_norm": norm} if norm else {})


def choose_tensors(graph: Any, patterns: Sequence[str] | None) -> dict[str, str]:
    """Layer name -> tensor for names or glob patterns of layers, modules, nodes or tensors; all blocks for None.

    In paths of modules a ``*`` stands for one part: ``blocks.*`` are the blocks, not what is inside them.

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
    scopes = Scopes(graph)
    paths = scopes.paths()
    chosen: dict[str, str] = {}
    for pattern in patterns:
        chosen.update(_picked(pattern, readable, by_node, {t: t for t in everything}, scopes, paths))
    order = {t: i for i, t in enumerate(everything)}
    return dict(sorted(chosen.items(), key=lambda item: order.get(item[1], -1)))


def _picked(
    pattern: str, readable: Any, by_node: Any, by_tensor: Any, scopes: Scopes, paths: Sequence[str]
) -> dict[str, str]:
    """What one pattern picks.

    Raises:
        UnknownNameError: if that is nothing.
    """
    one_part = re.compile(r"[^.]*".join(re.escape(part) for part in pattern.split("*")))
    for names in (readable, None, by_node, by_tensor):
        if names is None:
            found = {p: o for p in paths if one_part.fullmatch(p) and (o := scopes.output(p))}
        else:
            found = {k: v for k, v in names.items() if k == pattern or fnmatch.fnmatchcase(k, pattern)}
        if found:
            return found
    raise UnknownNameError("layer", pattern, [*readable, *paths, *by_node, *by_tensor])


def add_outputs(model: Any, names: Sequence[str]) -> None:
    """Make tensors outputs of the graph, in place and in place of the outputs that were there."""
    onnx = import_onnx()
    del model.graph.output[:]
    for name in dict.fromkeys(names):
        model.graph.output.append(onnx.ValueInfoProto(name=name))


def randomize(model: Any, seed: int, std: float | None = None) -> None:
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
        new = drawn_weights(tuple(tensor.dims), uses.get(tensor.name, ("", 0)), rng, std)
        kind = np.float32 if tensor.data_type == onnx.TensorProto.FLOAT else np.float16
        tensor.CopyFrom(onnx.numpy_helper.from_array(new.astype(kind), tensor.name))


def drawn_weights(
    shape: tuple[int, ...], use: tuple[str, int], rng: Any, std: float | None = None
) -> np.ndarray[Any, Any]:
    """One array of random weights, by the operation that takes it in and the place where it does."""
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


def _memberships(path: str) -> list[str]:
    """Prefixes of a path that are members of lists of blocks, the outermost first."""
    parts = path.split(".")
    found, previous = [], False
    for i in range(1, len(parts)):
        inside = parts[i].isdigit() and (previous or _LISTS.fullmatch(parts[i - 1]) is not None)
        if inside:
            found.append(".".join(parts[: i + 1]))
        previous = inside
    return found


def _taken_apart(outer: str, inside: Sequence[str]) -> Iterator[str]:
    """A member of a list, or the blocks inside it where they do most of its work."""
    inner: dict[str, list[str]] = {}
    for path in inside:
        below = [m for m in _memberships(path) if len(m) > len(outer)]
        if below:
            inner.setdefault(below[0], []).append(path)
    covered = sum(map(len, inner.values()))
    if covered * 2 > len(inside) and all(len(nodes) > 2 for nodes in inner.values()):  # fewer are a layer, and no block
        for path, nodes in inner.items():
            yield from _taken_apart(path, nodes)
    else:
        yield outer


def _within(path: str, scope: str) -> bool:
    return path == scope or path.startswith(f"{scope}.")
