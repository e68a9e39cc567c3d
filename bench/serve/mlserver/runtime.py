"""The demo ranker as an MLServer runtime: its request codec, one ONNX Runtime session with one thread, nothing else."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Ranker(MLModel):
    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            self.settings.parameters.uri, options, providers=["CPUExecutionProvider"]
        )
        self.output = self.session.get_outputs()[0].name
        # In MLServer a shape [n] comes out of the codec as [n, 1]; the graph says how many dimensions it takes.
        self.ranks = {given.name: len(given.shape) for given in self.session.get_inputs()}
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {}
        for given in payload.inputs:
            array = NumpyCodec.decode_input(given)
            feeds[given.name] = array.reshape(-1) if self.ranks[given.name] == 1 else array
        scores = self.session.run([self.output], feeds)[0]
        return InferenceResponse(
            model_name=self.name, id=payload.id, outputs=[NumpyCodec.encode_output(self.output, scores)]
        )
