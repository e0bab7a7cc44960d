"""How families that see and read are written down, and what their parts give when they are run by hand."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import WORDS, Family, Rows, Side, image_processor, items, model_of, register, rows, watch

EXTRA = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<|vision_start|>", "<|vision_end|>"]
EXTRA += ["<|image_pad|>", "<|video_pad|>", "<end>"]
VOCABULARY = [*WORDS, *EXTRA]
V, IMAGE, END = len(VOCABULARY), VOCABULARY.index("<image>"), VOCABULARY.index("<end>")
DIMS = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 24}
IDS = {"vocab_size": V, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
TEXT = DIMS | IDS | {"max_position_embeddings": 64}
SHORT = TEXT | {"max_position_embeddings": 16}
EYES = DIMS | {"image_size": 32, "patch_size": 8}

See = Callable[[str, Any], dict[str, Any]]
Run = Callable[[Any, dict[str, Any]], Any]

# ------------------------------------------------------------------------------------------------- files


def reader(
    template: str = "<s> $A", *, limit: int = 64, gives: str = "input_ids attention_mask", **special: Any
) -> Any:
    """A tokenizer over `VOCABULARY` that puts tokens around a text by a template."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({w: i for i, w in enumerate(VOCABULARY)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    around = [(t, VOCABULARY.index(t)) for t in dict.fromkeys(template.split()) if t != "$A"]
    core.post_processor = TemplateProcessing(single=template, pair=None, special_tokens=around)
    tokens = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | special
    facts = {"model_max_length": limit, "model_input_names": gives.split()}
    made = PreTrainedTokenizerFast(tokenizer_object=core, **facts, **tokens)
    made.add_special_tokens({"additional_special_tokens": EXTRA[:7]})
    return made


def bert_reader(folder: Path) -> None:
    """Save a tokenizer that frames texts as BERT's does."""
    marks = {"cls_token": "<cls>", "sep_token": "<sep>", "mask_token": "<mask>"}
    reader("<cls> $A <sep>", gives="input_ids token_type_ids attention_mask", **marks).save_pretrained(folder)


def roberta_reader(folder: Path) -> None:
    """Save a tokenizer that frames texts, without token types."""
    reader("<s> $A </s>").save_pretrained(folder)


def clip_reader(folder: Path) -> None:
    """Save a tokenizer that ends every text with the highest id, which pads too."""
    reader("<s> $A <end>", limit=16, eos_token="<end>", pad_token="<end>").save_pretrained(folder)


def siglip_reader(folder: Path) -> None:
    """Save a tokenizer that ends every text and asks for no attention mask."""
    reader("$A </s>", limit=16, gives="input_ids").save_pretrained(folder)


def siglip2_reader(folder: Path) -> None:
    """Save a tokenizer of the class that AutoTokenizer insists on for SigLIP 2; its tokens are letters."""
    from tokenizers.processors import TemplateProcessing
    from transformers import Siglip2Tokenizer

    letters = dict.fromkeys("".join(WORDS[7:]))
    vocab = {c: i for i, c in enumerate(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *letters])}
    facts = {"model_max_length": 40, "padding_side": "right", "model_input_names": ["input_ids"]}
    made = Siglip2Tokenizer(vocab=vocab, merges=[], **facts)
    made.backend_tokenizer.post_processor = TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    made.save_pretrained(folder)


def llama_reader(folder: Path) -> None:
    """Save a tokenizer that begins every text."""
    reader().save_pretrained(folder)


def long_reader(folder: Path) -> None:
    """Save one with room for the tiles of an image."""
    reader(limit=128).save_pretrained(folder)


# ------------------------------------------------------------------------------------------------- run by hand


