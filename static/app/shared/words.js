// How what the server says comes onto a page; sizes and times in words, as the server writes them.

/** Write `text` into an element, if both are there and it says something else: nothing flickers. */
export function write(element, text) {
  const words = String(text ?? element?.textContent);
  if (element && element.textContent !== words) element.textContent = words;
}

/** Show the buttons that make sense now, and call each by the name it is given; "" is none. */
export function showButtons(root, labels) {
  for (const [name, label] of Object.entries(labels)) {
    const button = root.querySelector(`[data-field="${name}"]`);
    if (!button) continue; // this reader may not press it
    if (label) write(button.querySelector('[data-field="label"]'), label);
    // Never hide what has the keyboard's focus: it would be lost.
    if (!button.contains(document.activeElement)) button.hidden = !label;
  }
}

/** Say in the head of the page how many uploads run. */
export function showLive(words) {
  for (const link of document.querySelectorAll('[data-site="progress"]')) write(link, words);
}

/** A number of bytes: "1 byte", "640 bytes", "64 MB", "3.1 GB". */
export function size(bytes) {
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${Math.round(bytes)} bytes`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let value = bytes / 1000;
  while (value >= 999.95 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${Number(value.toFixed(1))} ${units[0]}`;
}

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** How fast files are read: "3.5 files/s", "1,283 files/s". */
export function rate(perSecond) {
  return `${perSecond < 10 ? perSecond.toFixed(1) : grouped.format(perSecond)} files/s`;
}

/** How long something will still take, in steps that do not jump about. */
export function timeLeft(seconds) {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 55) return `about ${Math.ceil(seconds / 5) * 5} s left`;
  if (seconds < 3300) return `about ${Math.ceil(seconds / 60)} min left`;
  return `about ${Math.round(seconds / 360) / 10} h left`;
}
