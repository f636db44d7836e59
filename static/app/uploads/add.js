// Sends ZIPs from the add page one after the other, and says how far each one is.
import { size } from "../shared/words.js";
import { Left } from "./pace.js";

const WINDOW = 10_000; // milliseconds that the speed is measured over
const ENOUGH = 2_000; // milliseconds of sending before a speed is worth showing
const REDRAW = 500; // milliseconds
const END_SIGNATURE = [0x50, 0x4b, 0x05, 0x06]; // "PK", 5, 6: every ZIP ends with it
const START_SIGNATURE = [0x50, 0x4b, 0x03, 0x04];

const page = document.getElementById("adding");
const facts = page.dataset;
const form = page.closest("form");
const input = form.querySelector("input[type=file]");
const box = form.querySelector("input[name=process]");
const button = form.querySelector("[name=_save]");
const list = document.getElementById("sending");
const total = document.getElementById("sending-total");
const next = document.getElementById("sending-next");
const items = []; // { file, row, state, id, checked }, in the order they were chosen
let busy = false;

function field(item, name) {
  return item.row.querySelector(`[data-field="${name}"]`);
}

function say(item, state, words) {
  item.state = state;
  item.row.className = `sending-${state}`;
  field(item, "words").textContent = words;
  field(item, "bar").hidden = state === "refused";
  field(item, "again").hidden = state !== "lost";
  field(item, "remove").hidden = state === "sent";
  field(item, "remove").firstChild.textContent = state === "sending" ? "Cancel" : "Remove";
}

// Before the transfer: what the server would refuse after it

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

async function check(item) {
  try {
    const why = await whyNot(item.file);
    if (why) say(item, "refused", why);
  } catch {
    say(item, "refused", facts.cannotBeRead);
  }
}

function add(files) {
  for (const file of files) {
    const row = document.getElementById("sending-row").content.firstElementChild.cloneNode(true);
    const item = { file, row, state: "ready" };
    field(item, "name").textContent = file.name;
    for (const what of row.querySelectorAll("[data-field=what]")) what.textContent = ` ${file.name}`;
    field(item, "bar").setAttribute("aria-label", `${file.name} sent`);
    field(item, "size").textContent = size(file.size);
    field(item, "remove").addEventListener("click", () => remove(item));
    field(item, "again").addEventListener("click", () => tryAgain([item]));
    say(item, "ready", "Ready");
    items.push(item);
    list.append(row);
    item.checked = check(item);
  }
  list.hidden = items.length === 0;
  total.textContent = "";
}

function remove(item) {
  item.state = "removed";
  item.request?.abort();
  items.splice(items.indexOf(item), 1);
  item.row.remove();
  list.hidden = items.length === 0;
  input.focus();
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
  field(item, "words").textContent = words.join(" · ");
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
  } else {
    const out = request.status === 403 || request.responseURL.includes("/login/");
    say(item, "lost", out ? facts.signedOut : facts.serverRefused);
  }
}

// Asked before gigabytes are sent; what goes wrong with the question, the transfer will tell.
async function isSignedOut() {
  try {
    const answer = await fetch(facts.statusUrl, { cache: "no-store" });
    return answer.redirected;
  } catch {
    return false;
  }
}

// Who signs in again in another tab has a new token, which the form on this page does not hold.
function token() {
  return document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
}

async function send(item) {
  say(item, "sending", "Starting");
  if (await isSignedOut()) {
    say(item, "lost", facts.signedOut);
    return;
  }
  if (item.state === "sending") await transfer(item);
}

function transfer(item) {
  const request = new XMLHttpRequest();
  const data = new FormData(form);
  if (token()) data.set("csrfmiddlewaretoken", token());
  data.set(input.name, item.file, item.file.name);
  item.request = request;
  item.begun = item.drawn = performance.now();
  item.samples = [{ now: item.begun, loaded: 0 }];
  item.left = new Left();
  field(item, "bar").value = 0;
  return new Promise((resolve) => {
    request.upload.addEventListener("progress", (event) => showSpeed(item, event.loaded, event.total));
    request.upload.addEventListener("load", () => {
      field(item, "bar").value = 100;
      field(item, "words").textContent = "The server is checking it";
    });
    request.addEventListener("load", () => take(item, request));
    request.addEventListener("error", () => say(item, "lost", facts.connectionLost));
    request.addEventListener("loadend", resolve);
    request.open("POST", form.action);
    request.setRequestHeader("Accept", "application/json");
    request.responseType = "json";
    request.send(data);
  });
}

async function sendAll() {
  busy = button.disabled = true;
  await Promise.all(items.map((item) => item.checked));
  let item; // the list may grow and shrink meanwhile
  while ((item = items.find((one) => one.state === "ready"))) {
    await item.checked;
    if (item.state === "ready") await send(item);
  }
  busy = button.disabled = false;
  finish();
}

function tryAgain(some) {
  for (const item of some) if (item.state === "lost") say(item, "ready", "Ready");
  if (!busy) sendAll();
}

function finish() {
  const sent = items.filter((item) => item.state === "sent");
  const asked = new URLSearchParams(sent.map((item) => ["upload", item.id]));
  next.href = box?.checked ? `${facts.progressUrl}?${asked}` : facts.listUrl;
  if (sent.length && sent.length === items.length) {
    location.assign(next.href);
    return;
  }
  total.textContent = `${sent.length} of ${items.length} uploaded.`;
  next.textContent = box?.checked ? "Show their progress" : "Show all uploads";
  next.hidden = !sent.length;
}

// The page

function remember() {
  const name = `icon-process-when-uploaded-${facts.user}`;
  box.checked = localStorage.getItem(name) === "1";
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
page.classList.add("drop-zone");
document.getElementById("drop-words").hidden = false;
takeDrops();
if (box) remember();
input.addEventListener("change", () => {
  add(input.files);
  input.value = ""; // what was chosen stands in the list
});
form.addEventListener("submit", (event) => {
  if (!items.length) return;
  event.preventDefault();
  tryAgain(items);
});
window.addEventListener("beforeunload", (event) => {
  if (busy) event.preventDefault();
});
