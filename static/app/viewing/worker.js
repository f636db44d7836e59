// Fetches the pictures of a series in one stream from the slice that is shown outwards, keeps them
// as they are sent, and inflates those that are asked for. On a slow line every second or fourth row
// and column of what is shown comes first, and all of it then.
//
// It is sent {url, count, speed} once, then {stack: [first, last]} for the slices that are looked
// through, {want: slice} for what is shown, {also: slice} for what may be next, and {again: slice} for
// one that failed in passing. It sends {rendering, id} before the first slice that has it, {told, values}
// of each slice asked for, {arrival: {slice, object, step, id, lies}} of each that is here and where it
// lies, which goes with the values of what is shown, {gone: slice} of each that was let go,
// {unused: id} of each rendering that no slice has any more, {lacking: slices} where an object says it
// has them, and has not, {trouble} where nothing comes, and {speed},
// in bits a second, as it measures it.
import { overlaysOf, valuesOf, warmUp } from "./values.js";

const MOST_BYTES = 256 << 20; // of pictures as they are sent, with their overlays
const AGAIN = 2_000; // ms, where others use all that make pictures
const SOON = 8; // slices
const BESIDE = 2; // slices on each side of the one that is shown, which come small with it
const LONGEST_WORDS = 64 << 20;
const SLOW = [[10e6, 4], [50e6, 2]]; // bits a second, and every how many rows then come first
const SMALL = 1 << 15; // pixels
const MEASURED = 5; // pictures, of which the middle speed counts
const LEAST_MEASURED = 1 << 15; // bytes

const kept = new Map(); // by slice: {told, packed, id, samples}
const ids = new Map(); // of renderings, by their words
let lastId = 0;
const sending = new Set(); // those of `kept` that are being inflated
const missing = new Set(); // slices that an object says it has, and has not
const retried = new Set(); // slices that failed in passing, and were asked for again unasked
const fresh = new Set(); // slices of which what the browser keeps is not wanted
const speeds = []; // the last few
let speed = Infinity; // bits a second
let isSmall = false; // the picture that came last
let url = "";
let count = 0;
let bytes = 0;
let shown = 0;
let stack = [0, 0]; // its first and its last slice
let hasLetGo = false; // there is no room for all
let run = null; // {abort, from, first, last, step, distance, came, isAllSent}
let isGoing = false; // from run to run
let wanted = null; // a slice that has not come
let warmed = null; // a promise

onmessage = ({ data }) => {
  if (data.url) {
    ({ url, count } = data);
    speed = data.speed ?? Infinity;
  } else if ("stack" in data) stack = data.stack;
  else if ("also" in data) void send(data.also);
  else if ("again" in data) again(data.again);
  else want(data.want);
};

const isWhole = (slice) => kept.get(slice)?.told.step === 1;
const failedInPassing = (slice) => kept.get(slice)?.told.is_passing ?? false;

function want(slice) {
  [shown, wanted] = [slice, null];
  if (failedInPassing(slice) && !retried.has(slice)) return retry(slice);
  if (kept.has(slice)) void send(slice);
  if (isWhole(slice)) return;
  if (!kept.has(slice)) wanted = slice;
  goTo(slice);
}

function goTo(slice) {
  if (!isGoing) void go(slice);
  else if (run?.came.size && !isNear(slice)) run.abort.abort();
}

function again(slice) {
  if (!failedInPassing(slice)) return;
  drop(slice);
  fresh.add(slice);
  [shown, wanted] = [slice, slice];
  goTo(slice);
}

function retry(slice) {
  retried.add(slice);
  again(slice);
}

// Whether the run that is on comes to it soon.
function isNear(slice) {
  if (fresh.has(slice) || slice < run.first || slice > run.last) return false;
  const soon = firstStep() > 1 ? 1 : SOON;
  return Math.abs(slice - run.from) <= run.distance + soon;
}

