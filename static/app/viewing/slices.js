// The pictures of a series that are here: asks the worker for them, and keeps those inflated last.
//
// It tells of "arrived" {slice, object, hasCome} where the worker has one, of "came" (the slice itself)
// where it is inflated, which may be told before, of "lacking" (numbers) where slices will never come,
// and of "changed" after all that the worker says of slices.
import { planeOf } from "./space.js";

const MOST_BYTES = 192 << 20; // of inflated pictures
const LINE_SPEED = "icon-line-speed"; // bits a second, as this tab has measured it
const SLOW_SPEED = 1e6;
const LEAST_TOOK = 20; // ms of a page

export class Slices extends EventTarget {
  constructor(url, count) {
    super();
    this.count = count;
    this.shown = 0; // the slice that is not let go
    this.trouble = ""; // why nothing comes
    this.arrived = new Set();
    this.absent = new Set(); // that an object says it has, and has not
    this.objects = new Map(); // by slice
    this.places = new Map(); // by slice, of all that have arrived once, or never will: where it lies, and its object
    this.held = new Map(); // slices that are inflated, those used last at the end
    this.block = new Map(); // that somebody else keeps
    this.renderings = new Map(); // by the worker's numbers, of what may come
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => this.heard(data);
    this.worker.onerror = () => this.heard({ trouble: "failed" }); // not loaded, or it has a fault
    this.worker.postMessage({ url, count, speed: knownSpeed() });
  }

  // A slice as it is here; null where it is not inflated.
  get(slice) {
    return this.held.get(slice) ?? this.block.get(slice) ?? null;
  }

  hasArrived(slice) {
    return this.arrived.has(slice);
  }

  // Of an object, those that have arrived.
  of(object) {
    return [...this.objects].filter(([, one]) => one === object).map(([slice]) => slice);
  }

  // What is to be shown: it comes before all others.
  want(slice) {
    this.worker.postMessage({ want: slice });
  }

  // Is to be inflated, where it has arrived.
  also(slice) {
    this.worker.postMessage({ also: slice });
  }

  // One that failed in passing.
  again(slice) {
    this.worker.postMessage({ again: slice });
  }

  // What is looked through comes before other stacks.
  lookThrough({ first, last }) {
    this.worker.postMessage({ stack: [first, last] });
  }

  // Shows a slice, of which all is asked for.
  show(slice) {
    this.shown = slice;
    const there = this.get(slice);
    if (there) this.hold(there);
    if (there?.told.step !== 1) this.want(slice);
  }

  heard(data) {
    if (data.rendering) return void this.renderings.set(data.id, data.rendering);
    if ("unused" in data) return void this.renderings.delete(data.unused);
    if ("speed" in data) return rememberSpeed(data.speed);
    if (data.lacking) this.lack(data.lacking);
    if (data.arrival) this.note(data.arrival);
    if (data.told) this.take(data);
    if (data.arrival) this.tellArrived(data.arrival, Boolean(data.told));
    if ("gone" in data) this.arrived.delete(data.gone);
    if (data.trouble) this.trouble = data.trouble;
    this.tell("changed");
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  tellArrived({ slice, object }, hasCome) {
    this.tell("arrived", { slice, object, hasCome });
  }

  take(slice) {
    this.hold(slice);
    this.tell("came", slice);
  }

  note({ slice, object, step, id, lies }) {
    this.arrived.add(slice);
    this.absent.delete(slice);
    this.objects.set(slice, object);
    const plane = planeOf({ told: lies, rendering: this.renderings.get(id) });
    this.places.set(slice, { ...lies.place, object, frame: lies.frame, plane });
    this.trouble = "";
    if (slice !== this.shown && this.held.get(slice)?.told.step > step) this.held.delete(slice);
  }

  lack(numbers) {
    for (const number of numbers) {
      this.absent.add(number);
      this.places.set(number, { object: 0, frame: 0, plane: null });
    }
    this.tell("lacking", numbers);
  }

  hold(slice) {
    const { held, shown } = this;
    const { told } = slice;
    held.delete(told.slice);
    held.set(told.slice, slice);
    slice.rendering ??= this.renderings.get(slice.id);
    let bytes = 0;
    for (const one of held.values()) bytes += weight(one);
    for (const [number, one] of held) {
      if (bytes <= MOST_BYTES || number === shown) break;
      held.delete(number);
      bytes -= weight(one);
    }
  }
}

const weight = ({ values, overlays }) =>
  overlays.reduce((sum, { bits }) => sum + bits.byteLength, values?.byteLength ?? 0);

function rememberSpeed(speed) {
  sessionStorage.setItem(LINE_SPEED, String(Math.round(speed)));
}

// As it was measured, or as this page came, whichever is slower: a line may have become another. Else
// the browser knows of very slow ones; what it calls their `downlink` is 1.6 Mbit/s where it knows
// nothing.
function knownSpeed() {
  const measured = [Number(sessionStorage.getItem(LINE_SPEED)), speedOfThisPage()].filter(Boolean);
  const isSlow = ["slow-2g", "2g", "3g"].includes(navigator.connection?.effectiveType);
  return measured.length ? Math.min(...measured) : isSlow ? SLOW_SPEED : undefined;
}

// 0 where it came at once: that may have been a fast line, or little to send.
function speedOfThisPage() {
  const [page] = performance.getEntriesByType("navigation");
  const { transferSize: bytes, responseStart, responseEnd } = page ?? {};
  return responseEnd - responseStart > LEAST_TOOK ? (8_000 * bytes) / (responseEnd - responseStart) : 0;
}
