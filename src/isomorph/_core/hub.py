"""The Hugging Face hub: whether it answers, asked with the patience of a few seconds."""

from __future__ import annotations

import threading
import time

PATIENCE = 2.5
"""Seconds that a hub may take to answer at all; downloads may take as long as they need."""

_asked: dict[str, tuple[float, str | None]] = {}


def hub_problem() -> str | None:
    """Why the hub cannot be used, in words, or None if it answers; takes a few seconds at most."""
    import huggingface_hub as hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    when, said = _asked.get(constants.ENDPOINT, (0.0, None))
    if said is not None and time.monotonic() - when < 30:
        return said  # a hub that is away is asked again after half a minute
    client, outcome = hub.get_session(), [f"no answer within {PATIENCE:g} s"]

    def ask() -> None:
        try:
            client.head(constants.ENDPOINT, timeout=PATIENCE)
        except Exception as error:  # releases of the client use other HTTP libraries, each with errors of its own
            outcome[0] = one_line(error) or type(error).__name__
        else:
            outcome.clear()

    # in a thread, since looking a name up knows no time limit
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    _asked[constants.ENDPOINT] = (time.monotonic(), outcome[0] if outcome else None)
    return outcome[0] if outcome else None


def one_line(error: BaseException) -> str:
    """What an error says, as one sentence."""
    text = " ".join(str(error).split())[:400]
    return text if not text or text.endswith(".") else f"{text}."
