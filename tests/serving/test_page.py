"""page.py: the page at `/`, in a real browser, with real photos."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from fittingroom.data.dataset import Dataset
from fittingroom.serving import app
from fittingroom.serving.page import Page
from fittingroom.serving.served_model import ServedModel
from fittingroom.serving.training_images import TrainingImages

if TYPE_CHECKING:
    from tests.conftest import Browser

Served = dict[str, ServedModel]
Serving = Callable[..., AbstractContextManager[Any]]
PHOTOS = Path(__file__).parent / "photos"
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def models(served: Served, small: Dataset) -> list[ServedModel]:
    training = TrainingImages(small.train, small.class_names)
    return [replace(served[name], training=training) for name in ("logistic", "mlp-10-10")]


@pytest.fixture(scope="module")
def ask(serving: Serving, models: list[ServedModel]) -> Iterator[Any]:
    with serving(models) as client:
        yield client


class Visit:
    """Somebody at the page."""

    def __init__(self, browser: Browser, ask: Any, **options: Any) -> None:
        self.browser, self.origin = browser, f"http://127.0.0.1:{ask.port}"
        browser.open(f"{self.origin}/", **options)

    def wait_for(self, condition: str) -> None:
        """Until a JavaScript expression is true."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.browser.driver, 60, poll_frequency=0.02).until(
            lambda _: self.browser.run(f"return Boolean({condition})")
        )

    def wait_for_text(self, selector: str, text: str) -> None:
        self.wait_for(
            f"document.querySelector({json.dumps(selector)}).innerText.includes({json.dumps(text)})"
        )

    def choose(self, file: Path) -> None:
        """Choose a file in the dialog."""
        self.wait_for("document.querySelector('.model')")
        self.browser.find("#file").send_keys(str(file))

    def answer(self) -> None:
        self.wait_for("!document.getElementById('explanation').hidden")

    def draw(self, *points: tuple[int, int]) -> None:
        """Draw a line, in pixels from the middle."""
        from selenium.webdriver import ActionChains

        canvas = self.browser.find("#drawing")
        pen = ActionChains(self.browser.driver, duration=10)
        pen.move_to_element_with_offset(canvas, *points[0]).click_and_hold()
        for point in points[1:]:
            pen.move_to_element_with_offset(canvas, *point)
        pen.release().perform()

    def press(self, *keys: str) -> str:
        """Press keys; what has the focus then."""
        from selenium.webdriver import ActionChains

        ActionChains(self.browser.driver).send_keys(*keys).perform()
        return str(self.browser.run("return document.activeElement.id"))

    def hand_over(self, event: str, content: bytes, kind: str) -> None:
        """Drop or paste a file."""
        self.wait_for("document.querySelector('.model')")
        self.browser.run(
            """const [event, content, type] = arguments;
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "given", { type }));
            document.body.dispatchEvent(event === "drop"
              ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent("paste", { clipboardData: data, bubbles: true }));""",
            *(event, base64.b64encode(content).decode(), kind),
        )

    def requests(self) -> list[str]:
        """What was requested since the page was opened."""
        events = [
            json.loads(each["message"]) for each in self.browser.driver.get_log("performance")
        ]
        return [
            event["message"]["params"]["request"]["url"]
            for event in events
            if event["message"]["method"] == "Network.requestWillBeSent"
        ]


@pytest.fixture
def visit(browser: Browser, ask: Any) -> Visit:
    return Visit(browser, ask)


def encoded(image: np.ndarray, kind: str = "png") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("photo", "phone", "scheme"),
    [("coat", False, "light"), ("trousers", True, "dark"), ("pullover", True, "light")],
)
def test_a_photo_is_classified_and_explained(
    photo: str, phone: bool, scheme: str, browser: Browser, ask: Any
) -> None:
    size = browser.PHONE if phone else browser.DESKTOP
    visit = Visit(browser, ask, size=size, scheme=scheme)
    file = PHOTOS / f"{photo}.jpg"
    visit.choose(file)
    visit.answer()
    url = "/v1/photo?show=true&nearest=6"
    predictions = ask("POST", url, file.read_bytes()).json["predictions"]
    assert browser.texts(".model h3") == list(predictions)
    for number, prediction in enumerate(predictions.values(), 1):
        card, best = f".model:nth-child({number})", prediction["top"][0]
        assert browser.texts(f"{card} .best-label") == [best["label"]]
        names = browser.texts(f"{card} .bars .name")
        assert sorted(names) == sorted(each["label"] for each in prediction["top"])
        assert names[0] == "T-shirt/top"  # as the data has them
        shares = dict(zip(names, browser.texts(f"{card} .bars .share"), strict=True))
        for each in prediction["top"]:
            if 0.01 < each["probability"] < 0.99:
                assert shares[each["label"]] == f"{round(100 * each['probability'])}%"
        assert browser.texts(f"{card} .set") == [f"Set: {', '.join(prediction['set'])}"]
    prediction = predictions["logistic"]
    assert browser.texts(".nearest figcaption") == [near["label"] for near in prediction["nearest"]]
    sources = browser.run("return [...document.querySelectorAll('#views img')].map((i) => i.src)")
    assert sources == [prediction["image"], *(near["image"] for near in prediction["nearest"])]
    lines = browser.run("return document.querySelector('#outline .edge').getAttribute('d')")
    assert lines.count("M") == len(prediction["outline"]) > 0
    assert "of 2,000, by their pixels" in browser.find("#views").text
    assert "90% of images like those that the models were fitted on, and of fewer photos" in (
        browser.find("#coverage").text
    )
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    assert browser.violations() == []
    assert browser.errors() == []
    assert {url.partition(":")[0] for url in visit.requests() if visit.origin not in url} <= {
        *("about", "blob", "data")
    }


