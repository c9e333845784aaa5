"""ONNX → TensorRT: compile, keep, run; one code path for `tensorrt` and `tensorrt_rtx`."""
