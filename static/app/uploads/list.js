// Keeps the badges, counts and buttons of the admin's list of uploads current.
import { poll, saySignedOut } from "../shared/poll.js";

const list = document.getElementById("uploads");
const rows = new Map(
  [...list.querySelectorAll("[data-upload]")].map((cell) => [cell.dataset.upload, cell.closest("tr")]),
);

function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

// The number of the filter "Needs attention", which counts the rows of other pages, too.
function countAttention(before, after) {
  const link = document.querySelector('#changelist-filter a[href*="attention=1"]');
  const needs = (look) => /status-(attention|failed)/.test(look);
  const more = needs(after) - needs(before);
  if (link && more) {
    write(link, link.textContent.replace(/[\d,]+/, (n) => (Number(n.replace(",", "")) + more).toLocaleString("en")));
  }
}

function showRow(row, state) {
  const badge = row.querySelector(".status");
  countAttention(badge.className, `status-${state.tone}`);
  badge.className = `status status-${state.tone}`;
  const percent = state.status === "in_progress" ? ` ${state.percent} %` : "";
  write(badge, state.status_label + percent);
  write(row.querySelector(".field-files"), state.outcome_words || "-");
  const buttons = {
    start: state.can_start,
    cancel: state.live,
    progress: state.live,
    result: !state.live && (state.status !== "pending" || state.files_done > 0),
  };
  for (const [name, is] of Object.entries(buttons)) {
    const button = row.querySelector(`[data-field="${name}"]`);
    // Never hide what has the keyboard's focus: it would be lost.
    if (button && button !== document.activeElement) button.hidden = !is;
  }
  const label = row.querySelector('[data-field="start-label"]');
  write(label, state.status === "pending" ? "Process Now" : "Process again");
}

function show(states) {
  for (const state of states) {
    const row = rows.get(String(state.id));
    if (row) showRow(row, state);
  }
  const live = states.some((state) => state.live);
  return Number(live ? list.dataset.pollSeconds : list.dataset.idleSeconds);
}

if (rows.size) {
  const asked = new URLSearchParams([...rows.keys()].map((id) => ["upload", id]));
  const connection = document.getElementById("connection");
  poll({
    url: `${list.dataset.statusUrl}?${asked}`,
    show,
    lost: (failures) => write(connection, failures ? "Reconnecting…" : ""),
    refused: () => saySignedOut(connection),
  });
}
