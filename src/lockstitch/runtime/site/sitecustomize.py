"""Applies a variation to a training: an interpreter imports this when it starts."""

import os
import runpy

_RUNTIME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
runpy.run_path(os.path.join(_RUNTIME, "varied.py"), run_name="varied")
