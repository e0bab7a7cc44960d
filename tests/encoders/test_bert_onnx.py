import numpy as np
import pytest
import torch

from isomorph.encoders._bert_onnx import bert_weights
from isomorph.errors import InputError

onnx = pytest.importorskip("onnx")
transformers = pytest.importorskip("transformers")

SIZES = {"vocab_size": 11, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12}


@pytest.fixture
def model():
    config = transformers.BertConfig(**SIZES, max_position_embeddings=16, attn_implementation="eager")
    torch.manual_seed(0)
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()  # biases and norms too
    return model


@pytest.mark.filterwarnings("ignore")  # torch's older exporter has many
def test_weights_of_an_exported_bert_are_found_by_name(model, tmp_path):
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.bert = model

        def forward(self, ids):
            return self.bert(ids, torch.ones_like(ids)[:, None, None].float()).last_hidden_state

    path = tmp_path / "bert.onnx"
    torch.onnx.export(Plain(), (torch.tensor([[1, 2, 3]]),), str(path), dynamo=False, do_constant_folding=True)
    found, expected = bert_weights(path), model.state_dict()
    assert set(found) == {k for k in expected if not k.endswith("_ids")}
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], msg=name)


def graph(tmp_path, nodes, arrays):
    held = [onnx.numpy_helper.from_array(v, k) for k, v in arrays.items()]
    made = [onnx.helper.make_node(op, inputs, [f"{name}_out"], name=name) for op, name, inputs in nodes]
    path = tmp_path / "fused.onnx"
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(made, "g", [], [], held)), str(path))
    return path


def test_fused_projections_are_cut_apart(tmp_path):
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(4, 4)).astype(np.float16) for _ in "qkv")
    bias = rng.normal(size=12).astype(np.float16)
    arrays = {"Attention_0_w": np.concatenate([q, k, v], axis=1), "Attention_0_b": bias}
    found = bert_weights(graph(tmp_path, [("Attention", "Attention_0", ["x", *arrays])], arrays))
    for i, (name, w) in enumerate(zip(("query", "key", "value"), (q, k, v), strict=True)):
        stem = f"encoder.layer.0.attention.self.{name}"
        np.testing.assert_array_equal(found[f"{stem}.weight"].numpy(), w.T.astype(np.float32))
        np.testing.assert_array_equal(found[f"{stem}.bias"].numpy(), bias[4 * i : 4 * i + 4].astype(np.float32))


def test_an_array_that_is_no_part_of_bert_is_named(tmp_path):
    arrays = {"roi_head.weight": np.ones((2, 2), dtype=np.float32)}
    with pytest.raises(InputError, match=r"holds 'roi_head.weight', which is no part of a BERT"):
        bert_weights(graph(tmp_path, [("Relu", "relu", ["x"])], arrays))
