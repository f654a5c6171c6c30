"""What can be read does not take in what must not be."""

from __future__ import annotations

from pathlib import Path

from streamwatch.sandbox.grant import ANYWHERE, Grant
from streamwatch.sandbox.reading import readable

NEVER = (
    "/etc/ssl/private/key.pem", "/etc/pki/tls/private/key.pem", "/etc/shadow", "/etc/passwd", "/etc/streamwatch.yaml",
    "/proc/1/environ", "/dev/shm", "/tmp", "/var/lib/streamwatch/ledger.sqlite", "/run/secrets/x",  # noqa: S108 - nothing is written
)  # fmt: skip


def test_no_key_no_secret_no_state_is_below_what_can_be_read():
    for grant in (Grant(), Grant(ports=(1935,), udp=True)):
        allowed = {Path(path) for path in readable(grant)}
        for path in map(Path, NEVER):
            assert not allowed & {path, *path.parents}, path


def test_certificates_of_the_environment_are_read_wherever_they_lie(tmp_path: Path):
    authorities = tmp_path / "authorities.pem"
    said = readable(Grant(), {"SSL_CERT_FILE": str(authorities), "SSL_CERT_DIR": "not/absolute"})
    assert str(authorities) in said
    assert all(path.startswith("/") for path in said)


def test_names_are_resolved_only_by_whoever_connects_by_itself():
    assert "/etc/hosts" not in readable(Grant())
    assert "/etc/hosts" in readable(Grant(ports=(1935,)))
    assert readable(ANYWHERE) == ("/",)
