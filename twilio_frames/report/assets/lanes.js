// The lanes of the timeline, drawn from the content.

const LANES = {
  ruler: [0, 22], callerWords: [26, 46], callerWave: [74, 62], answers: [140, 18],
  botWave: [162, 62], botWords: [228, 62], line: [296, 18], events: [318, 22],
};
const HEIGHT = 344;
const WORD_SCALE = 85;
const CAPTION_SCALE = 9;
const FONT = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
const SMALL = "10.5px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

let colours = {};

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["back", "card", "ink", "soft", "rule", "caller", "bot", "caller-soft", "bot-soft",
    "bad", "warning", "note", "good", "hold", "focus", ...PARTS.map(partName)];
  colours = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const PARTS = ["end of turn", "speech to text", "language model", "functions", "text to speech",
  "pipeline", "line"];

function partName(part) { return part.replaceAll(" ", "-"); }

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const peaks = content.peaks.map((zoom) =>
  ({ step: zoom.step, caller: bytes(zoom.caller), bot: bytes(zoom.bot) }));

// The coarsest zoom that still has a value for every two pixels.
function peaksFor(scale) {
  const fitting = peaks.filter((zoom) => zoom.step * scale <= 2);
  return fitting.length ? fitting[fitting.length - 1] : peaks[0];
}

function wave(context, side, colour, [top, height], width, begin, scale, shape = "both") {
  const zoom = peaksFor(scale);
  const levels = zoom[side];
  const middle = shape === "both" ? top + height / 2 : shape === "up" ? top + height : top;
  const reach = (shape === "both" ? height / 2 : height) * 1.1;
  context.fillStyle = colour;
  const bar = Math.max(1, Math.min(3, zoom.step * scale));
  for (let x = 0; x < width; x += bar) {
    const from = Math.floor((begin + x / scale) / zoom.step);
    const to = Math.max(from + 1, Math.floor((begin + (x + bar) / scale) / zoom.step));
    let loudest = 0;
    for (let at = from; at < to && at < levels.length; at++) loudest = Math.max(loudest, levels[at]);
    const size = Math.max(0.5, (loudest / 255) * reach);
    const y = shape === "up" ? middle - size : shape === "down" ? middle : middle - size;
    context.fillRect(x, y, bar > 2 ? bar - 0.6 : bar, shape === "both" ? 2 * size : size);
  }
}

function box(context, colour, begin, end, top, height, radius = 3) {
  const x = view.x(begin);
  context.fillStyle = colour;
  context.beginPath();
  context.roundRect(x, top, Math.max(1.5, view.x(end) - x), height, radius);
  context.fill();
}

function ruler(context) {
  const [top, height] = LANES.ruler;
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200];
  const step = steps.find((each) => each * view.scale >= 64) ?? 3600;
  context.font = SMALL;
  context.textBaseline = "middle";
  for (let mark = Math.ceil(view.begin / step); mark * step <= view.end; mark++) {
    const x = view.x(mark * step);
    context.fillStyle = colours.rule;
    context.fillRect(x, top + height - 4, 1, HEIGHT);
    context.fillStyle = colours.soft;
    context.fillText(step < 1 ? clock(mark * step) : clock(mark * step).slice(0, -2), x + 3, top + 9);
  }
}

const longestWait = Math.max(0.5, ...content.answers.map((each) => (each.heard ?? each.from) - each.from));

// Too small for its parts: as high as it was long, in the colour of the slowest.
function smallAnswer(context, answer, [top, height]) {
  const slowest = answer.parts.reduce((one, other) => (other[1] > one[1] ? other : one));
  const size = Math.max(2, height * (answer.heard - answer.from) / longestWait);
  context.fillStyle = colours[partName(slowest[0])];
  context.fillRect(view.x(answer.from), top + height - size, Math.max(1.5, 2 * view.scale), size);
}

function answers(context) {
  const [top, height] = LANES.answers;
  for (const answer of onScreen(content.answers, view.begin, (each) => each.from)) {
    if (answer.heard === null) continue;
    if (longestWait * view.scale < 12) {
      smallAnswer(context, answer, LANES.answers);
      continue;
    }
    let at = answer.from;
    for (const [part, seconds] of answer.parts) {
      if (seconds > 0) box(context, colours[partName(part)], at, at + seconds, top + 2, height - 4, 2);
      at += seconds;
    }
    const width = view.x(at) - view.x(answer.from);
    if (width > 26 && !answer.greeting) {
      context.font = SMALL;
      context.textBaseline = "middle";
      context.fillStyle = colours.ink;
      const text = `${(at - answer.from).toFixed(2)} s`;
      const size = context.measureText(text).width;
      const left = view.x(at) + 4 + size < view.width ? view.x(at) + 4 : view.x(answer.from) - 4 - size;
      context.fillText(text, left, top + height / 2 + 0.5);
    }
  }
}

