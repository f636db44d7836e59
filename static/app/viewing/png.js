// A PNG of what is seen: the picture with what lies over it, its letters and its scale, and what it
// is not for.
const SIZE = 14; // of letters, in the page's pixels

// Of a stage: `lines` say whose it is, `notes` what it is and is not. Lengths are in the page's pixels.
export function pngOf(stage, { lines, notes }) {
  const { canvas, dense } = stage;
  const { width, height } = canvas;
  const { edges, scale } = stage.round;
  const target = document.createElement("canvas");
  [target.width, target.height] = [width, height];
  const pen = target.getContext("2d", { alpha: false });
  pen.drawImage(canvas, 0, 0);
  pen.scale(dense, dense);
  const [right, bottom] = [width / dense, height / dense];
  drawOver(pen, stage);
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
  [...notes].reverse().forEach((line, at) => write(line, 8, bottom - 8 - 18 * at, "left", "bottom"));
  for (const { element } of stage.labels.values()) {
    const [x, y] = [parseFloat(element.style.left), parseFloat(element.style.top)];
    if (!element.hidden) write(element.textContent, x, y, "left", "middle");
  }
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

// Washes and lines, as the page shows them.
function drawOver(pen, { slice, over, lines, box: [left, top, width, height] }) {
  if (!slice || lines.hasAttribute("hidden")) return;
  pen.save();
  if (!over.hidden) {
    const { opacity, imageRendering } = getComputedStyle(over);
    pen.globalAlpha = Number(opacity);
    pen.imageSmoothingEnabled = imageRendering !== "pixelated";
    pen.drawImage(over, left, top, width, height);
  }
  const { whole_columns: columns, whole_rows: rows } = slice.told;
  const scale = new DOMMatrix([width / columns, 0, 0, height / rows, left, top]);
  for (const path of lines.querySelectorAll("path")) drawPath(pen, path, scale);
  pen.restore();
}

// `scale`: from a pixel of the picture to the page's, which alone makes no line thicker.
function drawPath(pen, path, scale) {
  const style = getComputedStyle(path);
  if (!path.checkVisibility()) return;
  const drawn = new Path2D();
  drawn.addPath(new Path2D(path.getAttribute("d") ?? ""), scale);
  const opacity = opacityOf(path);
  if (style.fill !== "none") {
    pen.globalAlpha = opacity * Number(style.fillOpacity);
    pen.fillStyle = style.fill;
    pen.fill(drawn, style.fillRule);
  }
  if (style.stroke === "none") return;
  pen.globalAlpha = opacity * Number(style.strokeOpacity);
  pen.strokeStyle = style.stroke;
  [pen.lineWidth, pen.lineCap, pen.lineJoin] = [parseFloat(style.strokeWidth), style.strokeLinecap, style.strokeLinejoin];
  pen.setLineDash(style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(",").map(parseFloat));
  pen.stroke(drawn);
}

// Of an element within all that it lies in, up to its picture.
function opacityOf(element) {
  const own = Number(getComputedStyle(element).opacity);
  return element instanceof SVGSVGElement ? own : own * opacityOf(element.parentElement);
}

// Gives somebody a file of this name.
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
