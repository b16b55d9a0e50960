"""The trained model at work, the same in training's last step and in the service."""

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

SPECIES = ("setosa", "versicolor", "virginica")


class Predictor:
    """Gives the probability of each species, from a model in ONNX: a file that holds no code."""

    def __init__(self, model: bytes) -> None:
        """Start a session with one thread, which is the quickest for so small a model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model, options, providers=["CPUExecutionProvider"]
        )

    def probabilities(self, flowers: Sequence[Sequence[float]]) -> NDArray[np.float32]:
        """Return a row for each flower and in it a column for each species."""
        feed = {"flowers": np.asarray(flowers, dtype=np.float32)}
        (found,) = self._session.run(["probabilities"], feed)
        return np.asarray(found, dtype=np.float32)
