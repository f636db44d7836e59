// Plays slices one after the other, so many a second. It never begins by itself.
export const USUAL_RATE = 10; // a second, where the file says nothing
export const FASTEST = 60; // the screen's

export class Cine {
  // `next` shows the next slice, and says whether it could: what has not come is waited for.
  constructor(next) {
    this.next = next;
    this.rate = USUAL_RATE;
    this.handle = null;
  }

  get isOn() {
    return this.handle !== null;
  }

  start() {
    let due = performance.now() + 1000 / this.rate;
    const tick = (now) => {
      this.handle = requestAnimationFrame(tick);
      if (now < due || !this.next()) return;
      const each = 1000 / this.rate;
      due = Math.max(due + each, now - each); // what was waited for is not made up for
    };
    this.handle = requestAnimationFrame(tick);
  }

  stop() {
    if (this.isOn) cancelAnimationFrame(this.handle);
    this.handle = null;
  }
}
