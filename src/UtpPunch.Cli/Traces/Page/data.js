// The trace as objects, and small things that all views need.

const raw = JSON.parse(document.getElementById("trace").textContent);
const named = (names) => (row) => Object.fromEntries(names.map((name, i) => [name, row[i]]));
const lanes = raw.lanes.map(named(["name", "address", "isNode"]));
const packets = raw.packets.map(named(["p", "from", "to", "sent", "type", "id", "seq", "ack", "wnd", "len", "sack", "flags", "lost",
  "queue", "conversation", "ts", "td", "line", "arrivals", "promised", "bits"]));
const samples = raw.samples.map(named(["t", "lane", "conversation", "cwnd", "flight", "peer", "delay", "target", "rtt", "rto"]));
const events = raw.events.map(named(["t", "lane", "dir", "kind", "text", "packet", "arrival"]));

packets.forEach((packet, index) => {
  packet.index = index;
  packet.again = (packet.flags & 1) !== 0;
  packet.corrupt = (packet.flags & 2) !== 0;
  packet.start = packet.sent ?? packet.arrivals[0];
  packet.sacked = sackOf(packet);
});

// Bit 0 of the first byte is ack + 2. Of ranges, each has its distance from ack and its length.
function sackOf(packet) {
  const found = [];
  if (packet.flags & 4) {
    for (let i = 0; i + 7 < packet.sack.length; i += 8) {
      const first = packet.ack + parseInt(packet.sack.slice(i, i + 4), 16);
      const length = parseInt(packet.sack.slice(i + 4, i + 8), 16);
      for (let k = 0; k < length; k++) {
        found.push((first + k) & 0xFFFF);
      }
    }
    return found;
  }
  for (let i = 0; i + 1 < packet.sack.length; i += 2) {
    const byte = parseInt(packet.sack.slice(i, i + 2), 16);
    for (let bit = 0; bit < 8; bit++) {
      if (byte >> bit & 1) {
        found.push((packet.ack + 2 + i * 4 + bit) & 0xFFFF);
      }
    }
  }
  return found;
}

function ranges(numbers) {
  const runs = [];
  for (const number of numbers) {
    const last = runs[runs.length - 1];
    if (last && number === ((last[1] + 1) & 0xFFFF)) {
      last[1] = number;
    } else {
      runs.push([number, number]);
    }
  }
  return runs.map(([first, last]) => first === last ? `${first}` : `${first}–${last}`).join(", ");
}

let firstTime = Infinity;
let lastTime = -Infinity;
for (const happened of events) {
  firstTime = Math.min(firstTime, happened.t);
  lastTime = Math.max(lastTime, happened.t);
}
for (const sample of samples) {
  lastTime = Math.max(lastTime, sample.t);
}
if (!(firstTime <= lastTime)) {
  firstTime = 0;
  lastTime = 1;
}

const $ = (id) => document.getElementById(id);
const seconds = (t) => (t / 1e6).toFixed(6);
const millis = (us) => us >= 100000 ? `${Math.round(us / 1000)} ms` : `${(us / 1000).toFixed(us >= 10000 ? 1 : 2)} ms`;
const grouped = (number) => String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");

function bytes(count) {
  for (const [unit, name] of [[1 << 30, "GiB"], [1 << 20, "MiB"], [1 << 10, "KiB"]]) {
    if (count >= unit) {
      const value = count / unit;
      return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${name}`;
    }
  }
  return `${count} B`;
}

// Which drawing a packet gets.
function classOf(packet) {
  return packet.again ? "again" : packet.type === "DATA" ? "data" : packet.sacked.length > 0 ? "sack"
    : packet.type === "STATE" ? "state" : packet.type === "RESET" ? "again" : "open";
}

function labelOf(packet) {
  if (packet.type === "RAW") {
    return `RAW ${packet.len} B`;
  }
  return `${packet.type} ${packet.seq}/${packet.ack}`;
}

function extraOf(packet) {
  if (packet.bits !== "" && packet.type !== "RAW") {
    return packet.bits;
  }
  return packet.sacked.length > 0 ? `+${packet.sacked.length} sack` : packet.len > 0 && packet.type !== "RAW" ? `${packet.len}` : "";
}

const nameOf = (lane) => lanes[lane] ? lanes[lane].name : "";

function element(name, properties, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const key in attributes) {
    made.setAttribute(key, attributes[key]);
  }
  if (text !== undefined) {
    made.textContent = text;
  }
  return made;
}

// In the next frame: drawing may change sizes again.
const whenResized = (host, draw) => new ResizeObserver(() => requestAnimationFrame(draw)).observe(host);

// Index of the first item for which the condition holds; it holds for all behind that one.
function firstIndex(count, holds) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// What is looked at: a packet or an event, by pointer or by choice. The views listen.
const views = [];
const focus = { packet: -1, event: -1, fixed: false };

function look(packet, event, options = {}) {
  if (focus.fixed && !options.fix && !options.release) {
    return;
  }
  const changed = focus.packet !== packet || focus.event !== event || options.fix;
  focus.fixed = !!options.fix && (packet >= 0 || event >= 0);
  focus.packet = packet;
  focus.event = event;
  if (changed || options.release) {
    for (const view of views) {
      view(options);
    }
  }
}
