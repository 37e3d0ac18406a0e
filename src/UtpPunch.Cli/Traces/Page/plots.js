// The diagrams over time share one axis: sequence numbers of each direction, and below what the sender measured.

const plots = { from: firstTime, to: lastTime, conversation: -1, side: -1, panels: [], cursor: null, drag: null, width: 0, height: 0 };
const margin = { left: 54, right: 16, title: 17, gap: 9, axis: 20 };

const step16 = (number, origin) => origin + (((number - origin) & 0xFFFF) << 16 >> 16);

// One direction: what was sent, and what its sender learned of it.
function directionOf(conversation, lane) {
  const sends = [];
  const acks = [];
  let last = null;
  let size = 0;
  for (const packet of packets) {
    if (packet.conversation !== conversation || packet.type === "RAW") {
      continue;
    }
    if (packet.from === lane && (packet.type === "DATA" || packet.type === "FIN" || packet.type === "SYN")) {
      last = last === null ? packet.seq : step16(packet.seq, last);
      size = Math.max(size, packet.len);
      sends.push({ t: packet.start, n: last, packet });
    } else if (packet.to === lane && packet.type !== "SYN") {
      const times = packet.arrivals.length > 0 ? packet.arrivals : lanes[lane].isNode ? [] : [packet.sent];
      times.forEach((t) => acks.push({ t, packet }));
    }
  }
  sends.sort((a, b) => a.t - b.t);
  acks.sort((a, b) => a.t - b.t);
  let best = sends.length > 0 ? sends[0].n - 1 : 0;
  let edge = -Infinity;
  for (const ack of acks) {
    ack.n = step16(ack.packet.ack, best) + 1;
    best = Math.max(best, ack.n - 1);
    ack.best = best + 1;
    edge = Math.max(edge, ack.n + ack.packet.wnd / Math.max(1, size || 1380));
    ack.edge = edge;
    ack.runs = runsOf(ack.packet.sacked.map((number) => step16(number, ack.n)));
  }
  return { lane, sends, acks, size, data: sends.reduce((sum, send) => sum + send.packet.len, 0) };
}

function runsOf(numbers) {
  const runs = [];
  for (const number of numbers) {
    const last = runs[runs.length - 1];
    if (last && number === last[1]) {
      last[1] = number + 1;
    } else {
      runs.push([number, number + 1]);
    }
  }
  return runs;
}

function choosePanels() {
  const present = [...new Set(packets.filter((packet) => packet.conversation === plots.conversation).flatMap((packet) => [packet.from, packet.to]))];
  const directions = present.sort().map((lane) => directionOf(plots.conversation, lane)).filter((direction) => direction.sends.length > 0);
  const most = Math.max(1, ...directions.map((direction) => direction.sends.length));
  const measured = [...new Set(samples.filter((sample) => sample.conversation === plots.conversation).map((sample) => sample.lane))].sort();
  if (!measured.includes(plots.side)) {
    const busiest = [...directions].sort((a, b) => b.data - a.data).find((direction) => measured.includes(direction.lane));
    plots.side = busiest ? busiest.lane : measured.length > 0 ? measured[0] : -1;
  }
  plots.measured = measured;
  plots.samples = samples.filter((sample) => sample.conversation === plots.conversation && sample.lane === plots.side);
  plots.panels = directions.map((direction) => sequencePanel(direction, most));
  if (plots.samples.length > 0) {
    plots.panels.push(windowPanel(), delayPanel());
  }
  const queued = packets.filter((packet) => packet.conversation === plots.conversation && packet.queue !== null);
  if (queued.some((packet) => packet.queue > 0)) {
    plots.panels.push(queuePanel(queued));
  }
}

