// Sizes and times in words, as the server writes them, and how words come onto a page.

/** Write `text` into an element, if it is there and says something else: nothing flickers. */
export function write(element, text) {
  const words = String(text);
  if (element && element.textContent !== words) element.textContent = words;
}

/** A number of bytes: "640 bytes", "64 MB", "3.1 GB". */
export function size(bytes) {
  let value = bytes;
  for (const unit of ["bytes", "kB", "MB", "GB"]) {
    if (value < 1000 || unit === "GB") return `${Number(value.toFixed(unit === "bytes" ? 0 : 1))} ${unit}`;
    value /= 1000;
  }
}

/** How long something will still take, in steps that do not jump about. */
export function timeLeft(seconds) {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 3300) return `about ${Math.ceil(seconds / 60)} min left`;
  return `about ${Math.round(seconds / 360) / 10} h left`;
}
