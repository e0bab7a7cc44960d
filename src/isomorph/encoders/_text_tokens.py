"""Texts as open_clip's models were trained to read them, and what is known of tokenisers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from ..errors import InputError
from ._inputs import as_text
from ._probes import probes_of
from ._torch import import_torch, json_digest


class TextTokens:
    """Tokens, padded to one length and cut only if that is asked for, and the mask of those that hold text.

    Args:
        tokenizer: One of open_clip's.
        class_token: Whether the network puts a class token behind all others.
        truncate: Whether longer texts are cut; otherwise they are errors.
    """

    def __init__(self, tokenizer: Any, *, class_token: bool, truncate: bool) -> None:
        if getattr(tokenizer, "reduction_fn", None) is not None:
            tokenizer.reduction_fn = None  # a way to cut at random, for training; texts that fit it leaves as they are
        self._tokenizer, self._truncate, self._appended = tokenizer, truncate, class_token
        self._inner = getattr(tokenizer, "tokenizer", None)
        self._length = int(tokenizer.context_length)
        self._clips = getattr(tokenizer, "tokenizer_mode", "") == "clips"

    @property
    def class_at(self) -> int | None:
        """Where the class token stands, behind the text; None if there is none."""
        return self._length if self._appended else self._length - 1 if self._clips else None

    def __call__(self, batch: Sequence[Any], *, classes: bool = False) -> tuple[Any, Any]:
        """Tokens (b, length) and a mask over the tokens that the network has then.

        Args:
            batch: Texts.
            classes: Whether the mask is of the class token, if there is one, instead of the text's tokens.

        Raises:
            InputError: if an item is no text, or too long.
        """
        torch = import_torch("Running a model")
        texts = [as_text(item, i) for i, item in enumerate(batch)]
        limit = self._limit
        counts = [self._count(text) for text in texts]
        for i, count in enumerate(counts):
            if count > limit and not self._truncate:
                raise InputError(
                    f"Item {i} of the batch has {count} tokens but the model reads at most {limit}. "
                    "Shorten it, or pass truncate=True to cut long texts."
                )
        ids = self._tokenizer(texts)
        places = torch.arange(self._length + self._appended)
        if classes and self.class_at is not None:
            return ids, (places == self.class_at).expand(len(texts), -1)
        held = torch.tensor([min(count, limit) for count in counts])[:, None]
        if getattr(self._inner, "padding_side", "right") == "left" and not self._clips:
            return ids, (places >= self._length - held) & (places < self._length)
        return ids, places < held

    @property
    def _limit(self) -> int:
        return self._length - 1 if self._clips else self._length

    def probes(self) -> list[Any]:
        """A few texts for the self-check that are no longer than the model reads."""
        return probes_within(None if self._truncate else self._limit, self._count)

    def _count(self, text: str) -> int:
        """How many tokens a text has, those that begin and end it included."""
        t = self._tokenizer
        if self._inner is None:
            return len(t.encode(text)) + 2
        if hasattr(t, "clean_fn"):
            text = t.clean_fn(text)
        else:  # SigLipTokenizer, whose cleaning is not a member
            from open_clip.tokenizer import basic_clean, canonicalize_text

            text = canonicalize_text(basic_clean(text))
        ids = self._inner([text], add_special_tokens=not self._clips)["input_ids"][0]
        return len(ids) + (2 if self._clips else 0)

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able facts that change the features."""
        t = self._tokenizer
        return {
            "kind": "text",
            "version": 1,
            "tokenizer": self._digest,
            "mode": getattr(t, "tokenizer_mode", ""),
            "strips_separator": bool(getattr(t, "strip_sep_token", False)),
            "length": self._length,
            "truncate": self._truncate,
        }

    @cached_property
    def _digest(self) -> str:  # of all words of the vocabulary, which takes long and is asked for often
        t, inner = self._tokenizer, self._inner
        words = (dict(t.encoder), dict(t.bpe_ranks)) if inner is None else (tokenizer_content(inner),)
        clean = getattr(getattr(t, "clean_fn", None), "__name__", "")
        named = (type(t).__name__, clean)
        before = _LAST.get(named)
        if before is None or before[0] != words:  # most models of a name have one vocabulary
            content = [sorted(part.items(), key=str) for part in words] if inner is None else words[0]
            digest = json_digest({"class": named[0], "content": content, "clean": clean})
            before = _LAST[named] = (words, digest)
        return before[1]


_LAST: dict[tuple[str, str], tuple[tuple[Any, ...], str]] = {}
"""By class of tokenizer and way of cleaning: the last vocabulary, and its digest."""


def probes_within(limit: int | None, count: Callable[[str], int]) -> list[Any]:
    """The texts of the self-check, without the words behind a limit of so many tokens."""
    texts = []
    for text in probes_of("text"):
        words = text.split()
        while limit is not None and len(words) > 1 and count(" ".join(words)) > limit:
            words.pop()
        texts.append(" ".join(words))
    return list(dict.fromkeys(texts))


def tokenizer_content(tokenizer: Any) -> Any:
    """What a tokeniser of transformers, or of tokenizers, does to a text; padding and cutting are said by each call."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        return sorted(tokenizer.get_vocab().items())
    return {k: v for k, v in json.loads(backend.to_str()).items() if k not in ("padding", "truncation")}
