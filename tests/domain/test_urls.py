import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamwatch.domain.urls import SafeUrl, printable, show_paths, without_addresses


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("rtmp://host/live/lobby", "rtmp://host/live/…"),
        ("rtmp://anna:secret@host:1935/live/lobby?key=abc", "rtmp://…@host:1935/live/…?…"),
        ("https://host/token=abc/live/a.m3u8", "https://host/…/a.m3u8"),
        ("rtsp://host/stream", "rtsp://host/stream"),
        ("https://host/a.m3u8?token=abc#frag", "https://host/a.m3u8?…"),
        ("https://[::1]:8443/x", "https://[::1]:8443/x"),
        ("/films/a.mp4", "/films/a.mp4"),
        ("rtmp://host:99999999/x", "<unreadable address>"),
        ("http://[broken/x", "<unreadable address>"),
    ],
)
def test_what_people_see(raw: str, shown: str) -> None:
    assert str(SafeUrl(raw)) == shown
    assert shown in repr(SafeUrl(raw))


@given(user=st.text("abcXYZ019", min_size=4), secret=st.text("abcXYZ019", min_size=8), key=st.text("kK7", min_size=8))
def test_no_secret_is_ever_shown(user: str, secret: str, key: str) -> None:
    url = SafeUrl(f"rtmp://u{user}:s{secret}@example.org/live/lobby?key={key}")
    for shown in (str(url), repr(url), f"{url}", f"{url!r}"):
        assert f"s{secret}" not in shown
        assert key not in shown
    assert f"s{secret}" in url.reveal()


@given(st.text())
def test_any_text_has_a_showable_form(text: str) -> None:
    shown = str(SafeUrl(text))
    assert len(shown) <= 200
    assert all(char.isprintable() for char in shown)


def test_parts_have_their_defaults() -> None:
    assert (SafeUrl("rtmp://h/x").port, SafeUrl("https://h").port, SafeUrl("/x").port) == (1935, 443, 0)
    assert (SafeUrl("RTMP://H/x").scheme, SafeUrl("rtmp://H/x").host) == ("rtmp", "h")
    assert SafeUrl("./film.mp4").path == "./film.mp4"


@pytest.mark.parametrize("char", ["\x00", "\n", "\x1b", "\u202e", "\u2066", "\u200f"])
def test_controls_and_bidi_marks_do_not_reach_a_terminal(char: str) -> None:
    assert char not in printable(f"a{char}b")


def test_long_text_is_cut_visibly() -> None:
    assert printable("x" * 500, 10) == "x" * 9 + "…"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("three reports within a minute", "three reports within a minute"),
        ("at 12:30:05, score 0.93, 2.5 s", "at 12:30:05, score 0.93, 2.5 s"),
        ("see rtmp://u:p@h/live/key?t=1 now", "see [address] now"),
        ("mail ann@example.org!", "mail [address]"),
        ("user @ann writes", "user [address] writes"),
        ("from 192.168.7.9:8080/x.", "from [address]"),
        ("from [2001:db8::1:2:3]:80 again", "from [address] again"),
        ("joins www.example.org/a/b", "joins [address]"),
        ("joins example.org, again", "joins [address] again"),
        ("joins пример.рф", "joins [address]"),
        ("a\x1b[31mb\u202ec", "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}c"),
    ],
)
def test_words_of_others_are_repeated_without_addresses(text: str, shown: str) -> None:
    assert without_addresses(text) == shown


@given(st.text(max_size=300))
def test_what_is_repeated_is_printable_and_bounded(text: str) -> None:
    again = without_addresses(text, 200)
    assert len(again) <= 200
    assert again.isprintable()
    assert "://" not in again


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("rtmp://host/canary/canary", "rtmp://host/…"),
        ("https://u:p@host:8443/canary/canary.m3u8?canary=1", "https://…@host:8443/…?…"),
        ("rtsp://host/canary", "rtsp://host/…"),
        ("/films/canary.mp4", "file:…"),
        ("file:///films/canary.mp4", "file:…"),
        ("ws://broker/mqtt", "ws://broker/mqtt"),
    ],
)
def test_where_names_are_hidden_no_path_is_shown(raw: str, shown: str) -> None:
    show_paths(shown=False)
    try:
        assert str(SafeUrl(raw)) == shown
        assert "canary" not in repr(SafeUrl(raw))
    finally:
        show_paths(shown=True)
