// Sends ZIPs from the add page one after the other, and says how far each one is, and all.
import { size, write } from "../shared/words.js";
import { Left } from "./pace.js";

const WINDOW = 10_000; // milliseconds that the speed is measured over
const ENOUGH = 2_000; // milliseconds of sending before a speed is worth showing
const REDRAW = 500; // milliseconds
const SHOWN_AT_ONCE = 200; // uploads in an address of the progress page
const PROBE = 5_000; // milliseconds between two looks whether the server is back
const TRIES = 3; // of one ZIP whose connection is lost while the server answers
const END_SIGNATURE = [0x50, 0x4b, 0x05, 0x06]; // "PK", 5, 6: every ZIP ends with it
const START_SIGNATURE = [0x50, 0x4b, 0x03, 0x04];

const page = document.getElementById("adding");
const facts = page.dataset;
const form = page.closest("form");
const input = form.querySelector("input[type=file]");
const box = form.querySelector("input[name=process]");
const button = form.querySelector("[name=_save]");
const list = document.getElementById("sending");
const sentBox = document.getElementById("sent");
const total = document.getElementById("sending-total");
const next = document.getElementById("sending-next");
const cancel = document.getElementById("sending-cancel");
const items = []; // { file, row, state, id, checked }, in the order they were chosen
let busy = false;
let stopped = false; // somebody pressed Cancel, or is signed out
let all = null; // how fast all together are: { left, samples, loaded }

const field = (item, name) => item.row.querySelector(`[data-field="${name}"]`);
const those = (...states) => items.filter((item) => states.includes(item.state));
const bytes = (some) => some.reduce((sum, item) => sum + item.file.size, 0);

function say(item, state, words) {
  item.state = state;
  item.row.className = `sending-${state}`;
  write(field(item, "words"), words);
  field(item, "bar").hidden = state !== "sending";
  field(item, "again").hidden = state !== "lost";
  field(item, "known").hidden = field(item, "anyway").hidden = state !== "known";
  field(item, "remove").hidden = state === "sent";
  field(item, "remove").firstChild.textContent = state === "sending" ? "Cancel" : "Remove";
  if (state === "sent") sentBox.querySelector("ul").append(item.row);
  showAll();
}

// Before the transfer: what the server would refuse after it, and what it has already

function at(bytes, place, signature) {
  return signature.every((byte, offset) => bytes[place + offset] === byte);
}

async function read(file, from, to) {
  return new Uint8Array(await file.slice(from, to).arrayBuffer());
}

async function whyNot(file) {
  if (file.size > Number(facts.maxUpload)) return facts.tooLarge;
  const tail = await read(file, Math.max(file.size - Number(facts.endWindow), 0), file.size);
  for (let place = tail.length - 22; place >= 0; place -= 1) {
    if (at(tail, place, END_SIGNATURE)) return "";
  }
  return at(await read(file, 0, 4), 0, START_SIGNATURE) ? facts.truncated : facts.notAZip;
}

async function check(item, known) {
  try {
    const why = await whyNot(item.file);
    if (why) say(item, "refused", why);
  } catch {
    say(item, "refused", facts.cannotBeRead);
  }
  const before = item.state === "ready" && (await known);
  if (before && item.state === "ready") {
    field(item, "known").href = before.result_url;
    say(item, "known", before.words);
  }
}

// Names may be patients': they go into a body, never into an address.
async function askWhichAreKnown(files) {
  const asked = [...files].map((file) => ({ name: file.name, size: file.size }));
  try {
    const answer = await fetch(facts.knownUrl, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": token() },
      body: JSON.stringify(asked),
    });
    return answer.ok && !answer.redirected ? (await answer.json()).known : [];
  } catch {
    return []; // what goes wrong here, the transfer will tell
  }
}

function isListed(file) {
  return items.some(
    ({ file: other }) =>
      other.name === file.name && other.size === file.size && other.lastModified === file.lastModified,
  );
}

function add(files) {
  const added = [...files].filter((file) => !isListed(file));
  const known = askWhichAreKnown(added);
  for (const [place, file] of added.entries()) {
    const row = document.getElementById("sending-row").content.firstElementChild.cloneNode(true);
    const item = { file, row, state: "ready", failures: 0 };
    field(item, "name").textContent = field(item, "name").title = file.name;
    for (const what of row.querySelectorAll("[data-field=what]")) what.textContent = ` ${file.name}`;
    field(item, "bar").setAttribute("aria-label", `${file.name} sent`);
    field(item, "size").textContent = size(file.size);
    field(item, "remove").addEventListener("click", () => remove(item));
    field(item, "again").addEventListener("click", () => tryAgain([item]));
    field(item, "anyway").addEventListener("click", () => say(item, "ready", "Ready"));
    items.push(item);
    list.append(row);
    say(item, "ready", "Ready");
    item.checked = check(item, known.then((found) => found[place]));
  }
}

