// Keeps the badges, counts, buttons and tabs of the admin's list of uploads current.
import { poll, saySignedOut } from "../shared/poll.js";
import { showButtons, showLive, write } from "../shared/words.js";

const list = document.getElementById("uploads");
const rows = new Map(
  [...list.querySelectorAll("[data-upload]")].map((cell) => [cell.dataset.upload, cell.closest("tr")]),
);

function showRow(row, state) {
  const badge = row.querySelector(".status");
  badge.className = `status status-${state.tone}`;
  write(badge, state.badge);
  write(row.querySelector(".field-files"), state.outcome_words);
  write(row.querySelector(".field-why"), state.message);
  showButtons(row, state.buttons);
}

function show({ uploads, progress, tabs = {} }) {
  showLive(progress);
  for (const [name, words] of Object.entries(tabs)) {
    write(document.querySelector(`#tabs [data-tab="${name}"]`), words);
  }
  for (const state of uploads) {
    const row = rows.get(String(state.id));
    if (row) showRow(row, state);
  }
  const live = uploads.some((state) => state.live);
  return Number(live ? list.dataset.pollSeconds : list.dataset.idleSeconds);
}

if (rows.size) {
  const asked = new URLSearchParams([...rows.keys()].map((id) => ["upload", id]));
  asked.set("tabs", 1);
  asked.set("whose", list.dataset.whose);
  const connection = document.getElementById("connection");
  poll({
    url: `${list.dataset.statusUrl}?${asked}`,
    show,
    lost: (failures) => write(connection, failures ? "Reconnecting…" : ""),
    refused: () => saySignedOut(connection),
  });
}

// The action's button says what is missing, and cannot be pressed before.
const go = list.querySelector(".actions button[name=index]");

function offer() {
  const action = list.querySelector(".actions select[name=action]").value;
  const some = list.querySelector("input.action-select:checked");
  go.disabled = !action || !some;
  go.title = go.disabled ? "Choose an action and at least one upload first" : "";
}

if (go) {
  list.addEventListener("change", offer);
  list.addEventListener("click", () => setTimeout(offer)); // Django's own links choose rows, too
  offer();
}
