// Both sides of a call, heard: the caller a little to the left, the bot a little to the right.

import { RATE, decode } from "./mulaw.js";
import { Resampler } from "./resampler.js";
import { loudness } from "./strip.js";

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
    // Called each 20 ms with the seconds of the sound card's clock.
    this.onBlock = () => {};
  }

  async open() {
    await this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    this.nodes = PLACES.map((place) => {
      const node = new AudioWorkletNode(this.context, "line", { outputChannelCount: [1] });
      node.connect(new StereoPannerNode(this.context, { pan: place })).connect(this.gain);
      return node;
    });
    this.nodes[0].port.onmessage = () => this.onBlock(this.context.currentTime);
  }

  // Plays some mu-law of one side, 0 the caller, 1 the bot; gives how loud it is, 0 to 1.
  play(who, codes) {
    const samples = decode(codes);
    this.nodes[who]?.port.postMessage(this.resamplers[who].resample(samples));
    return loudness(samples);
  }

  mute(isMuted) {
    this.gain.gain.value = isMuted ? 0 : 1;
  }

  async close() {
    for (const node of this.nodes) node.port.postMessage("end");
    if (this.context.state !== "closed") await this.context.close();
  }
}
