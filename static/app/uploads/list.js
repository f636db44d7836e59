// Keeps the badges, counts and buttons of the admin's list of uploads current.
import { poll, saySignedOut } from "../shared/poll.js";
import { showButtons, write } from "../shared/words.js";

const list = document.getElementById("uploads");
const rows = new Map(
  [...list.querySelectorAll("[data-upload]")].map((cell) => [cell.dataset.upload, cell.closest("tr")]),
);

function showRow(row, state) {
  const badge = row.querySelector(".status");
  badge.className = `status status-${state.tone}`;
  write(badge, state.badge);
  write(row.querySelector(".field-files"), state.outcome_words || "-");
  showButtons(row, state.buttons);
}

const ATTENTION = '#changelist-filter [data-filter-title="attention"] a[href*="attention=1"]';

function show({ uploads, attention_words: attention }) {
  write(document.querySelector(ATTENTION), attention);
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
