"""Reading a TFLite file: its tensors and operations, what its layers are, drawing its weights anew.

A TFLite graph carries no module paths that could be relied on, so layers are outputs of operations, named by their
place in the graph and their kind: ``op_012_add``. By default they are those at which a residual sum is formed (two
activations of one shape are added), or, where there are fewer than two, those of all convolutions and products with
weights; and what the graph puts out, in either case, if that is one tensor.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import InputError, MissingExtraError, UnknownNameError
from ._hub import refuse_pointer
from ._onnx_axes import FeatureAxes
from ._onnx_graph import drawn_weights

_IDENTIFIER = b"TFL3"
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "CONV_3D", "FULLY_CONNECTED", "BATCH_MATMUL")
_LAST = (*_WEIGHTED[:-1], "EMBEDDING_LOOKUP", "UNIDIRECTIONAL_SEQUENCE_LSTM", "SVDF", "RNN", "LSTM", "DEPTH_TO_SPACE")
_KEEPS = {
    *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "SQUARED_DIFFERENCE", "ADD_N", "SELECT", "SELECT_V2"),
    *("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "PRELU", "ELU", "GELU", "HARD_SWISH", "TANH"),
    *("LOGISTIC", "SOFTMAX", "LOG_SOFTMAX", "EXP", "LOG", "SQRT", "RSQRT", "SQUARE", "NEG", "ABS", "SIN", "COS"),
    *("QUANTIZE", "DEQUANTIZE", "CAST", "CONCATENATION", "PAD", "PADV2", "MIRROR_PAD", "SLICE", "STRIDED_SLICE"),
    *("SPLIT", "SPLIT_V", "TILE", "BROADCAST_TO", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "MAX_POOL_2D"),
    *("AVERAGE_POOL_2D", "L2_POOL_2D", "L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION", "CUMSUM", "REVERSE_V2"),
}
_BYTES = {"FLOAT32": 4, "FLOAT16": 2}
_RESHAPES = {"RESHAPE": "Reshape", "SQUEEZE": "Squeeze", "EXPAND_DIMS": "Unsqueeze"}


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        name: As the file calls it.
        shape: Its shape as stored.
        type: Of its values, such as ``"FLOAT32"``.
        buffer: Which buffer holds its values, if it is a constant; else 0.
        quantized: Whether a scale is given for its integers.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    buffer: int
    quantized: bool

    @property
    def holds_numbers(self) -> bool:
        """Whether its values are real numbers, be they quantised."""
        return self.type in ("FLOAT32", "FLOAT16") or (self.type in ("INT8", "UINT8", "INT16") and self.quantized)


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        kind: Such as ``"CONV_2D"``.
        inputs: Indices of tensors; −1 where there is none.
        outputs: The same.
        keepdims: Of reductions.
        axis: Of gathers.
        turned: Whether a product takes its second operand with its last two axes exchanged.
        dropped: Axes that a slice drops; None if it also makes some.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    keepdims: bool = True
    axis: int = 0
    turned: bool = False
    dropped: tuple[int, ...] | None = ()


class TfliteGraph:
    """What a file holds.

    Args:
        path: The file.

    Raises:
        InputError: if it is no TFLite model, or is damaged.
        MissingExtraError: if the package ai-edge-litert is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._schema = schema = import_schema()
        refuse_pointer(path)
        self.content = bytearray(path.read_bytes())
        if self.content[4:8] != _IDENTIFIER:
            raise InputError(f"{path} is no TFLite model: it is not marked as {_IDENTIFIER.decode()}. Is it whole?")
        try:
            self._model = schema.Model.GetRootAs(self.content)
            self.n_graphs = self._model.SubgraphsLength()
            graph = self._model.Subgraphs(0)
            self.tensors = [self._tensor(graph.Tensors(i)) for i in range(graph.TensorsLength())]
            self.inputs = [int(graph.Inputs(i)) for i in range(graph.InputsLength())]
            self.outputs = [int(graph.Outputs(i)) for i in range(graph.OutputsLength())]
            self.operations = [self._operation(graph.Operators(i)) for i in range(graph.OperatorsLength())]
        except (struct.error, TypeError, AttributeError, IndexError, ValueError, UnicodeDecodeError) as error:
            text = f"{type(error).__name__}: {error}"
            raise InputError(f"{path} cannot be read as a TFLite model ({text}). Is the download complete?") from error
        self.makers = {o: i for i, op in enumerate(self.operations) for o in op.outputs}

    def _tensor(self, tensor: Any) -> Tensor:
        types = {v: k for k, v in vars(self._schema.TensorType).items() if not k.startswith("_")}
        shape = tuple(int(tensor.Shape(i)) for i in range(tensor.ShapeLength()))
        buffer = int(tensor.Buffer())
        held = self._model.Buffers(buffer).DataLength() if buffer else 0
        facts = tensor.Quantization()
        quantized = facts is not None and facts.ScaleLength() > 0
        name = (tensor.Name() or b"").decode()
        return Tensor(name, shape, types.get(tensor.Type(), "?"), buffer if held else 0, quantized)

    def _operation(self, operator: Any) -> Operation:
        kinds = {v: k for k, v in vars(self._schema.BuiltinOperator).items() if not k.startswith("_")}
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        kind = kinds.get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "?")
        inputs = tuple(int(operator.Inputs(i)) for i in range(operator.InputsLength()))
        outputs = tuple(int(operator.Outputs(i)) for i in range(operator.OutputsLength()))
        if any(not -1 <= i < len(self.tensors) for i in inputs) or any(not 0 <= o < len(self.tensors) for o in outputs):
            raise IndexError(f"{kind} names a tensor that is not there")
        return Operation(kind, inputs, outputs, **self._settings(kind, operator.BuiltinOptions()))

    def _settings(self, kind: str, options: Any) -> dict[str, Any]:
        if kind == "FULLY_CONNECTED":
            return {"turned": True}
        if options is None:
            return {}

        def read(table: str) -> Any:
            found = getattr(self._schema, table)()
            found.Init(options.Bytes, options.Pos)
            return found

        if kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
            return {"keepdims": bool(read("ReducerOptions").KeepDims())}
        if kind == "GATHER":
            return {"axis": int(read("GatherOptions").Axis())}
        if kind == "BATCH_MATMUL":
            return {"turned": bool(read("BatchMatMulOptions").AdjY())}
        if kind == "STRIDED_SLICE":
            slice_ = read("StridedSliceOptions")
            mask = int(slice_.ShrinkAxisMask())
            moved = slice_.NewAxisMask() or slice_.EllipsisMask()
            return {"dropped": None if moved else tuple(i for i in range(32) if mask >> i & 1)}
        return {}

    def values(self, index: int) -> np.ndarray[Any, Any]:
        """The values of a constant; writing to them changes `content`."""
        types = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT32": np.int32, "INT64": np.int64}
        tensor = self.tensors[index]
        raw = self._model.Buffers(tensor.buffer).DataAsNumpy()
        return np.asarray(raw.view(types[tensor.type])).reshape(tensor.shape)

    @property
    def n_parameters(self) -> int:
        """Number of stored weights."""
        buffers = {
            t.buffer: math.prod(t.shape) for t in self.tensors if t.buffer and (t.type[:5] == "FLOAT" or t.quantized)
        }
        return sum(buffers.values())

    def names(self) -> dict[str, int]:
        """Every tensor that an operation puts out and that holds real numbers, by its place and kind."""
        digits = max(3, len(str(len(self.operations))))
        found = {}
        for i, op in enumerate(self.operations):
            held = [o for o in op.outputs if self.tensors[o].holds_numbers and not self.tensors[o].buffer]
            for k, output in enumerate(held):
                found[f"op_{i:0{digits}d}_{op.kind.lower()}{f'_{k}' if k else ''}"] = output
        return found

    def choose(self, patterns: Sequence[str] | None) -> dict[str, int]:
        """Layer -> tensor for names or glob patterns of operations or tensors, or numbers of tensors.

        Raises:
            UnknownNameError: if a pattern picks nothing.
            InputError: if there are no patterns and no layers are found.
        """
        names = self.names()
        if patterns is None:
            return self._usual(names)
        known = set(names.values())
        by_tensor = {self.tensors[i].name: i for i in sorted(known) if self.tensors[i].name}
        by_number = {str(i): i for i in sorted(known)}
        chosen: dict[str, int] = {}
        for pattern in patterns:
            for group in (names, by_tensor, by_number):
                found = {k: v for k, v in group.items() if k == pattern}
                found = found or {k: v for k, v in group.items() if fnmatch.fnmatchcase(k, pattern)}
                if found:
                    break
            else:
                hint = "Names and glob patterns of operations (op_*_add) or tensors, and numbers of tensors, will do."
                raise UnknownNameError("layer", pattern, [*names, *by_tensor], hint)
            chosen.update(found)
        return dict(sorted(chosen.items(), key=lambda item: self.makers[item[1]]))

    def _usual(self, names: Mapping[str, int]) -> dict[str, int]:
        by_output = {v: k for k, v in names.items()}
        sums = [op.outputs[0] for op in self.operations if op.kind == "ADD" and self._is_residual(op)]
        products = [op.outputs[0] for op in self.operations if op.kind in _WEIGHTED and self._by_weight(op)]
        picked = [o for o in (sums if len(sums) > 1 else products) if o in by_output]
        if len(self.outputs) == 1:  # several are heads of a detector and the like, packed in ways of their own
            picked += [o for o in self.outputs if o in by_output and o not in picked]
        if not picked:
            raise InputError(
                "No operation of this TFLite graph puts out real numbers, so it has no layers."
                if not names
                else f"This TFLite graph has no convolutions or products; name layers, such as {next(iter(names))!r}."
            )
        return {by_output[o]: o for o in sorted(picked, key=lambda o: self.makers[o])}

    def _is_residual(self, op: Operation) -> bool:
        shapes = [self.tensors[i].shape for i in op.inputs]
        return len(shapes) == 2 and shapes[0] == shapes[1] and not any(map(self._constant, op.inputs))

    def _by_weight(self, op: Operation) -> bool:
        if op.kind == "FULLY_CONNECTED":
            return self._constant(op.inputs[1])
        return op.kind != "BATCH_MATMUL" or any(self._constant(i) for i in op.inputs)

    def _constant(self, index: int) -> bool:
        if index < 0 or self.tensors[index].buffer:
            return index >= 0
        maker = self.makers.get(index)
        return (
            maker is not None
            and self.operations[maker].kind == "DEQUANTIZE"
            and self._constant(self.operations[maker].inputs[0])
        )

    def feature_axes(self, shapes: Mapping[int, Sequence[int]]) -> FeatureAxes:
        """The axes of features, by the shapes of one run; convolutions and products have them last."""
        weights = [SimpleNamespace(name=str(i), dims=t.shape) for i, t in enumerate(self.tensors) if t.buffer]
        nodes = [node for op in self.operations for node in self._nodes(op, shapes)]
        sizes = {str(i): tuple(int(n) for n in s) for i, s in shapes.items()}
        return FeatureAxes(SimpleNamespace(initializer=weights, node=nodes), sizes)

    def _nodes(self, op: Operation, shapes: Mapping[int, Sequence[int]]) -> list[Any]:
        """The node of an operation, behind one that turns the second operand of a product of two activations."""
        product = op.kind == "BATCH_MATMUL" or (op.kind == "FULLY_CONNECTED" and not self._constant(op.inputs[1]))
        if not product:
            return [self._node(op)]
        first, second, output = str(op.inputs[0]), str(op.inputs[1]), str(op.outputs[0])
        before = []
        if op.turned:
            n = len(shapes[op.inputs[1]])
            order = SimpleNamespace(name="perm", ints=[*range(n - 2), n - 1, n - 2], i=0)
            turned = f"{second} turned for {output}"
            before = [SimpleNamespace(op_type="Transpose", input=[second], output=[turned], attribute=[order])]
            second = turned
        return [*before, SimpleNamespace(op_type="MatMul", input=[first, second], output=[output], attribute=[])]

    def _node(self, op: Operation) -> Any:
        """An operation in the words of ONNX, as far as its axes go."""
        kind, attributes = "?", []
        inputs = [str(i) for i in op.inputs if i >= 0]
        if op.kind in _LAST:
            kind = "Gemm"
        elif op.kind == "STRIDED_SLICE" and op.dropped != ():
            if op.dropped is not None and len(op.dropped) == 1:  # as taking one place is
                kind, attributes = "Gather", [SimpleNamespace(name="axis", ints=[], i=op.dropped[0])]
        elif op.kind in _KEEPS:
            kind = "Identity"
        elif op.kind in _RESHAPES:
            kind = "Reshape"
        elif op.kind == "TRANSPOSE" and self.tensors[op.inputs[1]].buffer:
            kind = "Transpose"
            attributes = [SimpleNamespace(name="perm", ints=[int(v) for v in self.values(op.inputs[1])], i=0)]
            inputs = inputs[:1]
        elif op.kind in ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"):
            kind, attributes = "ReduceMean", [SimpleNamespace(name="keepdims", ints=[], i=int(op.keepdims))]
        elif op.kind == "GATHER":
            kind, attributes = "Gather", [SimpleNamespace(name="axis", ints=[], i=op.axis)]
        return SimpleNamespace(op_type=kind, input=inputs, output=[str(o) for o in op.outputs], attribute=attributes)

    def randomize(self, seed: int) -> None:
        """Draw the weights anew, in place: the same architecture untrained; see `_onnx_graph.randomize`.

        Raises:
            InputError: if weights are quantised or sparse, which have no untrained form here.
        """
        rng = np.random.default_rng(seed)
        uses: dict[int, tuple[Operation, int]] = {}
        for op in self.operations:
            for slot, i in enumerate(op.inputs if op.kind != "DEQUANTIZE" else ()):  # of weights in half precision
                uses.setdefault(self._stored(i), (op, slot))
        done: set[int] = set()
        for i, tensor in enumerate(self.tensors):
            if not tensor.buffer or tensor.buffer in done or math.prod(tensor.shape) <= 1:
                continue
            if tensor.type not in ("FLOAT32", "FLOAT16"):
                if tensor.quantized:
                    raise InputError(
                        "This TFLite model holds quantised weights, which cannot be drawn anew; use init='pretrained'."
                    )
                continue
            if self._model.Buffers(tensor.buffer).DataLength() != math.prod(tensor.shape) * _BYTES[tensor.type]:
                raise InputError(
                    "This TFLite model holds sparse weights, which cannot be drawn anew; use init='pretrained'."
                )
            done.add(tensor.buffer)
            op, slot = uses.get(i, (Operation("?", (), ()), 0))
            held = self.values(i)
            held[...] = _draw(tensor.shape, op.kind, slot, rng).astype(held.dtype)

    def _stored(self, index: int) -> int:
        """The constant behind a tensor that is only de-quantised."""
        maker = self.makers.get(index)
        if maker is not None and self.operations[maker].kind == "DEQUANTIZE":
            return self.operations[maker].inputs[0]
        return index


