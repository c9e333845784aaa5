"""Rendered people for training: `PersonRenderer` draws a posed body in random clothes, rooms and light.

scene.py (OpenGL) · figure.py (what is drawn) · clothes.py, patterns.py, head.py, attachments.py (how it is dressed)
· light.py, background.py, occluders.py, degrade.py (what is around it, and the camera's faults) · renderer.py (a frame)
"""

from training.render.renderer import PersonRenderer

__all__ = ["PersonRenderer"]
