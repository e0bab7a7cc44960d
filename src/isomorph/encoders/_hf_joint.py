"""Images and texts together, for vision-language models."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, UnknownNameError
from ._hf_inputs import HfInput, known_words, read_part, share_passes, without_padding
from ._inputs import as_pil, as_text
from ._probes import probes_of
from ._sides import Side
from ._torch import Prepared, json_digest

_PUT_IT_THEMSELVES = (
    "Blip2Processor",
    "InstructBlipProcessor",
    "BlipProcessor",
    "FlavaProcessor",
    "BridgeTowerProcessor",
)


class JointInput(HfInput):
    """An image and a text together, through the checkpoint's chat template or a prompt.

    Args:
        processor: A processor of transformers for both.
        accepts: Names of the arguments that the network takes.
        image_token: Id of the token that stands for a patch of the image.
        tokens: Which tokens of the language model are pooled: ``"image"``, ``"text"`` or ``"all"``.
        prompt: A template with ``{text}`` and, where the checkpoint has no chat template, its own image token in front.
    """

    modality = "image+text"

    def __init__(
        self, processor: Any, *, accepts: Iterable[str], image_token: int | None, tokens: str, prompt: str | None
    ) -> None:
        if tokens not in ("image", "text", "all"):
            raise UnknownNameError("tokens", str(tokens), ("image", "text", "all"))
        if prompt is not None and "{text}" not in prompt:
            raise InputError(f"prompt={prompt!r} does not say where the text goes; write {{text}} in it.")
        self._processor, self._accepts, self._image_token = processor, frozenset(accepts), image_token
        self._tokens, self._prompt = tokens, prompt

    def prepare(self, batch: Sequence[Any], device: str) -> list[Prepared]:
        return share_passes([self._one(item, i) for i, item in enumerate(batch)], device, self._mask)

    def _mask(self, inputs: dict[str, Any]) -> Any:
        if self._image_token is None or "input_ids" not in inputs:
            return None
        mask = inputs["input_ids"] == self._image_token
        if self._tokens == "all":
            return None
        return mask if self._tokens == "image" else ~mask

    def _one(self, item: Any, position: int) -> dict[str, Any]:
        import torch

        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise InputError(
                f"Item {position} of the batch is of type {type(item).__name__}; a pair (image, text) is needed here: "
                'extract(…, view=("image", "text")).'
            )
        image, text = as_pil(item[0], position), as_text(item[1], position)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # PaliGemma's processor makes an array of a tensor
            encoded = self._processor(images=[image], text=[self._written(text)], return_tensors="pt")
        return {k: torch.as_tensor(v) for k, v in encoded.items() if k in self._accepts}

    def _written(self, text: str) -> str:
        if self._prompt is not None:
            return self._prompt.replace("{text}", text)
        if getattr(self._processor, "chat_template", None):
            content = [{"type": "image"}, {"type": "text", "text": text}]
            return str(self._processor.apply_chat_template([{"role": "user", "content": content}]))
        if self._image_token is None or type(self._processor).__name__ in _PUT_IT_THEMSELVES:
            return text
        return f"{self._processor.tokenizer.convert_ids_to_tokens(self._image_token)}{text}"

    def example(self) -> Any:
        return np.zeros((64, 64, 3), dtype=np.uint8), "a small example"

    def probes(self) -> list[Any]:
        images = probes_of("image")
        words = known_words(self._processor.tokenizer)
        if len(words) < 2:
            raise InputError("The tokenizer knows no words; its vocabulary files are missing beside the weights.")
        some = [words[i % len(words)] for i in range(6)]
        texts = [" ".join(some[:3]), some[3], " ".join(some[4:6]), " ".join(some[5:3:-1])]
        return list(zip([*images[2:], *images[:2]], texts, strict=True))

    @property
    def facts(self) -> dict[str, Any]:
        tokenizer = getattr(self._processor.tokenizer, "backend_tokenizer", None)
        return {
            "kind": "image+text",
            "version": 1,
            "processor": json_digest(self._processor.image_processor.to_dict()),
            "tokenizer": json_digest({"content": without_padding(tokenizer.to_str()) if tokenizer is not None else ""}),
            "template": self._prompt or getattr(self._processor, "chat_template", None) or "image token, then text",
            "tokens": self._tokens,
        }


class Grids:
    """Image processor and tokenizer of a model that packs patches, joined as its processor for torchvision does.

    The token that stands for the image is repeated once for every patch that the vision tower gives.
    """

    def __init__(self, tokenizer: Any, image_processor: Any, image_token: int) -> None:
        self.tokenizer, self.image_processor, self._token = tokenizer, image_processor, image_token
        self.chat_template = getattr(tokenizer, "chat_template", None)

    def apply_chat_template(self, messages: Any) -> str:
        """The conversation as the model reads it."""
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False))

    def __call__(self, *, images: Sequence[Any], text: Sequence[str], return_tensors: str) -> dict[str, Any]:
        """Tensors of one image and one text.

        Raises:
            InputError: if the text does not hold the image's token once.
        """
        seen = dict(self.image_processor(images=images, return_tensors=return_tensors))
        word = self.tokenizer.convert_ids_to_tokens(self._token)
        if text[0].count(word) != 1:
            raise InputError(
                f"The prompt holds {text[0].count(word)} times {word!r}, which stands for the image; once is right."
            )
        merge = int(getattr(self.image_processor, "merge_size", 1)) ** 2
        repeated = text[0].replace(word, word * (int(seen["image_grid_thw"].prod()) // merge))
        encoded = dict(self.tokenizer([repeated], return_tensors=return_tensors))
        return encoded | seen | {"mm_token_type_ids": (encoded["input_ids"] == self._token).int()}


def joint_input(parts: Any, side: Side, tokens: str, prompt: str | None) -> JointInput:
    """The inputs of a side that reads image and text together.

    Raises:
        InputError: if the checkpoint has no processor for both.
    """
    import transformers

    named = (getattr(parts.config, n, None) for n in ("image_token_id", "image_token_index"))
    token = next((t for t in named if isinstance(t, int)), None)
    processor: Any = None
    if "image_grid_thw" in side.accepts and token is not None:
        tokenizer = read_part(parts, "text", "AutoTokenizer")
        processor = Grids(tokenizer, read_part(parts, "image", "AutoImageProcessor", backend="pil"), token)
    else:
        processor = transformers.AutoProcessor.from_pretrained(parts.source, backend="pil", **parts.kwargs)
    if getattr(processor, "image_processor", None) is None or getattr(processor, "tokenizer", None) is None:
        raise InputError(
            f"The checkpoint {parts.source} has no processor for image and text together (processor_config.json); its "
            "sides can be read by themselves."
        )
    return JointInput(processor, accepts=side.accepts, image_token=token, tokens=tokens, prompt=prompt)
