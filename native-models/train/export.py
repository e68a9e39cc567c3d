"""What every exported model has beside its graph: program, config, calibration, score vectors; and its cost."""

import json
import time

import numpy as np
import onnxruntime as ort

CANDIDATE_ROWS_MAX = 2048
REQUEST_ROWS_MAX = 64
SCORE_ROWS = 20


def write_json(path, value, indent=1):
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=True) + "\n")


def write_program(folder, name, program, widths, calibration, parameters=None, note=""):
    write_json(folder / "features.json", program)
    write_config(folder, name, program, widths, parameters, note)
    if calibration is not None:
        write_json(folder / "1" / "calibration.json", calibration)


def write_config(folder, name, program, widths, parameters=None, note=""):
    """Triton's config.pbtxt. A two-scope model has two kinds of rows, so they stand in its dims and max_batch_size is 0;
    the parameters say which is which, and requests are merged by them. A plain model is a batching one."""
    index = program.get("request_index")
    rows = "-1, " if index else ""
    inputs = []
    for t, width in zip(program["tensors"], widths):
        kind = "TYPE_INT32" if t["type"] == "int32" else "TYPE_FP32"
        inputs.append(f'  {{ name: "{t["name"]}" data_type: {kind} dims: [ {rows}{width} ] }}')
    output = "dims: [ -1 ]" if index else "dims: [ 1 ] reshape { shape: [] }"
    values = {}
    if index:
        inputs.append(f'  {{ name: "{index}" data_type: TYPE_INT32 dims: [ -1 ] }}')
        values["candidate_rows_max"] = CANDIDATE_ROWS_MAX
        values["request_rows_max"] = REQUEST_ROWS_MAX
    values.update(parameters or {})
    if index:
        values["request_index_input"] = index
        values["request_inputs"] = ",".join(t["name"] for t in program["tensors"] if t["scope"] == "request")
    lines = [f"# {line}" for line in note.splitlines()]
    lines += [f'name: "{name}"', 'platform: "onnxruntime_onnx"']
    lines += [f"max_batch_size: {0 if index else CANDIDATE_ROWS_MAX}", "input ["]
    lines += [",\n".join(inputs), "]"]
    lines += ["output [", f'  {{ name: "{program["output"]}" data_type: TYPE_FP32 {output} }}', "]"]
    lines += [f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}' for k, v in values.items()]
    lines += ["dynamic_batching {}"]
    (folder / "config.pbtxt").write_text("\n".join(lines) + "\n")


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def write_scores(folder, model, inputs, output):
    """Rows with their expected raw scores, for the server's own runtime to repeat."""
    scores = model.run([output], inputs)[0]
    vectors = {
        "inputs": {k: {"shape": list(v.shape), "values": v.ravel().tolist()} for k, v in inputs.items()},
        "output": output,
        "expected": scores.ravel().tolist(),
    }
    (folder / "1" / "score-vectors.json").write_text(json.dumps(vectors) + "\n")


def cost_us(model, feed_for, shapes=((1, 64), (16, 64), (32, 64)), repeats=60):
    """Median microseconds per candidate row, single thread; `feed_for(requests, candidates)` makes the inputs."""
    result = {}
    for requests, each in shapes:
        feed = feed_for(requests, requests * each)
        for _ in range(5):
            model.run(None, feed)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            model.run(None, feed)
            times.append(time.perf_counter() - start)
        result[f"{requests}x{each}"] = float(np.median(times) * 1e6 / (requests * each))
    return result
