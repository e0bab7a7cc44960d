"""Which axis of a tensor in an ONNX graph the features lie along, as the operations that made it say.

A convolution and a batch norm have their channels on axis 1, a product with a weight, a norm over the last axis and a
table of embeddings on the last one. From there the axis is followed through what keeps it (sums, activations, pooling)
and what moves it (transpositions, reshapes). Axes are counted from behind (−1 is the last), as broadcasting does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np

Shapes = Mapping[str, Sequence[int]]

_CHANNELS_SECOND = frozenset((
    *("Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "FusedConv", "DeformConv", "DepthToSpace", "SpaceToDepth"),
    *("BatchNormalization", "GroupNormalization"),
))  # fmt: skip
_LAST = frozenset((
    *("Gemm", "FusedGemm", "FusedMatMul", "MatMulNBits", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "BiasGelu"),
    *("RMSNormalization", "SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"),
    *("EmbedLayerNormalization", "Attention", "MultiHeadAttention", "GroupQueryAttention", "LSTM", "GRU", "RNN"),
    *("NhwcFusedConv", "NhwcConv"),
))  # fmt: skip
_PRODUCTS = frozenset(("MatMul", "MatMulInteger", "QLinearMatMul"))
_KEEPS = frozenset((
    *("Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Gelu", "FastGelu", "QuickGelu"),
    *("HardSigmoid", "HardSwish", "Swish", "Mish", "Softplus", "Softsign", "Tanh", "Erf", "Exp", "Log", "Sqrt", "Neg"),
    *("Sigmoid", "Abs", "Sin", "Cos", "Reciprocal", "Clip", "Floor", "Ceil", "Round", "Sign", "Softmax"),
    *("LogSoftmax", "Hardmax"),
    *("Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean", "Where", "BiasAdd", "CumSum", "Trilu"),
    *("Identity", "Cast", "CastLike", "Dropout", "Slice", "Split", "Concat", "Pad", "Tile", "Expand"),
    *("MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "Resize", "Upsample", "LRN"),
    "ReverseSequence",
    *("InstanceNormalization", "LpNormalization", "MeanVarianceNormalization"),
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearAdd", "QLinearMul", "QLinearSigmoid"),
    "QLinearConcat",
))  # fmt: skip
_RESHAPES = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze"))
_REDUCES = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2")
_SHAPE_ONLY = frozenset(("Shape", "Size", "NonZero", "ConstantOfShape", "Range", "OneHot"))


class FeatureAxes:
    """The axes that features may lie along, tensor by tensor.

    Args:
        graph: An ONNX graph.
        shapes: Shapes of tensors in one run, as far as they are known: reshapes are followed only with them.
    """

    def __init__(self, graph: Any, shapes: Shapes | None = None) -> None:
        self._graph, self._shapes = graph, dict(shapes or {})
        self._weights = {t.name: tuple(t.dims) for t in graph.initializer}
        self._fixed: set[str] = set(self._weights)
        self._found: dict[str, frozenset[int]] = {}
        self._makers = {o: n for n in graph.node for o in n.output if o}
        for node in graph.node:
            self._follow(node)

    def of(self, tensor: str) -> frozenset[int]:
        """Axes of a tensor, counted from behind; empty if the graph does not say."""
        found = self._found.get(tensor, frozenset())
        if len(found) > 1:  # branches differ, as in a mixer of tokens: what takes the tensor in may decide
            wanted = {self._wanted(n, tensor) for n in self._graph.node if tensor in n.input} & found
            return frozenset(a for a in wanted if a is not None) if len(wanted) == 1 else found
        return found

    def _follow(self, node: Any) -> None:
        inputs = [i for i in node.input if i]
        outputs = [o for o in node.output if o]
        if node.op_type == "Constant" or (inputs and all(i in self._fixed for i in inputs)):
            self._fixed.update(outputs)
            return
        if node.op_type in _SHAPE_ONLY:
            return
        for output in outputs:
            axes = self._axes(node, inputs, output)
            if axes:
                self._found[output] = axes

    def _axes(self, node: Any, inputs: list[str], output: str) -> frozenset[int]:
        kind = node.op_type
        if kind in _CHANNELS_SECOND:
            rank = self._rank(output) or self._rank(inputs[1] if len(inputs) > 1 and "Conv" in kind else inputs[0])
            return frozenset({1 - rank}) if rank else frozenset()
        if kind in _LAST:
            return frozenset({-1})
        if kind in _PRODUCTS:
            return self._product(node)
        if kind == "LayerNormalization":
            return (
                frozenset({-1})
                if _attribute(node, "axis", -1) in (-1, (self._rank(output) or 0) - 1)
                else self._of(inputs)
            )
        if kind == "Gather":
            return self._gather(node, output)
        if kind == "Transpose":
            return self._transpose(node, inputs[0])
        if kind in _RESHAPES:
            return self._reshape(inputs[0], output)
        if kind in _REDUCES:
            keeps = _attribute(node, "keepdims", 1)
            return self._of(inputs[:1]) if keeps else frozenset()
        return self._of(inputs) if kind in _KEEPS else frozenset()

    def _of(self, inputs: Iterable[str]) -> frozenset[int]:
        return frozenset().union(*(self._found.get(i, ()) for i in inputs))

    def _rank(self, tensor: str) -> int | None:
        shape = self._shapes.get(tensor, self._weights.get(tensor))
        if shape is not None:
            return len(shape)
        maker = self._makers.get(tensor)
        if maker is not None and maker.op_type in ("Identity", "DequantizeLinear", "Cast") and maker.input:
            return self._rank(maker.input[0])
        return None

    def _product(self, node: Any) -> frozenset[int]:
        first, second = (node.input[0], node.input[3 if node.op_type == "QLinearMatMul" else 1])
        if second in self._fixed:
            return frozenset({-1})
        if first in self._fixed:
            return frozenset({-2})
        return frozenset({-1}) & self._found.get(second, frozenset())  # of two activations: attention over values

    def _gather(self, node: Any, output: str) -> frozenset[int]:
        data, axis = node.input[0], _attribute(node, "axis", 0)
        if data in self._fixed:
            return frozenset({-1}) if axis == 0 and self._rank(data) == 2 else frozenset()
        rank = self._rank(data)
        if axis >= 0:
            if rank is None:
                return frozenset()
            axis -= rank
        shift = len(self._shapes[output]) - rank if output in self._shapes and rank else None
        right = {a for a in self._found.get(data, ()) if a > axis}
        left = {a - shift for a in self._found.get(data, ()) if a < axis} if shift is not None else set()
        return frozenset(right | left)

    def _transpose(self, node: Any, source: str) -> frozenset[int]:
        rank = self._rank(source)
        order = _attribute(node, "perm", list(range(rank))[::-1] if rank else [])
        n = len(order)
        return frozenset(order.index(a + n) - n for a in self._found.get(source, ()) if a + n in order)

    def _reshape(self, source: str, output: str) -> frozenset[int]:
        before, after = self._shapes.get(source), self._shapes.get(output)
        if before is None or after is None:
            return frozenset()
        moved = {_moved(before, after, a) for a in self._found.get(source, ())} - {None}
        if not moved and (earlier := self._round_trip(source, after)) is not None:
            return self._found.get(earlier, frozenset())
        return frozenset(a for a in moved if a is not None)

    def _round_trip(self, tensor: str, shape: Sequence[int]) -> str | None:
        """An earlier tensor of a shape that is taken again, with nothing moved in between (group norm is made so)."""
        for _ in range(20):
            maker = self._makers.get(tensor)
            if maker is None or maker.op_type not in _KEEPS | _RESHAPES:
                return None
            tensor = next((i for i in maker.input if i and i not in self._fixed), "")
            if list(self._shapes.get(tensor, ())) == list(shape):
                return tensor
        return None

    def _wanted(self, node: Any, tensor: str) -> int | None:
        """The axis along which an operation takes features in."""
        if node.op_type in ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"):
            return -1 if _attribute(node, "axis", -1) == -1 else None
        rank = self._rank(tensor)
        return 1 - rank if node.op_type in ("Conv", "BatchNormalization") and rank else None


def wanted_shapes(graph: Any, tensors: Iterable[str]) -> list[str]:
    """Tensors whose shapes would help to follow the features to the given ones."""
    makers = {o: n for n in graph.node for o in n.output if o}
    weights = {t.name for t in graph.initializer}
    todo, seen, wanted = list(tensors), set(), dict[str, None]()
    while todo:
        tensor = todo.pop()
        if tensor in seen or tensor in weights or tensor not in makers:
            continue
        seen.add(tensor)
        node = makers[tensor]
        if node.op_type in _SHAPE_ONLY or node.op_type == "Constant":
            continue
        wanted[tensor] = None
        shaped = node.op_type in _RESHAPES or node.op_type in (
            "Expand",
            "Tile",
            "Slice",
            "Pad",
            "Resize",
            "Gather",
            "Clip",
        )
        sources = [i for i in node.input if i]
        todo.extend(sources[:1] if shaped else sources)
    return list(wanted)


def _moved(before: Sequence[int], after: Sequence[int], axis: int) -> int | None:
    """Where an axis, counted from behind, is after a reshape; None if it was split or merged."""
    strides = [list(accumulate(reversed(shape), mul, initial=1))[:-1][::-1] for shape in (before, after)]
    stride, size = strides[0][axis], before[axis]
    places = [i for i, n in enumerate(after) if n == size and strides[1][i] == stride]
    return places[0] - len(after) if len(places) == 1 and size > 1 else None


def _attribute(node: Any, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return list(attribute.ints) if attribute.ints else attribute.i
    return default


def items_axis(one: Sequence[int], two: Sequence[int]) -> int | None:
    """The axis that has an entry an item, from the shapes for one and for two copies of an item."""
    changed = [(i, pair) for i, pair in enumerate(zip(one, two, strict=True)) if pair[0] != pair[1]]
    return changed[0][0] if len(changed) == 1 and changed[0][1] == (1, 2) else None


def items_first(x: Any, word: str) -> Any:
    """Activations as (b, t, d), (b, d), or (b, d, h, w) where items have places in two or more dimensions.

    Without a ``b`` they are of one item alone, and all but the features' axis become its tokens.
    """
    d = word.index("d")
    if "b" not in word:
        return np.moveaxis(x, d, -1).reshape(1, -1, x.shape[d])
    b = word.index("b")
    places = [i for i in range(len(word)) if i not in (b, d)]
    if len(places) <= 1:
        return x.transpose(b, *places, d)
    x = x.transpose(b, d, *places)
    return x if x.ndim == 4 else x.reshape(*x.shape[:3], -1)