def import_schema() -> Any:
    """The schema of TFLite files.

    Raises:
        MissingExtraError: if the package ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as error:
        raise MissingExtraError("Reading a TFLite model", "ai-edge-litert", "tflite") from error
    return schema_py_generated


def _draw(shape: tuple[int, ...], kind: str, slot: int, rng: Any) -> np.ndarray[Any, Any]:
    if kind in ("CONV_2D", "FULLY_CONNECTED", "CONV_3D"):  # (out, …, in)
        return drawn_weights(shape, ("Conv", slot), rng)
    if kind == "DEPTHWISE_CONV_2D" and slot == 1:  # (1, h, w, channels): each channel sees its own map alone
        turned = drawn_weights((shape[3], 1, *shape[1:3]), ("Conv", 1), rng)
        return turned.transpose(1, 2, 3, 0)
    if kind == "DEPTHWISE_CONV_2D":
        return drawn_weights(shape, ("Conv", slot), rng)
    if kind == "TRANSPOSE_CONV":  # shape of the output, weights, input, biases
        return drawn_weights(shape, ("Conv", 1 if slot == 1 else 2), rng)
    return drawn_weights(shape, ({"BATCH_MATMUL": "MatMul", "MUL": "Mul", "DIV": "Div"}.get(kind, kind), slot), rng)
