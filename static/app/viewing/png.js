// A PNG of what is seen: the picture with its letters and its scale, and what it is not for.
const SIZE = 14; // of letters, in the page's pixels
const WARNING = "Not for diagnosis";

// What stands on a picture: `edges` by their names, `scale` {length, text, right, bottom}, `lines`
// that say whose it is, `notes` that say what it is. Lengths are in the page's pixels.
export function pngOf(canvas, { edges, scale, lines, notes }) {
  const { width, height } = canvas;
  const dense = width / canvas.clientWidth;
  const target = document.createElement("canvas");
  [target.width, target.height] = [width, height];
  const pen = target.getContext("2d", { alpha: false });
  pen.drawImage(canvas, 0, 0);
  pen.scale(dense, dense);
  const [right, bottom] = [width / dense, height / dense];
  pen.font = `600 ${SIZE}px system-ui, sans-serif`;
  pen.fillStyle = pen.strokeStyle = "#fff";
  [pen.shadowColor, pen.shadowBlur] = ["#000", 3 * dense];
  const write = (text, x, y, align, baseline) => {
    [pen.textAlign, pen.textBaseline] = [align, baseline];
    pen.fillText(text, x, y, right - 16);
    pen.fillText(text, x, y, right - 16); // for a darker shadow
  };
  write(edges.left, 8, bottom / 2, "left", "middle");
  write(edges.right, right - 8, bottom / 2, "right", "middle");
  write(edges.top, right / 2, lines.length ? 8 + 18 * lines.length : 6, "center", "top");
  write(edges.bottom, right / 2, bottom - 6, "center", "bottom");
  lines.forEach((line, at) => write(line, 8, 8 + 18 * at, "left", "top"));
  [...notes, WARNING].reverse().forEach((line, at) => write(line, 8, bottom - 8 - 18 * at, "left", "bottom"));
  if (scale) {
    const [end, low] = [right - scale.right, bottom - scale.bottom];
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(end - scale.length, low - 16);
    pen.lineTo(end - scale.length, low);
    pen.lineTo(end, low);
    pen.lineTo(end, low - 16);
    pen.stroke();
    write(scale.text, end - scale.length / 2, low - 3, "center", "bottom");
  }
  return new Promise((made) => target.toBlob(made, "image/png"));
}

// Gives somebody a file of this name.
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