function remove(item) {
  item.state = "removed";
  item.request?.abort();
  items.splice(items.indexOf(item), 1);
  item.row.remove();
  showAll();
  input.focus();
}

// What all come to

function showAll() {
  const sent = those("sent");
  const ready = those("ready").length;
  const lost = those("lost").length;
  list.hidden = sent.length === items.length;
  sentBox.hidden = !sent.length;
  write(sentBox.querySelector("summary"), `${sent.length} uploaded`);
  if (busy) return;
  button.disabled = !ready && !lost;
  button.title = items.length ? "" : "Choose a ZIP first";
  const several = ready + lost > 1 ? `Upload ${ready + lost} ZIPs` : "Upload";
  write(button, lost && !ready ? `Try ${lost} again` : several);
}

function showTotal(item, loaded) {
  const going = those("ready", "sending", "sent");
  const done = those("sent");
  const whole = bytes(going);
  const now = performance.now();
  const part = bytes(done) + loaded;
  all.samples.push({ now, part });
  while (now - all.samples[0].now > WINDOW) all.samples.shift();
  const first = all.samples[0];
  const words = [`Sending ${done.length + 1} of ${going.length}`];
  words.push(`${whole ? Math.floor((100 * part) / whole) : 0} %`);
  if (now - all.begun > ENOUGH && part > first.part) {
    all.left.guess(((whole - part) * (now - first.now)) / (part - first.part) / 1000);
    words.push(all.left.words);
  }
  write(total, words.join(" · "));
}

// The transfer

function showSpeed(item, loaded, whole) {
  const now = performance.now();
  item.samples.push({ now, loaded });
  while (now - item.samples[0].now > WINDOW) item.samples.shift();
  if (now - item.drawn < REDRAW) return;
  item.drawn = now;
  const [first] = item.samples;
  const percent = Math.floor((100 * loaded) / whole);
  const words = [`${percent} %`];
  if (now - item.begun > ENOUGH && loaded > first.loaded) {
    const perSecond = ((loaded - first.loaded) / (now - first.now)) * 1000;
    item.left.guess((whole - loaded) / perSecond);
    words.push(`${size(perSecond)}/s`, item.left.words);
  }
  field(item, "bar").value = percent;
  write(field(item, "words"), words.join(" · "));
  showTotal(item, loaded);
}

function take(item, request) {
  const answer = request.response;
  if (answer?.id) {
    item.id = answer.id;
    say(item, "sent", "Uploaded");
  } else if (answer?.errors) {
    say(item, "refused", answer.errors.join(" "));
  } else if (request.status === 413) {
    say(item, "refused", facts.tooLarge); // a proxy's own words are none of ours
  } else if (request.status === 403 || request.responseURL.includes("/login/")) {
    loseAll(item);
  } else {
    say(item, "lost", facts.serverRefused);
  }
}

// Who is signed out has to do something first; the others would only fail alike.
function loseAll(item) {
  stopped = true;
  for (const one of [item, ...those("ready")]) say(one, "lost", facts.signedOut);
}

// Asked before gigabytes are sent: "in", "out", or "away" where nobody answers.
async function whereIAm() {
  try {
    const answer = await fetch(facts.statusUrl, { cache: "no-store" });
    return answer.redirected ? "out" : "in";
  } catch {
    return "away";
  }
}

// Who signs in again in another tab has a new token, which the form on this page does not hold.
function token() {
  const [, kept] = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/) ?? [];
  return kept ?? form.elements.csrfmiddlewaretoken.value;
}

async function send(item) {
  say(item, "sending", "Starting");
  showTotal(item, 0);
  const where = await whereIAm();
  if (item.state !== "sending") return;
  if (where === "out") loseAll(item);
  else if (where === "away") await waitFor(item);
  else await transfer(item);
}

/** The connection is lost: all wait with this one until the server answers again. */
async function waitFor(item) {
  item.failures += 1;
  if (item.failures >= TRIES && (await whereIAm()) !== "away") {
    say(item, "lost", facts.connectionLost);
    return;
  }
  say(item, "ready", facts.connectionLost);
  write(total, `${facts.connectionLost} ${facts.goesOn}`);
  while (!stopped && item.state === "ready" && (await comesBack()) === "away");
}

