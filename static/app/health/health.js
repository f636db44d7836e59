// Keeps the progress of a check current, and shows the page anew when its state has changed.
import { poll, saySignedOut } from "../shared/poll.js";
import { write } from "../shared/words.js";

const checking = document.getElementById("checking");
const connection = document.getElementById("connection");

function show({ words, percent, live }) {
  if (!live) {
    window.location.reload();
    return 0;
  }
  checking.querySelector("progress").value = percent;
  write(checking.querySelector("[data-field=words]"), words);
  write(checking.querySelector("[data-field=percent]"), String(percent));
  return Number(checking.dataset.pollSeconds);
}

poll({
  url: checking.dataset.statusUrl,
  show,
  lost: (failures) => write(connection, failures ? "Reconnecting…" : ""),
  refused: () => saySignedOut(connection),
});
