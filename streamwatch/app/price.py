"""What watching a stream would cost, from what was measured of it."""

from __future__ import annotations

from streamwatch.link.messages import Found

GAP_S = 10.0
"""The gap that the cost is told for where nobody configured one: the default promise."""


def cost(found: Found, gap_s: float = GAP_S) -> dict[str, float | None]:
    """Looks a minute at this gap, and the decoder's processor seconds for them; None where not measured."""
    between = max(gap_s - (found.key_interval_s or 0.0) / 2, found.key_interval_s or 0.0, min(gap_s, 1.0))
    looks = 60.0 / between
    decoding = None if found.decode_key_s is None else round(looks * found.decode_key_s, 4)
    return {"gap_s": gap_s, "looks_per_min": round(looks, 2), "decode_s_per_min": decoding}
