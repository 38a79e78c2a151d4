"""Tokens are never written or shown: what looks like one, and what is the one in use, is taken out of a text."""

from __future__ import annotations

import os
import re

HIDDEN = "***"
_FORM = r"\b(?:hf|api_org)_[A-Za-z0-9]{16,}"
_TOKEN = re.compile(_FORM)
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_QUERY = re.compile(r"(https?://[^\s?]+)\?\S+")
"""Addresses of stores are signed behind their question mark."""
_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_SHORTEST = 8
"""Letters of a token that may be meant; shorter ones would tear texts apart."""


def hidden(text: str) -> str:
    """Return a text without tokens, logins in addresses, and what signs an address."""
    for secret in _in_use():
        text = text.replace(secret, HIDDEN)
    return _QUERY.sub(r"\1", _LOGIN.sub("", _TOKEN.sub(HIDDEN, text)))


def holds_secret(content: bytes) -> bool:
    """Whether a file's bytes have a token in them."""
    return any(secret.encode() in content for secret in _in_use()) or re.search(_FORM.encode(), content) is not None


def _in_use() -> list[str]:
    """Return the tokens that the environment, or a login of the client's, holds."""
    found = {os.environ.get(name, "").strip() for name in _VARIABLES}
    try:
        from huggingface_hub import get_token

        found.add(get_token() or "")
    except Exception:  # a client that is missing or a file of its own that cannot be read: there is no token then
        pass
    return sorted((one for one in found if len(one) >= _SHORTEST), key=len, reverse=True)
