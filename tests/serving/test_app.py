"""app.py: the routes, asked by HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from PIL import Image

from fittingroom.data.dataset import Dataset
from fittingroom.serving import app, guard, run
from fittingroom.serving.batching import MOST_IMAGES, BatchQueue
from fittingroom.serving.guard import MAX_BODY
from fittingroom.serving.served_model import ServedModel

ROOT = Path(__file__).parents[2]
Served = dict[str, ServedModel]
Serve = Callable[..., Any]


def request_of(images: np.ndarray, **more: Any) -> str:
    tensor = {"name": "images", "datatype": "UINT8", "shape": list(images.shape)}
    return json.dumps({"inputs": [tensor | {"data": images.tolist()}], **more})


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def ask(serve: Serve, served: Served) -> Any:
    return serve([*served.values()])


def test_the_server_and_its_models_describe_themselves(ask: Any, served: Served) -> None:
    about = ask("GET", "/v2").json
    assert (about["name"], about["extensions"]) == ("fittingroom", ["binary_tensor_data"])
    assert ask("GET", "/v2/health/live").json == {"live": True}
    assert ask("GET", "/v2/health/ready").json == {"ready": True}
    for path in ("/v2/models/logistic", "/v2/models/logistic/versions/1"):
        model = ask("GET", path).json
        assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, 28, 28]}]
        assert model["outputs"][0] == {
            "name": "probabilities", "datatype": "FP32", "shape": [-1, 10],
        }  # fmt: skip
        assert model["parameters"]["labels"] == list(served["logistic"].class_names)
        assert ask("GET", f"{path}/ready").json == {"name": "logistic", "ready": True}
    assert ask("GET", "/v2/models/knn").json["platform"] == "fittingroom"
    assert ask("GET", "/v2/models/mlp-10-10").json["platform"] == "onnxruntime_onnx"


@pytest.mark.parametrize("name", ["logistic", "mlp-10-10", "knn"])
def test_inference_gives_the_bundles_probabilities(
    name: str, ask: Any, served: Served, small: Dataset
) -> None:
    images = small.test.images[:7]
    answer = ask("POST", f"/v2/models/{name}/infer", request_of(images, id="seven")).json
    assert (answer["model_name"], answer["model_version"], answer["id"]) == (name, "1", "seven")
    probabilities, classes = answer["outputs"]
    expected = served[name].bundle.predict_proba(images)
    found = np.array(probabilities["data"]).reshape(probabilities["shape"])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    names = np.array(served[name].class_names)
    assert classes["data"] == names[expected.argmax(axis=1)].tolist()


def test_a_photo_is_predicted_as_by_the_command(ask: Any, served: Served, small: Dataset) -> None:
    from fittingroom.bundles.predictor import predict_picture
    from fittingroom.data.decode import decode

    content = png(small.test.images[0])
    predictions = ask("POST", "/v1/photo", content, content_type="image/png").json["predictions"]
    assert list(predictions) == list(served)
    for name, prediction in predictions.items():
        expected = predict_picture(served[name].bundle, decode(content)).to_dict()
        assert prediction["set"] == expected["set"]
        assert prediction["unlike_data"] == expected["unlike_data"]
        assert prediction["decisions"] == expected["decisions"]
        for ours, theirs in zip(prediction["top"], expected["top"], strict=True):
            assert ours["label"] == theirs["label"]
            assert ours["probability"] == pytest.approx(theirs["probability"], abs=1e-4)
    alone = ask("POST", "/v1/photo?model=logistic", content).json["predictions"]
    assert alone == {"logistic": predictions["logistic"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "sentence"),
    [
        ("GET", "/nowhere", None, {}, 404, "Not Found"),
        ("GET", "/v2/models/kn", None, {}, 404, "unknown model 'kn'; did you mean knn?"),
        (
            "GET",
            "/v2/models/%ff%0a",
            None,
            {},
            404,
            "unknown model '\ufffd\\n'; known: knn, logistic, ",
        ),
        ("GET", "/v2/models/logistic/versions/2", None, {}, 404, "the only version of a model is"),
        ("GET", "/v2/models/logistic/infer", None, {}, 405, "Method Not Allowed"),
        ("POST", "/v1/photo?model=kn", "", {}, 404, "unknown model 'kn'; did you mean knn?"),
        ("POST", "/v1/photo", "no picture", {}, 400, "isn't a PNG, JPEG or WebP"),
        (
            *("POST", "/v1/photo", "--x", {"content_type": "multipart/form-data; boundary=x"}),
            *(415, "the body is the picture itself, not a form."),
        ),
        ("POST", "/v2/models/logistic/infer", "{", {}, 400, "the request isn't JSON."),
        (
            *("POST", "/v2/models/logistic/infer", "{}", {"content_encoding": "gzip"}),
            *(415, "bodies are sent uncompressed."),
        ),
    ],
)
def test_errors_are_a_sentence(
    method: str,
    path: str,
    body: str | None,
    headers: dict[str, str],
    status: int,
    sentence: str,
    ask: Any,
) -> None:
    answer = ask(method, path, body, **headers)
    assert answer.status == status
    assert sentence in answer.json["error"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert "server" not in answer.headers


def test_a_body_that_grows_too_large_is_refused(ask: Any) -> None:
    """Whether its length is said or not."""
    said = ask("POST", "/v1/photo", "", content_length=str(MAX_BODY + 1))
    assert (said.status, said.json) == (413, {"error": "a request has at most 32 MiB."})

    def endless() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 2**20 + 8):
            yield bytes(2**20)

    unsaid = ask("POST", "/v1/photo", endless(), transfer_encoding="chunked")
    assert (unsaid.status, unsaid.json) == (said.status, said.json)


def test_bodies_that_take_too_much_together_are_refused(
    ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of requests that ended take nothing any more."""
    monkeypatch.setattr(guard, "MAX_BODIES", 3 * 2**20)
    with ThreadPoolExecutor(1) as others:
        half, rest, hold = threading.Event(), threading.Event(), guard.Guard.hold

        def held(self: guard.Guard, size: int) -> None:
            hold(self, size)
            if self._held == 2 * 2**20:
                half.set()

        def in_halves() -> Iterator[bytes]:
            yield bytes(2 * 2**20)
            assert rest.wait(30)
            yield b"end"

        monkeypatch.setattr(guard.Guard, "hold", held)

        first = others.submit(ask, "POST", "/v1/photo", in_halves(), transfer_encoding="chunked")
        assert half.wait(30)
        refused = ask("POST", "/v1/photo", bytes(2 * 2**20))
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        rest.set()
        assert first.result().status == 400
    assert ask("POST", "/v1/photo", bytes(2 * 2**20)).status == 400


