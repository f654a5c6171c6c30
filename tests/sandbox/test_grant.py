from __future__ import annotations

import pytest

from streamwatch.sandbox.grant import ANYWHERE, Grant


@pytest.mark.parametrize("grant", [Grant(), ANYWHERE, Grant(read=("/a b", "/ü"), ports=(554, 8554), udp=True)])
def test_what_was_said_is_heard(grant: Grant) -> None:
    assert Grant.decode(grant.encode()) == grant


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "null", "{}", '{"read":[],"ports":[]}', '{"read":["x"],"ports":[],"udp":false,"memory":9}',
        '{"read":[],"ports":[0],"udp":false,"memory":9}', '{"read":[],"ports":[true],"udp":false,"memory":9}',
        '{"read":[],"ports":[],"udp":1,"memory":9}', '{"read":"/","ports":[],"udp":false,"memory":9}',
        '{"read":[1],"ports":[],"udp":false,"memory":9}',
    ],
)  # fmt: skip
def test_nothing_else_is_a_grant(text: str) -> None:
    with pytest.raises(ValueError, match="not a grant"):
        Grant.decode(text)
