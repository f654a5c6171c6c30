"""What a watcher does for a living works inside: decoding, inference, connections. And nothing leaves aside."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.sandbox.children import REPOSITORY, output, run


def make_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.time_base = 64, 64, Fraction(1, 10)
        for shade in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), shade * 40, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def make_model(path: Path) -> None:
    shape = [1, 3, 8, 8]
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0)],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))


def test_decoding_inference_and_a_connection_work_inside(tmp_path: Path):
    make_video(tmp_path / "video.mp4")
    make_model(tmp_path / "mean.onnx")
    with socket.create_server(("127.0.0.1", 0)) as server:
        received: list[bytes] = []

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                received.append(connection.recv(100))

        thread = threading.Thread(target=serve, name="server")
        thread.start()
        code = f"""
        import asyncio, socket
        import numpy, av, cv2, onnxruntime
        with av.open({str(tmp_path / "video.mp4")!r}) as container:
            container.streams.video[0].thread_count = 1
            frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        session = onnxruntime.InferenceSession({str(tmp_path / "mean.onnx")!r}, providers=["CPUExecutionProvider"])
        answer = session.run(None, {{"x": numpy.ones((1, 3, 8, 8), "f4")}})[0]
        small = cv2.resize(frames[0], (8, 8), interpolation=cv2.INTER_AREA)
        async def talk():
            reader, writer = await asyncio.open_connection("127.0.0.1", {server.getsockname()[1]})
            writer.write(b"hello")
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            await asyncio.get_running_loop().run_in_executor(None, socket.getaddrinfo, "localhost", 80)
        asyncio.run(talk())
        print(len(frames), float(answer), small.shape)
        """
        assert output(code) == "5 1.0 (8, 8, 3)"
        thread.join(timeout=10)
    assert received == [b"hello"]


def test_a_connection_of_ffmpegs_can_be_found_and_ended_inside():
    code = """
    import socket
    from streamwatch.sources.fallback import sockets
    from streamwatch.sources.address import Target
    with socket.create_connection(("127.0.0.1", PORT)) as made:
        mark = sockets.new_mark()
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, mark)
        print(sockets.shut(mark, Target("localhost", PORT, ("127.0.0.1",))), made.recv(1))
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert output(code.replace("PORT", str(server.getsockname()[1]))) == "True b''"


def test_onnxruntime_leaves_no_file_at_home_and_connects_nowhere(tmp_path: Path):
    """Watched from outside by strace, on a machine that is not CI: there its telemetry would be silent anyway.

    No sandbox here: it is the environment variable alone that must keep it quiet, in every process of ours.
    """
    assert shutil.which("strace"), "strace is needed (scripts/test installs it): Python cannot see what C code does"
    home = tmp_path / "home"
    home.mkdir()
    trace = tmp_path / "trace"
    code = f"""
    from pathlib import Path
    from streamwatch.detectors import registry
    detector = registry.build(name="test-card", kind="onnx", folder=Path({str(REPOSITORY / "models/test-card")!r}))
    print(len(detector.info.labels) > 0)
    detector.close()
    """
    calls = "connect,sendto,sendmsg,open,openat,creat,mkdir,mkdirat"
    command = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-o", str(trace)]
    done = run(code, mode=None, command=command, env={"HOME": str(home), "TMPDIR": str(home)})
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("True\n")
    seen = trace.read_text()
    assert "onnxruntime_pybind11_state" in seen, "the trace must have seen the engine being loaded"
    assert not re.findall(r"(?:connect|sendto|sendmsg)\(.*AF_INET6?", seen)
    written = [line for line in seen.splitlines() if re.search(r"O_CREAT|creat\(|mkdir", line)]
    assert [line for line in written if "__pycache__" not in line] == []
    assert list(home.iterdir()) == []
