"""SMPL-format bodies: load them, pose their joints, skin their vertices."""
