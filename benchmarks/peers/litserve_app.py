"""The classifier in LitServe.

    python litserve_app.py FILE PORT BATCH SECONDS WORKERS

FILE is an ONNX file; up to BATCH requests are computed together, which wait for others for SECONDS.
"""

import sys
from typing import Any

import litserve
import numpy as np
from fastapi import Request
from onnxruntime import InferenceSession, SessionOptions


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """Answers with the probabilities of images, in the words of the Open Inference Protocol."""

    file = ""

    def setup(self, device: str) -> None:
        options = SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = InferenceSession(self.file, options)

    def decode_request(self, request: Request) -> Any:
        """LitServe looks at the annotation, and hands over what the JSON holds."""
        tensor = request["inputs"][0]
        return np.array(tensor["data"], np.uint8).reshape(tensor["shape"])

    def batch(self, inputs: list[Any]) -> Any:
        return np.concatenate(inputs), [len(images) for images in inputs]

    def predict(self, batch: Any) -> Any:
        images, sizes = batch if isinstance(batch, tuple) else (batch, None)
        (probabilities,) = self._session.run(["probabilities"], {"images": images})
        return probabilities if sizes is None else (probabilities, sizes)

    def unbatch(self, output: Any) -> Any:
        probabilities, sizes = output
        return np.split(probabilities, np.cumsum(sizes)[:-1])

    def encode_response(self, output: Any) -> dict[str, Any]:
        tensor = {"name": "probabilities", "datatype": "FP32", "shape": list(output.shape)}
        return {
            "model_name": "classifier",
            "outputs": [{**tensor, "data": output.ravel().tolist()}],
        }


if __name__ == "__main__":
    file, port, batch, seconds, workers = sys.argv[1:]
    api = Classifier(
        max_batch_size=int(batch),
        batch_timeout=float(seconds),
        api_path="/v2/models/classifier/infer",
    )
    api.file = file  # which its workers get with it
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=int(workers))
    server.run("127.0.0.1", int(port), log_level="error", generate_client_file=False)
