"""Writes small TFLite files with the schema that ai-edge-litert ships."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = {np.dtype(k): getattr(schema.TensorType, v) for k, v in {
    "float32": "FLOAT32", "float16": "FLOAT16", "int8": "INT8", "uint8": "UINT8", "int32": "INT32", "int64": "INT64",
}.items()}  # fmt: skip
ACTIVATIONS = {"none": 0, "relu": 1}


class Writer:
    """One graph under construction; tensors are numbered as they come."""

    def __init__(self):
        self.tensors, self.buffers, self.operators, self.codes = [], [schema.BufferT()], [], []

    def tensor(self, name, shape, dtype="float32", *, data=None, scale=None, zero=0, free=()):
        """A tensor, constant if it has data; the axes in `free` may have any size."""
        t = schema.TensorT()
        t.name, t.shape, t.type = name.encode(), list(shape), TYPES[np.dtype(dtype)]
        if free:
            t.shapeSignature = [-1 if i in free else n for i, n in enumerate(shape)]
        t.buffer = 0
        if data is not None:
            b = schema.BufferT()
            b.data = np.frombuffer(np.ascontiguousarray(data, dtype=dtype).tobytes(), dtype=np.uint8)
            self.buffers.append(b)
            t.buffer = len(self.buffers) - 1
        if scale is not None:
            q = schema.QuantizationParametersT()
            q.scale, q.zeroPoint = [float(s) for s in np.atleast_1d(scale)], [int(z) for z in np.atleast_1d(zero)]
            t.quantization = q
        self.tensors.append(t)
        return len(self.tensors) - 1

    def constant(self, name, data, dtype="float32", **more):
        return self.tensor(name, np.shape(data), dtype, data=data, **more)

    def op(self, kind, inputs, output, options=None, **fields):
        """An operation; `options` is the name of its table, `fields` what stands in it."""
        code = getattr(schema.BuiltinOperator, kind)
        if code not in [c.builtinCode for c in self.codes]:
            c = schema.OperatorCodeT()
            c.builtinCode, c.deprecatedBuiltinCode, c.version = code, min(code, 127), fields.pop("version", 1)
            self.codes.append(c)
        o = schema.OperatorT()
        o.opcodeIndex = [c.builtinCode for c in self.codes].index(code)
        o.inputs, o.outputs = list(inputs), [output]
        if options:
            o.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            o.builtinOptions = getattr(schema, f"{options}T")()
            for name, value in fields.items():
                setattr(o.builtinOptions, name, value)
        self.operators.append(o)
        return output

    def write(self, path, inputs, outputs):
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs, graph.name = list(inputs), list(outputs), b"main"
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self.buffers
        model.operatorCodes, model.description = self.codes, b"test"
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        path.write_bytes(bytes(builder.Output()))
        return str(path)
