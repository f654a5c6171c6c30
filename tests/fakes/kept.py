"""A daemon's state folder as a test wants it: a real ledger, a desk that writes it, a configuration that names it."""

from __future__ import annotations

import time
from pathlib import Path

from streamwatch.ledger.sqlite import SqliteLedger
from tests.fakes.clock import EPOCH
from tests.fakes.desk import Story

CONFIG = """\
node: edge-1
mqtt:
  url: {broker}
streams:
  - id: lobby
    url: rtmp://127.0.0.1/live/lobby
  - id: hall
    url: rtmp://127.0.0.1/live/hall
detectors:
  - name: det
    kind: onnx
    model: models/test-card
rules:
  - name: nudity
    detector: det
    label: nsfw
    severity: high
state:
  folder: {folder}
  retention:
    dismissed: {dismissed}
"""


class Kept(Story):
    """A story whose ledger is a file. `ago_s`: how long ago it begins, on the wall clock."""

    def __init__(self, folder: Path, *, ago_s: float = 3600.0) -> None:
        super().__init__()
        self.clock.set_s = time.time() - ago_s - EPOCH.timestamp()
        self.ledger = SqliteLedger(folder / "state", clock=self.clock)
        self.desk = self._new_desk()
        self.ids: list[str] = []

    def opens(self, name: str = "nudity", **more: object) -> str:
        """An alert opens; returns its id."""
        self.fresh(name)
        self.alarm(name, **more)
        self.ids.append(self.desk.open_alerts[-1].id)
        return self.ids[-1]

    def delivered(self, *, after_s: float = 0.012, latency_ms: int = 640) -> None:
        """The broker has all that is owed."""
        for event in self.ledger.pending():
            body = event.body.replace('"latency_ms":null', f'"latency_ms":{latency_ms}')
            offered = type(event)(event.alert_id, event.seq, event.event, event.severity, event.stream, body)
            self.ledger.offer([offered])
            self.ledger.acknowledged([offered], at=self.clock.now().timestamp() + after_s)


def config(folder: Path, *, broker: str = "mqtt://127.0.0.1:1883", dismissed: str = "72h", more: str = "") -> Path:
    """The configuration file of the daemon whose state is in `folder`."""
    path = folder / "streamwatch.yaml"
    path.write_text(CONFIG.format(broker=broker, folder=folder / "state", dismissed=dismissed) + more)
    return path
