// One call's WebSocket: what is said goes up, what is heard and what happens comes down.

export class Refused extends Error {}

// A ticket for one call; throws Refused with the server's reason and its status.
async function ticket(key) {
  let answer;
  try {
    answer = await fetch("phone/ticket", { method: "POST", headers: key ? { Authorization: `Bearer ${key}` } : {} });
  } catch {
    throw new Refused("The server could not be reached. Is it running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (answer.ok) return told;
  const error = new Refused(told.error ?? `The server answered ${answer.status}`);
  error.status = answer.status;
  throw error;
}

export class Call {
  // The handlers: `audio(bytes)`, `told(event)`, and `closed()`, once, when all is over.
  static async place(key, handlers) {
    const { ticket: proof, protocol } = await ticket(key);
    const address = new URL("phone/line", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address, [protocol, proof]);
    socket.binaryType = "arraybuffer";
    return new Call(socket, handlers);
  }

  constructor(socket, { audio, told, closed }) {
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") told(JSON.parse(data));
      else audio(new Uint8Array(data));
    };
    socket.onclose = closed;
  }

  get isOpen() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  // Says 20 ms, mu-law. What a slow network does not take is not said later.
  say(codes) {
    if (this.isOpen && this.socket.bufferedAmount < 8000) this.socket.send(codes);
  }

  press(digit) {
    if (this.isOpen) this.socket.send(JSON.stringify({ do: "press", digit }));
  }

  hangUp() {
    if (this.isOpen) this.socket.send(JSON.stringify({ do: "hang_up" }));
    else this.socket.close();
  }
}
