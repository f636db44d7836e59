// Keeps the badges, counts and buttons of the admin's list of uploads current.
import { poll } from "./poll.js";

const list = document.getElementById("uploads");
const rows = new Map(
  [...list.querySelectorAll("[data-upload]")].map((cell) => [cell.dataset.upload, cell.closest("tr")]),
);

function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function showRow(row, state) {
  const badge = row.querySelector(".status");
  badge.className = `status status-${state.tone}`;
  const percent = state.status === "in_progress" ? ` ${state.percent} %` : "";
  write(badge, state.status_label + percent);
  write(row.querySelector(".field-files"), state.outcome_words || "-");
  const buttons = {
    start: state.can_start,
    cancel: state.live,
    progress: state.live,
    result: !state.live && state.status !== "pending",
  };
  for (const [name, is] of Object.entries(buttons)) {
    const button = row.querySelector(`[data-field="${name}"]`);
    // Never hide what has the keyboard's focus: it would be lost.
    if (button && button !== document.activeElement) button.hidden = !is;
  }
  const start = row.querySelector('[data-field="start"]');
  if (start) write(start, state.status === "pending" ? "Process Now" : "Process again");
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
    refused: () => write(connection, "You are no longer signed in. Reload this page to sign in again."),
  });
}
