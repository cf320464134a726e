"""web_page.py: one file with a model in it, tried in Chromium like a visitor would."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from fittingroom.bundles import web_check, web_page
from fittingroom.bundles.bundle import Bundle, bundle_of
from fittingroom.bundles.manifest import Data
from fittingroom.bundles.web_check import PageParity
from fittingroom.bundles.web_page import write_web
from fittingroom.data.dataset import Dataset
from fittingroom.errors import BundleError
from fittingroom.models.making import make_classifier

if TYPE_CHECKING:
    from tests.conftest import Browser

#: The outline of a T-shirt, not quite closed, in shares of the drawing.
OUTLINE = (
    *((0.35, 0.15), (0.05, 0.5), (0.25, 0.45), (0.25, 0.9), (0.75, 0.9), (0.75, 0.45)),
    *((0.95, 0.5), (0.65, 0.15), (0.4, 0.16)),
)


@pytest.fixture(scope="module")
def page(bundles: Mapping[str, Bundle], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small swift, not verified. Not to be changed."""
    file = tmp_path_factory.mktemp("page") / "swift.html"
    write_web(bundles["swift-90"], file, None)
    return file


@pytest.fixture(scope="module")
def photo(small: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real boot, dark red on a light wall, in a wide picture."""
    boot = small.test.images[np.flatnonzero(small.test.labels == 9)[0]]
    large = Image.fromarray(boot).resize((280, 280), Image.Resampling.BICUBIC)
    cloth = np.asarray(large, float)[..., None] / 255
    wall, red = np.array([226.0, 220, 208]), np.array([90.0, 20, 30])
    picture = np.tile(wall, (360, 480, 1))
    picture[40:320, 100:380] = wall + cloth * (red - wall)
    file = tmp_path_factory.mktemp("photo") / "boot.png"
    Image.fromarray(picture.astype(np.uint8)).save(file)
    return file


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Browser]:
    browser.open(page)
    yield browser
    assert [line for line in browser.errors() if line["level"] == "SEVERE"] == []


def draw(browser: Browser, points: Sequence[tuple[float, float]]) -> None:
    left, top, width, height = browser.run(
        "const box = document.querySelector('#drawing').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]"
    )
    kinds = ["mousePressed", *["mouseMoved"] * (len(points) - 2), "mouseReleased"]
    for kind, (x, y) in zip(kinds, points, strict=True):
        place = {"x": left + x * width, "y": top + y * height}
        browser.driver.execute_cdp_cmd(
            "Input.dispatchMouseEvent",
            {"type": kind, **place, "button": "left", "buttons": 1, "clickCount": 1},
        )


def wait_for_answer(browser: Browser) -> None:
    """Until all that was drawn is painted, which takes a frame, and answered."""
    browser.run("return new Promise((d) => requestAnimationFrame(() => requestAnimationFrame(d)))")
    wait_for(browser, "document.querySelector('#answer').ariaBusy === 'false'")


def wait_for(browser: Browser, condition: str) -> None:
    WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
    WebDriverWait(browser.driver, 30, 0.05).until(lambda _: browser.run(f"return {condition}"))


def text(browser: Browser, selector: str) -> str:
    return browser.texts(selector)[0]


def answer(browser: Browser) -> tuple[np.ndarray, list[str], str]:
    """The image that the model got, the shares beside the bars, and the best class."""
    pixels = browser.run(
        "const c = document.querySelector('#seen');"
        "return [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    shares = browser.texts(".share")
    return np.array(pixels, np.uint8).reshape(28, 28, 4)[..., 0], shares, text(browser, "#best")


def percent(share: float) -> str:
    if share < 0.01:
        return "<1%"
    return ">99%" if share > 0.99 else f"{int(100 * share + 0.5)}%"


def check_answer(browser: Browser, bundle: Bundle) -> np.ndarray:
    """What the page says is what the bundle says of the image that it shows."""
    image, shares, best = answer(browser)
    (probabilities,) = bundle.predict_proba(image[None])
    assert best == bundle.class_names[probabilities.argmax()]
    near = [probabilities + delta for delta in (-1e-3, 0, 1e-3)]
    for k, share in enumerate(shares):
        assert share in [percent(float(each[k])) for each in near]
    return image


def test_a_drawing_is_answered(opened: Browser, bundles: Mapping[str, Bundle]) -> None:
    assert text(opened, "#best") == ""
    draw(opened, OUTLINE)
    wait_for_answer(opened)
    image = check_answer(opened, bundles["swift-90"])
    assert image[20, 14] == 200  # cloth within the outline
    assert image.max() > 240  # the outline
    assert image[:, [0, -1]].any(axis=0).all()  # as wide as the image
    said = (
        f"document.querySelector('#announcement').textContent.startsWith('{text(opened, '#best')}')"
    )
    wait_for(opened, said)


def test_undo_and_clear_by_keyboard(opened: Browser) -> None:
    body = opened.find("body")
    draw(opened, OUTLINE)
    wait_for_answer(opened)
    first = answer(opened)[0]
    for undo in (lambda: body.send_keys("\ue009z"), opened.find("#undo").click):
        draw(opened, ((0.1, 0.95), (0.5, 0.97), (0.9, 0.95)))
        wait_for_answer(opened)
        assert (answer(opened)[0] != first).any()
        undo()
        wait_for_answer(opened)
        np.testing.assert_array_equal(answer(opened)[0], first)
    opened.find("#clear").send_keys("\ue007")  # Enter
    wait_for(opened, "document.body.dataset.state === 'empty'")
    assert not answer(opened)[0].any()
    assert opened.find("#undo").get_attribute("disabled")


def test_a_picture_is_cut_out(opened: Browser, photo: Path, bundles: Mapping[str, Bundle]) -> None:
    opened.find("#file").send_keys(str(photo))
    wait_for(opened, "document.body.dataset.state === 'picture'")
    image = check_answer(opened, bundles["swift-90"])
    assert "differs from the border’s colours" in text(opened, "#how")
    assert (image > 0).any(axis=0).all()  # the boot is as wide as the image
    assert not image[0].any()
    wait_for(opened, "document.querySelector('#picture').naturalWidth === 480")
    opened.find("#clear").click()
    wait_for(opened, "document.body.dataset.state === 'empty'")


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(event: str, opened: Browser, photo: Path) -> None:
    given = """
        const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
        const transfer = new DataTransfer();
        transfer.items.add(new File([bytes], arguments[2], { type: arguments[3] }));
        const kind = arguments[1] === "paste" ? ClipboardEvent : DragEvent;
        const named = { clipboardData: transfer, dataTransfer: transfer };
        const event = new kind(arguments[1], { ...named, bubbles: true, cancelable: true });
        document.querySelector("footer").dispatchEvent(event);
        return event.defaultPrevented;
    """
    note = base64.b64encode(b"not a picture").decode()
    prevented = opened.run(given, note, event, "note.txt", "text/plain")
    assert prevented is (event == "drop")  # or the browser would show the file instead of the page
    assert "That isn’t a picture" in text(opened, "#problem")
    opened.run(given, note, event, "note.png", "image/png")
    wait_for(opened, "document.querySelector('#problem').textContent.includes('can’t read')")
    opened.run(given, base64.b64encode(photo.read_bytes()).decode(), event, "boot.png", "image/png")
    wait_for(opened, "document.body.dataset.state === 'picture'")
    assert text(opened, "#problem") == ""
    assert text(opened, "#best") != ""


def test_nothing_is_fetched(opened: Browser, page: Path) -> None:
    draw(opened, OUTLINE)
    wait_for_answer(opened)
    events = [
        json.loads(entry["message"])["message"] for entry in opened.driver.get_log("performance")
    ]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert [url for url in urls if not url.startswith("data:")] == [page.as_uri()]


def test_it_could_not_fetch(opened: Browser) -> None:
    """The policy forbids it, whatever the page holds."""
    failed = opened.run("return fetch('http://127.0.0.1:9/').then(() => false, () => true)")
    assert failed
    said = opened.errors()
    assert any("Content Security Policy" in line["message"] for line in said)


@pytest.fixture
def on_a_phone(opened: Browser, page: Path) -> Iterator[Browser]:
    opened.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    opened.open(page, opened.PHONE)
    yield opened
    opened.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_finger_draws_and_the_answer_is_seen_meanwhile(
    on_a_phone: Browser, bundles: Mapping[str, Bundle]
) -> None:
    browser = on_a_phone
    box = browser.run(
        "const box = document.querySelector('#drawing').getBoundingClientRect();"
        "return [box.left, box.top, box.width, box.height]"
    )
    for number, (x, y) in enumerate(OUTLINE):
        place = {"x": box[0] + x * box[2], "y": box[1] + y * box[3]}
        kind = "touchMove" if number else "touchStart"
        browser.driver.execute_cdp_cmd(
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]}
        )
    browser.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
    )
    wait_for_answer(browser)
    assert check_answer(browser, bundles["swift-90"])[20, 14] == 200
    assert browser.run("return [scrollX, scrollY]") == [0, 0]
    assert browser.run("return document.documentElement.scrollWidth") <= browser.PHONE[0]
    bottom = browser.run("return document.querySelector('.verdict').getBoundingClientRect().bottom")
    assert bottom < 0.85 * browser.PHONE[1]  # above the browser's own bar


def test_the_camera_is_offered_where_there_may_be_one(on_a_phone: Browser) -> None:
    assert on_a_phone.find("#camera").get_attribute("capture") == "environment"
    assert on_a_phone.find("label[for=camera]").is_displayed()
    on_a_phone.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert not on_a_phone.find("label[for=camera]").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(scheme: str, browser: Browser, page: Path, photo: Path) -> None:
    pytest.importorskip("axe_core_python", reason="axe-core-python isn't installed")
    browser.open(page, browser.PHONE if scheme == "dark" else browser.DESKTOP, scheme)
    assert browser.violations() == []
    draw(browser, OUTLINE)
    wait_for_answer(browser)
    assert browser.violations() == []
    browser.find("#file").send_keys(str(photo))
    wait_for(browser, "document.body.dataset.state === 'picture'")
    assert browser.violations() == []


def test_it_is_verified_before_it_is_written(
    bundles: Mapping[str, Bundle], test_images: np.ndarray, tmp_path: Path
) -> None:
    compared = write_web(bundles["mlp-10-10"], tmp_path / "page.html", test_images)
    if compared is None:
        pytest.skip("neither node nor chromium is installed")
    assert compared.holds
    html = (tmp_path / "page.html").read_text("utf-8")
    assert f"300 test images were compared with the model’s own in {compared.engine}" in html


def parity_of(*differences: float) -> Any:
    """A stand-in for `page_parity` that finds these differences one after the other."""
    remaining = iter(differences)

    def page_parity(
        graph: object, bundle: object, images: np.ndarray, engine: object
    ) -> PageParity:
        from fittingroom.bundles.parity import Parity

        return PageParity(Parity(len(images), len(images), next(remaining)), "Node.js")

    return page_parity


def test_weights_are_exact_where_16_bits_do_not_do(
    bundles: Mapping[str, Bundle],
    test_images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = bundles["cnn-32"]
    monkeypatch.setattr(web_page, "find_engine", lambda: object())
    sizes = []
    for number, found in enumerate([(1e-4,), (2e-3, 1e-7)]):
        monkeypatch.setattr(web_page, "page_parity", parity_of(*found))
        compared = write_web(bundle, tmp_path / f"{number}.html", test_images)
        assert compared is not None
        assert compared.parity.largest_difference == found[-1]
        sizes.append((tmp_path / f"{number}.html").stat().st_size)
    assert 1.7 < sizes[1] / sizes[0] < 2
    monkeypatch.setattr(web_page, "page_parity", parity_of(2e-3, float("inf")))
    with pytest.raises(BundleError, match=r"in Node.js .* differ .* by up to inf; nothing"):
        write_web(bundle, tmp_path / "never.html", test_images)
    assert not (tmp_path / "never.html").exists()


def test_without_node_and_chromium_it_says_so(
    bundles: Mapping[str, Bundle],
    test_images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_page, "find_engine", lambda: None)
    assert write_web(bundles["logistic"], tmp_path / "page.html", test_images) is None
    assert "Not verified: this page’s predictions" in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize("name", ["knn", "random-forest", "hog-svm", "svm-rbf", "wide-resnet"])
def test_a_model_that_a_page_can_not_run(
    name: str, bundles: Mapping[str, Bundle], tmp_path: Path
) -> None:
    message = (
        rf"{name} can't be .* web page: it can't compute \w+; a page runs logistic, linear-svm"
    )
    with pytest.raises(BundleError, match=message):
        write_web(bundles[name], tmp_path / "page.html", None)
    assert list(tmp_path.iterdir()) == []


def test_what_the_page_says_of_the_model(
    bundles: Mapping[str, Bundle], small: Dataset, tmp_path: Path
) -> None:
    bundle = bundles["logistic"]
    labels = small.test.labels
    probabilities = bundle.classifier.predict_proba(small.test.images.reshape(len(labels), -1))
    write_web(bundle, tmp_path / "page.html", None, (probabilities, labels))
    html = re.sub(r"\s+", " ", (tmp_path / "page.html").read_text("utf-8"))
    right = (probabilities.argmax(axis=1) == labels).mean()
    assert f"{right:.2%} of 1,000 test images (95% interval" in html
    assert bundle.facts.calibrated is not None
    assert f"temperature {bundle.facts.calibrated.temperature:.2f}" in html
    assert "T-shirt/top, Trouser, Pullover" in html
    assert "fitted on 400 images of fashion-mnist-small" in html
    assert "This is the simple way" in html
    write_web(bundle, tmp_path / "page.html", None)
    assert "validation images; the test accuracy isn’t known" in (tmp_path / "page.html").read_text(
        "utf-8"
    )


def test_a_drawing_has_the_ground_of_the_datas_images(
    bundles: Mapping[str, Bundle],
    test_images: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_page, "find_engine", lambda: None)
    bundle = bundles["logistic"]
    whole = Bundle(bundle.facts.model_copy(update={"preparation": "image"}), bundle.classifier)
    for images, ground in ((test_images, "dark"), (255 - test_images, "light"), (None, "light")):
        write_web(whole, tmp_path / "page.html", images)
        html = (tmp_path / "page.html").read_text("utf-8")
        assert f'data-ground="{ground}"' in html
        assert f'"dark": {json.dumps(ground == "dark")}' in html
        assert "Swap light and dark" in html
    write_web(bundle, tmp_path / "page.html", None)
    assert "Swap light and dark" not in (tmp_path / "page.html").read_text("utf-8")


def test_names_can_not_break_the_page(bundles: Mapping[str, Bundle], tmp_path: Path) -> None:
    bundle = bundles["logistic"]
    evil = "</script><script>alert(1)</script>"
    facts = bundle.facts.model_copy(update={"class_names": [evil, *bundle.facts.class_names[1:]]})
    facts = facts.model_copy(update={"model": "<b>&"})
    write_web(Bundle(facts, bundle.classifier), tmp_path / "page.html", None)
    html = (tmp_path / "page.html").read_text("utf-8")
    assert html.count("<script") == html.count("</script>") == 2
    assert "<b>" not in html
    data = re.search(r'<script type="application/json" id="model">(.*?)</script>', html)
    assert data is not None
    assert json.loads(data[1])["classes"][0] == evil


def test_the_policy_allows_only_its_own_script_and_style(page: Path) -> None:
    html = page.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    assert policy
    assert style
    assert script
    directives = dict(
        part.split(maxsplit=1) for part in policy[1].replace("&#39;", "'").split("; ")
    )
    assert directives["default-src"] == "'none'"
    for name, part in (("script-src", script[1]), ("style-src", style[1])):
        digest = base64.b64encode(hashlib.sha256(part.encode()).digest()).decode()
        assert directives[name] == f"'sha256-{digest}'"


def test_there_is_little_besides_the_model(page: Path) -> None:
    """The interpreter is short, and so is all that the page adds to the weights."""
    lines = (web_check.WEB / "interpreter.js").read_text("utf-8").splitlines()
    assert len(lines) <= 250
    without = re.sub(r'id="model">.*?</script>', "", page.read_text("utf-8"))
    assert len(without) < 60_000


def test_swift_is_small_enough_to_mail(small: Dataset, tmp_path: Path) -> None:
    classifier = make_classifier("swift", dataset=small, epochs=1, batch_size=20)
    classifier.fit(small.train.images[::50], small.train.labels[::50])
    bundle = bundle_of(
        classifier,
        model="swift",
        class_names=small.class_names,
        image_shape=small.image_shape,
        data=Data(name=small.name, sha256=small.sha256, images=40),
    )
    write_web(bundle, tmp_path / "swift.html", None)
    assert (tmp_path / "swift.html").stat().st_size < 1.2e6