function sequencePanel(direction, most) {
  const other = packets.find((packet) => packet.from === direction.lane && packet.conversation === plots.conversation).to;
  return {
    kind: "sequence", direction, weight: 0.8 + 3.2 * direction.sends.length / most,
    title: `${lanes[direction.lane].name} → ${lanes[other].name}, seq`,
    keys(t, panel) {
      const seen = direction.acks.slice(Math.max(0, firstIndex(direction.acks.length, (i) => direction.acks[i].t > plots.from) - 1));
      const above = seen.length > 0 && seen.every((ack) => ack.edge > panel.high || ack.t > plots.to);
      return [["sent", "key-sent"], ["again", "key-again"], ["lost", "key-lost"], ["acked", "key-ack"], ["sack", "key-sack"],
        [above ? "window (above)" : "window", "key-window"]];
    },
    range(from, to) {
      const { sends, acks } = direction;
      const low = firstIndex(sends.length, (i) => sends[i].t >= from);
      const high = firstIndex(sends.length, (i) => sends[i].t > to);
      const values = sends.slice(low, high).flatMap((send) => [send.n, send.n + 1]);
      const known = acks[firstIndex(acks.length, (i) => acks[i].t > from) - 1];
      const latest = acks[firstIndex(acks.length, (i) => acks[i].t > to) - 1];
      values.push(...[known, latest].filter(Boolean).map((ack) => ack.best));
      let bottom = values.reduce((a, b) => Math.min(a, b), Infinity);
      let most = values.reduce((a, b) => Math.max(a, b), -Infinity);
      if (bottom > most) {
        [bottom, most] = [sends[0].n, sends[0].n + 1];
      }
      const room = Math.max(1, (most - bottom) * 0.1);
      return [bottom - room, most + room];
    },
    label: (value) => Number.isInteger(value) ? String(value & 0xFFFF) : "",
    whole: true,
    draw: drawSequence,
  };
}

function drawSequence(panel, x, y, into) {
  const { sends, acks } = panel.direction;
  const [from, to] = [plots.from, plots.to];
  const parts = { sent: "", again: "", lost: "", ends: "", sack: "" };
  const first = firstIndex(sends.length, (i) => sends[i].t >= from);
  const after = firstIndex(sends.length, (i) => sends[i].t > to);
  const isDense = sends.slice(first, after).filter((send) => send.packet.lost !== null).length > 80;
  const cross = isDense ? 1.2 : 4;
  for (let i = first; i < after; i++) {
    const { t, n, packet } = sends[i];
    const [px, low, high] = [x(t), y(n), y(n + 1)];
    const least = packet.again && !isDense ? 8 : 3;
    const middle = (low + high) / 2;
    const tick = low - high >= 6 ? `M${px} ${low}V${high}M${px - 2} ${low}h4M${px - 2} ${high}h4`
      : `M${px} ${middle + Math.max(least, low - high) / 2}v${-Math.max(least, low - high)}`;
    parts[packet.again ? "again" : "sent"] += tick;
    if (packet.lost !== null) {
      parts.lost += `M${px - cross} ${middle - cross}l${2 * cross} ${2 * cross}m0 ${-2 * cross}l${-2 * cross} ${2 * cross}`;
    }
  }
  let stairs = "";
  let window = "";
  const begin = Math.max(0, firstIndex(acks.length, (i) => acks[i].t >= from) - 1);
  for (let i = begin; i < acks.length; i++) {
    const ack = acks[i];
    const px = Math.max(-10, x(ack.t));
    const [level, edge] = [y(ack.best), Math.max(-50, y(ack.edge))];
    stairs += stairs ? `H${px}V${level}` : `M${px} ${level}`;
    window += window ? `H${px}V${edge}` : `M${px} ${edge}`;
    for (const [low, high] of ack.t >= from && ack.t <= to ? ack.runs : []) {
      parts.sack += `M${px} ${y(low)}V${y(high)}`;
    }
    if (ack.t > to) {
      break;
    }
  }
  if (stairs) {
    const end = Math.min(x(to) + 10, x(lastTime));
    stairs += `H${end}`;
    window += `H${end}`;
  }
  into.append(shape("path", { class: "series key-window", d: window }), shape("path", { class: "series key-sack", d: parts.sack }),
    shape("path", { class: "series key-ack", d: stairs }), shape("path", { class: "series key-sent", d: parts.sent }),
    shape("path", { class: "series key-again", d: parts.again }), shape("path", { class: "series key-lost", d: parts.lost }));
}

// A value that holds until the next one.
function stairsOf(rows, value, x, y, close) {
  let d = "";
  const begin = Math.max(0, firstIndex(rows.length, (i) => rows[i].t >= plots.from) - 1);
  let lastX = 0;
  for (let i = begin; i < rows.length; i++) {
    const px = Math.max(-10, x(rows[i].t));
    d += d ? `H${px}V${y(value(rows[i]))}` : close ? `M${px} ${y(0)}V${y(value(rows[i]))}` : `M${px} ${y(value(rows[i]))}`;
    lastX = px;
    if (rows[i].t > plots.to) {
      break;
    }
  }
  const end = d ? Math.max(lastX, Math.min(x(plots.to) + 10, x(lastTime))) : 0;
  return d && `${d}H${end}${close ? `V${y(0)}z` : ""}`;
}

