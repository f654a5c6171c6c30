"""Where a stream may lead us, and where not."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.domain.errors import PolicyRefused, Unreachable
from streamwatch.domain.urls import SafeUrl
from streamwatch.sources.address import AddressPolicy, AllowEntry, is_public

NAMES = {
    "live.example.com": ["93.184.216.34"],
    "cdn.example.com": ["93.184.216.35", "2606:2800:220:1::1"],
    "inside.example.com": ["10.1.2.3"],
    "both.example.com": ["93.184.216.36", "127.0.0.1"],
    "0x7f.1": ["127.0.0.1"],
    "2130706433": ["127.0.0.1"],
    "0177.0.0.1": ["127.0.0.1"],
    "localhost": ["127.0.0.1", "::1"],
}


def names(host: str, _port: int) -> list[str]:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        if host not in NAMES:
            raise OSError("unknown") from None
        return NAMES[host]
    return [host]


def policy(*allow: str, url: str = "https://live.example.com/a/main.m3u8") -> AddressPolicy:
    return AddressPolicy(SafeUrl(url), allow_hosts=allow, resolver=names)


def child(url: str, *allow: str) -> tuple[str, ...]:
    return policy(*allow).check(SafeUrl(url), child=True).addresses


def test_a_configured_host_is_trusted_whatever_it_resolves_to():
    trusted = AddressPolicy(SafeUrl("rtmp://inside.example.com/live/a"), resolver=names)
    target = trusted.check(SafeUrl("rtmp://inside.example.com/live/a"), child=False)
    assert target.addresses == ("10.1.2.3",)
    assert target.port == 1935


def test_children_may_stay_on_the_configured_host_and_port():
    assert child("https://live.example.com/other/seg.ts") == ("93.184.216.34",)
    assert child("https://LIVE.example.com.:443/seg.ts") == ("93.184.216.34",)


@pytest.mark.parametrize(
    ("url", "entry"),
    [
        ("https://cdn.example.com/seg.ts", "cdn.example.com:443"),
        ("https://live.example.com:8443/seg.ts", "live.example.com:8443"),
        ("http://live.example.com/seg.ts", "live.example.com:80"),
        ("http://127.0.0.1:6379/seg.ts", "127.0.0.1:6379"),
        ("http://[::1]:8080/seg.ts", "[::1]:8080"),
        ("http://[::ffff:127.0.0.1]/seg.ts", "127.0.0.1:80"),
        ("http://169.254.169.254/latest/meta-data", "169.254.169.254:80"),
    ],
)
def test_any_other_address_is_refused_and_the_entry_is_named(url, entry):
    with pytest.raises(PolicyRefused, match=r"limits\.allow_hosts") as refusal:
        child(url)
    assert f"'{entry}'" in str(refusal.value)
    assert policy(entry).check(SafeUrl(url), child=True).addresses


def test_a_name_that_no_entry_covers_is_not_even_asked_for():
    asked = []

    def asking(host: str, port: int) -> list[str]:
        asked.append(host)
        return names(host, port)

    for entries, named in [((), "inside.example.com:80"), (("other.example.com",), "inside.example.com:80"),
                           (("inside.example.com:81",), "inside.example.com:80"),
                           (("inside.example.com",), "10.1.2.3:80"), (("10.0.0.0/16",), "10.1.2.3:80")]:  # fmt: skip
        strict = AddressPolicy(SafeUrl("https://live.example.com/a"), allow_hosts=entries, resolver=asking)
        with pytest.raises(PolicyRefused, match=f"'{named}'"):
            strict.check(SafeUrl("http://inside.example.com/seg.ts"), child=True)
        assert bool(asked) is (named == "10.1.2.3:80")


def test_a_name_entry_covers_public_addresses_only():
    assert child("https://cdn.example.com/x", "cdn.example.com") == tuple(NAMES["cdn.example.com"])
    with pytest.raises(PolicyRefused):
        child("http://inside.example.com/x", "inside.example.com")
    assert child("http://inside.example.com/x", "10.0.0.0/8") == ("10.1.2.3",)


def test_of_several_addresses_only_the_allowed_ones_are_connected_to():
    assert child("http://both.example.com/x", "both.example.com") == ("93.184.216.36",)


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "0177.0.0.1", "localhost"])
def test_ways_of_writing_loopback_are_all_refused(host):
    with pytest.raises(PolicyRefused):
        child(f"http://{host}/x", host)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://live.example.com/x",
        "rtmp://live.example.com/x",
        "concat:http://live.example.com/a|file:///etc/passwd",
        "data:text/plain,x",
        "crypto+https://live.example.com/x",
        "gopher://live.example.com/x",
        "/etc/passwd",
        "https://live.example.com\\@cdn.example.com/x",
        "https://live.example.com/x\r\nX: y",
        "https://live.example.com/a b",
        "https://live.example.com:99999/x",
        "https:///x",
        "https://%6c.example.com/x",
    ],
)
def test_other_schemes_and_unreadable_addresses_are_refused(url):
    with pytest.raises(PolicyRefused):
        policy().check(SafeUrl(url), child=True)


def test_a_password_in_the_address_does_not_lend_its_host():
    with pytest.raises(PolicyRefused, match=r"cdn\.example\.com"):
        child("https://live.example.com@cdn.example.com/x")
    with pytest.raises(PolicyRefused, match=r"cdn\.example\.com"):
        child("https://live.example.com:443@cdn.example.com/x")


def test_the_refusal_shows_neither_password_nor_query():
    with pytest.raises(PolicyRefused) as refusal:
        child("https://user:secret@cdn.example.com/x?token=hidden")
    assert "secret" not in str(refusal.value)
    assert "hidden" not in str(refusal.value)


def test_a_name_that_does_not_resolve_is_unreachable():
    with pytest.raises(Unreachable):
        policy("nowhere.example.com").check(SafeUrl("rtmp://nowhere.example.com/a"), child=False)


@pytest.mark.parametrize(
    ("text", "host", "address", "port", "covered"),
    [
        ("10.0.0.0/8", "x", "10.9.9.9", 80, True),
        ("10.0.0.0/8:8080", "x", "10.9.9.9", 80, False),
        ("10.0.0.0/8:8080", "x", "10.9.9.9", 8080, True),
        ("[::1]:80", "x", "::1", 80, True),
        ("::1", "x", "::1", 81, True),
        ("fd00::/8", "x", "fd12::1", 80, True),
        ("Cdn.Example.com.", "cdn.example.com", "93.184.216.34", 1, True),
        ("example.com", "cdn.example.com", "93.184.216.34", 1, False),
    ],
)
def test_entries(text, host, address, port, covered):
    assert AllowEntry.parse(text).covers(host, ipaddress.ip_address(address), port) is covered


@pytest.mark.parametrize("text", ["", "a b", "host:0", "host:70000", "10.0.0.0/99", "http://host/", "[::1", "*"])
def test_entries_that_mean_nothing_are_errors(text):
    with pytest.raises(ValueError):
        AllowEntry.parse(text)


@pytest.mark.parametrize(
    "address",
    ["2002:7f00:1::", "64:ff9b::7f00:1", "::ffff:10.0.0.1", "fe80::1", "ff02::1", "::", "100.64.0.1", "240.0.0.1"],
)
def test_wrapped_and_special_addresses_are_not_public(address):
    assert not is_public(ipaddress.ip_address(address))


@given(st.text(max_size=60))
def test_no_text_makes_the_policy_fail_otherwise(text):
    for url in (text, f"http://{text}/", f"http://h:1/{text}"):
        with contextlib.suppress(PolicyRefused, Unreachable):
            policy().check(SafeUrl(url), child=True)


def test_a_name_is_asked_for_once_in_a_while():
    asked = []

    def counting(host: str, port: int) -> list[str]:
        asked.append(host)
        return names(host, port)

    counted = AddressPolicy(SafeUrl("https://live.example.com/a"), resolver=counting)
    for _ in range(5):
        counted.check(SafeUrl("https://live.example.com/b"), child=True)
    assert asked == ["live.example.com"]