function comesBack() {
  return new Promise((resolve) => {
    const look = () => {
      clearTimeout(timer);
      removeEventListener("online", look);
      cancel.removeEventListener("click", look);
      resolve(whereIAm());
    };
    const timer = setTimeout(look, PROBE);
    addEventListener("online", look);
    cancel.addEventListener("click", look);
  });
}

async function transfer(item) {
  const request = new XMLHttpRequest();
  const data = new FormData(form);
  data.set("csrfmiddlewaretoken", token());
  if (box?.checked) data.set("process", "on"); // a box that is locked is left out of the form
  data.set(input.name, item.file, item.file.name);
  item.request = request;
  item.begun = item.drawn = performance.now();
  item.samples = [{ now: item.begun, loaded: 0 }];
  item.left = new Left();
  field(item, "bar").value = 0;
  const ended = await new Promise((resolve) => {
    request.upload.addEventListener("progress", (event) => showSpeed(item, event.loaded, event.total));
    request.upload.addEventListener("load", () => {
      field(item, "bar").value = 100;
      write(field(item, "words"), "The server is checking it");
    });
    request.addEventListener("load", () => resolve("load"));
    request.addEventListener("error", () => resolve("error"));
    request.addEventListener("abort", () => resolve("abort"));
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.send(data);
  });
  if (ended === "error") await waitFor(item);
  else if (ended === "abort") item.state === "sending" && say(item, "ready", "Ready");
  else take(item, request);
}

function setBusy(is) {
  busy = is;
  cancel.hidden = !is;
  if (box) box.disabled = is;
  if (is) button.disabled = true;
  showAll();
}

async function sendAll() {
  stopped = false;
  all = { left: new Left(), samples: [], begun: performance.now() };
  next.hidden = true;
  setBusy(true);
  await Promise.all(items.map((item) => item.checked));
  let item; // the list may grow and shrink meanwhile
  while (!stopped && (item = items.find((one) => one.state === "ready"))) {
    await item.checked;
    if (item.state === "ready") await send(item);
  }
  setBusy(false);
  finish();
}

function tryAgain(some) {
  for (const item of some) {
    if (item.state !== "lost") continue;
    item.failures = 0;
    say(item, "ready", "Ready");
  }
  if (!busy) sendAll();
}

/** Ids as the list's address takes them: "3-62,70". */
function ranges(ids) {
  const parts = [];
  for (const id of ids.slice().sort((one, other) => one - other)) {
    if (parts.at(-1)?.[1] === id - 1) parts.at(-1)[1] = id;
    else parts.push([id, id]);
  }
  return parts.map(([low, high]) => (low < high ? `${low}-${high}` : low)).join(",");
}

function address(sent) {
  const ids = sent.map((item) => item.id);
  if (!box?.checked) return `${facts.listUrl}?these=${ranges(ids)}`;
  const asked = ids.length <= SHOWN_AT_ONCE ? ids : []; // else whatever is under way
  return `${facts.progressUrl}?${new URLSearchParams(asked.map((id) => ["upload", id]))}`;
}

function finish() {
  const sent = those("sent");
  next.href = address(sent);
  if (sent.length && sent.length === items.length) {
    location.assign(next.href);
    return;
  }
  write(total, items.length ? `${sent.length} of ${items.length} uploaded.` : "");
  write(next, box?.checked ? "Show their progress" : "Show them in the list");
  next.hidden = !sent.length;
}

// The page

function remember() {
  const name = `icon-process-when-uploaded-${facts.user}`;
  box.checked = localStorage.getItem(name) !== "0";
  box.addEventListener("change", () => localStorage.setItem(name, box.checked ? "1" : "0"));
}

function takeDrops() {
  const over = (is) => page.classList.toggle("drop-over", is);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || over(false));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    add(event.dataTransfer.files);
  });
}

input.multiple = true;
page.classList.add("scripted");
takeDrops();
if (box) remember();
showAll();
input.addEventListener("change", () => {
  add(input.files);
  input.value = ""; // what was chosen stands in the list
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (those("ready", "lost").length) tryAgain(items);
});
cancel.addEventListener("click", () => {
  stopped = true;
  for (const item of those("sending")) item.request?.abort();
});
window.addEventListener("beforeunload", (event) => {
  if (busy) event.preventDefault();
});
