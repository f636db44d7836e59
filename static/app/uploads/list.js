// Keeps the badges, counts and buttons of the admin's list of uploads current.
import { poll, saySignedOut } from "../shared/poll.js";
import { write } from "../shared/words.js";

const list = document.getElementById("uploads");
const rows = new Map(
  [...list.querySelectorAll("[data-upload]")].map((cell) => [cell.dataset.upload, cell.closest("tr")]),
);

function showRow(row, state) {
  const badge = row.querySelector(".status");
  badge.className = `status status-${state.tone}`;
  write(badge, state.badge);
  write(row.querySelector(".field-files"), state.outcome_words || "-");
  for (const [name, is] of Object.entries(state.buttons)) {
    const button = row.querySelector(`[data-field="${name}"]`);
    // Never hide what has the keyboard's focus: it would be lost.
    if (button && button !== document.activeElement) button.hidden = !is;
  }
  if (state.buttons.start) write(row.querySelector('[data-field="start-label"]'), state.buttons.start);
}

function show({ uploads, attention_words: attention }) {
  write(document.querySelector('#changelist-filter a[href*="attention=1"]'), attention);
  for (const state of uploads) {
    const row = rows.get(String(state.id));
    if (row) showRow(row, state);
  }
  const live = uploads.some((state) => state.live);
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
