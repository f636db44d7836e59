"""What pictures take in a browser: from what is asked to what is drawn, scrolled and dragged."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from playwright.sync_api import Page, Request, Response

LOOKS = 15  # at a series, of which each begins anew
FRAMES = 120
# Notes when something was first drawn, and how often anything was.
NOTED = """() => {
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  window.draws = 0;
  CanvasRenderingContext2D.prototype.drawImage = function (...all) {
    draw.apply(this, all);
    window.draws++;
    window.drawn ??= performance.timeOrigin + performance.now();
  };
}"""
ALL_HERE = """() => document.querySelector("[data-part=loaded]").textContent === ""
  && window.draws > 0"""
SCROLLED = """async (frames) => {
  const canvas = document.querySelector("[data-part=canvas]");
  const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
  const frame = () => new Promise((on) => requestAnimationFrame(on));
  press("Home");
  await frame();
  await frame();
  const [before, begun] = [window.draws, performance.now()];
  for (let at = 0; at < frames; at++) {
    press("ArrowDown");
    await frame();
  }
  return (1000 * (window.draws - before)) / (performance.now() - begun);
}"""
DRAGGED = """async (frames) => {
  const canvas = document.querySelector("[data-part=canvas]");
  const { left, top } = canvas.getBoundingClientRect();
  const frame = () => new Promise((on) => requestAnimationFrame(on));
  await frame();
  const [before, begun] = [window.draws, performance.now()];
  for (let at = 0; at < frames; at++) {
    const [clientX, clientY] = [left + 300 + (at % 60), top + 300 + (at % 40)];
    const where = { clientX, clientY, pointerId: 1, bubbles: true };
    canvas.dispatchEvent(new PointerEvent("pointermove", where));
    await frame();
  }
  return (1000 * (window.draws - before)) / (performance.now() - begun);
}"""


def note(page: Page) -> None:
    page.add_init_script(f"({NOTED})()")


def first_drawn(page: Page, series: str) -> float:
    """The median of ms from a request for pictures to the first that is drawn.

    Each look is at another slice: the scripts are what a browser keeps, its picture is none that it
    has.
    """
    objects = in_order(page, series)
    found = [_first_drawn(page, series, one) for one in objects[: LOOKS + 1]]
    return median(found[1:])


def in_order(page: Page, series: str) -> list[str]:
    """The objects of a series, as its page lists them."""
    page.goto(series)
    rows = page.locator("#objects [data-object]")
    return [one.get_attribute("data-object") or "" for one in rows.all()[: LOOKS + 1]]


def _first_drawn(page: Page, series: str, object_: str) -> float:
    asked: list[Request] = []

    def noted(response: Response) -> None:
        asked.append(response.request)

    page.on("response", noted)
    page.goto(f"{series}?at={object_}")
    page.wait_for_function("() => window.drawn")
    drawn, begun = page.evaluate("() => [window.drawn, performance.timeOrigin]")
    page.remove_listener("response", noted)
    page.goto("about:blank")  # which ends what is still sent
    times = [one.timing["startTime"] for one in asked if "/pictures/?" in one.url]
    return float(drawn - min(time for time in times if time >= begun))


@contextmanager
def slow_line(page: Page) -> Iterator[None]:
    """20 Mbit/s, of which each answer takes 20 ms longer."""
    devtools = page.context.new_cdp_session(page)
    line = {"offline": False, "latency": 20, "downloadThroughput": 20e6 / 8}
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", line | {"uploadThroughput": 20e6 / 8})
    yield
    devtools.send("Network.disable")
    devtools.detach()


def scrolled(page: Page, series: str) -> float:
    """Slices a second, once all are here."""
    page.goto(series)
    page.wait_for_function(ALL_HERE, timeout=60_000)
    return float(page.evaluate(SCROLLED, FRAMES))


def dragged(page: Page, series: str) -> float:
    """Redraws a second while the window is dragged."""
    page.goto(series)
    page.wait_for_function(ALL_HERE, timeout=60_000)
    box = page.locator("[data-part=canvas]").bounding_box()
    assert box
    page.mouse.move(box["x"] + 300, box["y"] + 300)
    page.mouse.down()
    found = float(page.evaluate(DRAGGED, FRAMES))
    page.mouse.up()
    return found
