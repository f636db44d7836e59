// Keeps the cards or rows of the progress page current. The server drew them; this only moves them
// on, and has it draw what comes.
import { notifier } from "../shared/notify.js";
import { poll, saySignedOut } from "../shared/poll.js";
import { showButtons, showLive, write } from "../shared/words.js";
import { Pace, remaining } from "./pace.js";

const field = (root, name) => root.querySelector(`[data-field="${name}"]`);
const page = document.getElementById("progress");
const cards = new Map(
  [...page.querySelectorAll("[data-upload]")].map((card) => [Number(card.dataset.upload), card]),
);
const rows = document.getElementById("rows"); // of many; null where each has a card
const bar = field(page, "total-bar");
const paces = new Map([...cards.keys()].map((id) => [id, new Pace()]));
const shown = new Map(); // id -> the state on the page
const number = new Intl.NumberFormat("en");

function showStages(card, state) {
  for (const { value, look, words } of state.stages) {
    const item = card.querySelector(`[data-stage="${value}"]`);
    item.className = `stage stage-${look}`;
    write(field(item, "stage-words"), words);
    if (look === "current") item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
  }
}

function showBar(card, state) {
  const bar = field(card, "bar");
  const fill = field(card, "fill");
  bar.setAttribute("aria-valuenow", state.percent);
  bar.setAttribute("aria-valuetext", `${state.percent} %, ${state.label}`);
  fill.style.transition = "";
  fill.style.width = `${state.percent}%`;
  fill.className = `progress-bar bar-${state.tone}`
    + (state.moving ? " progress-bar-striped progress-bar-animated" : "");
  if (field(card, "percent")) write(field(card, "percent"), state.percent);
}

function showBadge(card, state) {
  field(card, "badge").className = `badge status status-${state.tone}`;
  field(card, "badge-icon").className = `bi bi-${state.icon}`;
  write(field(card, "status"), state.label);
}

function showCounts(card, state) {
  write(field(card, "files_done"), number.format(state.files_done));
  write(field(card, "files_total"), number.format(state.files_total));
  field(card, "of-total").hidden = !state.files_total;
  for (const [outcome, count] of Object.entries(state.outcomes)) {
    write(card.querySelector(`[data-outcome="${outcome}"]`), number.format(count));
  }
}

function showEnd(card, state) {
  const message = field(card, "message");
  message.className = `ending ending-${state.tone}`;
  message.hidden = !state.message;
  write(message, state.message);
  showButtons(card, state.buttons);
  const told = card.querySelector("[data-live-only]");
  if (told && !told.contains(document.activeElement)) told.hidden = !state.live;
}

function showRow(row, state) {
  const pace = paces.get(state.id).words(state);
  const words = state.message || (state.moving ? [`${state.percent} %`, state.step, pace] : [state.step]);
  write(field(row, "row-words"), typeof words === "string" ? words : words.filter(Boolean).join(" · "));
  showBadge(row, state);
  showBar(row, state);
  showButtons(row, state.buttons);
  const moved = row.dataset.tone !== state.tone;
  row.dataset.tone = state.tone;
  row.hidden = Boolean(page.dataset.only) && page.dataset.only !== state.tone;
  return moved;
}

/** What runs first, what has ended last; not under the hands of who is at one of them. */
function sortRows(states) {
  if (rows.contains(document.activeElement)) return;
  rows.append(...states.slice().sort((one, other) => one.rank - other.rank).map(({ id }) => cards.get(id)));
}

function showCard(card, state) {
  if (rows) return showRow(card, state);
  showBadge(card, state);
  showStages(card, state);
  showBar(card, state);
  write(field(card, "step"), state.step);
  write(field(card, "pace"), paces.get(state.id).words(state));
  showCounts(card, state);
  showEnd(card, state);
  return false;
}

/** The bar of all, in the colours of how each stands. */
function showParts(states, whole) {
  for (const part of bar.querySelectorAll("[data-part]")) {
    const some = states.filter(({ tone }) => (tone === "queued" ? "pending" : tone) === part.dataset.part);
    const done = some.reduce((sum, state) => sum + (state.live ? state.percent : 100) * (state.size || 1), 0);
    part.style.width = `${part.dataset.part === "pending" ? 0 : done / whole}%`;
  }
}

function showTones(states) {
  for (const tone of page.querySelectorAll(".tone")) {
    const count = states.filter((state) => state.tone === tone.dataset.only).length;
    const words = count === 1 ? tone.dataset.one : tone.dataset.many;
    write(field(tone, "count"), `${number.format(count)} ${words}`);
    tone.hidden = !count && tone.dataset.only !== page.dataset.only;
  }
}

