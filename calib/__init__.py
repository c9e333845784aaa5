"""What only the user's own set-up can tell, measured: how late the camera is, and the whole loop
(docs/calibration.md).
"""
