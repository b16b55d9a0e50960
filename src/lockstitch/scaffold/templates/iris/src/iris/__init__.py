"""Iris: four measurements of a flower, in centimetres, tell its species."""

import os

# ONNX Runtime sends telemetry and keeps a device id unless this is set before its first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
