// The browser's loudspeaker and microphone, at the rate of a telephone.

import { RATE, decode, encode } from "./mulaw.js";
import { Resampler } from "./resampler.js";

const FRAME = RATE / 50;

// What is wrong with a microphone, and what to do.
export class Trouble extends Error {
  constructor(headline, advice) {
    super(headline);
    this.headline = headline;
    this.advice = advice;
  }
}

const NONE = ["There is no microphone", "Plug one in, or call without: you hear the bot, and can press keys."];
const TROUBLES = {
  NotAllowedError: ["The microphone may not be used", "Allow it for this page: the sign beside the address, or your system's settings for this browser. Then try again."],
  SecurityError: ["The microphone may not be used", "This browser is set so that no page may. Allow it, or try another browser."],
  NotFoundError: NONE,
  // WebKit's word for it, also where nothing is asked for that a device must have.
  OverconstrainedError: NONE,
  NotReadableError: ["The microphone cannot be used", "Another program may have it, or it was unplugged. Close that program, and try again."],
  AbortError: ["The microphone cannot be used", "Something went wrong with the device. Unplug it, plug it in, and try again."],
};

// Opens a microphone; throws a Trouble.
export async function openMicrophone({ device, echo, clean }) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Trouble("This page may not use a microphone", "Browsers allow it at https:// addresses and on this machine alone: open the page as http://localhost or over https.");
  }
  const audio = { echoCancellation: echo, noiseSuppression: clean, autoGainControl: clean };
  try {
    if (device) {
      try {
        return await navigator.mediaDevices.getUserMedia({ audio: { ...audio, deviceId: { exact: device } } });
      } catch (error) {
        // It has been unplugged since it was chosen: any other will do.
        if (error.name !== "OverconstrainedError" && error.name !== "NotFoundError") throw error;
      }
    }
    return await navigator.mediaDevices.getUserMedia({ audio });
  } catch (error) {
    const [headline, advice] = TROUBLES[error.name] ?? ["The microphone cannot be used", `The browser says: ${error.message}`];
    throw new Trouble(headline, advice);
  }
}

// The microphones there are; their names are known once one was allowed.
export async function microphones() {
  const devices = await navigator.mediaDevices?.enumerateDevices?.() ?? [];
  return devices.filter((device) => device.kind === "audioinput" && device.deviceId);
}

export class Sound {
  // Must be called where somebody has just pressed a button: else Safari lets nothing be heard.
  constructor() {
    const Context = globalThis.AudioContext ?? globalThis.webkitAudioContext;
    if (!Context || !globalThis.AudioWorkletNode || !Array.prototype.findLast) {
      throw new Trouble("This browser is too old", "The softphone needs Chrome or Edge 97, Firefox 104, Safari 15.4, or later.");
    }
    this.context = new Context({ latencyHint: "interactive" });
    this.context.resume();
    this.heard = new Resampler(RATE, this.context.sampleRate);
    this.said = new Resampler(this.context.sampleRate, RATE);
    this.unsent = new Float32Array(0);
    this.isMuted = false;
    this.waiting = 0;
    this.holes = 0;
    // Called with each 20 ms that are said, as mu-law; with how loud each block is; when the
    // microphone has gone; when sound is stopped or goes on.
    this.onFrame = () => {};
    this.onBlock = () => {};
    this.onLost = () => {};
    this.onState = () => {};
  }

  async open() {
    await this.context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    this.node = new AudioWorkletNode(this.context, "line", { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [1], channelCount: 1, channelCountMode: "explicit" });
    this.node.port.onmessage = ({ data }) => this.take(data);
    this.node.connect(this.context.destination);
    this.context.onstatechange = () => this.onState(this.context.state);
  }

  // Whether something is heard at all; a browser may want another press of a button first.
  get isRunning() {
    return this.context.state === "running";
  }

  async resume() {
    // Safari keeps a promise that it does not mean to fulfil.
    await Promise.race([this.context.resume(), new Promise((done) => setTimeout(done, 500))]);
    return this.isRunning;
  }

  useMicrophone(stream) {
    this.dropMicrophone();
    this.stream = stream;
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.node);
    const [track] = stream.getAudioTracks();
    track.onended = () => { if (this.stream === stream) { this.dropMicrophone(); this.onLost(); } };
  }

  dropMicrophone() {
    this.source?.disconnect();
    for (const track of this.stream?.getTracks() ?? []) { track.onended = null; track.stop(); }
    this.source = this.stream = null;
  }

  // Plays mu-law behind what waits.
  play(codes) {
    const samples = this.heard.resample(decode(codes));
    this.node.port.postMessage(samples, [samples.buffer]);
  }

  // Seconds from a sound's arrival until it is heard, as far as the browser tells.
  get delay() {
    return this.waiting + (this.context.outputLatency || this.context.baseLatency || 0);
  }

  take({ said, waiting, holes }) {
    this.waiting = waiting;
    this.holes = holes;
    const isSilent = !said || this.isMuted || !this.source;
    this.onBlock(isSilent ? null : said);
    if (isSilent) return;
    const samples = this.said.resample(said);
    const all = new Float32Array(this.unsent.length + samples.length);
    all.set(this.unsent);
    all.set(samples, this.unsent.length);
    let at = 0;
    for (; at + FRAME <= all.length; at += FRAME) this.onFrame(encode(all.subarray(at, at + FRAME)));
    this.unsent = all.slice(at);
  }

  async close() {
    this.dropMicrophone();
    this.node?.port.postMessage("end");
    this.node?.disconnect();
    this.context.onstatechange = null;
    if (this.context.state !== "closed") await this.context.close();
  }
}
