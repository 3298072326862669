// Which part of the call is on screen, and where the cursor stands.

const content = JSON.parse(document.getElementById("content").textContent);
const CLOSEST = 400;

const view = {
  seconds: content.seconds,
  begin: 0,
  scale: 1,
  width: 1,
  cursor: 0,
  listeners: [],

  x(time) { return (time - this.begin) * this.scale; },
  time(x) { return this.begin + x / this.scale; },
  get end() { return this.begin + this.width / this.scale; },
  get smallest() { return this.width / this.seconds; },

  changed() { for (const listener of this.listeners) listener(); },

  place(begin, scale) {
    this.scale = Math.min(Math.max(scale, this.smallest), CLOSEST);
    const latest = Math.max(0, this.seconds - this.width / this.scale);
    this.begin = Math.min(Math.max(begin, 0), latest);
    this.changed();
  },

  zoom(factor, around = this.cursorOrMiddle()) {
    const x = this.x(around);
    const scale = Math.min(Math.max(this.scale * factor, this.smallest), CLOSEST);
    this.place(around - x / scale, scale);
  },

  cursorOrMiddle() {
    const isSeen = this.cursor >= this.begin && this.cursor <= this.end;
    return isSeen ? this.cursor : (this.begin + this.end) / 2;
  },

  fit() { this.place(0, this.smallest); },

  resize(width) {
    const wasWhole = this.scale <= this.smallest * 1.001;
    this.width = width;
    this.place(this.begin, wasWhole ? this.smallest : this.scale);
  },

  moveCursor(time, follow = true) {
    this.cursor = Math.min(Math.max(time, 0), this.seconds);
    const span = this.end - this.begin;
    const isSeen = this.cursor >= this.begin && this.cursor <= this.begin + 0.96 * span;
    if (follow && !isSeen) this.place(this.cursor - 0.1 * span, this.scale);
    else this.changed();
  },
};

function clock(time) {
  const tenths = Math.round(time * 10);
  const seconds = ((tenths % 600) / 10).toFixed(1).padStart(4, "0");
  return `${Math.floor(tenths / 600)}:${seconds}`;
}

// The first index whose value is beyond a limit, in a list that is in order.
function firstBeyond(list, limit, value) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value(list[middle]) > limit) high = middle; else low = middle + 1;
  }
  return low;
}

const LONGEST_SPAN = 120;

// Those of a list of stretches, in order of their beginnings, that are on screen.
function onScreen(list, begin, beginOf = (each) => each[0], back = LONGEST_SPAN) {
  const from = firstBeyond(list, begin - back, beginOf);
  return list.slice(from, firstBeyond(list, view.end, beginOf));
}
