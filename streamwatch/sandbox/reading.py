"""What a watcher must be able to read: found by tracing one at work, each entry with who needs it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from streamwatch.sandbox.grant import Grant

_SYSTEM = (
    "/usr/lib", "/lib", "/lib64", "/usr/lib64", "/usr/local/lib",  # libraries
    "/etc/ld.so.cache", "/etc/ld.so.preload",  # where they are
    "/usr/share/zoneinfo", "/etc/localtime", "/etc/timezone",  # datetime
    "/usr/lib/locale", "/usr/share/locale", "/etc/locale.alias",  # the C library's messages
    # TLS, and OpenSSL's settings; never the whole of /etc/ssl or /etc/pki, where private keys lie
    "/etc/ssl/certs", "/etc/ssl/cert.pem", "/etc/ssl/openssl.cnf", "/etc/ca-certificates", "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust/extracted", "/usr/share/pki",
    "/etc/gnutls/config",  # the same of FFmpeg's TLS
    "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",  # our own memory; the engine's threads
    "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/osrelease",  # memory allocators
    "/sys/devices", "/sys/bus", "/sys/class", "/sys/fs/cgroup", "/sys/kernel/mm/transparent_hugepage",  # the engine
    # counts processors and looks for devices
    "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
)  # fmt: skip
_NAMES = (
    "/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
    "/etc/protocols",
)  # fmt: skip
"""To resolve names; of use only to a watcher that connects by itself."""


def readable(grant: Grant, environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Absolute paths, links as they lead, each once; some may not exist on this machine."""
    if "/" in grant.read:
        return ("/",)
    python = (sys.prefix, sys.base_prefix, sys.exec_prefix, *(path for path in sys.path if path))
    certificates = (environment.get("SSL_CERT_FILE", ""), environment.get("SSL_CERT_DIR", ""))
    libraries = environment.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    names = () if grant.ports == () else _NAMES
    ours = str(Path(__file__).parents[1])
    wanted = (*python, ours, *_SYSTEM, *names, *certificates, *libraries, *grant.read)
    found = {os.path.realpath(path) for path in wanted if path.startswith("/")}
    return tuple(sorted(found - {"/"}))
