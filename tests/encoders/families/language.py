"""Families that read."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from . import WORDS, Family, Rows, Side, model_of, register, rows, tokenizer, watch

V, PAD, BOS, EOS = len(WORDS), 0, 1, 2
DIMS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
IDS = {"vocab_size": V, "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS}
BERT = DIMS | IDS | {"max_position_embeddings": 32}
LLAMA = BERT | {"num_key_value_heads": 1, "head_dim": 8}

# ------------------------------------------------------------------------------------------------- tokenizers


def reads(template: str = "$A", *, pad: bool = True, kinds: bool = False, **special: Any) -> Any:
    """A tokenizer that puts tokens around a text by a template, such as ``"<cls> $A <sep>"``.

    Args:
        template: What a text becomes.
        pad: Whether it has a padding token; decoders often come without.
        kinds: Whether it gives token type ids.
        special: Other special tokens and settings.
    """
    from tokenizers.processors import TemplateProcessing

    names = ["input_ids", "token_type_ids", "attention_mask"] if kinds else ["input_ids", "attention_mask"]
    special = {"model_max_length": 32, "model_input_names": names, **special}
    made = tokenizer(**special, **({} if pad else {"pad_token": None}))
    around = [t for t in template.split() if t != "$A"]
    if around:
        ids = [(t, WORDS.index(t)) for t in dict.fromkeys(around)]
        made.backend_tokenizer.post_processor = TemplateProcessing(single=template, pair=None, special_tokens=ids)
    return made


def bert_reads(folder: Path, *, kinds: bool = True) -> None:
    """Save a tokenizer that frames texts as BERT's does."""
    marks = {"cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"}
    reads("<cls> $A <sep>", kinds=kinds, **marks).save_pretrained(folder)


def mask_reads(folder: Path) -> None:
    """The same without token type ids."""
    bert_reads(folder, kinds=False)


def gpt_reads(folder: Path) -> None:
    """Save a tokenizer that adds nothing and has no padding token."""
    reads(pad=False).save_pretrained(folder)


def llama_reads(folder: Path) -> None:
    """Save a tokenizer that begins every text."""
    reads("<s> $A", pad=False).save_pretrained(folder)


def gemma_reads(folder: Path) -> None:
    """Save a tokenizer that begins every text and pads on the left."""
    reads("<s> $A", padding_side="left").save_pretrained(folder)


def t5_reads(folder: Path) -> None:
    """Save a tokenizer that ends every text."""
    reads("$A </s>").save_pretrained(folder)


def bart_reads(folder: Path) -> None:
    """Save a tokenizer that frames every text."""
    reads("<s> $A </s>").save_pretrained(folder)


def xlnet_reads(folder: Path) -> None:
    """Save a tokenizer that ends every text with the class token and pads on the left."""
    marks = {"cls_token": "<cls>", "sep_token": "<sep>", "padding_side": "left"}
    reads("$A <sep> <cls>", kinds=True, **marks).save_pretrained(folder)


def qwen_reads(folder: Path) -> None:
    """Save a tokenizer of the class that AutoTokenizer insists on for Qwen; its tokens are letters."""
    from transformers import Qwen2Tokenizer

    letters = dict.fromkeys("".join(WORDS[7:]))
    vocab = {c: i for i, c in enumerate(["<|endoftext|>", "Ġ", *letters])}
    Qwen2Tokenizer(vocab=vocab, merges=[], model_max_length=64).save_pretrained(folder)


# ------------------------------------------------------------------------------------------------- run by hand


def encoded(folder: str, text: str, model: Any) -> dict[str, Any]:
    """What the checkpoint's own tokenizer makes of one text, as far as the model takes it."""
    from transformers import AutoTokenizer

    accepts = inspect.signature(model.forward).parameters
    found = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    return {name: value for name, value in found.items() if name in accepts}


def run_alone(model: Any, inputs: dict[str, Any]) -> Any:
    """The model on one text."""
    return model(**inputs)


def run_encoder(model: Any, inputs: dict[str, Any]) -> Any:
    """The encoder of an encoder-decoder on one text."""
    return model.get_encoder()(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])


