// The ladder: where each moment lies on the vertical axis. By rows, every label has room, what happens at one instant is fanned out and
// long silences are short; in true time the axis is linear, and labels that would overlap are left out until the pointer is near.

const row = 14;
const silence = 46;
const ladder = { trueTime: false, zoom: 1, marks: [], height: 0, times: [], ys: [], gaps: [], labelled: [] };
const quiet = new Set(["deliver", "consumed", "taken", "write", "writable", "listen", "unlisten", "idle"]);

// Everything that lies on a lane, in order.
function ladderMarks() {
  const marks = [];
  events.forEach((happened, index) => {
    const packet = happened.packet >= 0 ? packets[happened.packet] : null;
    if (packet) {
      if (happened.dir !== "net") {
        marks.push({ t: happened.t, lane: happened.lane, packet, event: index, arrival: happened.arrival,
          says: happened.arrival < 0 || packet.sent === null });
      }
    } else if (happened.lane >= 0 ? !quiet.has(happened.kind) && !/rule=(OutOfOrder|Duplicate)\b/.test(happened.text) : true) {
      marks.push({ t: happened.t, lane: happened.lane, event: index, note: noteOf(happened), wrong: happened.kind === "violation", says: true });
    }
  });
  for (const packet of packets) {
    for (const time of packet.promised.filter((time) => packet.lost === null && time <= lastTime)) {
      marks.push({ t: time, lane: packet.to, packet, event: -1, arrival: packet.arrivals.length, says: false });
    }
  }
  return marks.sort((a, b) => a.t - b.t);
}

function noteOf(happened) {
  const value = (key) => (new RegExp(`(?:^| )${key}=(\\S+)`).exec(happened.text) || [])[1];
  switch (happened.kind) {
    case "noted": return (value("rule") || happened.text).replace(/(?<=[a-z])(?=[A-Z])/g, " ").toLowerCase();
    case "closed": return `closed: ${value("reason") || ""}`.toLowerCase();
    case "connect": return "connect";
    case "opened": case "accepted": case "ended": case "finished": case "finish": case "abort": case "release": return happened.kind;
    case "violation": return happened.text;
    default: return `${happened.kind} ${happened.text}`.slice(0, 60);
  }
}

const gutterOf = (lane) => lane < 0 ? 0 : lane;

function typicalDelay() {
  const delays = packets.filter((packet) => packet.sent !== null && packet.arrivals.length > 0)
    .map((packet) => packet.arrivals[0] - packet.sent).sort((a, b) => a - b);
  return delays.length > 0 ? Math.max(1, delays[delays.length >> 1]) : 20000;
}

function placeMarks() {
  const marks = ladder.marks;
  ladder.gaps = [];
  ladder.times = [];
  ladder.ys = [];
  const pace = 84 * ladder.zoom / ladder.delay;
  const top = 18;
  if (ladder.trueTime) {
    const fitted = Math.min(pace, 4e6 / Math.max(1, lastTime - firstTime));
    for (const mark of marks) {
      mark.y = top + (mark.t - firstTime) * fitted;
    }
    ladder.height = top + (lastTime - firstTime) * fitted + 40;
    ladder.times = [firstTime, lastTime + 1];
    ladder.ys = [top, top + (lastTime + 1 - firstTime) * fitted];
    return;
  }
  const said = lanes.map(() => -Infinity);
  const landed = lanes.map(() => -Infinity);
  let y = top;
  let previous = firstTime;
  for (const mark of marks) {
    const wanted = (mark.t - previous) * pace;
    const step = Math.min(wanted, silence);
    if (wanted > 3 * silence) {
      ladder.gaps.push({ y: y + step / 2 + 4, length: mark.t - previous });
    }
    y += step + (wanted > 3 * silence ? 8 : 0);
    const gutter = gutterOf(mark.lane);
    if (mark.says) {
      y = Math.max(y, said[gutter] + row);
      said[gutter] = y;
    } else {
      y = Math.max(y, landed[gutter] + 4);
    }
    landed[gutter] = y;
    if (mark.wrong) {
      y = Math.max(y, ...said.map((last) => last + row));
      said.fill(y + 2);
    }
    mark.y = y;
    ladder.times.push(mark.t);
    ladder.ys.push(y);
    previous = mark.t;
  }
  ladder.height = y + 40;
}

// Where a time lies between the marks.
function ladderY(t) {
  const { times, ys } = ladder;
  if (times.length === 0) {
    return 0;
  }
  const after = firstIndex(times.length, (i) => times[i] >= t);
  if (after === times.length) {
    return ys[ys.length - 1] + Math.min(silence, (t - times[times.length - 1]) * 84 * ladder.zoom / ladder.delay);
  }
  if (after === 0 || times[after] === t) {
    return ys[after];
  }
  const part = (t - times[after - 1]) / (times[after] - times[after - 1]);
  return ys[after - 1] + part * (ys[after] - ys[after - 1]);
}

function ladderTime(y) {
  const { times, ys } = ladder;
  const after = firstIndex(ys.length, (i) => ys[i] >= y);
  if (after === 0 || after === ys.length) {
    return after === 0 ? firstTime : lastTime;
  }
  const part = (y - ys[after - 1]) / Math.max(1e-9, ys[after] - ys[after - 1]);
  return times[after - 1] + part * (times[after] - times[after - 1]);
}

// In true time only labels with room for them; the first come first.
function chooseLabels() {
  const said = lanes.map(() => -Infinity);
  for (const mark of ladder.marks) {
    const gutter = gutterOf(mark.lane);
    mark.shown = mark.says && (!ladder.trueTime || mark.wrong || mark.y >= said[gutter] + row - 1);
    if (mark.shown) {
      said[gutter] = mark.y;
    }
  }
}

function layLadder() {
  placeMarks();
  chooseLabels();
  for (const packet of packets) {
    packet.fromY = undefined;
    packet.toYs = [];
  }
  for (const mark of ladder.marks) {
    if (mark.packet && mark.arrival < 0) {
      mark.packet.fromY = mark.y;
    } else if (mark.packet) {
      mark.packet.toYs[mark.arrival] = mark.y;
    }
  }
  for (const packet of packets) {
    const ys = packet.toYs.filter((y) => y !== undefined);
    if (packet.fromY === undefined) {
      packet.fromY = ys.length > 0 ? ys[0] - 7 : 0;
    } else if (ys.length === 0) {
      packet.endY = lanes[packet.to] && lanes[packet.to].isNode ? Math.max(packet.fromY + 5, ladderY(packet.sent + ladder.delay)) : packet.fromY + 7;
    }
    packet.top = packet.fromY;
    packet.bottom = Math.max(packet.fromY, packet.endY || 0, ...ys);
  }
  ladder.reach = packets.reduce((most, packet) => Math.max(most, packet.bottom - packet.top), 0);
}
