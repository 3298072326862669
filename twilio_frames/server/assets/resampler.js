// One stream of audio from one sample rate to another, in pieces of any length.
//
// A windowed sinc cuts off what the lower rate cannot hold: without it, what a microphone at 48 kHz
// hears above 4 kHz would be heard mirrored below. Rates are whole numbers, so the places between
// two samples at which one is wanted come again and again: the filter is made once for each.

// Samples of the lower rate on each side of the one that is made: 4 ms at 8 kHz.
const REACH = 32;
// The filter is down to half at this share of the band, and leaves nothing of what lies beyond it.
const CUTOFF = 0.94;
// Kaiser's window with this one lets 80 dB less pass than what is wanted.
const BETA = 8;

function bessel(x) {
  let sum = 1;
  for (let term = 1, k = 1; k < 40; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function divisor(a, b) {
  return b ? divisor(b, a % b) : a;
}

// The filter's value so many input samples from its middle.
function tap(distance, band, half) {
  if (Math.abs(distance) >= half) return 0;
  const x = Math.PI * distance * band;
  const sinc = x ? Math.sin(x) / x : 1;
  return band * sinc * bessel(BETA * Math.sqrt(1 - (distance / half) ** 2)) / bessel(BETA);
}

export class Resampler {
  constructor(from, to) {
    const common = divisor(from, to);
    this.up = to / common;
    this.down = from / common;
    const band = CUTOFF * Math.min(1, to / from);
    this.half = Math.ceil(REACH * Math.max(1, from / to));
    this.filters = Array.from({ length: this.up }, (_, phase) =>
      Float32Array.from({ length: 2 * this.half }, (_, index) =>
        tap(index - this.half + 1 - phase / this.up, band, this.half)));
    this.kept = new Float32Array(this.half - 1);
    // The next output's place: whole input samples behind the first kept one, and a fraction.
    this.place = 0;
    this.phase = 0;
  }

  // What is ready with these samples; the filter looks ahead, so some come with the next ones.
  resample(samples) {
    if (this.up === this.down) return samples;
    const input = new Float32Array(this.kept.length + samples.length);
    input.set(this.kept);
    input.set(samples, this.kept.length);
    const output = [];
    while (this.place + 2 * this.half <= input.length) {
      const filter = this.filters[this.phase];
      let sum = 0;
      for (let index = 0; index < filter.length; index++) sum += filter[index] * input[this.place + index];
      output.push(sum);
      this.phase += this.down;
      this.place += Math.floor(this.phase / this.up);
      this.phase %= this.up;
    }
    const used = Math.min(this.place, input.length);
    this.kept = input.slice(used);
    this.place -= used;
    return Float32Array.from(output);
  }
}