def run_teacher_forced(model: Any, inputs: dict[str, Any]) -> Any:
    """An encoder-decoder whose decoder reads the text that the encoder reads, shifted by one."""
    import torch

    ids = inputs["input_ids"]
    start = torch.tensor([[model.config.decoder_start_token_id]])
    return model(**inputs, decoder_input_ids=torch.cat([start, ids[:, :-1]], dim=1))


def stack(
    path: str,
    norm: str | None = None,
    *,
    kind: str = "AutoModel",
    run: Callable[[Any, Any], Any] = run_alone,
    time_first: bool = False,
) -> Callable[[str, Any], Rows]:
    """A reference for models whose blocks and final norm lie at a path."""

    def by_hand(folder: str, item: Any) -> Rows:
        model = model_of(folder, kind)
        inputs = encoded(folder, item, model)
        blocks = list(operator.attrgetter(path)(model))
        seen = watch(lambda: run(model, inputs), blocks, operator.attrgetter(norm)(model) if norm else None)
        alone = {layer: x[:, 0] if time_first else x[0] for layer, x in seen.items()}
        if any(x.ndim != 2 or len(x) != inputs["input_ids"].shape[1] for x in alone.values()):
            raise AssertionError(f"shapes {[tuple(x.shape) for x in alone.values()]} are not those of the tokens")
        return {layer: rows(x) for layer, x in alone.items()}

    return by_hand


def text(
    name: str,
    architecture: str,
    model: tuple[str, str],
    sizes: dict[str, Any],
    tokens: Callable[[Path], None],
    by_hand: Callable[[str, Any], Rows] | dict[str, Callable[[str, Any], Rows]],
    **facts: Any,
) -> None:
    """Register a family.

    Args:
        name: Of the family.
        architecture: For people.
        model: Classes of transformers: model and configuration.
        sizes: Of the configuration.
        tokens: Saves the tokenizer.
        by_hand: The reference, or one for every side.
        facts: Other facts of the family.
    """

    def build(folder: Path) -> Any:
        import transformers

        tokens(folder)
        return getattr(transformers, model[0])(getattr(transformers, model[1])(**sizes))

    sides: Sequence[tuple[str, Any]] = list(by_hand.items()) if isinstance(by_hand, dict) else [("", by_hand)]
    made = tuple(Side(side, "text", reference, None) for side, reference in sides)
    register(Family(name, "text", build, made, architecture, **facts))


# ------------------------------------------------------------------------------------------------- encoders