// Every how many rows come first: all of a picture that is small anyhow.
const firstStep = () => (isSmall ? 1 : (SLOW.find(([most]) => speed < most)?.[1] ?? 1));

// `arrival` is told with it.
async function send(slice, arrival) {
  const one = kept.get(slice);
  if (!one || sending.has(one)) return;
  const { told, id, samples } = one;
  sending.add(one);
  try {
    const values = told.why_not ? null : await valuesOf(one.packed, told, samples).catch(noRoom);
    const overlays = values ? await overlaysOf(told) : [];
    postMessage({ told, id, values, overlays, arrival }, values ? [values.buffer] : []);
  } catch (error) {
    postMessage({ trouble: "failed" });
    throw error;
  } finally {
    sending.delete(one);
    if (kept.get(slice) !== one) forgetUnused();
  }
}

// One that is too large for the browser costs only itself.
function noRoom(error) {
  if (error instanceof RangeError) return null;
  throw error;
}

// One run after another, until all is here or there is no room.
async function go(from) {
  isGoing = true;
  try {
    for (let next = from; next !== null; next = following()) {
      run = { abort: new AbortController(), from: next, distance: 0, came: new Set(), isAllSent: false };
      Object.assign(run, extent(next));
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
  } catch (error) {
    postMessage({ trouble: "failed" });
    throw error;
  } finally {
    [isGoing, run] = [false, null];
  }
}

function following() {
  if (wanted !== null) return wanted;
  const lacks = (slice) => !isWhole(slice) && !missing.has(slice);
  const next = nearest(...stack, lacks) ?? nearest(0, count - 1, lacks);
  return next === null || next === shown || hasRoomFor(next) ? next : null;
}

// Whether it would not be the first that is let go.
function hasRoomFor(slice) {
  if (!hasLetGo && bytes < MOST_BYTES) return true;
  for (const one of kept.keys()) if (distance(one) > distance(slice)) return true;
  return false;
}

// How far a slice is from the one that is shown: those of other stacks are further than all of this.
const distance = (slice) => Math.abs(slice - shown) + (slice < stack[0] || slice > stack[1] ? count : 0);

// Of the slices from the first to the last, the one nearest to what is shown that is as wished.
function nearest(first, last, isWished) {
  for (let step = 0; step <= last - first; step++) {
    for (const slice of [shown + step, shown - step]) {
      if (slice >= first && slice <= last && isWished(slice)) return slice;
    }
  }
  return null;
}

// What is asked for around a slice: its first, its last, and every how many rows.
function extent(slice) {
  if (fresh.has(slice)) return { first: slice, last: slice, step: 1, isFresh: fresh.delete(slice) };
  const isIn = slice >= stack[0] && slice <= stack[1];
  const [least, most] = isIn ? stack : [0, count - 1];
  const step = slice === wanted ? firstStep() : 1;
  const lacks = (one) => !missing.has(one) && (step > 1 ? !kept.has(one) : !isWhole(one));
  const [low, high] = step > 1 ? [slice - BESIDE, slice + BESIDE] : [least, most];
  let [first, last] = [slice, slice];
  while (first > Math.max(least, low) && lacks(first - 1)) first--;
  while (last < Math.min(most, high) && lacks(last + 1)) last++;
  return { first, last, step };
}

// Why a run came to nothing; "" where it went well, or was ended since another slice is wanted.
async function fetched() {
  const { signal } = run.abort;
  const asked = new URLSearchParams({ from: run.from, first: run.first, last: run.last });
  if (run.step > 1) asked.set("step", run.step);
  const cache = run.isFresh ? "reload" : "default";
  try {
    const coming = fetch(`${url}&${asked}`, { signal, cache });
    warmed ??= warmUp(); // while nothing has come
    const response = await coming;
    if (response.status === 503) return "busy";
    if (response.status === 409) return "changed";
    if (!response.ok || response.redirected) return "refused";
    const isCut = !(await records(response.body.getReader()));
    if (signal.aborted) return "";
    if (isCut || !(run.came.size || run.isAllSent)) return "cut";
    if (!run.isAllSent) return ""; // what lacks is asked for again
    const lacking = [];
    for (let slice = run.first; slice <= run.last; slice++) {
      if (!run.came.has(slice)) lacking.push(slice);
    }
    for (const slice of lacking) missing.add(slice);
    if (lacking.length) postMessage({ lacking });
    // What was wanted meanwhile is asked for by itself: then the server says why it is not there.
    if (run.from !== wanted) missing.delete(wanted);
    else if (missing.has(wanted)) wanted = null;
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
    const begun = performance.now();
    const lengths = new DataView(head.buffer);
    const [words, values] = [lengths.getUint32(0, true), lengths.getUint32(4, true)];
    if (words > LONGEST_WORDS) return false;
    const text = await read(words);
    const packed = text && (await read(values));
    if (!packed) return false;
    measure(words + values, performance.now() - begun);
    const told = JSON.parse(new TextDecoder().decode(text));
    if (told.all_sent) {
      run.isAllSent = true;
      continue;
    }
    rendering = told.rendering ?? rendering;
    await keep(told, packed, rendering);
    const isOver = wanted === null ? !kept.has(told.slice) : !isNear(wanted);
    if (isOver) run.abort.abort();
  }
}

// A record is sent in one piece: from its first bytes on the line alone takes time.
function measure(length, milliseconds) {
  if (length < LEAST_MEASURED) return;
  speeds.push((8_000 * length) / Math.max(milliseconds, 0.1));
  if (speeds.length > MEASURED) speeds.shift();
  speed = [...speeds].sort((a, b) => a - b)[speeds.length >> 1];
  if (speeds.length === MEASURED) postMessage({ speed });
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

// What is shown is inflated before more is read, and told of with its values: so it is drawn at once.
async function keep(told, packed, rendering) {
  const { slice, object, step } = told;
  run.distance = Math.abs(slice - run.from);
  run.came.add(slice);
  const id = rendering && idOf(rendering);
  const samples = rendering?.photometric === "RGB" ? 3 : 1;
  delete told.rendering;
  if (told.whole_rows) isSmall = told.whole_rows * told.whole_columns <= SMALL;
  drop(slice);
  const one = { told, packed, id, samples };
  kept.set(slice, one);
  bytes += weight(one);
  missing.delete(slice);
  const { frame, place, whole_rows, whole_columns } = told;
  const arrival = { slice, object, step, id, lies: { frame, place, whole_rows, whole_columns } };
  if (slice === wanted) wanted = null;
  const isAgain = told.is_passing && !retried.has(slice);
  if (slice === shown && !isAgain) await send(slice, arrival);
  else postMessage({ arrival });
  if (slice === shown && isAgain) retry(slice);
  makeRoom();
}

function idOf(rendering) {
  const words = JSON.stringify(rendering);
  if (!ids.has(words)) {
    ids.set(words, ++lastId);
    postMessage({ rendering, id: lastId });
  }
  return ids.get(words);
}

// What lies furthest from the slice that is shown goes first.
function makeRoom() {
  if (bytes <= MOST_BYTES) return;
  const furthest = [...kept.keys()].sort((a, b) => distance(b) - distance(a));
  while (bytes > MOST_BYTES && furthest.length > 1) {
    const slice = furthest.shift();
    drop(slice);
    postMessage({ gone: slice });
    hasLetGo = true;
  }
  forgetUnused();
}

function drop(slice) {
  const one = kept.get(slice);
  if (!one) return;
  bytes -= weight(one);
  kept.delete(slice);
}

const weight = ({ told, packed }) =>
  told.overlays.reduce((sum, { bits }) => sum + bits.length, packed.length);

function forgetUnused() {
  const used = new Set([...kept.values(), ...sending].map(({ id }) => id));
  for (const [words, id] of ids) {
    if (used.has(id)) continue;
    ids.delete(words);
    postMessage({ unused: id });
  }
}
