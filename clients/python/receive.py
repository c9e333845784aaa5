"""Receive poses, in ten lines: python clients/python/receive.py [tcp://127.0.0.1:5555] [--keys NAME.key]"""

import argparse

from realtime import Subscriber

parser = argparse.ArgumentParser()
parser.add_argument("address", nargs="?", default="tcp://127.0.0.1:5555")
parser.add_argument("--keys", help="key file, for a stream on another machine")
flags = parser.parse_args()
for message in Subscriber(flags.address, keys=flags.keys):
    pose, trans = message.shown()  # as it is when it is seen; message.pose and message.trans: in the picture
    x, y, z = trans  # metres in the camera's frame: x right, y down, z forward
    turn = pose[0].round(2)  # axis-angle of the whole body; pose[1:] are the other 23 joints
    print(f"{message.state:8} frame {message.frame}  pelvis {x:+.2f} {y:+.2f} {z:+.2f} m  facing {turn}")
