"""What pictures take in a browser: from what is asked to what is drawn, scrolled and dragged."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from playwright.sync_api import Page, Request

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
    """The median of ms from a request for pictures to the first that is drawn."""
    found = [_first_drawn(page, series) for _ in range(LOOKS + 1)]
    return median(found[1:])


def _first_drawn(page: Page, series: str) -> float:
    # What the browser keeps would be quicker than what is made.
    page.context.new_cdp_session(page).send("Network.clearBrowserCache")
    with page.expect_response(lambda one: "/pictures/?" in one.url) as response:
        page.goto(series)
    page.wait_for_function("() => window.drawn")
    request: Request = response.value.request
    drawn: float = page.evaluate("() => window.drawn")
    return drawn - request.timing["startTime"]


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
