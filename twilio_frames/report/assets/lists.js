// What the timeline shows, once more as text: figures, findings, the conversation.

function element(name, fields = {}, ...children) {
  const made = document.createElement(name);
  for (const [field, value] of Object.entries(fields)) {
    if (field === "style") made.style.cssText = value;
    else if (field === "class") made.className = value;
    else if (field.startsWith("on")) made.addEventListener(field.slice(2), value);
    else made.setAttribute(field, value);
  }
  made.append(...children);
  return made;
}

function show(time) {
  const span = view.end - view.begin;
  if (span > 60) view.place(time - 5, view.width / 40);
  seek(time);
  if (time < view.begin || time > view.end) view.place(time - 2, view.scale);
}

function goTo(time) {
  show(time);
  timeline.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function showTiles() {
  document.getElementById("tiles").append(...content.tiles.map(([name, value, more]) =>
    element("div", {}, element("dt", {}, name), element("dd", {}, value, element("small", {}, more)))));
}

function showFindings() {
  const list = document.getElementById("findings");
  if (content.findings.every((finding) => finding.severity === "note")) {
    list.append(element("li", { class: "fine" }, "Nothing went wrong."));
  }
  list.append(...content.findings.map((finding) => {
    const place = finding.at === null ? "" : clock(finding.at);
    const name = { bad: "Bad", warning: "Warning", note: "Note" }[finding.severity];
    return element("li", {}, element("button", { type: "button", onclick: () => finding.at !== null && goTo(finding.at) },
      element("i", { style: `background: var(--${finding.severity})`, role: "img", "aria-label": name }),
      element("span", {}, finding.title), element("time", {}, place),
      ...(finding.detail ? [element("small", {}, finding.detail)] : [])));
  }));
}

function showLegend() {
  const entry = (colour, name, more = "") =>
    element("li", {}, element("i", { style: `background: var(--${colour}); ${more}` }), name);
  const hatch = "background: repeating-linear-gradient(135deg, var(--bad) 0 2px, transparent 2px 4px)";
  document.getElementById("legend").append(
    ...PARTS.filter((part) => content.answers.some((answer) => answer.parts.some(([name, secs]) => name === part && secs > 0.0005)))
      .map((part) => entry(partName(part), part)),
    ...(content.holds.length ? [entry("hold", "held", "opacity: .5")] : []),
    ...(content.away.length ? [entry("note", "away from the stream", "opacity: .4")] : []),
    ...(content.flushed.length ? [entry("bad", "flushed, never heard", hatch)] : []));
}

function waitRow(answer) {
  const seconds = answer.heard - answer.from;
  const told = answer.parts.filter(([, secs]) => secs >= 0.05)
    .map(([part, secs]) => `${part} ${secs.toFixed(2)}`).join(", ");
  const stack = element("span", { class: "stack", style: `width: ${Math.max(4, 34 * seconds / longestWait)}%`, "aria-hidden": "true" },
    ...answer.parts.map(([part, secs]) => element("span", { style: `flex: ${1000 * secs}; background: var(--${partName(part)})` })));
  return element("div", { class: "wait" }, stack,
    `${answer.greeting ? "greeting" : "answered"} after ${seconds.toFixed(2)} s${told ? `: ${told}` : ""}`);
}

function replyWords(reply) {
  if (!reply.known) return [reply.text];
  const heard = reply.heard.map(([, word]) => word).join(" ");
  return [heard, ...(reply.unheard ? [" ", element("s", { title: "never heard" }, reply.unheard)] : [])];
}

function talkRow(at, who, words, wait) {
  return element("li", { class: who },
    element("button", { type: "button", onclick: () => show(at), "aria-label": `Go to ${clock(at)}` }, element("time", {}, clock(at))),
    element("span", { class: "who" }, who), element("span", { class: "words" }, ...words),
    ...(wait ? [wait] : []));
}

let talk = [];

function showTalk() {
  const waits = content.answers.filter((answer) => answer.heard !== null);
  talk = content.utterances.map(([begin, , text, isBackchannel]) => [begin, "caller",
    [text ? (isBackchannel ? element("em", {}, text) : text) : element("em", {}, "(no words)")]]);
  const taken = new Set();
  content.replies.forEach((reply, index) => {
    const begin = botCaptions[index].begin;
    const answer = waits[firstBeyond(waits, begin + 0.3, (each) => each.heard) - 1];
    const isMine = answer && Math.abs(answer.heard - begin) < 0.5 && !taken.has(answer);
    if (isMine) taken.add(answer);
    talk.push([begin, "bot", replyWords(reply), isMine ? waitRow(answer) : null]);
  });
  talk.sort((one, other) => one[0] - other[0]);
  document.getElementById("talk").append(...talk.map((row) => talkRow(...row)));
}

let shownRow = null;

function markTalk() {
  const index = firstBeyond(talk, view.cursor + 0.02, (row) => row[0]) - 1;
  const row = index >= 0 ? document.getElementById("talk").children[index] : null;
  if (row === shownRow) return;
  shownRow?.classList.remove("now");
  row?.classList.add("now");
  shownRow = row;
}
