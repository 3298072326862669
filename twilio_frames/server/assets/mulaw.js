// G.711 mu-law, as twilio_frames/audio/mulaw.py has it: 8000 bytes a second, from and to floats.

export const RATE = 8000;
export const SILENCE = 0xff;

// G.711 encodes 14 bits; in these, the steps begin 33 above zero and end at 8159.
const BIAS = 33;
const LOUDEST = 8159;

// The code of a sample of 16 bits.
function encoded(sample) {
  const shifted = sample >> 2;
  const mask = shifted < 0 ? 0x7f : 0xff;
  const size = Math.min(Math.abs(shifted), LOUDEST) + BIAS;
  const step = 26 - Math.clz32(size);
  if (step > 7) return 0x7f ^ mask;
  return (step << 4 | size >> (step + 1) & 0x0f) ^ mask;
}

function decoded(code) {
  const bits = ~code & 0xff;
  const size = (((bits & 0x0f) << 3) + 0x84 << ((bits & 0x70) >> 4)) - 0x84;
  return bits & 0x80 ? -size : size;
}

const CODES = Uint8Array.from({ length: 65536 }, (_, index) => encoded(index - 32768));
const SAMPLES = Float32Array.from({ length: 256 }, (_, code) => decoded(code) / 32768);

// Floats of -1 to 1 as bytes.
export function encode(samples) {
  const codes = new Uint8Array(samples.length);
  for (let at = 0; at < samples.length; at++) {
    const sample = Math.round(samples[at] * 32768);
    codes[at] = CODES[Math.max(-32768, Math.min(32767, sample)) + 32768];
  }
  return codes;
}

// Bytes as floats of -1 to 1.
export function decode(codes) {
  return Float32Array.from(codes, (code) => SAMPLES[code]);
}
