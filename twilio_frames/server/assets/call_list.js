// The calls in progress as a list: a call that changes touches its own row, and no other.

import { matches, nameOf, stateOf } from "./calls.js";
import { clock } from "./talk_view.js";

const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };

export class CallList {
  // `pick` is called with the sid of a call that is pressed.
  constructor(list, pick) {
    this.list = list;
    this.pick = pick;
    this.rows = new Map();
    this.wanted = "";
    list.addEventListener("keydown", (event) => this.go(event));
  }

  update({ changed, gone }) {
    for (const sid of gone) this.remove(sid);
    for (const call of changed) {
      if (call.state === "over") this.remove(call.call_sid);
      else this.show(call);
    }
    this.keepOneInReach();
  }

  show(call) {
    let row = this.rows.get(call.call_sid);
    if (!row) this.rows.set(call.call_sid, row = this.add(call));
    row.call = call;
    setText(row.name, nameOf(call));
    setText(row.state, stateOf(call));
    row.item.hidden = !matches(call, this.wanted);
  }

  add(call) {
    const made = (name) => document.createElement(name);
    const row = { item: made("li"), button: made("button"), name: made("span"), time: made("time"), state: made("small") };
    row.button.type = "button";
    row.button.tabIndex = -1;
    row.button.dataset.sid = call.call_sid;
    row.button.append(row.name, row.time, row.state);
    row.button.addEventListener("click", () => this.pick(call.call_sid));
    row.item.append(row.button);
    // The newest stand first: nearly always at the top.
    let next = this.list.firstElementChild;
    while (next && this.rows.get(next.firstElementChild.dataset.sid)?.call.began_at > call.began_at) next = next.nextElementSibling;
    this.list.insertBefore(row.item, next);
    return row;
  }

  remove(sid) {
    const row = this.rows.get(sid);
    if (!row) return;
    const hadFocus = document.activeElement === row.button;
    const next = row.item.nextElementSibling ?? row.item.previousElementSibling;
    this.rows.delete(sid);
    row.item.remove();
    if (hadFocus) next?.firstElementChild.focus();
  }

  filter(wanted) {
    this.wanted = wanted.trim();
    for (const row of this.rows.values()) row.item.hidden = !matches(row.call, this.wanted);
    this.keepOneInReach();
  }

  mark(sid) {
    for (const { button } of this.rows.values()) if (button.hasAttribute("aria-current")) button.removeAttribute("aria-current");
    this.rows.get(sid)?.button.setAttribute("aria-current", "true");
  }

  // How long each has been there; `now` is the server's clock.
  tick(now) {
    for (const { call, time, item } of this.rows.values()) if (!item.hidden) setText(time, clock(now - call.began_at));
  }

  get buttons() {
    return [...this.list.querySelectorAll("li:not([hidden]) > button")];
  }

  // One call is reached by Tab, the others from there by arrow keys.
  keepOneInReach(wanted) {
    const buttons = this.buttons;
    const inReach = wanted ?? buttons.find((button) => button.tabIndex === 0) ?? buttons[0];
    for (const button of this.list.querySelectorAll('button[tabindex="0"]')) if (button !== inReach) button.tabIndex = -1;
    if (inReach) inReach.tabIndex = 0;
  }

  go(event) {
    const buttons = this.buttons;
    const at = buttons.indexOf(document.activeElement);
    const places = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 };
    if (!(event.key in places) || !buttons.length) return;
    event.preventDefault();
    const button = buttons[Math.max(0, Math.min(buttons.length - 1, places[event.key]))];
    this.keepOneInReach(button);
    button.focus();
  }
}
