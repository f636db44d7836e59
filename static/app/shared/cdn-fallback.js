"use strict";

// A stylesheet or script of the CDN that does not load, or is not what its integrity hash
// says, is replaced by the local copy it names. Errors of elements do not bubble: capture.
document.addEventListener("error", (event) => {
  const failed = event.target;
  const local = failed.dataset && failed.dataset.fallback;
  if (!local) return;
  const copy = document.createElement(failed.tagName);
  if (failed.tagName === "LINK") {
    copy.rel = "stylesheet";
    copy.href = local;
  } else {
    copy.src = local;
  }
  failed.after(copy); // in the same place, so that ICON's own rules still come later
}, true);
