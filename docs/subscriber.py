"""Receives alerts and acknowledges them: the least that a tool for moderators does. Needs `pip install aiomqtt`.

    python subscriber.py 127.0.0.1 1883 anna PASSWORD

The broker keeps what comes while this is away: the session is persistent, under an identifier that stays the same.
Messages come at least once, and `(alert_id, seq)` tells them apart. What is received in the moment of a crash may be
lost to us; a command `resync`, sent like the verdict below, has every open alert said again.
"""

import asyncio
import json
import sys
import uuid
from datetime import UTC, datetime

import aiomqtt


async def main(host: str, port: str, name: str, password: str | None = None) -> None:
    """Listen for ever; connect again after every loss."""
    seen = set()  # a tool that runs for months forgets the oldest
    session = {"identifier": f"{name}-desk", "protocol": aiomqtt.ProtocolVersion.V311, "clean_session": False}
    while True:
        try:
            async with aiomqtt.Client(host, int(port), username=name, password=password, **session) as client:
                await client.subscribe([(f"streamwatch/v1/+/streams/+/{kind}", 1) for kind in ("alerts", "tests")])
                async for message in client.messages:
                    alert = json.loads(message.payload)
                    if (key := (alert.get("alert_id"), alert.get("seq"))) in seen or key[0] is None:
                        continue  # said again; or a daemon's proof that it may say alerts, which is none
                    seen.add(key)
                    where = alert["stream"]["watch_url"] or alert["stream"]["id"]
                    print(alert["severity"], alert["event"], alert["rule"], alert["score"], where, flush=True)
                    if alert["event"] == "opened":
                        at = datetime.now(UTC).isoformat()
                        said = {"request_id": uuid.uuid4().hex, "at": at, "alert_id": alert["alert_id"]}
                        topic = f"streamwatch/v1/{alert['node']}/commands/verdict/{name}"
                        await client.publish(topic, json.dumps({**said, "verdict": "acknowledge"}), qos=1)
        except aiomqtt.MqttError as error:
            print(f"broker away: {error}", file=sys.stderr)
            await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