function showOnly(tone) {
  page.dataset.only = page.dataset.only === tone ? "" : tone;
  for (const link of page.querySelectorAll(".tone")) {
    if (link.dataset.only === page.dataset.only) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  for (const row of cards.values()) {
    row.hidden = Boolean(page.dataset.only) && row.dataset.tone !== page.dataset.only;
  }
}

function showTotal(states) {
  const over = states.filter((state) => !state.live && state.message).length;
  // A large archive takes longer than a small one: weigh each by its bytes.
  const whole = states.reduce((sum, state) => sum + (state.size || 1), 0);
  const part = states.reduce((sum, state) => sum + state.percent * (state.size || 1), 0);
  const percent = whole ? Math.floor(part / whole) : 0;
  if (bar) {
    bar.setAttribute("aria-valuenow", percent);
    showParts(states, whole);
    const moving = states.filter((state) => state.live);
    const left = remaining(moving.map((state) => paces.get(state.id)));
    write(field(page, "total-words"), `${over} of ${states.length} uploads done${left && ` · ${left}`}`);
  }
  const live = states.some((state) => state.live);
  const title = states.length > 1 && !live ? `${over}/${states.length} done` : `${percent} %`;
  document.title = `${live || states.length > 1 ? title : states[0].label} · ${page.dataset.title}`;
}

function tell(before, state) {
  if (!before || (before.status === state.status && before.stage === state.stage)) return "";
  const name = cards.get(state.id).querySelector("h2").textContent;
  if (before.status !== state.status) return `${name}: ${state.label}. ${state.message}`;
  return state.moving ? `${name}: ${state.step}` : "";
}

// Counts only: a notification may stand on a locked screen, and a ZIP's name may be a patient's.
function endings(states) {
  const counts = new Map();
  for (const { ended } of states) counts.set(ended, (counts.get(ended) || 0) + 1);
  return `Uploads: ${[...counts].map(([ended, number]) => `${number} ${ended}`).join(", ")}.`;
}

const loaded = performance.now();
const liveSeconds = Number(page.dataset.liveSeconds || 0); // 0 where it watches certain uploads only

/** Have the server draw what has come, beside what is here. */
function drawNew(ids) {
  const asked = new URLSearchParams([...cards.keys(), ...ids].slice(-150).map((id) => ["upload", id]));
  location.replace(`${page.dataset.pageUrl}?live=1&${asked}`);
}

function show({ uploads, progress }) {
  showLive(progress);
  const come = uploads.filter((state) => !cards.has(state.id)).map((state) => state.id);
  const tooSoon = cards.size && performance.now() - loaded < liveSeconds * 1000;
  if (liveSeconds && come.length && !tooSoon) {
    drawNew(come);
    return 0;
  }
  const known = uploads.filter((state) => cards.has(state.id));
  const news = [];
  let moved = false;
  for (const state of known) {
    const before = shown.get(state.id);
    if (before && before.live && state.live) state.percent = Math.max(before.percent, state.percent);
    news.push(tell(before, state));
    moved = showCard(cards.get(state.id), state) || moved;
    shown.set(state.id, state);
  }
  if (!known.length) return liveSeconds;
  if (moved) sortRows(known);
  showTotal(known);
  showTones(known);
  const words = news.filter(Boolean).join(" ");
  if (words) write(field(page, "news"), words);
  if (known.some((state) => state.live)) return Number(page.dataset.pollSeconds);
  notify(endings(known));
  // What was queued has ended, and with it the news of it.
  for (const message of document.querySelectorAll("main > .alert-success")) message.remove();
  return liveSeconds;
}

for (const link of page.querySelectorAll(".tone")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    showOnly(link.dataset.only);
    const address = new URL(location.href);
    if (page.dataset.only) address.searchParams.set("only", page.dataset.only);
    else address.searchParams.delete("only");
    history.replaceState(null, "", address);
  });
}

const connection = field(page, "connection");
const button = field(page, "notify"); // only while something is under way
const notify = button ? notifier(button) : () => {};

for (const card of cards.values()) {
  const fill = field(card, "fill");
  // The first width is no movement: a page that was opened again shows the bar where it stands.
  fill.style.transition = "none";
  fill.style.width = `${field(card, "bar").getAttribute("aria-valuenow")}%`;
}

if (cards.size || liveSeconds) {
  poll({
    url: page.dataset.statusUrl,
    show,
    lost: (failures) => write(connection, failures ? "Reconnecting…" : ""),
    refused: () => saySignedOut(connection),
  });
}