function hatched(context, begin, end, top, height) {
  const x = view.x(begin), width = Math.max(3, view.x(end) - x);
  context.save();
  context.beginPath();
  context.rect(x, top, width, height);
  context.clip();
  context.strokeStyle = colours.bad;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let at = x - height; at < x + width; at += 5) {
    context.moveTo(at, top + height);
    context.lineTo(at + height, top);
  }
  context.stroke();
  context.restore();
}

function lineLane(context) {
  const [top, height] = LANES.line;
  for (const [begin, end] of onScreen(content.sent, view.begin)) {
    box(context, colours["bot-soft"], begin, end, top, height);
  }
  for (const [begin, end] of onScreen(content.heard, view.begin)) {
    box(context, colours.bot, begin, end, top + height / 2, height / 2 - 1, 2);
  }
  for (const [begin, end] of onScreen(content.flushed, view.begin)) hatched(context, begin, end, top, height);
}

const SIGNS = { interruption: "✂", hold: "‖", function: "ƒ", mark: "⚑", digit: "#", trouble: "!", away: "↷" };

function eventColour(sort) {
  if (sort === "trouble") return colours.bad;
  if (sort === "interruption" || sort === "hold") return colours.hold;
  return sort === "function" ? colours.functions : colours.soft;
}

function eventsLane(context) {
  const [top, height] = LANES.events;
  const seen = onScreen(content.events, view.begin);
  let free = -Infinity;
  context.textBaseline = "middle";
  seen.forEach(([at, sort, text], index) => {
    const x = view.x(at);
    context.fillStyle = eventColour(sort);
    context.fillRect(x, top, 1.5, height - 6);
    if (x < free) return;
    context.font = SMALL;
    const next = index + 1 < seen.length ? view.x(seen[index + 1][0]) : view.width;
    const room = Math.min(next, view.width) - x - 20;
    const label = context.measureText(text).width < room ? `${SIGNS[sort]} ${text}` : SIGNS[sort];
    context.fillText(label, x + 5, top + height / 2 - 2);
    free = x + 8 + context.measureText(label).width;
  });
}

function shades(context) {
  const caller = LANES.callerWave, bot = LANES.botWave;
  for (const [begin, end] of onScreen(content.utterances, view.begin)) {
    box(context, colours["caller-soft"], begin, end, caller[0], caller[1], 6);
  }
  for (const [begin, end] of onScreen(content.heard, view.begin)) {
    box(context, colours["bot-soft"], begin, end, bot[0], bot[1], 6);
  }
  for (const [begin, end] of onScreen(content.away, view.begin)) {
    context.globalAlpha = 0.18;
    box(context, colours.note, begin, end, caller[0], bot[0] + bot[1] - caller[0], 4);
    context.globalAlpha = 1;
  }
  for (const [begin, end] of onScreen(content.holds, view.begin)) {
    context.globalAlpha = 0.22;
    box(context, colours.hold, begin, end, caller[0], bot[0] + bot[1] - caller[0], 4);
    context.globalAlpha = 1;
  }
}

function laneNames(context) {
  const names = [["caller", LANES.callerWave, colours.caller], ["bot", LANES.botWave, colours.bot]];
  context.font = `600 ${SMALL}`;
  context.textBaseline = "top";
  for (const [name, [top], colour] of names) {
    const width = context.measureText(name).width + 10;
    context.globalAlpha = 0.85;
    context.fillStyle = colours.card;
    context.fillRect(0, top, width, 15);
    context.globalAlpha = 1;
    context.fillStyle = colour;
    context.fillText(name, 4, top + 2);
  }
}

function drawLanes(context, width) {
  context.clearRect(0, 0, width, HEIGHT);
  ruler(context);
  shades(context);
  wave(context, "caller", colours.caller, LANES.callerWave, width, view.begin, view.scale);
  wave(context, "bot", colours.bot, LANES.botWave, width, view.begin, view.scale);
  if (view.scale >= CAPTION_SCALE) {
    const near = (list) => onScreen(list, view.begin, (each) => each.begin);
    captions(context, near(callerCaptions), LANES.callerWords, colours.ink);
    if (view.scale >= WORD_SCALE && content.replies.some((reply) => reply.known)) words(context);
    else captions(context, near(botCaptions), LANES.botWords, colours.ink);
  }
  answers(context);
  lineLane(context);
  eventsLane(context);
  laneNames(context);
  context.fillStyle = colours.focus;
  context.fillRect(view.x(view.cursor) - 0.75, 0, 1.5, HEIGHT);
}