def test_too_many_images_in_a_request(ask: Any, served: Served) -> None:
    path = "/v2/models/logistic/infer"
    assert ask("POST", path, request_of(np.zeros((MOST_IMAGES, 28, 28), int))).status == 200
    for images, spaces in (
        (np.zeros((MOST_IMAGES + 1, 28, 28), int), 0),
        (np.zeros((1, 784)), 10**7),
    ):
        answer = ask("POST", path, request_of(images) + " " * spaces)
        assert (answer.status, answer.json) == (413, {"error": "a request has at most 512 images."})


def test_nothing_is_computed_for_who_has_gone(
    serve: Serve, served: Served, small: Dataset, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor is a word of it written down."""
    go_on, begun, computed = threading.Event(), threading.Event(), list[int]()

    def slow(images: np.ndarray) -> np.ndarray:
        computed.append(len(images))
        begun.set()
        assert go_on.wait(30)
        return np.full((len(images), 10), 0.1, np.float32)

    ask = serve([dataclasses.replace(served["logistic"], predict=slow)])
    path, body = "/v2/models/logistic/infer", request_of(small.test.images[:3])
    with ThreadPoolExecutor(1) as others:
        first = others.submit(ask, "POST", path, body)
        assert begun.wait(30)
        for _ in range(5):
            gone = http.client.HTTPConnection("127.0.0.1", ask.port)
            gone.request("POST", path, body)
            gone.close()
        half_sent = socket.create_connection(("127.0.0.1", ask.port))
        half_sent.sendall(
            b"POST /v1/photo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\na"
        )
        half_sent.close()
        last = ""
        while 'kind="infer",status="499"} 5.0' not in last:
            last = ask("GET", "/metrics").body.decode()
        go_on.set()
        assert first.result().status == 200
    assert ask("POST", path, body).status == 200
    assert computed == [3, 3]
    assert capfd.readouterr().err == ""


def test_too_much_at_once_is_refused_at_once(
    serve: Serve, served: Served, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was accepted before is answered."""
    monkeypatch.setattr(app, "BatchQueue", partial(BatchQueue, waiting=4))
    monkeypatch.setattr(app, "PHOTOS_WAITING", 0)
    go_on, predict = threading.Event(), served["logistic"].predict

    def slow(images: np.ndarray) -> np.ndarray:
        assert go_on.wait(30)
        return predict(images)

    ask = serve([dataclasses.replace(served["logistic"], predict=slow)])
    body, photo = request_of(small.test.images[:2]), png(small.test.images[0])
    with ThreadPoolExecutor(8) as clients:
        tensors = [clients.submit(ask, "POST", "/v2/models/logistic/infer", body) for _ in range(4)]
        photos = [clients.submit(ask, "POST", "/v1/photo", photo) for _ in range(4)]
        refused: list[Future[Any]] = []
        deadline = time.monotonic() + 60
        while len(refused) < 4 and time.monotonic() < deadline:
            refused = [each for each in (*tensors, *photos) if each.done()]
        go_on.set()
    assert all(each.result().status == 503 for each in refused)
    assert {each.result().headers["retry-after"] for each in refused} == {"1"}
    assert "try again in a moment" in refused[0].result().json["error"]
    statuses = sorted(each.result().status for each in tensors)
    assert statuses == [200, 200, 503, 503]


def test_who_asks_again_at_once_is_heard_a_second_later(
    serve: Serve, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal itself comes at once."""
    monkeypatch.setattr(app, "PHOTOS_WAITING", -app.PHOTOS)
    port = serve([served["logistic"]]).port
    with contextlib.closing(http.client.HTTPConnection("localhost", port)) as connection:
        answered = [time.monotonic()]
        for _ in range(2):
            connection.request("POST", "/v1/photo", b"a picture")
            response = connection.getresponse()
            assert response.status == 503
            response.read()
            answered.append(time.monotonic())
    first, second = np.diff(answered)
    assert first < 0.9 < second < 5


def test_a_mistake_of_ours_is_a_500(serve: Serve, served: Served, small: Dataset) -> None:
    def broken(_: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    ask = serve([dataclasses.replace(served["logistic"], predict=broken), served["mlp-10-10"]])
    answer = ask("POST", "/v2/models/logistic/infer", request_of(small.test.images[:1]))
    assert (answer.status, answer.json) == (500, {"error": "the server failed: ZeroDivisionError."})
    other = ask("POST", "/v2/models/mlp-10-10/infer", request_of(small.test.images[:1]))
    assert other.status == 200


def test_what_was_answered_is_counted(ask: Any, small: Dataset) -> None:
    ask("POST", "/v2/models/logistic/infer", request_of(small.test.images[:5]))
    ask("POST", "/v2/models/logistic/infer", "{")
    ask("POST", "/v1/photo?model=logistic", png(small.test.images[0]))
    ask("GET", "/v2", host="evil.example")
    answer = ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.body.decode().splitlines()
    assert 'fittingroom_requests_total{kind="infer",status="200"} 1.0' in lines
    assert 'fittingroom_requests_total{kind="infer",status="400"} 1.0' in lines
    assert 'fittingroom_requests_total{kind="refused",status="403"} 1.0' in lines
    assert 'fittingroom_batch_images_sum{model="logistic"} 5.0' in lines
    assert 'fittingroom_waiting_images{model="logistic"} 0.0' in lines
    # Of so few validation images nobody can tell what is unlike them.
    assert 'fittingroom_photos_total{model="logistic",unlike="unknown"} 1.0' in lines
    classes = [line for line in lines if line.startswith("fittingroom_classes_total{class=")]
    assert len(classes) == 30
    ours = [line for line in classes if 'model="logistic"' in line]
    assert sum(float(line.split()[-1]) for line in ours) == 6


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("dtype", ["UINT8", "FP32"])
def test_tritons_client(
    binary: bool, dtype: str, ask: Any, served: dict[str, ServedModel], small: Dataset
) -> None:
    client = triton.InferenceServerClient(f"localhost:{ask.port}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("logistic", "1")
    assert not client.is_model_ready("logistic", "2")
    assert client.get_server_metadata()["name"] == "fittingroom"
    described = client.get_model_metadata("logistic")
    (takes,) = described["inputs"]
    images = small.test.images[:20]
    tensor = triton.InferInput(takes["name"], images.shape, dtype)
    values = images if dtype == "UINT8" else images.astype(np.float32)
    tensor.set_data_from_numpy(values, binary_data=binary)
    outputs = [
        triton.InferRequestedOutput(output["name"], binary_data=binary)
        for output in described["outputs"]
    ]
    result = client.infer("logistic", [tensor], outputs=outputs, request_id="7")
    expected = served["logistic"].predict_proba(images)
    np.testing.assert_array_equal(result.as_numpy("probabilities"), expected)
    names = np.array(described["parameters"]["labels"])[expected.argmax(axis=1)]
    found = result.as_numpy("class").tolist()
    assert [name.decode() if binary else name for name in found] == names.tolist()
    assert result.get_response()["id"] == "7"
    with pytest.raises(triton.InferenceServerException, match=r"logistic takes \[28, 28\] each"):
        client.infer("logistic", [triton.InferInput("images", (1, 5), "UINT8")])
    client.close()


#: What programs do that know nothing of ours; each in an environment of its own, see the Makefile.
OTHERS = {
    "kserve": """
import asyncio, sys
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig

async def ask():
    client = InferenceRESTClient(config=RESTConfig(protocol="v2"))
    assert await client.is_server_live(sys.argv[1])
    assert await client.is_server_ready(sys.argv[1])
    assert await client.is_model_ready(sys.argv[1], "logistic")
    for binary in (True, False):
        images = InferInput("images", [3, 28, 28], "UINT8")
        images.set_data_from_numpy(np.load(sys.argv[2]), binary_data=binary)
        request = InferRequest(model_name="logistic", infer_inputs=[images])
        answer = await client.infer(sys.argv[1], request, model_name="logistic")
        assert answer.outputs[0].as_numpy().shape == (3, 10)
        print(*answer.outputs[1].as_numpy(), sep=",")

asyncio.run(ask())
""",
    "serving": """
import sys
from urllib.request import Request, urlopen
import numpy as np
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import (
    InferenceRequest, InferenceResponse, MetadataModelResponse, MetadataServerResponse,
)

def ask(path, body=None):
    return urlopen(Request(sys.argv[1] + path, body)).read()

MetadataServerResponse.model_validate_json(ask("/v2"))
MetadataModelResponse.model_validate_json(ask("/v2/models/logistic"))
images = NumpyCodec.encode_input("images", np.load(sys.argv[2]))
for exclude in (True, False):
    body = InferenceRequest(inputs=[images]).model_dump_json(exclude_none=exclude).encode()
    answer = InferenceResponse.model_validate_json(ask("/v2/models/logistic/infer", body))
    assert NumpyCodec.decode_output(answer.outputs[0]).shape == (3, 10)
    print(*StringCodec.decode_output(answer.outputs[1]), sep=",")
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("environment", OTHERS)
def test_clients_of_others(
    environment: str, ask: Any, served: Served, small: Dataset, tmp_path: Path
) -> None:
    """KServe's client, and the types by which MLServer reads requests and answers."""
    python = ROOT / f".venv-{environment}" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"make .venv-{environment}/.installed")
    images = small.test.images[:3]
    np.save(tmp_path / "images.npy", images)
    done = subprocess.run(
        [
            *(python, "-c", OTHERS[environment]),
            *(f"http://127.0.0.1:{ask.port}", tmp_path / "images.npy"),
        ],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    labels = served["logistic"].predict_proba(images).argmax(axis=1)
    expected = ",".join(small.class_names[label] for label in labels)
    assert done.stdout.split("\n") == [expected, expected, ""]


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_curl(ask: Any, small: Dataset, tmp_path: Path) -> None:
    asked = tmp_path / "asked.json"
    asked.write_text(request_of(small.test.images[:1], outputs=[{"name": "class"}]))
    url = f"http://localhost:{ask.port}/v2/models/mlp-10-10/infer"
    done = subprocess.run(
        ["curl", "-sS", "--fail", "--data", f"@{asked}", url], capture_output=True, check=True
    )
    (output,) = json.loads(done.stdout)["outputs"]
    assert output["data"][0] in small.class_names
    photo = tmp_path / "photo.png"
    photo.write_bytes(png(small.test.images[0]))
    url = f"http://localhost:{ask.port}/v1/photo?model=logistic"
    done = subprocess.run(
        ["curl", "-sS", "--fail", "--data-binary", f"@{photo}", url],
        capture_output=True,
        check=True,
    )
    (predicted,) = json.loads(done.stdout)["predictions"].values()
    assert predicted["top"][0]["label"] in small.class_names


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_who_sends_a_photo_too_slowly_is_told_the_limit(
    ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is still sending."""
    monkeypatch.setattr(run, "DEADLINE", 1.0)
    photo = tmp_path / "photo.png"
    photo.write_bytes(bytes(2**20))
    url = f"http://localhost:{ask.port}/v1/photo"
    command = ["curl", "-sS", "--limit-rate", "20k", "--data-binary", f"@{photo}", url]
    done = subprocess.run(command, capture_output=True, check=False)
    assert json.loads(done.stdout) == {"error": "the request didn't arrive within 1 s."}
