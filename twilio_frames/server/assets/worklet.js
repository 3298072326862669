// The part that runs with the sound card: what is heard is played on time, what is said is handed
// over in blocks. Its clock is the sound card's, which no hidden tab slows down.

// Seconds of audio that wait before the first is played, and between what bounds that moves.
const SHORTEST = 0.04;
const LONGEST = 0.4;
// How much more waits after a hole, and how long without one it takes to try with less.
const STEP = 0.02;
const CALM = 10;
// Audio below this level is left out or drawn out where two clocks drift apart: nobody hears it.
const QUIET = 0.004;

// Audio that comes in pieces at uncertain times, and is played without a break.
export class PlayoutBuffer {
  constructor(rate, { first = SHORTEST } = {}) {
    this.rate = rate;
    this.wanted = first;
    this.pieces = [];
    this.waiting = 0;
    this.holes = 0;
    this.dropped = 0;
    this.isFilling = true;
    this.least = Infinity;
    this.calm = 0;
  }

  // Seconds that wait to be played.
  get seconds() {
    return this.waiting / this.rate;
  }

  push(samples) {
    if (!samples.length) return;
    this.pieces.push(samples);
    this.waiting += samples.length;
    // Whoever was away for long, a sleeping computer say, goes on with what is new.
    while (this.seconds > this.wanted + 1 && this.pieces.length > 1) this.drop(this.pieces[0].length);
  }

  clear() {
    this.pieces = [];
    this.waiting = 0;
    this.isFilling = true;
  }

  // Fills a block; where nothing waits, with silence.
  pull(block) {
    block.fill(0);
    if (this.isFilling && this.seconds < this.wanted) return block;
    this.isFilling = false;
    const filled = this.take(block);
    if (filled < block.length) this.fallShort();
    else this.settle(block);
    return block;
  }

  take(block) {
    let filled = 0;
    while (filled < block.length && this.pieces.length) {
      const piece = this.pieces[0];
      const part = piece.subarray(0, block.length - filled);
      block.set(part, filled);
      filled += part.length;
      this.drop(part.length);
    }
    return filled;
  }

  drop(count) {
    const piece = this.pieces[0];
    this.waiting -= count;
    if (count < piece.length) this.pieces[0] = piece.subarray(count);
    else this.pieces.shift();
  }

  fallShort() {
    this.holes += 1;
    this.isFilling = true;
    this.wanted = Math.min(LONGEST, this.wanted + STEP);
    this.least = Infinity;
    this.calm = 0;
  }

  // Lets what waits shrink to what is needed, in pauses: the sender's clock may be the faster one.
  settle(block) {
    const seconds = block.length / this.rate;
    this.calm += seconds;
    this.least = Math.min(this.least, this.seconds);
    if (this.calm >= CALM) {
      this.wanted = Math.max(SHORTEST, this.wanted - STEP / 2);
      this.calm = 0;
      this.least = Infinity;
    }
    const isTooMuch = this.calm > 1 && this.least > this.wanted + STEP;
    if (isTooMuch && this.pieces.length && block.every((sample) => Math.abs(sample) < QUIET)) {
      const count = Math.min(block.length, this.pieces[0].length);
      this.drop(count);
      this.dropped += count;
      this.least -= count / this.rate;
    }
  }
}

// Posts what is said in blocks of 20 ms, and plays what it is sent. With each block goes how much
// waits and how many holes were heard.
class Line extends (globalThis.AudioWorkletProcessor ?? Object) {
  constructor() {
    super();
    this.playout = new PlayoutBuffer(globalThis.sampleRate);
    this.size = Math.round(globalThis.sampleRate / 50);
    this.block = new Float32Array(this.size);
    this.filled = 0;
    this.goesOn = true;
    this.port.onmessage = ({ data }) => {
      if (data === "end") this.goesOn = false;
      else if (data === "clear") this.playout.clear();
      else this.playout.push(data);
    };
  }

  process([input], [output]) {
    this.playout.pull(output[0]);
    for (const channel of output.slice(1)) channel.set(output[0]);
    // Without a microphone there is no channel: nothing is said, but the clock ticks on.
    this.listen(input[0], output[0].length);
    return this.goesOn;
  }

  listen(said, length) {
    for (let at = 0; at < length;) {
      const count = Math.min(length - at, this.size - this.filled);
      if (said) this.block.set(said.subarray(at, at + count), this.filled);
      this.hasSound = this.hasSound || Boolean(said);
      this.filled += count;
      at += count;
      if (this.filled === this.size) this.post();
    }
  }

  post() {
    const said = this.hasSound ? this.block : null;
    const { seconds, holes } = this.playout;
    // What is handed over is here no more, its length neither.
    this.port.postMessage({ said, waiting: seconds, holes }, said ? [said.buffer] : []);
    if (said) this.block = new Float32Array(this.size);
    this.filled = 0;
    this.hasSound = false;
  }
}

globalThis.registerProcessor?.("line", Line);
