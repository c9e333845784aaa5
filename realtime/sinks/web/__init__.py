"""`--sink web:8765`: the stream in a browser, from a page that this program serves."""

from realtime.sinks.web.options import read_arguments

__all__ = ["read_arguments"]
