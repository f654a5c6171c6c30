"""User and password as Adobe's servers ask for them: a refusal holds a riddle, the next `connect` its answer. Pure.

The password itself never goes over the wire. MD5 is what the protocol has.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from base64 import b64encode

from streamwatch.sources.rtmp.place import Place

ATTEMPTS = 3
"""Asking, asking with the user's name, answering."""
_LONGEST = 1000
_WORD = re.compile(r"[?&](user|salt|challenge|opaque)=([A-Za-z0-9+/=_.~-]{1,200})(?=&|\s|\]|$)")


def answered(place: Place, refusal: str) -> Place | None:
    """The place to connect to next; None where the refusal is final or we have no user to name."""
    if not place.user or len(refusal) > _LONGEST or "authmod=adobe" not in refusal:
        return None
    if "code=403 need auth" in refusal:
        query = f"?authmod=adobe&user={place.user}"
    elif "reason=needauth" in refusal:
        query = f"?authmod=adobe&user={place.user}{_answer(place, dict(_WORD.findall(refusal)))}"
    else:
        return None
    return place._replace(app=place.app + query, tc_url=place.tc_url + query)


def _answer(place: Place, said: dict[str, str]) -> str:
    ours = secrets.token_hex(4)
    opaque = said.get("opaque", "")
    secret = _digest(place.user + said.get("salt", "") + place.password)
    response = _digest(secret + (opaque or said.get("challenge", "")) + ours)
    return f"&challenge={ours}&response={response}" + (f"&opaque={opaque}" if opaque else "")


def _digest(text: str) -> str:
    return b64encode(hashlib.md5(text.encode(), usedforsecurity=False).digest()).decode("ascii")
