// Fetches the pictures of a series in one stream from the slice that is shown outwards, keeps them
// as they are sent, and inflates those that are asked for.
//
// It is sent {url, count} once, then {want: slice} for what is shown, {also: slice} for what may be
// next. It sends {rendering, id} before the first slice that has it, {told, values} of each slice
// asked for, {arrived: slice, object} of each that is here, {gone: slice} of each that was let go,
// and {trouble} where nothing comes.
import { overlaysOf, valuesOf } from "./values.js";

const MOST_BYTES = 256 << 20; // of pictures as they are sent
const AGAIN = 2_000; // ms, where others use all that make pictures
const SOON = 8; // slices
const LONGEST_WORDS = 64 << 20;

const kept = new Map(); // by slice: {told, packed, id, samples}
const ids = new Map(); // of renderings, by their words
const missing = new Set(); // slices that an object says it has, and has not
let url = "";
let count = 0;
let bytes = 0;
let shown = 0;
let run = null; // {abort, from, first, last, distance, hasBegun, toldMissing}
let isGoing = false; // from run to run
let wanted = null; // a slice that has not come

onmessage = ({ data }) => {
  if (data.url) ({ url, count } = data);
  else if ("also" in data) void send(data.also);
  else want(data.want);
};

function want(slice) {
  shown = slice;
  wanted = null;
  if (kept.has(slice)) return void send(slice);
  wanted = slice;
  if (!isGoing) void go(slice);
  else if (run?.hasBegun && !isNear(slice)) run.abort.abort();
}

// Whether the run that is on comes to it soon.
function isNear(slice) {
  if (slice < run.first || slice > run.last) return false;
  return Math.abs(slice - run.from) <= run.distance + SOON;
}

async function send(slice) {
  const one = kept.get(slice);
  if (!one) return;
  const { told, id, samples } = one;
  const values = told.why_not ? null : await valuesOf(one.packed, told, samples);
  const overlays = values ? await overlaysOf(told) : [];
  postMessage({ told, id, values, overlays }, values ? [values.buffer] : []);
}

// One run after another, until all is here or there is no room.
async function go(from) {
  isGoing = true;
  for (let next = from; next !== null; next = following()) {
    run = { abort: new AbortController(), from: next, distance: 0, hasBegun: false };
    [run.first, run.last] = around(next);
    const trouble = await fetched();
    const isOver = run.abort.signal.aborted;
    run = null;
    if (trouble === "busy") {
      postMessage({ trouble });
      await new Promise((after) => setTimeout(after, AGAIN));
    } else if (trouble && !isOver) {
      postMessage({ trouble });
      break;
    }
  }
  isGoing = false;
}

function following() {
  if (wanted !== null) return wanted;
  if (bytes >= MOST_BYTES) return null;
  for (let step = 0; step < count; step++) {
    for (const slice of [shown + step, shown - step]) {
      if (slice >= 0 && slice < count && !kept.has(slice) && !missing.has(slice)) return slice;
    }
  }
  return null;
}

// The first and the last of the slices around one that are not here.
function around(slice) {
  let [first, last] = [slice, slice];
  while (first > 0 && !kept.has(first - 1) && !missing.has(first - 1)) first--;
  while (last < count - 1 && !kept.has(last + 1) && !missing.has(last + 1)) last++;
  return [first, last];
}

// Why a run came to nothing; "" where it went well, or was ended since another slice is wanted.
async function fetched() {
  const { signal } = run.abort;
  const asked = new URLSearchParams({ from: run.from, first: run.first, last: run.last });
  try {
    const response = await fetch(`${url}?${asked}`, { signal });
    if (response.status === 503) return "busy";
    if (!response.ok || response.redirected) return "refused";
    const isWhole = await records(response.body.getReader());
    if (!isWhole) return "cut";
    if (!kept.has(run.from)) missing.add(run.from);
    if (wanted === run.from && missing.has(wanted)) wanted = null;
    if (run.toldMissing) {
      for (let slice = run.first; slice <= run.last; slice++) {
        if (!kept.has(slice)) missing.add(slice);
      }
    }
    return "";
  } catch (error) {
    if (signal.aborted) return "";
    if (error instanceof TypeError) return "cut"; // the network
    throw error;
  }
}

// Whether a stream's records all came whole.
async function records(reader) {
  const parts = [];
  let held = 0;
  let rendering = null;
  const read = async (length) => {
    while (held < length) {
      const { done, value } = await reader.read();
      if (done) return null;
      parts.push(value);
      held += value.length;
    }
    return taken(parts, (held -= length, length));
  };
  for (;;) {
    const head = await read(8);
    if (!head) return held === 0;
    const lengths = new DataView(head.buffer);
    const [words, values] = [lengths.getUint32(0, true), lengths.getUint32(4, true)];
    if (words > LONGEST_WORDS) return false;
    const text = await read(words);
    const packed = text && (await read(values));
    if (!packed) return false;
    const told = JSON.parse(new TextDecoder().decode(text));
    rendering = told.rendering ?? rendering;
    keep(told, packed, rendering);
    run.hasBegun = true;
    if (bytes >= MOST_BYTES && wanted === null) run.abort.abort();
    else if (wanted !== null && !isNear(wanted)) run.abort.abort();
  }
}

function taken(parts, length) {
  const found = new Uint8Array(length);
  for (let at = 0; at < length; ) {
    const part = parts[0].subarray(0, length - at);
    found.set(part, at);
    at += part.length;
    if (part.length === parts[0].length) parts.shift();
    else parts[0] = parts[0].subarray(part.length);
  }
  return found;
}

function keep(told, packed, rendering) {
  const { slice, object } = told;
  run.distance = Math.abs(slice - run.from);
  if (told.why_not && told.frame >= told.frames) run.toldMissing = true;
  const id = rendering && idOf(rendering);
  const samples = rendering?.photometric === "RGB" ? 3 : 1;
  delete told.rendering;
  if (!kept.has(slice)) bytes += packed.length;
  kept.set(slice, { told, packed, id, samples });
  missing.delete(slice);
  postMessage({ arrived: slice, object });
  if (slice === wanted) {
    wanted = null;
    void send(slice);
  }
  makeRoom();
}

function idOf(rendering) {
  const words = JSON.stringify(rendering);
  if (!ids.has(words)) {
    ids.set(words, ids.size + 1);
    postMessage({ rendering, id: ids.size });
  }
  return ids.get(words);
}

// What lies furthest from the slice that is shown goes first.
function makeRoom() {
  if (bytes <= MOST_BYTES) return;
  const furthest = [...kept.keys()].sort((a, b) => Math.abs(b - shown) - Math.abs(a - shown));
  while (bytes > MOST_BYTES && furthest.length > 1) {
    const slice = furthest.shift();
    bytes -= kept.get(slice).packed.length;
    kept.delete(slice);
    postMessage({ gone: slice });
  }
}