function sampleAt(rows, t) {
  return rows[Math.max(0, firstIndex(rows.length, (i) => rows[i].t > t) - 1)];
}

function visible(rows) {
  const low = Math.max(0, firstIndex(rows.length, (i) => rows[i].t >= plots.from) - 1);
  return rows.slice(low, Math.max(low + 1, firstIndex(rows.length, (i) => rows[i].t > plots.to)));
}

const largest = (rows, value) => rows.reduce((most, item) => Math.max(most, value(item)), 0);

function windowPanel() {
  const rows = plots.samples;
  const top = () => 1.12 * Math.max(1, largest(visible(rows), (row) => Math.max(row.cwnd, row.flight)));
  return {
    kind: "strip", weight: 1.25, title: `window of ${lanes[plots.side].name}`,
    keys(t) {
      const now = t === null ? null : sampleAt(rows, t);
      const said = (value) => now ? ` ${bytes(value(now))}` : "";
      const above = Math.min(...visible(rows).map((row) => row.peer)) > top() ? " (above)" : "";
      return [[`cwnd${said((row) => row.cwnd)}`, "key-cwnd"], [`in flight${said((row) => row.flight)}`, "key-flight"],
        [`peer window${said((row) => row.peer)}${above}`, "key-window"]];
    },
    range: () => [0, top()],
    label: bytes,
    binary: true,
    draw(panel, x, y, into) {
      into.append(shape("path", { class: "area key-flight", d: stairsOf(rows, (row) => row.flight, x, y, true) }),
        shape("path", { class: "series key-flight", d: stairsOf(rows, (row) => row.flight, x, y) }),
        shape("path", { class: "series key-window", d: stairsOf(rows, (row) => row.peer, x, (value) => Math.max(-50, y(value))) }),
        shape("path", { class: "series key-cwnd", d: stairsOf(rows, (row) => row.cwnd, x, y) }));
    },
  };
}

function delayPanel() {
  const rows = plots.samples;
  const known = rows.filter((row) => row.rtt > 0);
  return {
    kind: "strip", weight: 1.1, title: `delay seen by ${lanes[plots.side].name}`,
    keys(t) {
      const now = t === null ? null : sampleAt(rows, t);
      const said = (value) => now ? ` ${millis(value(now))}` : "";
      return [[`our delay${said((row) => row.delay)}`, "key-delay"], [`target${said((row) => row.target)}`, "key-target"],
        [`rtt${said((row) => row.rtt)}`, "key-rtt"]];
    },
    range: () => [0, 1.12 * Math.max(1, largest(visible(rows), (row) => Math.max(row.delay, row.target, row.rtt)))],
    label: (value) => `${value / 1000} ms`,
    draw(panel, x, y, into) {
      into.append(shape("path", { class: "area key-delay", d: stairsOf(rows, (row) => row.delay, x, y, true) }),
        shape("path", { class: "series key-target", d: stairsOf(rows, (row) => row.target, x, y) }),
        shape("path", { class: "series key-rtt", d: stairsOf(known, (row) => row.rtt, x, y) }),
        shape("path", { class: "series key-delay", d: stairsOf(rows, (row) => row.delay, x, y) }));
    },
  };
}

function queuePanel(queued) {
  const sides = [...new Set(queued.map((packet) => packet.from))].sort()
    .map((lane) => ({ lane, rows: queued.filter((packet) => packet.from === lane).map(({ sent, queue }) => ({ t: sent, queue })) }))
    .filter((side) => side.rows.some((row) => row.queue > 0));
  return {
    kind: "strip", weight: 0.8, title: "queue on the way",
    keys: () => sides.map((side) => [`from ${lanes[side.lane].name}`, `key-side${side.lane % 2}`]),
    range: () => [0, 1.12 * Math.max(1, ...sides.map((side) => largest(visible(side.rows), (row) => row.queue)))],
    label: (value) => `${value / 1000} ms`,
    draw(panel, x, y, into) {
      for (const { lane, rows } of sides) {
        let bars = "";
        for (const row of visible(rows)) {
          bars += `M${x(row.t)} ${y(0)}V${y(row.queue)}h.01`;
        }
        into.append(shape("path", { class: `bars key-side${lane % 2}`, d: bars }));
      }
    },
  };
}
