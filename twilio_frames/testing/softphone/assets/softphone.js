// Puts the page together: the buttons, the microphone, the call, and what is shown of them.

import { Call } from "./call.js";
import { askForKey, key } from "./key.js";
import { Sound, Trouble, microphones, openMicrophone } from "./sound.js";
import { Strip, loudness } from "./strip.js";
import { clock, showNow as show, showTalk } from "./talk_view.js";
import { decode } from "./mulaw.js";

const $ = (id) => document.getElementById(id);
const strip = new Strip($("strip"));
const NAMES = { caller: "You", bot: "Bot", twilio: "Twilio" };
let talk = showTalk($("talk"), NAMES);
let sound = null;
// The sound of the last call, which may be over: its report comes later.
let latest = null;
let call = null;
let answeredAt = null;
let botLevel = 0;
let wakeLock = null;

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const showState = (text) => setText($("state"), text);

// What went wrong, and buttons for what can be done: pairs of a name and a deed.
function showTrouble(headline, advice, ...deeds) {
  const box = $("trouble");
  box.querySelector(".headline").textContent = headline;
  box.querySelector(".advice").textContent = advice;
  box.querySelector(".buttons").replaceChildren(...deeds.map(([name, deed]) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => { hideTrouble(); deed(); });
    return button;
  }));
  box.hidden = false;
}

function hideTrouble() {
  $("trouble").hidden = true;
}

// The microphone: which one, and how it is treated.

const choices = () => ({ device: $("device").value, echo: $("echo").checked, clean: $("clean").checked });

async function listMicrophones() {
  const chosen = $("device").value;
  const found = await microphones();
  const first = $("device").options[0];
  $("device").replaceChildren(first, ...found.map((device, index) => new Option(device.label || `Microphone ${index + 1}`, device.deviceId)));
  $("device").value = found.some((device) => device.deviceId === chosen) ? chosen : "";
}

function saveChoices() {
  try { localStorage.setItem("softphone", JSON.stringify(choices())); } catch { /* private browsing: not kept */ }
}

function loadChoices() {
  try {
    const { echo = true, clean = false } = JSON.parse(localStorage.getItem("softphone")) ?? {};
    $("echo").checked = echo;
    $("clean").checked = clean;
  } catch { /* none were kept */ }
}

async function takeMicrophone(mine) {
  const stream = await openMicrophone(choices());
  if (sound !== mine) {
    // The call ended while the browser asked.
    for (const track of stream.getTracks()) track.stop();
    return;
  }
  mine.useMicrophone(stream);
  listMicrophones();
}

async function changeMicrophone() {
  saveChoices();
  if (!sound) return;
  try {
    sound.dropMicrophone();
    await takeMicrophone(sound);
    hideTrouble();
  } catch (error) {
    showTrouble(error.headline ?? "The microphone cannot be used", error.advice ?? error.message, ["Try again", changeMicrophone]);
  }
}

function lostMicrophone() {
  showTrouble("The microphone is gone", "The bot hears nothing of you until there is one again. It comes back by itself when you plug one in.", ["Try again", changeMicrophone]);
}

// The call.

async function begin(withMicrophone = true) {
  if (sound) return;
  hideTrouble();
  try {
    // Here, in the press of a button, and nowhere later: Safari wants it so.
    sound = new Sound();
  } catch (error) {
    showTrouble(error.headline ?? "No sound can be played", error.advice ?? error.message);
    return;
  }
  const mine = latest = sound;
  showCalling();
  try {
    await mine.open();
    if (withMicrophone) await takeMicrophone(mine);
    if (sound !== mine) return;
    listen(mine);
    showState("Calling …");
    const placed = await Call.place(key(), { audio: hear, told: (event) => mine === latest && told(event), closed: () => mine === sound && finish("The connection to the server was lost") });
    if (sound !== mine) placed.hangUp();
    else call = placed;
  } catch (error) {
    if (sound !== mine) return;
    await finish("Ready to call");
    showFailure(error, withMicrophone);
  }
}

function showFailure(error, withMicrophone) {
  if (error instanceof Trouble) {
    showTrouble(error.headline, error.advice, ["Try again", () => begin()], ...(withMicrophone ? [["Call without a microphone", () => begin(false)]] : []));
  } else {
    if (error.status === 401) { askForKey(); $("key").focus(); }
    const sentence = error.message.charAt(0).toUpperCase() + error.message.slice(1);
    showTrouble("The call was not placed", sentence, ["Try again", () => begin(withMicrophone)]);
  }
}

function listen(mine) {
  mine.onFrame = (codes) => call?.say(codes);
  mine.onBlock = (said) => {
    strip.note(mine.context.currentTime, { caller: said ? loudness(said) : 0, bot: botLevel, isHeld: talk.isHeld });
    botLevel *= 0.5;
    showClock();
  };
  mine.onLost = lostMicrophone;
  mine.onState = () => checkRunning(mine);
  checkRunning(mine);
}

async function checkRunning(mine) {
  if (sound !== mine || mine.isRunning || await mine.resume() || sound !== mine) return;
  showTrouble("The browser has stopped the sound", "Press the button to hear the bot. Where that helps nothing, see that there is a loudspeaker or headphones.", ["Let me hear it", () => checkRunning(mine)]);
}

function hear(codes) {
  if (!sound?.node) return;
  botLevel = Math.max(botLevel, loudness(decode(codes)));
  sound.play(codes);
}

