"""Receive poses, in ten lines: python clients/python/receive.py [tcp://127.0.0.1:5555]"""

import sys

from realtime import Subscriber

address = sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5555"
for message in Subscriber(address):
    x, y, z = message.trans  # metres in the camera's frame: x right, y down, z forward
    turn = message.pose[0].round(2)  # axis-angle of the whole body; message.pose[1:] are the other 23 joints
    print(f"{message.state:8} frame {message.frame}  pelvis {x:+.2f} {y:+.2f} {z:+.2f} m  facing {turn}")
