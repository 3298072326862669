// Help with a phone number while it is written: first by what can be seen, then by what the server knows.

import { ask, isLoggedIn } from "./key.js";

const PAUSE = 250;

// What is wrong with how a number is written; empty if nothing is.
export function complaint(text) {
  const digits = text.replace(/[^0-9]/g, "");
  if (digits.length > 15) return "A number has 15 digits at most, those of its country included";
  if (!text || text.startsWith("+")) return "";
  if (text.startsWith("00")) return `Write + in the place of 00: +${digits.slice(2)}`;
  return "Put + and the country's digits in front: +1 for the United States and Canada, +44 for the United Kingdom";
}

const place = (region) => {
  try {
    return new Intl.DisplayNames(["en"], { type: "region" }).of(region);
  } catch {
    return region;
  }
};

// What the server knows of a number, in words.
export function described({ shown, country, is_valid: isValid, may_be_called: mayBeCalled }) {
  const where = country ? `${shown}, ${place(country)}` : shown;
  if (!isValid) return `${where}: no such number is known`;
  return mayBeCalled ? where : `${where}: this server does not call there (TWILIO_FRAMES_DIAL_PREFIXES)`;
}

export function helpWithNumber(field, hint) {
  const usual = hint.textContent;
  let waiting = 0, asking = new AbortController(), known = null;
  const tell = (text) => { if (hint.textContent !== text) hint.textContent = text; };

  async function look(text) {
    try {
      known = { text, ...await ask("console/number", { method: "POST", body: { number: text }, signal: asking.signal }) };
      tell(known.number ? described(known) : complaint(text) || usual);
    } catch { /* what can be seen was said */ }
  }

  field.addEventListener("input", () => {
    clearTimeout(waiting);
    asking.abort();
    asking = new AbortController();
    known = null;
    const text = field.value.trim();
    tell(complaint(text) || usual);
    if (text && isLoggedIn()) waiting = setTimeout(look, PAUSE, text);
  });
  // A number of the server's own country, written as one does there, gets its country's digits.
  field.addEventListener("change", () => {
    if (known?.number && known.text === field.value.trim()) field.value = known.shown;
  });
}
