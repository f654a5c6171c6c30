"""Entering the sandbox: the first statements of a watcher, before anything heavy is imported."""

from __future__ import annotations

import signal
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Literal

from streamwatch.domain.errors import SandboxError
from streamwatch.sandbox import kernel
from streamwatch.sandbox.descriptors import OnlyKnownDescriptors
from streamwatch.sandbox.grant import ANYWHERE, NOTHING, Grant
from streamwatch.sandbox.landlock import NoWrites, OnlyReads, Scopes, TcpPorts
from streamwatch.sandbox.limits import (
    AddressSpace,
    DescriptorRoom,
    FewerRights,
    NoDumps,
    NoFileGrowth,
    NoNewPrivileges,
    NoSwap,
)
from streamwatch.sandbox.reading import readable
from streamwatch.sandbox.report import Layer, LayerState
from streamwatch.sandbox.seccomp import SystemCalls

SandboxMode = Literal["required", "preferred", "off"]


def watcher_layers(keep_fds: Collection[int], grant: Grant) -> tuple[Layer, ...]:
    """Every layer, in the order in which it is entered: each comes before the one that forbids what it needs itself."""
    return (
        OnlyKnownDescriptors(keep_fds),
        DescriptorRoom(),
        NoNewPrivileges(),
        NoDumps(),
        NoFileGrowth(),
        AddressSpace(grant.memory),
        NoSwap(),
        FewerRights(),
        NoWrites(),
        OnlyReads(readable(grant)),
        TcpPorts(grant),
        Scopes(),
        SystemCalls(grant),
    )


def daemon_layers(writable: Sequence[str]) -> tuple[Layer, ...]:
    """Those of the daemon: it writes what `writable` names and nothing else. Watchers inherit them."""
    return (NoNewPrivileges(), NoDumps(), NoWrites((*writable, "/dev/null")), Scopes(), SystemCalls(None))


def enter(
    mode: SandboxMode, *, keep_fds: Collection[int], grant: Grant = NOTHING, layers: Sequence[Layer] | None = None
) -> tuple[LayerState, ...]:
    """Give up what a watcher never needs, for good, and say what is in force.

    Must run while the process has one thread, before numpy, av, cv2 or onnxruntime is imported. `keep_fds` stay open
    beside stdout and stderr; `grant` is what may still be read and connected to. `off` gives up nothing and reports
    every layer as not in force. In every mode the process is tied to the thread that started it: the kernel kills a
    watcher whose daemon is gone.

    Raises:
        SandboxError: `required`, and a layer that it needs is missing. Layers that worked stay in force.

    """
    with suppress(OSError):
        kernel.die_with_parent(signal.SIGKILL)  # the end of the link says it too, to a process that still listens
    return _give_up(mode, watcher_layers(keep_fds, grant) if layers is None else layers)


def enter_daemon(mode: SandboxMode, *, writable: Sequence[str]) -> tuple[LayerState, ...]:
    """The daemon's part: `writable` are folders that exist. While the process has one thread, before the event loop.

    Raises as `enter`.
    """
    return _give_up(mode, daemon_layers(writable))


def _give_up(mode: SandboxMode, chosen: Sequence[Layer]) -> tuple[LayerState, ...]:
    if mode == "off":
        return tuple(LayerState(layer.name, in_force=False, detail="privacy.sandbox: off") for layer in chosen)
    states = tuple(layer.apply() for layer in chosen)
    if mode == "required":
        refuse_missing(chosen, states)
    return states


def probe(layers: Sequence[Layer] | None = None) -> tuple[LayerState, ...]:
    """What `enter` would put in force here, and the daemon's part with it; changes nothing."""
    return tuple(layer.probe() for layer in (watcher_layers((), ANYWHERE) if layers is None else layers))


def refuse_missing(layers: Sequence[Layer], states: Sequence[LayerState]) -> None:
    """Raise SandboxError if a layer that `required` needs is not in force."""
    missing = [state for layer, state in zip(layers, states, strict=True) if layer.required and not state.in_force]
    if missing:
        said = "; ".join(f"{state.name}: {state.detail}" for state in missing)
        raise SandboxError(
            f"privacy.sandbox is 'required', and this machine does not give it. {said}. "
            "To watch all the same, set privacy.sandbox: preferred: then only our own code, no longer the operating "
            "system, keeps a watcher from writing a picture to a file."
        )