def test_the_outline_lies_on_the_picture(visit: Visit, browser: Browser) -> None:
    """Whatever its aspect; a point of it is where the picture has that point."""
    visit.choose(PHOTOS / "trousers.jpg")
    visit.answer()
    boxes = browser.run(
        """return ["picture", "outline"].map((id) => {
          const box = document.getElementById(id).getBoundingClientRect();
          return [box.left, box.top, box.width, box.height];
        })"""
    )
    assert boxes[0] == pytest.approx(boxes[1], abs=0.5)
    with Image.open(PHOTOS / "trousers.jpg") as picture:
        assert boxes[0][2] / boxes[0][3] == pytest.approx(picture.width / picture.height, abs=0.01)


def test_a_drawing_is_an_image_of_the_data(visit: Visit, browser: Browser) -> None:
    visit.wait_for("document.querySelector('.model')")
    visit.draw((-60, -90), (60, -90), (60, 100), (-60, 100), (-60, -90))
    visit.answer()
    assert "What your lines enclose counts as cloth." in browser.find("#views").text
    assert "28×28 pixels" in browser.find("#views").text
    assert "fewer photos" not in browser.find("#coverage").text
    source = browser.find("#views .saw img").get_attribute("src")
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    # A light box on black: as high as the image, and less wide.
    assert seen.shape == (28, 28)
    assert seen[:, 14].min() > 100
    assert seen[:, :2].max() == seen[:, -2:].max() == 0
    assert browser.run("return document.querySelector('#outline .edge').getAttribute('d')") == ""
    assert browser.violations() == []
    # Undone, nothing is left.
    browser.find("body").send_keys("\ue009z")  # with Ctrl
    visit.wait_for("document.getElementById('explanation').hidden")
    assert browser.texts(".best-label") == ["", ""]
    assert browser.errors() == []


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(
    event: str, visit: Visit, browser: Browser, small: Dataset
) -> None:
    """Also one that the server itself doesn't read."""
    visit.hand_over(event, encoded(small.test.images[0], "gif"), "image/gif")
    visit.answer()
    assert "28×28 pixels" in browser.find("#views").text
    visit.hand_over(event, b"words", "text/plain")
    visit.wait_for_text("#problem", "That isn’t a picture")
    assert browser.errors() == []


def test_by_keyboard(visit: Visit, browser: Browser) -> None:
    visit.choose(PHOTOS / "coat.jpg")
    visit.answer()
    browser.run("document.activeElement.blur()")
    assert [visit.press("\ue004") for _ in range(2)] == ["clear", "file"]  # Tab
    label = "#file + label"
    outline = "return getComputedStyle(document.querySelector(arguments[0])).outlineStyle"
    assert browser.run(outline, label) == "solid"
    browser.run("document.getElementById('clear').focus()")
    visit.press("\ue007")  # Enter
    visit.wait_for("document.body.dataset.state === 'empty'")
    assert not browser.find("#clear").is_enabled()


def test_the_servers_sentence_is_shown(
    visit: Visit, browser: Browser, small: Dataset, tmp_path: Path
) -> None:
    """And goes with the next picture."""
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"words")
    visit.choose(broken)
    visit.wait_for_text("#problem", "The picture isn't a PNG, JPEG or WebP picture.")
    assert not browser.find("#again").is_displayed()
    assert browser.violations() == []
    visit.hand_over("drop", encoded(small.test.images[0]), "image/png")
    visit.answer()
    assert browser.find("#problem").text == ""