BERT_LIKE = stack("encoder.layer")
text("bert", "BERT", ("BertForMaskedLM", "BertConfig"), BERT, bert_reads, BERT_LIKE, fast=True)
text("roberta", "RoBERTa", ("RobertaForMaskedLM", "RobertaConfig"), BERT, mask_reads, BERT_LIKE)
text("xlm-roberta", "XLM-RoBERTa", ("XLMRobertaForMaskedLM", "XLMRobertaConfig"), BERT, mask_reads, BERT_LIKE)
text(
    "electra",
    "ELECTRA",
    ("ElectraForPreTraining", "ElectraConfig"),
    BERT | {"embedding_size": 8},
    bert_reads,
    BERT_LIKE,
)
text("mpnet", "MPNet", ("MPNetForMaskedLM", "MPNetConfig"), BERT, mask_reads, BERT_LIKE)
text(
    "deberta-v2",
    "DeBERTa v2/v3",
    ("DebertaV2ForMaskedLM", "DebertaV2Config"),
    BERT
    | {
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 4,
        "max_relative_positions": -1,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_biased_input": False,
        "type_vocab_size": 0,
    },
    bert_reads,
    BERT_LIKE,
)
text(
    "deberta",
    "DeBERTa v1",
    ("DebertaForMaskedLM", "DebertaConfig"),
    BERT | {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    bert_reads,
    BERT_LIKE,
)
text(
    "albert",
    "ALBERT (one block, called again and again)",
    ("AlbertForMaskedLM", "AlbertConfig"),
    BERT | {"embedding_size": 8},
    bert_reads,
    stack("encoder.albert_layer_groups"),
)
text(
    "distilbert",
    "DistilBERT",
    ("DistilBertForMaskedLM", "DistilBertConfig"),
    IDS | {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": 32},
    mask_reads,
    stack("transformer.layer"),
)
text(
    "modernbert",
    "ModernBERT (local and global attention)",
    ("ModernBertForMaskedLM", "ModernBertConfig"),
    BERT | {"cls_token_id": 4, "sep_token_id": 5, "local_attention": 4, "global_attn_every_n_layers": 2},
    mask_reads,
    stack("layers", "final_norm"),
    fast=True,
)
text(
    "xlnet",
    "XLNet (time first)",
    ("XLNetLMHeadModel", "XLNetConfig"),
    IDS | {"d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 24},
    xlnet_reads,
    stack("layer", time_first=True),
    fast=True,
)

# ------------------------------------------------------------------------------------------------- encoder-decoders

T5 = IDS | {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 2}
T5 |= {"decoder_start_token_id": 0, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10}
T5_SIDES = {
    "encoder": stack("encoder.block", "encoder.final_layer_norm", run=run_encoder),
    "decoder": stack("decoder.block", "decoder.final_layer_norm", run=run_teacher_forced),
}
text("t5", "T5", ("T5ForConditionalGeneration", "T5Config"), T5, t5_reads, T5_SIDES, fast=True)
text(
    "mt5",
    "mT5",
    ("MT5ForConditionalGeneration", "MT5Config"),
    T5 | {"feed_forward_proj": "gated-gelu"},
    t5_reads,
    T5_SIDES,
)
text("umt5", "UMT5", ("UMT5ForConditionalGeneration", "UMT5Config"), T5, t5_reads, T5_SIDES)
text(
    "t5-encoder-only",
    "T5 (encoder only)",
    ("T5EncoderModel", "T5Config"),
    T5,
    t5_reads,
    {"encoder": stack("encoder.block", "encoder.final_layer_norm", kind="T5EncoderModel")},
)
BART = IDS | {
    "d_model": 16,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "decoder_ffn_dim": 24,
    "max_position_embeddings": 32,
    "decoder_start_token_id": 2,
}
text(
    "bart",
    "BART",
    ("BartForConditionalGeneration", "BartConfig"),
    BART,
    bart_reads,
    {"encoder": stack("encoder.layers", run=run_encoder), "decoder": stack("decoder.layers", run=run_teacher_forced)},
)
text(
    "mbart",
    "mBART",
    ("MBartForConditionalGeneration", "MBartConfig"),
    BART,
    t5_reads,
    {
        "encoder": stack("encoder.layers", "encoder.layer_norm", run=run_encoder),
        "decoder": stack("decoder.layers", "decoder.layer_norm", run=run_teacher_forced),
    },
)

# ------------------------------------------------------------------------------------------------- decoders

GPT = IDS | {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 32}
H, LAYERS = stack("h", "ln_f"), stack("layers", "norm")
text("gpt2", "GPT-2", ("GPT2LMHeadModel", "GPT2Config"), GPT, gpt_reads, H, fast=True)
text(
    "gpt-neo",
    "GPT-Neo (global and local attention)",
    ("GPTNeoForCausalLM", "GPTNeoConfig"),
    IDS
    | {
        "hidden_size": 16,
        "num_layers": 4,
        "num_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 32,
        "attention_types": [[["global", "local"], 2]],
        "window_size": 4,
    },
    gpt_reads,
    H,
)
text("gpt-j", "GPT-J", ("GPTJForCausalLM", "GPTJConfig"), GPT | {"rotary_dim": 4}, gpt_reads, H)
text(
    "pythia",
    "GPT-NeoX (Pythia)",
    ("GPTNeoXForCausalLM", "GPTNeoXConfig"),
    BERT | {"use_parallel_residual": True, "rotary_pct": 0.5},
    gpt_reads,
    stack("layers", "final_layer_norm"),
)
OPT = IDS | {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "ffn_dim": 24}
OPT |= {"max_position_embeddings": 32}
text(
    "opt",
    "OPT",
    ("OPTForCausalLM", "OPTConfig"),
    OPT | {"word_embed_proj_dim": 16},
    lambda folder: reads("</s> $A").save_pretrained(folder),
    stack("decoder.layers", "decoder.final_layer_norm"),
)
text(
    "opt-350m",
    "OPT 350M (norms after the blocks, projections around them)",
    ("OPTForCausalLM", "OPTConfig"),
    OPT | {"word_embed_proj_dim": 8, "do_layer_norm_before": False},
    lambda folder: reads("</s> $A").save_pretrained(folder),
    stack("decoder.layers"),
)
text(
    "bloom",
    "BLOOM",
    ("BloomForCausalLM", "BloomConfig"),
    IDS | {"hidden_size": 16, "n_layer": 3, "n_head": 2},
    gpt_reads,
    H,
)
text(
    "falcon",
    "Falcon",
    ("FalconForCausalLM", "FalconConfig"),
    IDS | {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "multi_query": True, "alibi": False},
    gpt_reads,
    H,
)
text("phi", "Phi", ("PhiForCausalLM", "PhiConfig"), BERT, gpt_reads, stack("layers", "final_layernorm"))
text(
    "llama3",
    "Llama 3",
    ("LlamaForCausalLM", "LlamaConfig"),
    LLAMA | {"pad_token_id": None},
    llama_reads,
    LAYERS,
    fast=True,
)
QWEN = LLAMA | {"max_position_embeddings": 64, "pad_token_id": None}
text("qwen2", "Qwen 2", ("Qwen2ForCausalLM", "Qwen2Config"), QWEN, qwen_reads, LAYERS)
text("qwen3", "Qwen 3", ("Qwen3ForCausalLM", "Qwen3Config"), QWEN, qwen_reads, LAYERS)
text(
    "mistral",
    "Mistral (sliding window)",
    ("MistralForCausalLM", "MistralConfig"),
    LLAMA | {"sliding_window": 4, "pad_token_id": None},
    llama_reads,
    LAYERS,
)
text(
    "mixtral",
    "Mixtral (experts)",
    ("MixtralForCausalLM", "MixtralConfig"),
    LLAMA | {"num_local_experts": 4, "num_experts_per_tok": 2, "pad_token_id": None},
    llama_reads,
    LAYERS,
)
text("gemma", "Gemma", ("GemmaForCausalLM", "GemmaConfig"), LLAMA, gemma_reads, LAYERS)
WINDOWS = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
text(
    "gemma2",
    "Gemma 2 (sliding window, soft caps)",
    ("Gemma2ForCausalLM", "Gemma2Config"),
    LLAMA | WINDOWS | {"query_pre_attn_scalar": 8},
    gemma_reads,
    LAYERS,
)
text(
    "gemma3",
    "Gemma 3 (text)",
    ("Gemma3ForCausalLM", "Gemma3TextConfig"),
    LLAMA | WINDOWS | {"query_pre_attn_scalar": 8},
    gemma_reads,
    LAYERS,
)
text("olmo2", "OLMo 2", ("Olmo2ForCausalLM", "Olmo2Config"), BERT | {"num_key_value_heads": 2}, gpt_reads, LAYERS)
text(
    "smollm3", "SmolLM 3", ("SmolLM3ForCausalLM", "SmolLM3Config"), BERT | {"num_key_value_heads": 2}, gpt_reads, LAYERS
)
text(
    "mamba",
    "Mamba (state space)",
    ("MambaForCausalLM", "MambaConfig"),
    IDS | {"hidden_size": 16, "num_hidden_layers": 3, "state_size": 4, "conv_kernel": 4, "expand": 2},
    gpt_reads,
    stack("layers", "norm_f"),
    fast=True,
)
text(
    "mamba2",
    "Mamba 2 (state space)",
    ("Mamba2ForCausalLM", "Mamba2Config"),
    IDS
    | {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "state_size": 4,
        "conv_kernel": 4,
        "expand": 2,
        "num_heads": 4,
        "head_dim": 8,
        "n_groups": 2,
        "chunk_size": 4,
    },
    gpt_reads,
    stack("layers", "norm_f"),
)
text(
    "rwkv",
    "RWKV (recurrent)",
    ("RwkvForCausalLM", "RwkvConfig"),
    IDS | {"hidden_size": 16, "num_hidden_layers": 3, "attention_hidden_size": 16, "intermediate_size": 24,
           "context_length": 32},
    gpt_reads,
    stack("blocks", "ln_out"),
)  # fmt: skip
