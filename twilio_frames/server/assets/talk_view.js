// The conversation as a list, each line redrawn when it changes.

import { Talk } from "./talk.js";

function element(name, fields = {}, ...children) {
  const made = document.createElement(name);
  for (const [field, value] of Object.entries(fields)) made.setAttribute(field, value);
  made.append(...children);
  return made;
}

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export const inSeconds = (seconds) => `${seconds.toFixed(2)} s`;

const hidden = (text) => element("span", { class: "hidden" }, text);

function botWords(entry) {
  const heard = entry.words.slice(0, entry.heard).join(" ");
  const rest = entry.words.slice(entry.heard).join(" ");
  const parts = [heard];
  if (rest && entry.isCut) parts.push(" ", element("s", {}, hidden(" cut off, not heard: "), rest));
  else if (rest) parts.push(" ", element("span", { class: "coming" }, hidden(" still to come: "), rest));
  if (entry.isHeld) parts.push(" ", element("span", { class: "tag hold" }, "held"));
  if (entry.isCut && entry.isHeard && !entry.isOver) parts.push(" ", element("span", { class: "tag cut" }, "interrupted"));
  return parts;
}

function callerWords(entry) {
  const parts = [];
  if (entry.text) parts.push(entry.text);
  else if (entry.isSpeaking) parts.push(element("em", {}, "speaking …"));
  else parts.push(element("em", {}, entry.isSound ? "a sound without words: the bot went on" : "…"));
  if (entry.overBot) parts.push(" ", element("span", { class: "tag" }, "over the bot"));
  if (entry.isBackchannel) parts.push(" ", element("span", { class: "tag" }, "listening"));
  return parts;
}

function fill(row, entry, names) {
  row.className = entry.isBad ? `${entry.who} bad` : entry.who;
  const text = entry.who === "bot" ? botWords(entry) : entry.who === "caller" ? callerWords(entry) : [entry.text];
  const wait = entry.answer === undefined ? [] : [element("span", { class: "wait" }, `answered after ${inSeconds(entry.answer)}`)];
  row.replaceChildren(
    element("time", {}, clock(entry.at)),
    element("span", { class: "who" }, names[entry.who] ?? ""),
    element("span", { class: "words" }, ...text),
    ...wait,
  );
}

const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };

// Shows what happens now, and the figures: in places that each page has.
export function showNow(talk, { isUp, caller }) {
  const place = (id) => document.getElementById(id);
  const bot = talk.isHeld ? "held: it listens" : talk.botSpeaks ? "speaks" : talk.thinks ? "thinks" : "is silent";
  setText(place("bot-now"), isUp ? bot : "–");
  place("bot-now").className = isUp && talk.isHeld ? "hold" : "";
  setText(place("caller-now"), isUp ? caller : "–");
  setText(place("last-answer"), talk.answers.length ? inSeconds(talk.answers.at(-1)) : "–");
  setText(place("median-answer"), talk.answers.length ? inSeconds(talk.median) : "–");
  setText(place("interruptions"), String(talk.interruptions));
  setText(place("false-alarms"), String(talk.falseAlarms));
}

// Shows a new conversation in a list; gives it. Who speaks has a name there.
export function showTalk(list, names) {
  const talk = new Talk();
  const rows = new Map();
  list.replaceChildren();
  talk.changed = (entry) => {
    const scroller = getComputedStyle(list).overflowY === "auto" ? list : document.scrollingElement;
    const isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
    if (!rows.has(entry)) {
      rows.set(entry, element("li"));
      list.append(rows.get(entry));
    }
    fill(rows.get(entry), entry, names);
    if (isAtEnd) scroller.scrollTop = scroller.scrollHeight;
  };
  return talk;
}
