"""What pictures take in a browser: from what is asked to what is drawn, scrolled and dragged."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

from playwright.sync_api import Page, Request, Response

LOOKS = 15  # at a series, of which each begins anew
FRAMES = 120
# Notes when a picture was first drawn, and how often any was.
NOTED = """() => {
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  window.draws = 0;
  let tell;
  window.firstDrawn = new Promise((resolve) => (tell = resolve));
  CanvasRenderingContext2D.prototype.drawImage = function (...all) {
    draw.apply(this, all);
    if (this.canvas.dataset?.part !== "canvas") return; // what lies over it, or is small
    window.draws++;
    tell(performance.timeOrigin + performance.now());
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

# From choosing what the first option is in a box beside the picture until it is on the screen.
CHOSEN = """async ([box, drawn]) => {
  const frame = () => new Promise((on) => requestAnimationFrame(on));
  const choice = document.querySelector(box);
  while (choice.options.length < 2) await frame();
  const begun = performance.now();
  choice.value = choice.options[1].value;
  choice.dispatchEvent(new Event("change", { bubbles: true }));
  while (!document.querySelector(drawn)) await frame();
  await frame();
  return performance.now() - begun;
}"""
# Notes how long one of a module's functions takes, each time: `of` is its object.
TIMED = """(of, name) => {
  const own = of[name];
  const times = (window.times = []);
  of[name] = function (...all) {
    const begun = performance.now();
    try {
      return own.apply(this, all);
    } finally {
      times.push(performance.now() - begun);
    }
  };
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
    # Not `wait_for_function`, which makes a frame of the page each time that it looks.
    drawn, begun = page.evaluate("async () => [await window.firstDrawn, performance.timeOrigin]")
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


# --- what is drawn over pictures ------------------------------------------------------------------

STRUCTURES, OUTLINES = ".over-sets select", ".viewer-lines path[d]:not([d=''])"
DOSE, WASH = ".over-doses select", "canvas.viewer-over:not([hidden])"
ISODOSES = "[data-dose=lines]"
PLANES = "[data-part=three]"


def opened(page: Page, series: str) -> None:
    """A series' page with all of its pictures."""
    page.goto(series)
    page.wait_for_function(ALL_HERE, timeout=60_000)


def first_outlines(page: Page, series: str) -> float:
    """The median of ms from choosing a structure set to its first contours."""
    found = []
    for _ in range(LOOKS + 1):
        page.context.new_cdp_session(page).send("Network.clearBrowserCache")
        opened(page, series)
        found.append(page.evaluate(CHOSEN, [STRUCTURES, OUTLINES]))
    return median(found[1:])


def choose_dose(page: Page) -> None:
    page.evaluate(CHOSEN, [DOSE, WASH])


def slices_a_second(page: Page, slices: int) -> float:
    return float(page.evaluate(SCROLLED, slices))


def main_thread(page: Page, slices: int) -> float:
    """Ms of the main thread for each slice that is shown, all told."""
    devtools = page.context.new_cdp_session(page)
    # By the processor: beside other programs a task takes longer.
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        found = devtools.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))

    before = busy()
    page.evaluate(SCROLLED, slices)
    spent = busy() - before
    devtools.detach()
    return 1_000 * spent / slices


def washed(page: Page, slices: int) -> float:
    """The median of ms that the colours of a dose take on a slice."""
    page.uncheck(ISODOSES)
    layer = "viewer.layers.find((one) => one.grid)"
    found = timed(page, f"const of = {layer};", "draw", lambda: page.evaluate(SCROLLED, slices))
    page.check(ISODOSES)
    return found


def cut(page: Page, steps: int) -> float:
    """The median of ms that a plane across the slices takes."""
    page.click(PLANES)
    page.wait_for_selector(".viewer-stage:nth-of-type(3)")
    volume = """
      const url = performance.getEntriesByType("resource").find(({ name }) => /volume/.test(name));
      const { prototype: of } = (await import(url.name)).Volume;"""

    def step() -> None:
        for stage in (2, 3):
            page.locator(f".viewer-stage:nth-of-type({stage}) [data-part=canvas]").focus()
            for _ in range(steps):
                page.keyboard.press("ArrowDown")
                page.evaluate("() => new Promise((on) => requestAnimationFrame(on))")

    return timed(page, volume, "cut", step)


def timed(page: Page, find: str, name: str, do: Callable[[], object]) -> float:
    """The median of ms that a function of `of` takes while something is done."""
    script = "document.querySelector('script[src*=picture]').src"
    page.evaluate(
        f"""async () => {{
          const {{ viewer }} = await import({script});
          {find}
          ({TIMED})(of, {name!r});
        }}"""
    )
    do()
    return median(page.evaluate("() => window.times"))
