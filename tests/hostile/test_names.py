"""Names of streams that mean harm: refused with what is wrong, or written so that they are one level of a topic."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from streamwatch.app import settings
from streamwatch.bus.topics import StateTopic, Topics
from streamwatch.domain.errors import ConfigError
from streamwatch.domain.streams import topic_sid

TOPICS = Topics("streamwatch/v1", "edge-1")
CONTROLS = "has control characters or line breaks"
TURNED = "marks in it that turn the direction of text"

ATTACKS = {
    "a\0b": CONTROLS,
    "a\x1b[2Jb": CONTROLS,
    "a\nb": CONTROLS,
    "a\u2028b": CONTROLS,
    "a\u202eb": TURNED,
    "a\u2066b": TURNED,
    "x" * 10_000: "too long",
    "a\ud800b": "not YAML",
    "": "is empty",
    " ": "is empty",
    "#": None,
    "+": None,
    "a/#": None,
    "$SYS/broker": None,
    "../../status": None,
    "streamwatch/v1/edge-1/status": None,
    "%2b%23": None,
    "x" * 1000: None,
    "\N{ARABIC LETTER BEH}\N{HEBREW LETTER ALEF}\N{PILE OF POO}" * 100: None,
}
"""Name and what the configuration says of it; None: it is a name like others."""


@pytest.mark.parametrize(("name", "said"), [pytest.param(n, s, id=ascii(n)[:30]) for n, s in ATTACKS.items()])
def test_names_are_refused_or_harmless(name: str, said: str | None, tmp_path: Path) -> None:
    path = tmp_path / "streamwatch.yaml"
    stream = {"id": name, "url": "rtmp://127.0.0.1/live/x"}
    path.write_text(
        yaml.safe_dump(
            {
                "node": "edge-1",
                "mqtt": {"url": "mqtt://127.0.0.1"},
                "streams": [stream],
                "detectors": [{"name": "test-card", "kind": "onnx", "model": "models/test-card"}],
                "rules": [],
                "state": str(tmp_path / "state"),
            }
        )
    )
    if said is not None:
        with pytest.raises(ConfigError) as refused:
            settings.read(path)
        words = str(refused.value)
        assert said in words
        assert len(words) < 1000
        assert all(c.isprintable() or c == "\n" for c in words)
        return
    (spec,) = settings.read(path).setup.streams
    topic = TOPICS.state(topic_sid(spec.id))
    assert topic.count("/") == TOPICS.state("x").count("/")
    assert not set("#+$\0") & set(topic)
    assert len(topic.encode()) < 1000
    assert isinstance(TOPICS.parse(topic), StateTopic)
