// The socket: it brings frames as they are asked for, and the state a few times a second.

import { token } from "./api.js";

const AHEAD = 2; // frames asked for ahead, so that one travels while another is drawn
const RETRY_MS = 1500;

export class Connection {
  // on.state(state), on.frame(frame), on.down(why), on.ended()
  constructor(on) {
    this.on = on;
    this.wanted = {};
    this.over = false;
    this.connect();
  }

  connect() {
    if (typeof WebSocket === "undefined") {
      this.on.down("this browser has no WebSocket; use a newer one, or the control API");
      return;
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const protocols = token ? ["masklet", `token.${token}`] : ["masklet"];
    this.socket = new WebSocket(`${scheme}://${location.host}/api/socket`, protocols);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      this.show(this.wanted);
      for (let n = 0; n < AHEAD; n++) this.next();
    };
    this.socket.onmessage = (event) => this.take(event.data);
    this.socket.onclose = (event) => this.closed(event);
  }

  take(data) {
    if (typeof data === "string") {
      const message = JSON.parse(data);
      if (message.type === "state") this.on.state(message);
      else if (message.type === "ended") this.over = true;
      return;
    }
    this.on.frame(parseFrame(data));
  }

  // Which streams to see: number to the longer side of the picture in pixels.
  show(streams) {
    this.wanted = streams;
    this.send({ type: "show", streams });
  }

  // Room for one more frame.
  next() {
    this.send({ type: "next" });
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  async closed(event) {
    if (this.over) {
      this.on.ended();
      return;
    }
    this.on.down(event.reason || (await whyNot()) || "masklet cannot be reached; trying again");
    setTimeout(() => this.connect(), RETRY_MS);
  }
}

// A frame's JSON with its picture as `jpeg`: four bytes of length, the JSON, the JPEG.
export function parseFrame(data) {
  const length = new DataView(data).getUint32(0, true);
  const frame = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  frame.jpeg = data.byteLength > 4 + length ? new Blob([new Uint8Array(data, 4 + length)], { type: "image/jpeg" }) : null;
  return frame;
}

// Why the socket was refused: a browser does not say, but the API does.
async function whyNot() {
  try {
    const answer = await fetch("/api/session", { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    return answer.ok ? null : (await answer.json()).error;
  } catch {
    return null;
  }
}
