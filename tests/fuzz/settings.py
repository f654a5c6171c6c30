"""Configuration files, addresses in them, and addresses that the network names."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

from streamwatch.config import durations, loader, tree
from streamwatch.config.findings import MAX_PROBLEMS
from streamwatch.domain.errors import ConfigError, PolicyRefused, Unreachable
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy, AllowEntry
from streamwatch.telemetry import redact
from tests.fuzz.engine import Target

SECRET = "hunter2hunter2"  # noqa: S105
_FOLDER = Path("/nonexistent")
_CONFIGS = [
    (Path(__file__).parents[2] / "config" / "streamwatch.yaml").read_bytes(),
    b"""node: n1
streams:
  - id: a
    url: rtmp://u:${PASS}@h.example/live/a?key=${PASS}
    weight: 2
limits:
  allow_hosts: [10.0.0.0/8, 'a:80']
mqtt:
  url: mqtt://127.0.0.1:1883
  username: u
  password: ${PASS}
""",
    b"a: &x [1, 2]\nb: *x\n",
    b"---\nstreams: []\n...\n",
    b"? [a]\n: b\n<<: {c: !!int 1}\n'd': |\n  text\n",
]
_PUBLIC = ("93.184.216.34", "2606:2800:220:1::1")
_ANSWERS = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::a00:1", "2002:a00:1::", *_PUBLIC)


def check_config(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    document = tree.read(text)
    assert len(document.lines) <= tree.MAX_NODES
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + text.count("\u2029") + 1
    assert all(finding.line is None or 1 <= finding.line <= lines for finding in document.findings)
    try:
        loaded = loader.parse(text, path=_FOLDER / "c.yaml", environ={"PASS": SECRET})
    except ConfigError as error:
        assert 0 < len(error.problems) <= MAX_PROBLEMS + 1
        assert SECRET not in str(error), "a secret in an error"
        return
    written = [line.strip() for line in text.splitlines() if "${PASS}" in line]
    addresses = [stream.url.reveal() for stream in loaded.config.streams if stream.url is not None]
    if all(line.startswith(("url: rtmp:", "password: ")) for line in written) and all(map(_told_apart, addresses)):
        assert SECRET not in repr(loaded), "a secret in a repr"
        assert SECRET not in "".join(map(str, loaded.remarks()))


def check_durations(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    try:
        value = durations.seconds(text)
    except ValueError:
        pass
    else:
        assert 0 <= value < 1e15
    try:
        size = durations.size(text)
    except ValueError:
        return
    assert size >= 0
    if size < 10**9:  # a longer number of bytes is no text that is read
        assert durations.size(durations.size_text(size)) == size


def check_shown(data: bytes) -> None:
    """What is shown of an address never holds its credentials, query or fragment."""
    raw = data.decode("utf-8", "replace")
    url = SafeUrl(raw)
    shown = str(url)
    assert SECRET not in shown or not _told_apart(raw), f"a secret is shown: {shown}"
    assert len(shown) <= 201
    assert shown.isprintable()
    assert shown in repr(url) or "\\" in repr(url) or "'" in shown
    assert 0 <= url.port < 1 << 16
    assert url.reveal() == raw


def _told_apart(raw: str) -> bool:
    """Whether the secret stands where only a secret does: before the last @ of the host's part, in query, fragment."""
    try:
        parts = urlsplit(raw)
        assert parts.port is None or parts.port >= 0
    except ValueError:
        return True
    if parts.scheme in ("", "file"):
        return False
    rest = f"{parts.scheme}{parts.netloc.rpartition('@')[2]}{parts.path}"
    return SECRET not in rest


def check_allowed(data: bytes) -> None:
    """First a line of `allow_hosts`, then an address that the network names; judged by another reading of the rule."""
    entry, _, raw = data.decode("utf-8", "replace").partition("\n")
    try:
        allow = [AllowEntry.parse(entry)]
    except ValueError:
        allow = []
    policy = AddressPolicy(
        SafeUrl("http://origin.example:8080/a"), allow_hosts=[entry] if allow else [], resolver=_resolver
    )
    url = SafeUrl(raw)
    try:
        target = policy.check(url, child=True)
    except (PolicyRefused, Unreachable) as error:
        assert len(str(error)) < 800
        return
    assert urlsplit(raw).scheme in ("http", "https")
    assert target.addresses
    if (target.host, target.port) == ("origin.example", 8080):
        return
    assert allow, "allowed by nothing"
    for text in target.addresses:
        address = ipaddress.ip_address(text)
        if not _is_private(address):
            continue
        network = allow[0].network
        mapped = getattr(address, "ipv4_mapped", None) or address
        assert network is not None, "a name led to a private address"
        assert mapped in network
        assert allow[0].port in (None, target.port)


def _resolver(host: str, _: int) -> list[str]:
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        return list(_ANSWERS)


def _is_private(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """By a list of networks of its own, not by what `ipaddress` calls global."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _is_private(inner)
    return any(address.version == net.version and address in net for net in _PRIVATE)


_PRIVATE = [ipaddress.ip_network(text) for text in (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
    "224.0.0.0/4", "240.0.0.0/4", "::/128", "::1/128", "fc00::/7", "fe80::/10", "ff00::/8")]  # fmt: skip

_URLS = [f"rtmp://u:{SECRET}@h:1935/live/a?key={SECRET}#{SECRET}", f"http://{SECRET}@[::1]:80/a/b.m3u8?{SECRET}",
         f"srt://h:9000?passphrase={SECRET}", f"https://a:b@{SECRET}@h/x;y?q", "/path/file.flv"]  # fmt: skip
_ASKED = ["10.0.0.0/8\nhttp://10.0.0.1/a", "cdn.example:80\nhttp://cdn.example/a", "[::1]:8080\nhttp://[::1]:8080/",
          "::1\nhttps://[::1]/", "\nhttp://origin.example:8080/b", "127.0.0.1\nhttp://[::ffff:127.0.0.1]/",
          "a\nhttp://a@b/", "64:ff9b::/96\nhttp://[64:ff9b::a00:1]/", "x\nhttp://0x7f.1/"]  # fmt: skip


def check_redact(data: bytes) -> None:
    """Whatever surrounds an address, its password and query are in no line of a log."""
    text = data.decode("utf-8", "replace").replace(SECRET, "")
    line = redact.redacted(f"{text} rtmp://u:{SECRET}@h/live/a http://h/x?token={SECRET} {text}")
    assert len(line) <= redact.VALUE_LIMIT
    assert line.isprintable()
    assert SECRET not in line, "a secret in a log line"


TARGETS = (
    Target("redact", check_redact, lambda: [one.encode() for one in _URLS], ("telemetry.redact",), brief=1000),
    Target("config", check_config, lambda: _CONFIGS,
           ("config.loader", "config.tree", "config.substitution", "config.explain", "config.partial", "config.files"),
           brief=100),
    Target("config-durations", check_durations, lambda: [b"500ms", b"10s", b"1.5h", b"64MiB", b"1GiB", b"7B"],
           ("config.durations",)),
    Target("address-shown", check_shown, lambda: [one.encode() for one in _URLS], ("domain.urls",), brief=2000),
    Target("address-allowed", check_allowed, lambda: [one.encode() for one in _ASKED], ("sources.address",),
           brief=2000),
)  # fmt: skip
