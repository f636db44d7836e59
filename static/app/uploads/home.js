// Keeps the badges and steps of what runs current on the first page.
import { poll, saySignedOut } from "../shared/poll.js";
import { showLive, write } from "../shared/words.js";

const running = document.getElementById("running");
const connection = document.getElementById("connection");

function show({ uploads, progress }) {
  showLive(progress);
  for (const state of uploads) {
    const line = running.querySelector(`[data-upload="${state.id}"]`);
    const badge = line.querySelector(".status");
    badge.className = `status status-${state.tone}`;
    write(badge, state.badge);
    write(line.querySelector("[data-field=step]"), state.step);
  }
  return uploads.some((state) => state.live) ? Number(running.dataset.pollSeconds) : 0;
}

poll({
  url: running.dataset.statusUrl,
  show,
  lost: (failures) => write(connection, failures ? "Reconnecting…" : ""),
  refused: () => saySignedOut(connection),
});
