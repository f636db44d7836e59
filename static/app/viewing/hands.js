// What keys, wheel, pointers and fingers do to a picture.
const PAGE = 10; // slices
const NOTCH = 40; // of a wheel, for a slice
const LINE = 40;
const DRAG = 250; // of the screen's pixels, that make a window twice as wide
const TOUCH = 12; // of the screen's pixels, for a slice
const SHIFT = 40; // of the canvas's pixels, for a key

const MOVES = { ArrowUp: [0, SHIFT], ArrowDown: [0, -SHIFT], ArrowLeft: [SHIFT, 0], ArrowRight: [-SHIFT, 0] };

// What keys mean on a stage of a viewer.
const KEYS = {
  ArrowUp: (viewer, { walk }) => walk.to(walk.at - 1),
  ArrowLeft: (viewer, { walk }) => walk.to(walk.at - 1),
  ArrowDown: (viewer, { walk }) => walk.to(walk.at + 1),
  ArrowRight: (viewer, { walk }) => walk.to(walk.at + 1),
  PageUp: (viewer, { walk }) => walk.to(walk.at - PAGE),
  PageDown: (viewer, { walk }) => walk.to(walk.at + PAGE),
  Home: (viewer, { walk }) => walk.to(walk.first),
  End: (viewer, { walk }) => walk.to(walk.last),
  " ": (viewer) => viewer.play(),
  ",": (viewer) => viewer.across(-1),
  ".": (viewer) => viewer.across(1),
  "+": (viewer, stage) => viewer.zoom(stage, 1),
  "-": (viewer, stage) => viewer.zoom(stage, -1),
  f: (viewer, stage) => viewer.fit(stage),
  i: (viewer) => viewer.invert(),
  o: (viewer) => viewer.toggleOverlays(),
  0: (viewer) => viewer.reset(),
};

// What dragging with a pointer may do. Each begins with {x, y} of the page, and gives what is done
// when the pointer has moved so far, on the page and on the canvas, and at the end; null where there
// is nothing for it to do.
export const DRAGS = {
  window(viewer, stage) {
    const from = viewer.windowToDrag(stage);
    if (!from) return null;
    const each = from.width / DRAG;
    viewer.isHurried = true;
    return {
      moved: ([x, y]) =>
        viewer.setWindow(from.center + y * each, Math.max(from.width + x * each, from.width / 1000)),
      ended: () => {
        viewer.isHurried = false;
      },
    };
  },
  slices(viewer, { walk }) {
    const begun = walk.at;
    return { moved: ([, y]) => walk.to(begun + Math.round(y / TOUCH)) };
  },
  move(viewer, stage) {
    return { moved: (far, by) => viewer.move(stage, ...by) };
  },
};

export class Hands {
  constructor(viewer, stage) {
    this.viewer = viewer;
    this.stage = stage;
    this.turned = 0; // of a wheel, since the last slice
    this.down = new Map(); // pointers: where they are on the canvas
    this.drag = null;
    const { canvas } = stage;
    canvas.addEventListener("keydown", (event) => this.pressed(event));
    canvas.addEventListener("wheel", (event) => this.wheeled(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.follow(event));
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, ({ pointerId }) => this.end(pointerId));
    }
    canvas.addEventListener("pointerleave", ({ pointerType }) => {
      if (pointerType !== "touch") viewer.point(stage, null);
    });
  }

  pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { viewer, stage } = this;
    const { key, shiftKey } = event;
    if (viewer.layers.some((layer) => layer.pressed?.(stage, key))) event.stopPropagation();
    else if (shiftKey && MOVES[key]) viewer.move(stage, ...MOVES[key]);
    else if (KEYS[key]) KEYS[key](viewer, stage);
    else if (!(/^[1-9]$/.test(key) && viewer.chooseNth(key - 1))) return;
    event.preventDefault();
  }

  wheeled(event) {
    const { viewer, stage } = this;
    const { walk } = stage;
    const by = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE);
    if (!by || (walk.first === walk.last && !event.ctrlKey)) return;
    event.preventDefault();
    if (event.ctrlKey) return viewer.zoom(stage, by < 0 ? 1 : -1, ...stage.onCanvas(event));
    this.turned = Math.sign(by) === Math.sign(this.turned) ? this.turned + by : by;
    const steps = Math.abs(by) >= NOTCH ? Math.sign(by) : Math.trunc(this.turned / NOTCH);
    if (!steps) return;
    this.turned = 0;
    walk.to(walk.at + steps);
  }

  // A pointer that is down drags what is chosen; the middle button, or shift, moves the picture, and
  // so do two fingers, which also zoom.
  begin(event) {
    if (event.button > 1) return;
    if (event.button === 1) event.preventDefault();
    const { viewer, stage, down } = this;
    stage.canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, stage.onCanvas(event));
    viewer.point(stage, event);
    const isMove = event.button === 1 || event.shiftKey;
    this.start(isMove ? "move" : viewer.dragged, event);
    stage.canvas.focus({ preventScroll: true });
  }

  start(kind, event) {
    const { viewer, stage } = this;
    this.drag?.ended?.();
    const begun = viewer.drags.get(kind)(viewer, stage, event) ?? DRAGS.slices(viewer, stage);
    this.drag = { ...begun, x: event.clientX, y: event.clientY };
  }

  follow(event) {
    const { viewer, stage, down, drag } = this;
    viewer.point(stage, event);
    if (!down.has(event.pointerId)) return;
    const before = down.get(event.pointerId);
    const now = stage.onCanvas(event);
    down.set(event.pointerId, now);
    if (down.size === 2) this.pinch(event, before, now);
    else {
      const by = [now[0] - before[0], now[1] - before[1]];
      drag.moved([event.clientX - drag.x, event.clientY - drag.y], by, event);
    }
  }

  pinch(event, before, now) {
    const { viewer, stage } = this;
    const [, other] = [...this.down].find(([one]) => one !== event.pointerId);
    this.start("move", event);
    const distance = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
    viewer.move(stage, (now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    viewer.zoom(stage, Math.log(distance(now) / distance(before)) / Math.log(1.25), ...middle);
  }

  end(pointerId) {
    this.down.delete(pointerId);
    if (!this.down.size) {
      this.drag?.ended?.();
      this.drag = null;
    }
    this.viewer.later();
  }
}
