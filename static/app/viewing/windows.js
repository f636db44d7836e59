// Which windows there are for a picture, and which is chosen: PS3.3 C.11.2.
import { isGrey, percentiles, unsaid } from "./greys.js";
import { measure } from "./words.js";

const CT_WINDOWS = [
  ["Abdomen", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80], ["Liver", 80, 160],
];

export class Windows {
  constructor() {
    this.choice = { kind: "said", index: 0 };
    this.unsaids = new Map(); // what stands for a window where files have none, for all alike
  }

  get isOwn() {
    return this.choice.kind === "own";
  }

  // What is chosen, as an option's value.
  get name() {
    return this.isOwn ? "own" : `${this.choice.kind} ${this.choice.index}`;
  }

  choose(name) {
    const [kind, index] = name.split(" ");
    if (kind !== "own") this.choice = { kind, index: Number(index) };
  }

  set(center, width, rendering) {
    const shape = rendering.windows.length ? rendering.function : "LINEAR_EXACT";
    const least = shape === "LINEAR" ? 1 : Number.MIN_VALUE;
    const window = { center, width: Math.max(width, least), function: shape };
    this.choice = { kind: "own", index: 0, window };
  }

  // The window of a slice; null where it is not grey.
  of(slice) {
    const { rendering } = slice;
    if (!isGrey(rendering)) return null;
    const { kind, index, window } = this.choice;
    if (kind === "own") return window;
    if (kind === "percentiles") return percentiles(slice, rendering);
    if (kind === "ct") {
      const [, center, width] = CT_WINDOWS[index];
      return { center, width, function: "LINEAR" };
    }
    const said = saidBy(rendering);
    return said.length ? said[Math.min(index, said.length - 1)] : this.unsaidOf(slice);
  }

  unsaidOf(slice) {
    const { told, rendering } = slice;
    if (told.step > 1) return unsaid(slice, rendering); // until all of it is here
    const alike = `${rendering.bits} ${told.type} ${rendering.unit}`;
    if (!this.unsaids.has(alike)) this.unsaids.set(alike, unsaid(slice, rendering));
    return this.unsaids.get(alike);
  }

  // What tells a slice's window from its others.
  keyOf(window) {
    return window?.lut ? this.choice : window;
  }

  // Fills a <select> with what may be chosen, where that has changed.
  offer(select, rendering) {
    if (!rendering) return;
    select.disabled = !isGrey(rendering);
    const groups = isGrey(rendering) ? offered(rendering) : [];
    const key = JSON.stringify([groups, this.isOwn]);
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...groups.map(group));
      if (this.isOwn) select.prepend(new Option("As set here", "own"));
    }
    select.value = this.name;
  }
}

// The windows and tables that the file has.
export const saidBy = ({ windows, function: shape, voi_luts }) => [
  ...windows.map((one) => ({ ...one, function: shape })),
  ...voi_luts.map((lut) => ({ lut, explanation: lut.explanation })),
];

function offered(rendering) {
  const said = saidBy(rendering).map((one, index) => [nameOf(one, index), `said ${index}`]);
  const isHu = rendering.modality === "CT" && rendering.unit === "HU";
  const ct = CT_WINDOWS.map(([name, center, width], index) => [
    `${name} (${center}, ${width})`, `ct ${index}`,
  ]);
  return [
    ["Of the file", said.length ? said : [["None: chosen by ICON", "said 0"]]],
    ...(isHu ? [["CT", ct]] : []),
    ["Of what is seen", [["Percentiles 1 to 99.5", "percentiles 0"]]],
  ];
}

function nameOf({ lut, center, width, explanation }, index) {
  if (lut) return explanation || `Table ${index + 1}`;
  return `${explanation || `Window ${index + 1}`} (${measure(center)}, ${measure(width)})`;
}

function group([label, options]) {
  const made = document.createElement("optgroup");
  made.label = label;
  made.append(...options.map(([text, value]) => new Option(text, value)));
  return made;
}
