"""What the sandbox costs a watcher, beside the same without one: `python -m tests.sandbox.cost [STARTS] [PAIRS]`.

Start: from the process's start until decoder and engine are loaded and the detector is built, in wall time; what is
said is the median of the differences between neighbours. Throughput: pictures decoded, scaled and scored, in
processor time a picture. With and without take turns, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from statistics import median, quantiles
from typing import cast

from streamwatch.app.start import watcher_command
from streamwatch.fleet.process import environment
from streamwatch.sandbox.enter import SandboxMode, enter
from streamwatch.sandbox.grant import Grant

MODEL = Path(__file__).parents[2] / "models" / "test-card"
LOOKS = 400
WARM = 40


def child(mode: SandboxMode, clip: Path, looks: int) -> None:
    """Do as a watcher does; say when everything was there, and what a picture cost."""
    begun = time.perf_counter()
    enter(mode, keep_fds=(), grant=Grant(read=(str(MODEL), str(clip))))
    entered = time.perf_counter() - begun

    import av  # noqa: PLC0415 - after the sandbox, as in a watcher
    import cv2  # noqa: F401, PLC0415

    from streamwatch.detectors import registry  # noqa: PLC0415

    detector = registry.build(name="test-card", kind="onnx", folder=MODEL)
    ready = time.monotonic()
    width, height = detector.info.width, detector.info.height
    done, spent = 0, time.process_time()
    while done < looks + WARM:
        with av.open(str(clip)) as container:
            container.streams.video[0].thread_count = 1
            for frame in container.decode(video=0):
                detector.score(frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray())
                done += 1
                if done == WARM:
                    spent = time.process_time()
    cost = (time.process_time() - spent) / max(1, done - WARM)
    say(json.dumps({"ready": ready, "enter_s": entered, "look_s": cost}))


def measure(mode: SandboxMode, clip: Path, *, looks: int) -> dict[str, float]:
    """One watcher's life, started as the daemon starts one. `start_s`, `enter_s`, `look_s`."""
    python, *options = watcher_command(sandbox=mode, grant=Grant())(3)
    command = [
        python,
        *options[: options.index("-m")],
        "-m",
        "tests.sandbox.cost",
        "child",
        mode,
        str(clip),
        str(looks),
    ]
    begun = time.monotonic()
    done = subprocess.run(command, env=environment({"PATH": ""}), check=True, capture_output=True, text=True)
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return {"start_s": said["ready"] - begun, "enter_s": said["enter_s"], "look_s": said["look_s"]}


def draw(path: Path) -> None:
    """Two seconds of 360p that change, in H.264."""
    import av  # noqa: PLC0415 - the child must not have it before its sandbox
    import numpy as np  # noqa: PLC0415

    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.time_base = 640, 360, Fraction(1, 25)
        for _ in range(50):
            coarse = random.integers(0, 255, (9, 16, 3), np.uint8)
            picture = np.ascontiguousarray(coarse.repeat(40, 0).repeat(40, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def say(text: str) -> None:
    """On standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def spread(values: list[float], unit: str) -> str:
    """Median, and between which values the middle half lies."""
    low, _, high = quantiles(values, n=4)
    return f"{median(values):+.2f} {unit} (middle half {low:+.2f} to {high:+.2f})"


def main(starts: int, rounds: int) -> None:
    """Measure, and say it; `off` against `off`, in the same rounds, says what such a figure means at all."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        draw(clip)
        measure("off", clip, looks=0)  # files into the page cache
        begun = [(measure("required", clip, looks=0), measure("off", clip, looks=0)) for _ in range(starts)]
        more = [1000 * (one["start_s"] - other["start_s"]) for one, other in begun]
        usual = 1000 * median(pair[1]["start_s"] for pair in begun)
        say(f"start, {starts} pairs: {spread(more, 'ms')} on {usual:.0f} ms")
        say(f"of that, giving up itself: {1000 * median(pair[0]['enter_s'] for pair in begun):.1f} ms")
        costs: dict[str, list[float]] = {"required": [], "off": [], "control": []}
        for number in range(rounds):
            order = list(costs)
            for name in order[number % 3 :] + order[: number % 3]:  # none is always the first
                mode: SandboxMode = "required" if name == "required" else "off"
                costs[name].append(measure(mode, clip, looks=LOOKS)["look_s"])
        say(f"a picture without: {1000 * median(costs['off']):.3f} ms of processor time, {rounds} rounds")
        for name in ("required", "control"):
            ratios = [100 * (one / other - 1) for one, other in zip(costs[name], costs["off"], strict=True)]
            say(f"{name} against off: {spread(ratios, '%')}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(cast("SandboxMode", sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
    else:
        chosen = [int(argument) for argument in sys.argv[1:]]
        main(*(chosen + [21, 18][len(chosen) :]))
