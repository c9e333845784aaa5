"""Runs inside Blender: what goes wrong is said by the operators, and nothing recorded is lost.

blender -b --factory-startup --python-exit-code 3 --python blender_faults.py -- CLIENTS_BLENDER POSE.bin FOLDER
"""

import sys
import time
from pathlib import Path

import bpy
import zmq

ADDON, POSE, FOLDER = (Path(word) for word in sys.argv[sys.argv.index("--") + 1 :][:3])
sys.path.insert(0, str(ADDON))
import hmmr_live  # noqa: E402

hmmr_live.register()
from hmmr_live import receiver, session  # noqa: E402

ops = bpy.ops.hmmr_live
DONE = {"FINISHED"}
publisher = zmq.Context.instance().socket(zmq.PUB)
port = publisher.bind_to_random_port("tcp://127.0.0.1")
address = f"tcp://127.0.0.1:{port}"
pose = POSE.read_bytes()


def refused(operator, *words):
    try:
        operator()
    except RuntimeError as error:
        assert all(word in str(error) for word in words), error
        assert "Traceback" not in str(error), error
    else:
        raise AssertionError(f"{operator} was not refused")


def settings():
    return bpy.context.scene.hmmr_live


def hear(message, heard):
    """Send it until it is `heard()`: whoever has just connected misses the first ones."""
    deadline = time.monotonic() + 100
    while not heard():
        assert time.monotonic() < deadline, "nothing arrived"
        publisher.send(message)
        time.sleep(0.01)
        ops.update()


# No pyzmq, no address, no stream.
zmq_here, receiver.zmq = receiver.zmq, None
refused(ops.connect, "pyzmq is missing")
receiver.zmq = zmq_here
settings().address = "127.0.0.1"
refused(ops.connect, "127.0.0.1: cannot connect", "expected tcp://")
settings().address, settings().keys = address, str(FOLDER / "absent.key")
refused(ops.connect, "absent.key", "cannot be read", "realtime.keys add NAME")
settings().keys = ""
assert session.current is None and not bpy.data.armatures, "a refused connection leaves something behind"
for operator in (ops.disconnect, ops.record_start, ops.to_floor, ops.update):
    refused(operator, "not connected", "hmmr_live.connect first")
refused(ops.record_stop, "nothing is being recorded")

# Bodies that are none.
settings().address = address
for name, words in (
    ("absent.npz", ("absent.npz", "not a readable .npz")),
    ("text.npz", ("not a readable .npz",)),
    ("other.npz", ("not an SMPL body", "weights")),
    ("body.pkl", ("pickles are not read", "smpl_to_npz.py")),
):
    settings().body_file = str(FOLDER / name)
    refused(ops.connect, *words)
    assert session.current is None
settings().body_file = ""

# Garbage is counted and said, and good poses still come; an armature that is deleted stops nothing.
assert ops.connect() == DONE
refused(ops.to_floor, "nobody is seen")
hear(b"pose " + b"\xc1garbage", lambda: session.current.receiver.bad > 0)
assert "not valid msgpack" in session.current.receiver.last_error
hear(pose, lambda: session.current.receiver.pose is not None)
assert ops.to_floor() == DONE
bpy.data.objects.remove(settings().armature)
refused(ops.record_start, "add a body first")
assert ops.add_body() == DONE

# A recording of nobody; one that ends with the connection; one whose armature goes; one that another file interrupts.
assert ops.record_start() == DONE
refused(ops.add_body, "a recording runs")
refused(ops.record_start, "a recording runs")
assert ops.record_stop() == {"CANCELLED"} and not bpy.data.actions
for end in ("disconnect", "delete", "file"):
    if session.current is None:
        assert ops.connect() == DONE
    before = len(bpy.data.actions)
    assert ops.record_start() == DONE
    hear(pose, lambda: len(session.current.recording) > 0)
    if end == "disconnect":
        assert ops.disconnect() == DONE
    elif end == "delete":
        bpy.data.objects.remove(settings().armature)
        assert ops.record_stop() == DONE
        assert ops.add_body() == DONE
    else:
        before = 0
        bpy.ops.wm.read_homefile(use_empty=True)
        assert session.current is None
    assert len(bpy.data.actions) == before + 1, end
    assert bpy.data.actions[-1].use_fake_user

hmmr_live.unregister()
assert not hasattr(bpy.types.Scene, "hmmr_live")
hmmr_live.register()
publisher.close(linger=0)  # what nobody took would be waited for
