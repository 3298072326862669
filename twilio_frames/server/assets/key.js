// The dial key, which a server asks of whoever comes from elsewhere: a link may bring it, a field
// takes it, this tab remembers it. And whoever has it asks the server.

const field = () => document.getElementById("key");

export const key = () => field().value.trim();

// Whether this tab may ask, as far as it knows.
export const isLoggedIn = () => document.body.dataset.needsKey !== "true" || key() !== "";

export function askForKey() {
  document.getElementById("key-field").hidden = false;
}

// Asks the server; throws an Error that says what is wrong, with the answer's `status` and `code`.
export async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = key() ? { Authorization: `Bearer ${key()}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The server cannot be reached. Is it running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) askForKey();
  if (answer.ok) return told;
  throw Object.assign(new Error(sentence(told.error ?? `the server answered ${answer.status}`)), { status: answer.status, code: told.code });
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// The address bar need not keep the key that a link brought.
function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1));
  const brought = given.get("key");
  if (brought) {
    sessionStorage.setItem("key", brought);
    given.delete("key");
    history.replaceState(null, "", location.pathname + (given.size ? `#${given}` : ""));
  }
  field().value = sessionStorage.getItem("key") ?? "";
  document.getElementById("key-field").hidden = isLoggedIn();
}

field().addEventListener("change", () => sessionStorage.setItem("key", key()));
addEventListener("hashchange", takeKey);
takeKey();
