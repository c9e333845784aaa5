"""The viewer: a program of its own that shows what the bus says: the body beside the camera's picture."""
