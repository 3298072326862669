// Both sides of a call, heard: the caller a little to the left, the bot a little to the right.

import { RATE, decode } from "./mulaw.js";
import { Resampler } from "./resampler.js";

// How far from the middle each is.
const PLACES = [-0.35, 0.35];

export class Hearing {
  // Must be called where somebody has just pressed a button: else Safari lets nothing be heard.
  constructor() {
    this.context = new (globalThis.AudioContext ?? globalThis.webkitAudioContext)();
    this.context.resume();
    this.gain = this.context.createGain();
    this.gain.connect(this.context.destination);
    this.resamplers = PLACES.map(() => new Resampler(RATE, this.context.sampleRate));
    this.nodes = [];
  }

  async open() {
    await this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    this.nodes = PLACES.map((place) => {
      const node = new AudioWorkletNode(this.context, "line", { outputChannelCount: [1] });
      node.connect(new StereoPannerNode(this.context, { pan: place })).connect(this.gain);
      return node;
    });
  }

  // Plays some mu-law of one side, 0 the caller, 1 the bot; gives how loud it is, 0 to 1.
  play(who, codes) {
    const samples = decode(codes);
    const loudness = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / (samples.length || 1));
    this.nodes[who]?.port.postMessage(this.resamplers[who].resample(samples));
    // From -50 dB to -10 dB.
    return Math.min(1, Math.max(0, (20 * Math.log10(loudness + 1e-9) + 50) / 40));
  }

  mute(isMuted) {
    this.gain.gain.value = isMuted ? 0 : 1;
  }

  async close() {
    for (const node of this.nodes) node.port.postMessage("end");
    if (this.context.state !== "closed") await this.context.close();
  }
}
