"""The classifier in MLServer: a custom runtime around onnxruntime."""

from __future__ import annotations

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from onnxruntime import InferenceSession, SessionOptions


class Classifier(MLModel):  # type: ignore[misc]
    """Answers with the probabilities of images."""

    async def load(self) -> bool:
        options = SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        images = NumpyCodec.decode_input(payload.inputs[0])
        (probabilities,) = self._session.run(["probabilities"], {"images": images})
        output = NumpyCodec.encode_output("probabilities", probabilities)
        return InferenceResponse(model_name=self.name, outputs=[output])
