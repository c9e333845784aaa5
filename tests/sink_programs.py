"""Sinks with arguments as their users run them: processes that listen to a real stream."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

from programs import ROOT, environment, until

from realtime.bus.publisher import Publisher
from realtime.config import BusConfig
from realtime.messages import PoseMessage, encode_pose

FPS = 60.0


def publisher_on_any_port() -> Publisher:
    return Publisher("tcp://127.0.0.1:0", BusConfig())


@contextlib.contextmanager
def sink_program(name: str, arguments: str) -> Iterator[tuple[Publisher, subprocess.Popen[str]]]:
    """`python -m realtime.sinks.NAME -- ARGUMENTS`, connected to the publisher and subscribed."""
    with publisher_on_any_port() as publisher:
        command = [
            sys.executable,
            "-m",
            f"realtime.sinks.{name}",
            "--connect",
            publisher.address,
            "--",
            arguments,
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
        )
        try:
            assert until(lambda: publisher.poll() or publisher.wants("pose"), 60), (
                "the sink does not subscribe"
            )
            yield publisher, process
        finally:
            process.kill()
            process.communicate()


@contextlib.contextmanager
def streaming(publisher: Publisher, pose: PoseMessage, fps: float = FPS) -> Iterator[None]:
    """Publishes this pose again and again meanwhile, each time as a new message of a new frame."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(1 / fps):
            publisher.poll()
            seq = publisher.published["pose"]
            now_ns = time.monotonic_ns()
            publisher.publish(
                encode_pose(replace(pose, seq=seq, frame=seq, t_capture_ns=now_ns, t_publish_ns=now_ns))
            )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
