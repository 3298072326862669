// The last seconds of a call as a moving picture: above what the caller says, below what the bot does,
// behind both when the bot was held.

const SECONDS = 12;
const STEP = 0.04;

// How loud a block is, 0 to 1: the root of its amplitude, so that quiet speech shows.
export function loudness(samples) {
  let loudest = 0;
  for (const sample of samples) loudest = Math.max(loudest, Math.abs(sample));
  return Math.min(1, Math.sqrt(loudest));
}

export class Strip {
  constructor(canvas) {
    this.canvas = canvas;
    this.columns = [];
    this.open = { caller: 0, bot: 0, isHeld: false };
    this.openedAt = 0;
    this.isDrawing = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  clear() {
    this.columns = [];
    this.draw();
  }

  // What is going on; `seconds` is any clock that goes on.
  note(seconds, { caller = 0, bot = 0, isHeld = false }) {
    this.open.caller = Math.max(this.open.caller, caller);
    this.open.bot = Math.max(this.open.bot, bot);
    this.open.isHeld = this.open.isHeld || isHeld;
    if (seconds - this.openedAt < STEP) return;
    this.columns.push(this.open);
    this.columns.splice(0, this.columns.length - SECONDS / STEP);
    this.open = { caller: 0, bot: 0, isHeld: false };
    this.openedAt = seconds;
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => { this.isDrawing = false; this.draw(); });
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const step = width / (SECONDS / STEP), lane = height / 2;
    const first = width - this.columns.length * step;
    pen.fillStyle = `${colour("hold")}33`;
    this.columns.forEach(({ isHeld }, index) => isHeld && pen.fillRect(first + index * step, 0, step + 0.5, height));
    pen.fillStyle = colour("rule");
    for (const middle of [lane / 2, lane + lane / 2]) pen.fillRect(0, middle - 0.5, width, 1);
    for (const [name, middle] of [["caller", lane / 2], ["bot", lane * 1.5]]) {
      pen.fillStyle = colour(name);
      this.columns.forEach((column, index) => {
        const size = column[name] * (lane - 6);
        if (size > 1) pen.fillRect(first + index * step, middle - size / 2, Math.max(1, step - 0.6), size);
      });
    }
  }
}
