// The timeline: two canvases that are drawn when something has changed, and what moves them.

const lanesCanvas = document.getElementById("lanes");
const mapCanvas = document.getElementById("map");
const timeline = document.getElementById("timeline");
const MAP_HEIGHT = 46;

function sized(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.style.height = `${height}px`;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [context, width];
}

// The whole call is drawn once for each size and face, and kept.
let mapPicture = null;

function drawMap() {
  const [context, width] = sized(mapCanvas, MAP_HEIGHT);
  // On paper there is no map.
  if (!mapCanvas.width) return;
  const scale = width / view.seconds;
  const key = `${mapCanvas.width} ${document.documentElement.dataset.theme}`;
  if (!mapPicture || mapPicture.key !== key) {
    const picture = document.createElement("canvas");
    [picture.width, picture.height] = [mapCanvas.width, mapCanvas.height];
    const onPicture = picture.getContext("2d");
    onPicture.setTransform(context.getTransform());
    wave(onPicture, "caller", colours.caller, [2, 20], width, 0, scale, "up");
    wave(onPicture, "bot", colours.bot, [23, 20], width, 0, scale, "down");
    for (const finding of content.findings) {
      if (finding.at === null || finding.severity === "note") continue;
      onPicture.fillStyle = colours[finding.severity];
      onPicture.fillRect(finding.at * scale, 0, 2, MAP_HEIGHT);
    }
    mapPicture = { key, picture };
  }
  context.clearRect(0, 0, width, MAP_HEIGHT);
  context.drawImage(mapPicture.picture, 0, 0, width, MAP_HEIGHT);
  const begin = view.begin * scale, end = view.end * scale;
  context.fillStyle = colours.back;
  context.globalAlpha = 0.65;
  context.fillRect(0, 0, begin, MAP_HEIGHT);
  context.fillRect(end, 0, width - end, MAP_HEIGHT);
  context.globalAlpha = 1;
  context.strokeStyle = colours.soft;
  context.strokeRect(begin + 0.5, 0.5, Math.max(3, end - begin - 1), MAP_HEIGHT - 1);
  context.fillStyle = colours.focus;
  context.fillRect(view.cursor * scale - 0.75, 0, 1.5, MAP_HEIGHT);
}

let isDue = false;

function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    const [context, width] = sized(lanesCanvas, HEIGHT);
    if (!width) return;
    if (width !== view.width) view.resize(width);
    drawLanes(context, width);
    drawMap();
    timeline.setAttribute("aria-valuenow", view.cursor.toFixed(1));
    timeline.setAttribute("aria-valuetext", spokenPlace());
    document.getElementById("time").textContent = `${clock(view.cursor)} / ${clock(view.seconds)}`;
  });
}

function spokenPlace() {
  const who = content.heard.some(([begin, end]) => begin <= view.cursor && view.cursor < end)
    ? ", the bot speaks"
    : content.utterances.some(([begin, end]) => begin <= view.cursor && view.cursor < end)
      ? ", the caller speaks" : "";
  return `${clock(view.cursor)}${who}`;
}

// Fingers and mouse: a drag moves the call, a click the cursor, two fingers zoom.
const pointers = new Map();
let dragged = false;

timeline.addEventListener("pointerdown", (event) => {
  pointers.set(event.pointerId, event.offsetX);
  timeline.setPointerCapture(event.pointerId);
  dragged = pointers.size > 1;
});

timeline.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return;
  const before = [...pointers.values()];
  const last = pointers.get(event.pointerId);
  if (pointers.size === 1 && !dragged && Math.abs(event.offsetX - last) < 4) return;
  dragged = true;
  pointers.set(event.pointerId, event.offsetX);
  const after = [...pointers.values()];
  if (pointers.size === 1) {
    view.place(view.begin - (event.offsetX - last) / view.scale, view.scale);
  } else {
    const spread = (list) => Math.max(20, Math.abs(list[0] - list[1]));
    view.zoom(spread(after) / spread(before), view.time((after[0] + after[1]) / 2));
  }
});

for (const kind of ["pointerup", "pointercancel"]) {
  timeline.addEventListener(kind, (event) => {
    if (kind === "pointerup" && !dragged && pointers.has(event.pointerId)) {
      seek(view.time(event.offsetX), false);
    }
    pointers.delete(event.pointerId);
  });
}

timeline.addEventListener("wheel", (event) => {
  if (event.ctrlKey || event.metaKey) {
    view.zoom(Math.exp(-event.deltaY / 200), view.time(event.offsetX));
  } else if (event.deltaX) {
    view.place(view.begin + event.deltaX / view.scale, view.scale);
  } else return;
  event.preventDefault();
}, { passive: false });

timeline.addEventListener("dblclick", (event) => view.zoom(2, view.time(event.offsetX)));

function moveByMap(event) {
  const time = (event.offsetX / mapCanvas.clientWidth) * view.seconds;
  view.place(time - view.width / view.scale / 2, view.scale);
}

mapCanvas.addEventListener("pointerdown", (event) => {
  mapCanvas.setPointerCapture(event.pointerId);
  moveByMap(event);
});
mapCanvas.addEventListener("pointermove", (event) => { if (event.buttons) moveByMap(event); });

const turnTimes = [...content.utterances.map((each) => each[0]), ...botCaptions.map((each) => each.begin)]
  .sort((one, other) => one - other);

function nextTurn() {
  const index = firstBeyond(turnTimes, view.cursor + 0.05, (each) => each);
  if (index < turnTimes.length) seek(turnTimes[index]);
}

function previousTurn() {
  const index = firstBeyond(turnTimes, view.cursor - 0.3, (each) => each) - 1;
  if (index >= 0) seek(turnTimes[index]);
}

const KEYS = {
  ArrowRight: (event) => seek(view.cursor + (event.shiftKey ? 0.1 : 1)),
  ArrowLeft: (event) => seek(view.cursor - (event.shiftKey ? 0.1 : 1)),
  ArrowUp: () => view.zoom(1.5),
  ArrowDown: () => view.zoom(1 / 1.5),
  PageDown: () => seek(view.cursor + 10),
  PageUp: () => seek(view.cursor - 10),
  Home: () => seek(0),
  End: () => seek(view.seconds),
  "+": () => view.zoom(1.5),
  "=": () => view.zoom(1.5),
  "-": () => view.zoom(1 / 1.5),
  0: () => view.fit(),
  n: nextTurn,
  p: previousTurn,
  " ": () => togglePlay(),
};

timeline.addEventListener("keydown", (event) => {
  const act = event.ctrlKey || event.metaKey || event.altKey ? null : KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
});