def taken(function: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Those of the inputs that a function takes."""
    names = inspect.signature(function).parameters
    return {k: v for k, v in inputs.items() if k in names}


def pil(item: Any) -> Any:
    """A picture as the processors like it."""
    from PIL import Image

    return Image.fromarray(item)


def looked_at(folder: str, item: Any) -> dict[str, Any]:
    """What the checkpoint's own image processor makes of one image."""
    from transformers import AutoImageProcessor

    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    return dict(processor(images=pil(item), return_tensors="pt"))


def read(folder: str, item: Any) -> dict[str, Any]:
    """What the checkpoint's own tokenizer makes of one text."""
    from transformers import AutoTokenizer

    return dict(AutoTokenizer.from_pretrained(folder)(item, return_tensors="pt"))


def observe(run: Callable[[], Any], blocks: Sequence[Any], norm: Any = None) -> dict[str, Any]:
    """As `watch`, but of a norm that is called several times the first call that has all tokens."""
    import torch

    normed: list[Any] = []
    handle = norm.register_forward_hook(lambda _m, _a, out: normed.append(out.clone())) if norm is not None else None
    try:
        seen = watch(run, blocks)
    finally:
        if handle is not None:
            handle.remove()
    if norm is not None:
        shape = list(seen.values())[-1].shape
        seen["final_norm"] = next(x for x in normed if isinstance(x, torch.Tensor) and x.shape == shape)
    return seen


def as_rows(x: Any, *, time_first: bool = False) -> np.ndarray:
    """Rows (t, d) of activations of one item: a map, tokens, or tokens of several tiles, tile after tile."""
    if x.ndim == 4:
        x = x.flatten(2).transpose(1, 2)
    if time_first:
        x = x.transpose(0, 1)
    return rows(x.reshape(-1, x.shape[-1]))


def tower(
    see: See,
    run: Run,
    blocks: str,
    norm: str | None = None,
    *,
    kind: str = "AutoModel",
    real: Callable[[Any, dict[str, Any]], np.ndarray | None] = lambda _model, _inputs: None,
    projection: Callable[[Any, dict[str, Any]], Any] | None = None,
    time_first: bool = False,
    embedding: bool = True,
) -> Callable[[str, Any], Rows]:
    """A reference for one part of a model.

    Args:
        see: From the folder and the item to the inputs.
        run: Runs the part.
        blocks: Path to its blocks.
        norm: Path to the norm after the last one.
        kind: Class of transformers that is loaded.
        real: Which rows are no padding; None if all are.
        projection: Gives the point in the shared space.
        time_first: Whether activations are (t, b, d).
        embedding: Whether what enters the first block is a layer.
    """

    def by_hand(folder: str, item: Any) -> Rows:
        import torch

        model, inputs = model_of(folder, kind), see(folder, item)
        where = list(operator.attrgetter(blocks)(model))
        seen = observe(lambda: run(model, inputs), where, operator.attrgetter(norm)(model) if norm else None)
        held = real(model, inputs)
        found = {layer: as_rows(x, time_first=time_first) for layer, x in seen.items()}
        found = found if held is None else {layer: x[held] for layer, x in found.items()}
        if not embedding:
            del found["embedding"]
        if projection is not None:
            with torch.no_grad():
                found["projection"] = rows(projection(model, inputs))
        return found

    return by_hand


def output(see: See, run: Run, *, kind: str = "AutoModel", module: str) -> Callable[[str, Any], Rows]:
    """A reference for a part that is one layer, the projector."""

    def by_hand(folder: str, item: Any) -> Rows:
        import torch

        model, inputs = model_of(folder, kind), see(folder, item)
        given: list[Any] = []
        part = operator.attrgetter(module)(model)
        handle = part.register_forward_hook(lambda _m, _a, out: given.append(out))
        try:
            with torch.no_grad():
                run(model, inputs)
        finally:
            handle.remove()
        return {"projector": as_rows(given[0][0] if isinstance(given[0], tuple) else given[0])}

    return by_hand


def features(method: str) -> Run:
    """The method of a model on those inputs that it takes."""

    def run(model: Any, inputs: dict[str, Any]) -> Any:
        function = getattr(model, method)
        return function(**taken(function, inputs))

    return run


def pooled(method: str) -> Run:
    """The point in the shared space that a method of the model gives."""
    return lambda model, inputs: features(method)(model, inputs).pooler_output


def part(path: str) -> Run:
    """A part of the model on those inputs that it takes."""

    def run(model: Any, inputs: dict[str, Any]) -> Any:
        module = operator.attrgetter(path)(model)
        return module(**taken(module.forward, inputs))

    return run


def sees(blocks: str, norm: str | None = None, **more: Any) -> Callable[[str, Any], Rows]:
    """The vision tower of a dual encoder, run by its feature method."""
    method = "get_image_features"
    return tower(looked_at, features(method), blocks, norm, projection=pooled(method), **more)


def reads(blocks: str, norm: str | None = None, see: See = read, **more: Any) -> Callable[[str, Any], Rows]:
    """The text tower of a dual encoder, run by its feature method."""
    method = "get_text_features"
    return tower(see, features(method), blocks, norm, projection=pooled(method), **more)


def language(path: str, blocks: str, norm: str | None, kind: str = "AutoModel") -> Callable[[str, Any], Rows]:
    """The language model of a vision-language model on text alone."""
    return tower(read, part(path), f"{path}.{blocks}", f"{path}.{norm}" if norm else None, kind=kind)


def vision_side(by_hand: Callable[[str, Any], Rows], prefix: int | None = 1, *optional: str) -> Side:
    """A side that sees."""
    return Side("vision", "image", by_hand, prefix, frozenset(optional))


def projector_side(module: str, kind: str = "AutoModel") -> Side:
    """The side that is one layer, between the vision tower and the language model."""
    return Side("projector", "image", output(looked_at, features("get_image_features"), kind=kind, module=module), 0)


def text_side(by_hand: Callable[[str, Any], Rows], *optional: str) -> Side:
    """A side that reads."""
    return Side("text", "text", by_hand, None, frozenset(optional))


def pairs() -> list[Any]:
    """Images, each with a text."""
    return list(zip(items("image"), items("text"), strict=True))


def both(folder: str, item: Any) -> dict[str, Any]:
    """An image and a text, each by its own processor."""
    return looked_at(folder, item[0]) | read(folder, item[1])


def whole(model: Any, inputs: dict[str, Any]) -> Any:
    """The whole model on those inputs that it takes."""
    return model(**taken(model.forward, inputs))


def multi(
    name: str,
    architecture: str,
    model: tuple[str, str],
    sizes: dict[str, Any],
    files: Sequence[Callable[[Path], Any]],
    sides: Sequence[Side],
    **facts: Any,
) -> None:
    """Register a family of several sides.

    Args:
        name: Of the family.
        architecture: For people.
        model: Classes of transformers: model and configuration.
        sizes: Of the configuration.
        files: Write tokenizer and processors.
        sides: Its parts.
        facts: Other facts of the family.
    """

    def build(folder: Path) -> Any:
        import transformers

        for put in files:
            put(folder)
        return getattr(transformers, model[0])(getattr(transformers, model[1])(**sizes))

    register(Family(name, "image+text", build, tuple(sides), architecture, **facts))


def processor(kind: str, **settings: Any) -> Callable[[Path], None]:
    """Writes the configuration of an image processor."""
    return lambda folder: image_processor(folder, kind, **settings)