const ENDS = {
  "caller hung up": "You hung up",
  "bot hung up": "The bot hung up",
  "rejected": "The bot did not take the call",
  "line lost": "The connection to the bot broke",
  "failed": "The call failed",
  "time limit": "The call was too long",
};

function told(event) {
  switch (event.event) {
    case "ringing":
      showState("Ringing …");
      break;
    case "answered":
      answeredAt = performance.now();
      showState("On the line");
      for (const id of ["mute", "keys"]) $(id).disabled = false;
      break;
    case "log":
      talk.add(event.line);
      break;
    case "announced":
      talk.append({ who: "twilio", at: event.at, text: event.text });
      break;
    case "answer":
      talk.answered(event.seconds);
      break;
    case "ended":
      talk.end();
      showState(`${ENDS[event.why] ?? "The call has ended"} after ${clock(event.seconds)}`);
      showAlerts(event.alerts);
      rest();
      break;
    case "failed":
      showTrouble("The call failed", event.why, ["Try again", () => begin()]);
      rest();
      break;
    case "report":
      showReport(event.address);
      break;
  }
  showNow();
}

function showAlerts(alerts) {
  for (const alert of alerts) talk.note((performance.now() - answeredAt) / 1000, `Twilio would show ${alert}`, true);
}

function showReport(address) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = "See what happened, to the millisecond";
  $("after").replaceChildren(link);
  $("after").hidden = false;
}

// The call is over; its sound and its buttons go, what was said stays.
function rest() {
  const ended = sound;
  sound = null;
  answeredAt = null;
  call = null;
  ended?.close();
  wakeLock?.release();
  wakeLock = null;
  $("call").hidden = false;
  $("hang-up").hidden = true;
  for (const id of ["mute", "keys"]) $(id).disabled = true;
  $("mute").setAttribute("aria-pressed", "false");
  setText($("mute"), "Mute");
  showKeypad(false);
  if (document.activeElement === document.body) $("call").focus();
}

async function finish(state) {
  talk.end();
  $("empty").hidden = talk.entries.length > 0;
  showState(state);
  rest();
  showNow();
}

function showCalling() {
  talk = showTalk($("talk"), NAMES);
  strip.clear();
  botLevel = 0;
  $("after").hidden = true;
  $("empty").hidden = true;
  setText($("clock"), "0:00");
  showState("Waiting for the microphone …");
  $("call").hidden = true;
  $("hang-up").hidden = false;
  $("hang-up").focus();
  // A telephone's screen that goes dark takes the microphone with it.
  navigator.wakeLock?.request("screen").then((lock) => { if (sound) wakeLock = lock; else lock.release(); }, () => {});
}

function hangUp() {
  if (call) { showState("Hanging up …"); call.hangUp(); } else finish("Ready to call");
}

// What is going on.

function showClock() {
  if (answeredAt !== null) setText($("clock"), clock((performance.now() - answeredAt) / 1000));
}

function showNow() {
  const isUp = answeredAt !== null;
  const caller = sound?.isMuted ? "muted" : sound && !sound.source ? "have no microphone" : talk.callerSpeaks ? "speak" : "are silent";
  show(talk, { isUp, caller });
  setText($("delay"), isUp && sound ? `Answers are timed at the line. Your browser adds some ${Math.round(1000 * sound.delay)} ms.` : "");
}

// Keys.

const DIGITS = [["1", ""], ["2", "abc"], ["3", "def"], ["4", "ghi"], ["5", "jkl"], ["6", "mno"], ["7", "pqrs"], ["8", "tuv"], ["9", "wxyz"], ["*", "star"], ["0", ""], ["#", "pound"]];

function press(digit) {
  call?.press(digit);
  const button = [...$("keypad").children].find((each) => each.value === digit);
  button?.classList.add("pressed");
  setTimeout(() => button?.classList.remove("pressed"), 150);
}

for (const [digit, letters] of DIGITS) {
  const button = document.createElement("button");
  button.type = "button";
  button.value = digit;
  const small = document.createElement("small");
  small.textContent = letters;
  button.append(digit, small);
  button.addEventListener("click", () => press(digit));
  $("keypad").append(button);
}

function showKeypad(isShown) {
  $("keypad").hidden = !isShown;
  $("keys").setAttribute("aria-expanded", String(isShown));
}

function toggleMute() {
  if (!sound || $("mute").disabled) return;
  sound.isMuted = !sound.isMuted;
  $("mute").setAttribute("aria-pressed", String(sound.isMuted));
  setText($("mute"), sound.isMuted ? "Muted" : "Mute");
  showNow();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select")) return;
  if (/^[0-9*#]$/.test(event.key) && call) press(event.key);
  else if (event.key.toLowerCase() === "m" && call) toggleMute();
});

$("call").addEventListener("click", () => begin());
$("hang-up").addEventListener("click", hangUp);
$("mute").addEventListener("click", toggleMute);
$("keys").addEventListener("click", () => showKeypad($("keypad").hidden));
for (const id of ["device", "echo", "clean"]) $(id).addEventListener("change", changeMicrophone);
navigator.mediaDevices?.addEventListener?.("devicechange", () => {
  listMicrophones();
  if (sound && call && !sound.source) changeMicrophone();
});
// A page that is shown again may have lost its sound meanwhile.
addEventListener("visibilitychange", () => { if (!document.hidden && sound?.node) checkRunning(sound); });
addEventListener("pagehide", () => call?.hangUp());
loadChoices();
listMicrophones();
