"""Rendered people for training: `PersonRenderer` draws a posed body in random clothes, rooms and light.

renderer.py (a frame) · look.py (what a film looks like) · scene.py (OpenGL) · figure.py (what is posed and drawn) ·
clothes.py, wardrobe.py, attachments.py, head.py, patterns.py (how it is dressed) · light.py, shadow.py, background.py,
room.py, occluders.py (what is around it) · degrade.py (the camera's faults)
"""

from training.render.renderer import PersonRenderer

__all__ = ["PersonRenderer"]
