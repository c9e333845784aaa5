"""Make `assets/blazepose_*.onnx`: MediaPipe's pose detector and landmark network (Apache-2.0) as ONNX.

    pip install mediapipe==0.10.21 "onnx>=1.16"      # build-time tools: not needed to run
    python -m training.make_blazepose [--out assets] [--modules FOLDER]
    pip install ai-edge-litert                       # TensorFlow Lite's interpreter, for the next line only
    python -m training.make_blazepose --golden tests/golden/blazepose.npz

The networks are files inside mediapipe's wheel; --modules names the folder `mediapipe/modules` of one that is not
installed. The landmark network is cut to what is used: its segmentation decoder becomes a graph of its own, which
starts at a map that the landmark graph gives out. --golden has TensorFlow Lite run the original files on two frames
of the demo clip and keeps inputs and results, which the test of the graphs holds them against. Inputs and outputs:
assets/blazepose.md.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from engines.graph_file import sealed
from training.tflite_file import Network, read
from training.tflite_onnx import Picture, convert

SOURCE = "mediapipe 0.10.21"
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Cut:
    """A graph to make: where it begins and ends in which file. Tensors are named as the file names them."""

    file: str  # below mediapipe/modules
    inputs: dict[str, str]
    outputs: dict[str, tuple[str, tuple[int, ...]]]  # name → (tensor, shape without batch)
    picture: Picture
    note: str


DETECTOR = "pose_detection/pose_detection.tflite"
LANDMARKS = "pose_landmark/pose_landmark_full.tflite"
MASK_FEATURES = "model_1/model/add_11/add"
CUTS = {
    "blazepose_detector": Cut(
        DETECTOR,
        {"image": "input_1"},
        {"boxes": ("Identity", (2254, 12)), "scores": ("Identity_1", (2254, 1))},
        Picture(-1.0, 1.0),
        "scores are logits",
    ),
    "blazepose_landmarks": Cut(
        LANDMARKS,
        {"image": "input_1"},
        {
            "landmarks": ("Identity", (39, 5)),
            "pose_flag": ("Identity_1", (1,)),
            "heatmaps": ("Identity_3", (39, 64, 64)),
            "world": ("Identity_4", (39, 3)),
            "map": ("model_1/model/add_8/add", (144, 8, 8)),
            "mask_features": (MASK_FEATURES, (48, 64, 64)),
        },
        Picture(0.0, 1.0),
        "pose_flag is a probability; visibility, presence and heatmaps are logits",
    ),
    "blazepose_mask": Cut(
        LANDMARKS,
        {"image": "input_1", "mask_features": MASK_FEATURES},
        {"mask": ("Identity_2", (1, 256, 256))},
        Picture(0.0, 1.0),
        "mask is logits",
    ),
}


# What --golden keeps: these frames, and of the large outputs every so manieth number.
GOLDEN_FRAMES = (40, 200)
THINNED = {
    "boxes": np.s_[::16],
    "heatmaps": np.s_[:, 3::8, 3::8],
    "map": np.s_[::4],
    "mask_features": np.s_[:, 3::8, 3::8],
    "mask": np.s_[:, 3::8, 3::8],
}


def installed_modules() -> Path:
    """mediapipe's folder `modules`, found without importing it. SystemExit if it is not installed."""
    found = importlib.util.find_spec("mediapipe")
    if found is None or not found.submodule_search_locations:
        sys.exit(
            "mediapipe is not installed: pip install mediapipe==0.10.21, or name a folder with --modules"
        )
    return Path(found.submodule_search_locations[0]) / "modules"


def make(name: str, modules: Path) -> onnx.ModelProto:
    """The graph `name` of CUTS, made from the files below `modules`."""
    cut = CUTS[name]
    path = modules / cut.file
    network = read(path)
    inputs = {key: _number(network, tensor) for key, tensor in cut.inputs.items()}
    outputs = {key: (_number(network, tensor), shape) for key, (tensor, shape) in cut.outputs.items()}
    model = convert(network, inputs, outputs, cut.picture)
    about = {
        "format": "blazepose graph 1",
        "source": f"{SOURCE}, {cut.file}",
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "copyright": "The MediaPipe Authors, Apache-2.0; converted from TensorFlow Lite",
        "note": cut.note,
    }
    onnx.helper.set_model_props(model, about)
    return model


def _number(network: Network, name: str) -> int:
    if name not in network.names:
        raise ValueError(f"the file has no tensor {name}: is it from {SOURCE}?")
    return network.names.index(name)


def golden(modules: Path, clip: Path) -> dict[str, np.ndarray]:
    """Two frames of the clip, and what TensorFlow Lite's interpreter makes of them with the files themselves.

    {name}.{input or output}: the pictures (2, H, W, 3) uint8 BGR, everything else float32 as CUTS has it, the large
    maps thinned out by THINNED.
    """
    import cv2
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    video = cv2.VideoCapture(str(clip))
    frames = []
    for index in GOLDEN_FRAMES:
        video.set(cv2.CAP_PROP_POS_FRAMES, index)
        square = video.read()[1][:, 80:560]  # the middle of 640×480, where the person is
        # Few grey levels: the file stays small.
        frames.append(cv2.GaussianBlur(square, (0, 0), 2) & 0xF0)
    kept = {}
    for name, cut in CUTS.items():
        network = read(modules / cut.file)
        size = network.shapes[network.inputs[0]][1]
        pictures = np.stack(
            [cv2.resize(frame, (size, size), interpolation=cv2.INTER_AREA) & 0xF0 for frame in frames]
        )
        interpreter = Interpreter(
            str(modules / cut.file),
            num_threads=1,
            # The plain kernels, every map kept: XNNPACK's are a little less exact.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
        kept[f"{name}.image"] = pictures
        low, high = cut.picture.low, cut.picture.high
        results: dict[str, list[np.ndarray]] = {key: [] for key in cut.outputs}
        for picture in pictures:
            given = low + (high - low) / 255.0 * picture[None, ..., ::-1].astype(np.float64)
            interpreter.set_tensor(network.inputs[0], given.astype(np.float32))
            interpreter.invoke()
            for key, (tensor, shape) in cut.outputs.items():
                values = interpreter.get_tensor(_number(network, tensor))[0]
                values = values.transpose(2, 0, 1) if values.ndim == 3 else values
                results[key].append(values.reshape(shape)[THINNED.get(key, ...)])
        kept |= {f"{name}.{key}": np.stack(values) for key, values in results.items()}
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=ROOT / "assets", help="folder for the .onnx files")
    parser.add_argument("--modules", type=Path, help="mediapipe/modules, if it is not installed")
    parser.add_argument(
        "--golden", type=Path, help="make this file instead, by TensorFlow Lite's interpreter"
    )
    arguments = parser.parse_args()
    modules = arguments.modules or installed_modules()
    if arguments.golden:
        np.savez_compressed(arguments.golden, **golden(modules, ROOT / "assets" / "demo.mp4"))
        print(f"{arguments.golden}: {arguments.golden.stat().st_size / 1e3:.0f} kB")
        return
    for name in CUTS:
        path = arguments.out / f"{name}.onnx"
        path.write_bytes(sealed(make(name, modules).SerializeToString()))
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
