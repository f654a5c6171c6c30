"""What a broker's reason codes mean for us, in words, and what to do about them. Pure.

Numbers are those of MQTT 5; what a 3.1.1 broker says at CONNECT is translated into them by the library.
"""

from __future__ import annotations

from collections.abc import Mapping

from streamwatch.domain.urls import printable

FAILURE = 0x80
"""MQTT 5, 2.4: reason codes from here on are failures; MQTT 3.1.1 refuses subscriptions with this very value."""
UNSUPPORTED_PROTOCOL = 0x84
NOT_AUTHORISED = 0x87
TAKEN_OVER = 0x8E
TOPIC_INVALID = 0x90
TOO_LARGE = 0x95
NO_RETAIN = 0x9A
NO_QOS = 0x9B

_BUSY = frozenset({0x89, 0x8A, 0x97, 0x9F})
"""Busy, banned, over a quota, too many connections: who asks again at once makes it worse."""
_SAID = 100

_CONNECT: Mapping[int, str] = {
    0x85: "it does not accept our client identifier",
    0x86: "it does not accept user name or password: mqtt.username, mqtt.password",
    NOT_AUTHORISED: "it does not accept user, password or certificate: mqtt.username, mqtt.password",
    0x88: "it is not available",
    0x89: "it is busy",
    0x8A: "we are banned there: its operator must lift it",
    0x8C: "it wants another method of authentication than user name, password or certificate",
    TOPIC_INVALID: "it does not accept the topic of our Last Will: mqtt.prefix, or its rules for topics",
    TOO_LARGE: "our CONNECT, with the Last Will, is larger than it takes: raise its limit of packets",
    0x97: "its quota is exceeded",
    0x99: "it does not take our Last Will for UTF-8",
    NO_RETAIN: "it keeps no retained messages",
    NO_QOS: "it takes nothing that must be acknowledged (its highest QoS is 0): no alert could be delivered",
    0x9C: "it sends us to another server; we go only where mqtt.url says",
    0x9D: "it has moved to another server; we go only where mqtt.url says",
    0x9F: "we connect too often",
}
_PUBLISH: Mapping[int, str] = {
    NOT_AUTHORISED: "its access rules lack the right to write there",
    TOPIC_INVALID: "it does not accept the topic",
    TOO_LARGE: "larger than it takes: raise its limit of packets or messages",
    0x97: "its quota is exceeded",
    0x99: "it does not take the payload for the UTF-8 that it is said to be",
}
_SUBSCRIBE: Mapping[int, str] = {
    FAILURE: "its access rules may lack the right to read there",
    NOT_AUTHORISED: "its access rules lack the right to read there",
    0x8F: "it does not accept the filter",
    0x97: "its quota is exceeded",
    0xA2: "it allows no wildcards in subscriptions",
}
_DISCONNECT: Mapping[int, str] = {
    NOT_AUTHORISED: "its access rules lack a right that we used",
    0x8B: "it shuts down",
    TAKEN_OVER: "another client took over our session",
    0x93: "we had more in flight than it allows",
    TOO_LARGE: "a packet was larger than it takes",
    0x96: "we publish faster than it allows",
    0x97: "its quota is exceeded",
    0x98: "its operator ended it",
    0x9C: "it sends us to another server; we go only where mqtt.url says",
    0x9D: "it has moved to another server; we go only where mqtt.url says",
}


def refused_connection(code: int, name: str, said: str = "") -> str:
    """Why CONNECT was refused. `name`: the code's name in the standard; `said`: the broker's own words, if any."""
    return _sentence("the broker refused the connection", code, name, _CONNECT, said)


def no_connection(text: str) -> str:
    """Why there is no connection, by the library's words."""
    return tls_alert(text) if "_ALERT_" in text else printable(text)


def tls_alert(text: str) -> str:
    """Why the broker ended TLS. `text` has OpenSSL's words in it, from `[SSL: ` on."""
    said = printable(text[text.find("[SSL: ") :], _SAID)
    if "CERTIFICATE_REQUIRED" in said or "HANDSHAKE_FAILURE" in said:
        return f"the broker wants a certificate of ours: mqtt.cert, mqtt.key ({said})"
    if "ALERT" in said and ("CERTIFICATE" in said or "UNKNOWN_CA" in said):
        return f"the broker does not accept our certificate: mqtt.cert, mqtt.key ({said})"
    return f"the broker ended TLS: {said}"


def refused_publish(topic: str, code: int, name: str, said: str = "") -> str:
    """Why a publish was refused."""
    return _sentence(f"the broker refused {printable(topic)}", code, name, _PUBLISH, said)


def refused_subscription(topic: str, code: int, name: str) -> str:
    """Why a subscription was refused."""
    return _sentence(f"the broker refused the subscription to {printable(topic)}", code, name, _SUBSCRIBE, "")


def ended(code: int, name: str, said: str = "") -> str:
    """Why the broker ended a connection."""
    return _sentence("the broker ended the connection", code, name, _DISCONNECT, said)


def be_patient(code: int) -> bool:
    """Whether trying to connect again soon makes it worse."""
    return code in _BUSY


def _sentence(what: str, code: int, name: str, words: Mapping[int, str], said: str) -> str:
    meaning = words.get(code, "")
    quoted = f' (it says "{printable(said, _SAID)}")' if said else ""
    return f"{what}: {name}{f': {meaning}' if meaning else ''}{quoted}"
