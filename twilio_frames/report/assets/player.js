// The audio: unpacked at the first play from the page itself, or read from the file beside it.

const audio = document.getElementById("audio");
const playButton = document.getElementById("play");
const RATE = 8000;

// One sample of G.711 mu-law, 16 bit.
function sample(code) {
  const bits = ~code & 0xff;
  const size = (((bits & 0x0f) << 3) + 0x84 << ((bits & 0x70) >> 4)) - 0x84;
  return bits & 0x80 ? -size : size;
}

function wavHeader(frames) {
  const header = new DataView(new ArrayBuffer(44));
  const letters = (at, text) => [...text].forEach((letter, index) => header.setUint8(at + index, letter.charCodeAt(0)));
  letters(0, "RIFF");
  header.setUint32(4, 36 + 4 * frames, true);
  letters(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 2, true);
  header.setUint32(24, RATE, true);
  header.setUint32(28, 4 * RATE, true);
  header.setUint16(32, 4, true);
  header.setUint16(34, 16, true);
  letters(36, "data");
  header.setUint32(40, 4 * frames, true);
  return header.buffer;
}

async function unpacked() {
  const packed = document.getElementById("packed").textContent;
  const zipped = new Blob([bytes(packed)]).stream();
  const mulaw = new Uint8Array(await new Response(zipped.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
  const table = Int16Array.from({ length: 256 }, (_, code) => sample(code));
  const frames = mulaw.length >> 1;
  const both = new Int16Array(2 * frames);
  for (let at = 0; at < frames; at++) {
    both[2 * at] = table[mulaw[at]];
    both[2 * at + 1] = table[mulaw[frames + at]];
  }
  return URL.createObjectURL(new Blob([wavHeader(frames), both], { type: "audio/wav" }));
}

const hasAudio = Boolean(content.hasPacked || content.audioLink);

async function load() {
  if (audio.src) return;
  audio.src = content.audioLink ?? await unpacked();
  audio.currentTime = view.cursor;
}

async function togglePlay() {
  if (!hasAudio) return;
  await load();
  if (!audio.paused) { audio.pause(); return; }
  if (view.cursor >= view.seconds - 0.05) seek(0);
  try {
    await audio.play();
  } catch {
    playButton.disabled = true;
    playButton.title = "The recording could not be played: is it still beside this page?";
  }
}

function seek(time, follow = true) {
  view.moveCursor(time, follow);
  if (audio.src) audio.currentTime = view.cursor;
}

function follow() {
  if (audio.paused) return;
  view.moveCursor(audio.currentTime);
  requestAnimationFrame(follow);
}

function showPlaying() {
  playButton.textContent = audio.paused ? "▶" : "❚❚";
  playButton.setAttribute("aria-label", audio.paused ? "Play" : "Pause");
}

for (const kind of ["play", "pause", "ended"]) audio.addEventListener(kind, showPlaying);
audio.addEventListener("play", follow);
playButton.addEventListener("click", togglePlay);
playButton.disabled = !hasAudio;
if (!hasAudio) playButton.title = "There is no recording in this report";
