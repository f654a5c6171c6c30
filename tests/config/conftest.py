import textwrap
from pathlib import Path

import pytest

from streamwatch.config.loader import load
from streamwatch.domain.errors import ConfigError

MINIMAL = """\
node: edge-1
mqtt:
  url: mqtt://127.0.0.1:1883
streams:
  - id: lobby
    url: rtmp://127.0.0.1:1935/live/lobby
detectors:
  - name: test-card
    kind: onnx
    model: models/test-card
rules:
  - name: test-card
    detector: test-card
    label: test_card
    severity: test
"""
HEAD = "node: n\nmqtt: {url: 'mqtt://127.0.0.1'}\n"


class Desk:
    """Writes a configuration into a folder and loads it, as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "c.yaml"

    def load(self, text, environ=None):
        self.path.write_text(textwrap.dedent(text))
        return load(self.path, environ=environ or {})

    def problems(self, text, environ=None):
        """`LINE: key: wrong (right)` of every problem."""
        with pytest.raises(ConfigError) as refused:
            self.load(text, environ)
        return [str(problem).removeprefix(f"{self.path}:") for problem in refused.value.problems]


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)
