// How a picture lies on its canvas: fitted, or enlarged and moved. Sizes are in the canvas's pixels.
const LARGEST = 32; // of the screen's pixels a pixel takes
const STEP = 1.25;

export class View {
  constructor(canvas) {
    this.canvas = canvas;
    this.fit();
  }

  // The picture: its columns and rows, and how high a pixel is that is 1 wide.
  show(columns, rows, [, height]) {
    [this.columns, this.rows] = [columns, rows];
    // Neither side has less of the screen than its pixels have.
    [this.across, this.down] = height < 1 ? [1 / height, 1] : [1, height];
  }

  fit() {
    [this.zoom, this.x, this.y] = [null, 0, 0];
  }

  oneToOne() {
    [this.zoom, this.x, this.y] = [1, 0, 0];
  }

  get fitting() {
    const { canvas, columns, rows } = this;
    return Math.min(canvas.width / (columns * this.across), canvas.height / (rows * this.down));
  }

  // How many of the canvas's pixels one takes.
  get scale() {
    return this.zoom ?? this.fitting;
  }

  // Where the picture lies on the canvas: left, top, width, height.
  get box() {
    const { canvas, scale } = this;
    const width = this.columns * this.across * scale;
    const height = this.rows * this.down * scale;
    const left = Math.round((canvas.width - width) / 2 + this.x);
    return [left, Math.round((canvas.height - height) / 2 + this.y), width, height];
  }

  // Where what has been sent of it lies: the last of every so many rows and columns may reach beyond.
  boxOf({ rows, columns, step }) {
    const [left, top, width, height] = this.box;
    return [left, top, (width * columns * step) / this.columns, (height * rows * step) / this.rows];
  }

  zoomBy(steps, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    const [left, top, width] = this.box;
    const least = Math.min(this.fitting, 1) / 2;
    const scale = Math.min(Math.max(this.scale * STEP ** steps, least), LARGEST);
    const [across, down] = [(x - left) / width, (y - top) / width];
    this.zoom = scale;
    const [nowLeft, nowTop, nowWidth] = this.box;
    this.move(x - across * nowWidth - nowLeft, y - down * nowWidth - nowTop);
  }

  // Not so far that none of it is seen.
  move(x, y) {
    const { width, height } = this.canvas;
    const [, , wide, high] = this.box;
    const within = (value, most) => Math.min(Math.max(value, -most), most);
    this.x = within(this.x + x, (width + wide) / 2 - 20);
    this.y = within(this.y + y, (height + high) / 2 - 20);
  }

  // The column and the row at a place of the canvas; null beside the picture.
  pixelAt(x, y) {
    const [left, top, width, height] = this.box;
    const column = Math.floor(((x - left) / width) * this.columns);
    const row = Math.floor(((y - top) / height) * this.rows);
    const isIn = column >= 0 && row >= 0 && column < this.columns && row < this.rows;
    return isIn ? [column, row] : null;
  }
}