def test_a_busy_server_is_asked_again(
    serving: Serving, served: Served, browser: Browser, small: Dataset, monkeypatch: Any
) -> None:
    """And an answer for what was taken back isn't shown."""
    monkeypatch.setattr(app, "PHOTOS_WAITING", 0)
    go_on, predict = threading.Event(), served["logistic"].predict

    def slow(images: np.ndarray) -> np.ndarray:
        assert go_on.wait(60)
        return predict(images)

    content = encoded(small.test.images[0])
    with serving([replace(served["logistic"], predict=slow)]) as ask, ThreadPoolExecutor() as pool:
        visit = Visit(browser, ask)
        others = [pool.submit(ask, "POST", "/v1/photo", content) for _ in range(app.PHOTOS)]
        visit.hand_over("drop", content, "image/png")
        visit.wait_for_text("#summary", "The server is busy.")
        assert browser.find("#answers").get_attribute("aria-busy") == "true"
        go_on.set()
        visit.answer()
        assert [each.result().status for each in others] == [200, 200]
        assert browser.find("#answers").get_attribute("aria-busy") == "false"
        assert browser.texts("#summary")[0].startswith("logistic says ")


def test_a_token_is_asked_for_and_kept(
    serving: Serving, models: list[ServedModel], browser: Browser, small: Dataset
) -> None:
    with serving(models, token=TOKEN) as ask:
        visit = Visit(browser, ask)
        visit.wait_for("!document.getElementById('access').hidden")
        assert not browser.find("#main").is_displayed()
        assert browser.violations() == []
        for token in ("wrong", TOKEN):
            browser.find("#token").send_keys(token, "\ue007")  # Enter
            if token != TOKEN:
                visit.wait_for_text("#refused", "That isn’t its token.")
        visit.wait_for("document.querySelector('.model')")
        assert TOKEN not in browser.driver.current_url
        browser.driver.refresh()
        visit.hand_over("drop", encoded(small.test.images[0]), "image/png")
        visit.answer()
        browser.run("sessionStorage.clear()")
    browser.find("#clear").click()
    visit.hand_over("drop", encoded(small.test.images[0]), "image/png")
    visit.wait_for_text("#problem", "The server doesn’t answer.")
    assert browser.find("#again").is_displayed()


def test_warnings_and_what_is_missing(
    serving: Serving, served: Served, browser: Browser, small: Dataset
) -> None:
    """A model that knows nothing, without its data set; beside it one of another preparation."""
    model = served["logistic"]
    calibrated = model.facts.calibrated
    assert calibrated is not None
    facts = model.facts.model_copy(
        update={
            "calibrated": calibrated.model_copy(update={"unlike": 0.5, "class_quantiles": None})
        }
    )
    uniform = replace(
        model,
        bundle=replace(model.bundle, facts=facts),
        predict=lambda images: np.full((len(images), 10), 0.1, np.float32),
    )
    digits = model.facts.model_copy(update={"preparation": "digit"})
    other = replace(model, name="other", bundle=replace(model.bundle, facts=digits))
    with serving([uniform, other]) as ask:
        visit = Visit(browser, ask)
        visit.hand_over("drop", encoded(255 - small.test.images[0]), "image/png")
        visit.answer()
        assert browser.texts(".warning")[1:] == [
            "Unlike the training images: it may be none of these.", "",
        ]  # fmt: skip
        assert browser.texts(".view h3") == ["What logistic saw", "What other saw"]
        assert browser.texts(".nearest") == []
        browser.find("#clear").click()
        visit.draw((-60, -90), (60, 90))
        visit.answer()
        assert [text.partition("Your lines")[1] for text in browser.texts(".view")] == [
            "", "Your lines",
        ]  # fmt: skip
        assert browser.violations() == []
        assert browser.errors() == []


def test_its_files_are_the_same_for_everybody(serving: Serving, models: list[ServedModel]) -> None:
    """They need no token, may be kept by nobody, and load nothing from elsewhere."""
    kinds = {"": "text/html", "css": "text/css", "js": "text/javascript"}
    with serving(models, token=TOKEN) as ask:
        paths = [route.path for route in Page().routes()]
        assert {"/", "/page/serve.js", "/page/bars.js"} < {*paths}
        for path in paths:
            answer = ask("GET", path)
            assert answer.status == 200
            kind = kinds[path.rpartition(".")[2].strip("/")]
            assert answer.headers["content-type"] == f"{kind}; charset=utf-8"
            policy = answer.headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} < {*policy}
            assert "unsafe" not in answer.headers["content-security-policy"]
            assert b"http://" not in answer.body.replace(b"http://www.w3.org", b"")
            assert b"https://" not in answer.body
        assert ask("GET", "/page/nothing.js").status == 404
        assert ask("GET", "/v1/models").status == 401
        described = ask("GET", "/v1/models", authorization=f"Bearer {TOKEN}").json["models"]
    assert described[0] == {
        "name": "logistic",
        "data": "fashion-mnist-small",
        "labels": list(models[0].class_names),
        "image_shape": [28, 28],
        "preparation": "garment",
        "coverage": 0.9,
        "training_images": 2000,
    }
