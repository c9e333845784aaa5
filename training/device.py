"""What a training runs on, and in which precision: what is there decides, unless told."""

from __future__ import annotations

import torch

from realtime.errors import ConfigError


def choose_device(wanted: str) -> torch.device:
    """auto | cpu | cuda → the device. Raises ConfigError for another name, and for cuda where there is none."""
    if wanted not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device {wanted}: expected auto, cpu or cuda")
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise ConfigError("--device cuda: torch finds no CUDA device here; use --device cpu")
    if there and wanted != "cpu":
        torch.set_float32_matmul_precision("high")  # TF32 for what stays in fp32
        return torch.device("cuda")
    return torch.device("cpu")


def choose_precision(wanted: str, device: torch.device) -> bool:
    """auto | fp32 | bf16 → whether products are made in bfloat16. auto: where the hardware has instructions for it;
    elsewhere they would be emulated, and slower."""
    if wanted != "auto":
        return wanted == "bf16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    supported = getattr(
        torch.cpu, "_is_avx512_bf16_supported", None
    )  # no public name for it as of torch 2.13
    return bool(supported and supported())
