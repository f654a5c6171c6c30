from pathlib import Path

import pytest
import yaml

from streamwatch.app import settings
from streamwatch.bench import model
from streamwatch.bench.site import Site, Subscriber
from streamwatch.bench.subject import Job, config, values

METRICS = """# HELP streamwatch_samples_total Frames scored
# TYPE streamwatch_samples_total counter
streamwatch_samples_total{detector="bench"} 12.0
streamwatch_alerts_total{severity="high",event="opened"} 3.0
streamwatch_ledger_pending 0.0
"""


def site(folder: Path, *, hls: bool = False) -> Site:
    return Site(folder, 1935, 8080, "mqtt://127.0.0.1:1883", 3, hls, Subscriber())


def test_metrics_are_found_by_name_and_sorted_labels() -> None:
    assert values(METRICS) == {
        "streamwatch_samples_total{detector=bench}": 12,
        "streamwatch_alerts_total{event=opened,severity=high}": 3,
        "streamwatch_ledger_pending": 0,
    }


@pytest.mark.parametrize("hls", [False, True])
def test_the_daemon_accepts_its_configuration(tmp_path: Path, *, hls: bool) -> None:
    found = model.build(tmp_path, cheap=hls)
    written = config(site(tmp_path, hls=hls), Job(10.0, 0.0, found), 5)
    path = tmp_path / "streamwatch.yaml"
    path.write_text(yaml.safe_dump(written))
    ready = settings.read(path)
    assert len(ready.setup.streams) == 5
    assert [str(remark) for remark in ready.loaded.remarks() if "watch_url" not in remark.wrong] == []


def test_streams_are_spread_over_the_publishers(tmp_path: Path) -> None:
    urls = [stream["url"] for stream in config(site(tmp_path), Job(2.0, 4.0, tmp_path), 4)["streams"]]
    assert urls[0].endswith("/live/p00")
    assert urls[2].endswith("/live/p02")
    assert urls[3] == urls[0]


def test_opened_alerts_are_timed_and_everything_else_is_passed_over() -> None:
    subscriber = Subscriber()
    for line in (
        '1000.5 {"event":"opened","evidence":[{"at":"1970-01-01T00:16:40.400Z"}]}',
        '1001.0 {"event":"closed","first_seen":{"at":"1970-01-01T00:16:40.400Z"}}',
        "1002.0 ", "no time at all", '1003.0 {"event":"opened"}',
    ):  # fmt: skip
        subscriber.on_line(line)
    ((at, after_s),) = subscriber.alerts
    assert at == 1000.5
    assert after_s == pytest.approx(0.1)
