// A PNG of what is seen: pictures with what lies over them, their letters and their scales, and what
// they are not for.
import { isVisible } from "../shared/visible.js";

const SIZE = 14; // of letters, in the page's pixels
const LINE = 18;
const [SWATCH, APART] = [9, 12]; // of a legend, in the page's pixels

// Of stages, one beside the other: `lines` say whose it is, `notes` what it is and is not: words, or a
// legend, of [words, colour].
export function pngOf(stages, { lines, notes }) {
  const target = document.createElement("canvas");
  target.width = stages.reduce((sum, { canvas }) => sum + canvas.width, 0);
  target.height = Math.max(...stages.map(({ canvas }) => canvas.height));
  const pen = target.getContext("2d", { alpha: false });
  let left = 0; // of the canvas's pixels
  for (const stage of stages) {
    pen.save();
    drawStage(pen, stage, left, stage === stages[0] ? { lines, notes } : { lines: [], notes: [] });
    pen.restore();
    left += stage.canvas.width;
  }
  return new Promise((made) => target.toBlob(made, "image/png"));
}

// From here on lengths are in the page's pixels.
function drawStage(pen, stage, left, { lines, notes }) {
  const { canvas, dense } = stage;
  const [right, bottom] = [canvas.width / dense, canvas.height / dense];
  pen.drawImage(canvas, left, 0);
  pen.setTransform(dense, 0, 0, dense, left, 0);
  pen.beginPath();
  pen.rect(0, 0, right, bottom);
  pen.clip();
  drawOver(pen, stage);
  pen.font = `600 ${SIZE}px system-ui, sans-serif`;
  pen.fillStyle = pen.strokeStyle = "#fff";
  [pen.shadowColor, pen.shadowBlur] = ["#000", 3 * dense];
  const write = (text, x, y, align, baseline) => {
    [pen.textAlign, pen.textBaseline] = [align, baseline];
    pen.fillText(text, x, y, right - 16);
    pen.fillText(text, x, y, right - 16); // for a darker shadow
  };
  const { edges, scale, name } = stage.round;
  const said = [...lines, name].filter(Boolean);
  write(edges.left, 8, bottom / 2, "left", "middle");
  write(edges.right, right - 8, bottom / 2, "right", "middle");
  write(edges.top, right / 2, said.length ? 8 + LINE * said.length : 6, "center", "top");
  write(edges.bottom, right / 2, bottom - 6, "center", "bottom");
  said.forEach((line, at) => write(line, 8, 8 + LINE * at, "left", "top"));
  [...notes].reverse().forEach((note, at) => {
    const low = bottom - 8 - LINE * at;
    if (typeof note === "string") write(note, 8, low, "left", "bottom");
    else drawLegend(pen, write, note, [8, low, right - 16]);
  });
  for (const { element, isCentred } of stage.labels.values()) {
    if (element.hidden) continue;
    const [x, y] = [parseFloat(element.style.left), parseFloat(element.style.top)];
    pen.fillStyle = getComputedStyle(element).color;
    write(element.textContent, x, y, isCentred ? "center" : "left", "middle");
    pen.fillStyle = "#fff";
  }
  if (scale) drawScale(pen, write, right - scale.right, bottom - scale.bottom, scale);
}

// In a row, narrower where there is no room.
function drawLegend(pen, write, legend, [left, low, room]) {
  const widthOf = ([words, colour]) => pen.measureText(words).width + APART + (colour ? SWATCH + 4 : 0);
  const width = legend.reduce((sum, one) => sum + widthOf(one), 0);
  pen.save();
  pen.translate(left, low);
  pen.scale(Math.min(room / width, 1), 1);
  let at = 0;
  for (const one of legend) {
    const [words, colour] = one;
    if (colour) {
      pen.fillStyle = colour;
      pen.fillRect(at, -SWATCH - 4, SWATCH, SWATCH);
      pen.strokeRect(at, -SWATCH - 4, SWATCH, SWATCH);
      pen.fillStyle = "#fff";
    }
    write(words, at + (colour ? SWATCH + 4 : 0), 0, "left", "bottom");
    at += widthOf(one);
  }
  pen.restore();
}

function drawScale(pen, write, end, low, { length, text }) {
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(end - length, low - 16);
  pen.lineTo(end - length, low);
  pen.lineTo(end, low);
  pen.lineTo(end, low - 16);
  pen.stroke();
  const beyond = Math.max(pen.measureText(text).width - length, 0); // to the left, where there is room
  write(text, end - (length + beyond) / 2, low - 3, "center", "bottom");
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
  if (!isVisible(path)) return;
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
