"""Customer churn: one schema, a model trained from it and a model served by it."""

import os

# ONNX Runtime sends telemetry and keeps a device id unless this is set before its first import.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
