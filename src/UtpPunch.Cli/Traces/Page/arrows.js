// Draws the part of the ladder that can be seen, and a margin around it; all of it when it is short.

const drawn = { from: 0, to: -1, width: 0 };
const allAtOnce = 2500;

function laneX(lane, width) {
  const { left, right } = ladder.edges;
  return lanes.length === 1 ? width / 2 : left + lane * (width - left - right) / (lanes.length - 1);
}

// What labels say depends on the room that they leave to the arrows.
function chooseEdges(width) {
  const letter = 6.65;
  const times = (lastTime / 1000).toFixed(2).length * 6.4 + 10;
  for (const style of [{ times, extra: true, whole: true }, { times, whole: true }, { times: 0, whole: true }, { times: 0 }]) {
    const longest = lanes.map(() => 0);
    for (const mark of ladder.marks) {
      if (mark.says && !mark.wrong) {
        const [name, extra] = wordsFor(mark, style);
        longest[gutterOf(mark.lane)] = Math.max(longest[gutterOf(mark.lane)], name.length + (extra ? extra.length + 1 : 0));
      }
    }
    const edge = (lane) => Math.max(46, longest[lane] * letter + 16 + style.times);
    ladder.style = style;
    ladder.edges = { left: edge(0), right: edge(lanes.length - 1) };
    if (width - ladder.edges.left - ladder.edges.right >= (lanes.length - 1) * Math.max(130, width * 0.24 / (lanes.length - 1))) {
      return;
    }
  }
}

function wordsFor(mark, style) {
  if (!mark.packet) {
    return [mark.note.length > 24 ? `${mark.note.slice(0, 23)}…` : mark.note, ""];
  }
  const name = labelOf(mark.packet);
  return [style.whole ? name : name.replace(/\/.*/, ""), style.extra ? extraOf(mark.packet) : ""];
}

function drawLadder(force) {
  const scroll = $("ladder-scroll");
  const svg = $("ladder-svg");
  const width = scroll.clientWidth;
  const seen = scroll.clientHeight;
  const few = ladder.marks.length <= allAtOnce;
  const from = few ? 0 : Math.max(0, scroll.scrollTop - seen);
  const to = few ? ladder.height : scroll.scrollTop + 2 * seen;
  const isThere = drawn.from <= Math.max(0, scroll.scrollTop - 40) && drawn.to >= Math.min(ladder.height, scroll.scrollTop + seen + 40);
  if (!force && drawn.width === width && isThere) {
    return;
  }
  Object.assign(drawn, { from, to, width });
  chooseEdges(width);
  svg.setAttribute("width", width);
  svg.setAttribute("height", ladder.height);
  const back = shape("g", {});
  const lines = shape("g", {});
  const words = shape("g", {});
  lanes.forEach((lane, index) => {
    const x = laneX(index, width);
    back.append(shape("line", { class: lane.isNode ? "lane" : "lane outside", x1: x, x2: x, y1: 0, y2: ladder.height }));
  });
  for (const gap of ladder.gaps.filter((gap) => gap.y >= from && gap.y <= to)) {
    lanes.forEach((_, index) => {
      const x = laneX(index, width);
      back.append(shape("rect", { class: "hole", x: x - 5, y: gap.y - 5, width: 10, height: 10 }));
      back.append(shape("path", { class: "lane", d: `M${x} ${gap.y - 5}l-4 2.5l8 5l-4 2.5`, fill: "none" }));
    });
    words.append(shape("text", { class: "gap", x: width / 2, y: gap.y + 3.5, "text-anchor": "middle" }, `${millis(gap.length)} of silence`));
  }
  const first = firstIndex(ladder.marks.length, (i) => ladder.marks[i].y >= from - ladder.reach);
  const last = firstIndex(ladder.marks.length, (i) => ladder.marks[i].y > to + ladder.reach);
  const done = new Set();
  for (let i = first; i < last; i++) {
    const mark = ladder.marks[i];
    if (mark.packet && !done.has(mark.packet.index)) {
      done.add(mark.packet.index);
      lines.append(arrowOf(mark.packet, width));
    }
  }
  const times = lanes.map(() => "");
  for (let i = first; i < last; i++) {
    labelMark(ladder.marks[i], width, words, times);
  }
  svg.replaceChildren(back, lines, words, shape("g", { id: "ladder-hot" }));
  lightLadder();
}

function line(x1, y1, x2, y2, part) {
  return [x1 + (x2 - x1) * part, y1 + (y2 - y1) * part];
}

function arrowOf(packet, width) {
  const kind = classOf(packet);
  const group = shape("g", { class: `packet ${kind}`, "data-packet": packet.index });
  const x1 = laneX(packet.from, width);
  const x2 = laneX(packet.to, width);
  const away = Math.sign(x2 - x1) || 1;
  const ys = packet.toYs.map((y, arrival) => [y, arrival]).filter(([y]) => y !== undefined);
  if (ys.length === 0) {
    const part = packet.lost !== null ? 0.5 : 1;
    const [x, y] = line(x1, packet.fromY, x2, packet.endY, part);
    group.append(shape("path", { class: "reach", d: `M${x1} ${packet.fromY}L${x} ${y}` }));
    group.append(shape("path", { class: packet.lost !== null ? "shaft" : "shaft open-ended", d: `M${x1} ${packet.fromY}L${x} ${y}` }));
    if (packet.lost !== null) {
      group.classList.add("lost");
      group.append(shape("path", { class: "mark cross", "data-p": packet.p, d: `M${x - 4.5} ${y - 4.5}l9 9m0 -9l-9 9` }));
      group.append(shape("text", { class: "cause", x: x + away * 9, y: y + 3.5, "text-anchor": away > 0 ? "start" : "end" }, packet.lost));
    } else {
      group.append(tip(x1, packet.fromY, x, y));
    }
  }
  for (const [y, arrival] of ys) {
    const d = `M${x1} ${packet.fromY}L${x2 - away * 5} ${y}`;
    group.append(shape("path", { class: "reach", d }));
    group.append(shape("path", { class: arrival > 0 ? "shaft copy" : "shaft", d }));
    group.append(tip(x1, packet.fromY, x2, y, arrival > 0 ? "copy" : ""));
  }
  return group;
}

function tip(x1, y1, x2, y2, more = "") {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [bx, by] = [x2 - ux * 8, y2 - uy * 8];
  return shape("path", { class: `tip ${more}`, d: `M${x2} ${y2}L${bx - uy * 3} ${by + ux * 3}L${bx + uy * 3} ${by - ux * 3}z` });
}

// The outer lanes have their labels outside, the inner ones beside themselves.
function labelMark(mark, width, words, times) {
  if (!mark.shown) {
    return;
  }
  const lane = gutterOf(mark.lane);
  const x = laneX(lane, width);
  const isLast = lane === lanes.length - 1 && lanes.length > 1;
  const anchor = lane === 0 ? "end" : "start";
  const at = lane === 0 ? x - 9 : x + 9;
  if (mark.wrong) {
    const group = shape("g", { class: "violation", "data-event": mark.event });
    group.append(shape("rect", { x: 4, y: mark.y - row + 4, width: width - 8, height: row + 3, rx: 3 }));
    group.append(shape("text", { x: 10, y: mark.y + 1.5 }, `✗ ${mark.note}`));
    words.append(group);
    return;
  }
  const [name, extra] = wordsFor(mark, ladder.style);
  const text = shape("text", { class: mark.packet ? `label ${classOf(mark.packet)}` : "label note", x: at, y: mark.y + 3.5, "text-anchor": anchor });
  if (mark.packet) {
    text.dataset.packet = mark.packet.index;
    text.append(shape("tspan", {}, name));
    if (extra) {
      text.append(shape("tspan", { class: "extra", dx: 5 }, extra));
    }
  } else {
    text.dataset.event = mark.event;
    text.textContent = name;
    words.append(shape("circle", { class: "dot", cx: x, cy: mark.y, r: 2.5 }));
  }
  words.append(text);
  if (ladder.style.times > 0 && (lane === 0 || isLast) && times[lane] !== mark.t) {
    times[lane] = mark.t;
    words.append(shape("text", { class: "time", x: lane === 0 ? 4 : width - 4, y: mark.y + 3.5, "text-anchor": lane === 0 ? "start" : "end" },
      (mark.t / 1000).toFixed(2)));
  }
}

// What is looked at is drawn once more, on top.
function lightLadder(options = {}) {
  const hot = $("ladder-hot");
  if (!hot) {
    return;
  }
  $("ladder-svg").classList.toggle("dimmed", focus.packet >= 0 && focus.fixed);
  hot.replaceChildren();
  const width = drawn.width;
  if (focus.packet >= 0) {
    const packet = packets[focus.packet];
    hot.append(arrowOf(packet, width));
    hot.firstChild.classList.add("hot");
    hot.firstChild.querySelectorAll(".cross").forEach((cross) => cross.classList.replace("cross", "crossed"));
    const mark = ladder.marks.find((mark) => mark.packet === packet && mark.says);
    if (mark) {
      const was = mark.shown;
      mark.shown = true;
      const label = shape("g", { class: "hot" });
      labelMark(mark, width, label, lanes.map(() => mark.t));
      mark.shown = was;
      hot.append(label);
    }
    if (options.scroll) {
      scrollLadder((packet.top + packet.bottom) / 2);
    }
  } else if (focus.event >= 0 && options.scroll) {
    scrollLadder(ladderY(events[focus.event].t));
  }
}

function scrollLadder(y) {
  const scroll = $("ladder-scroll");
  if (y < scroll.scrollTop + 30 || y > scroll.scrollTop + scroll.clientHeight - 30) {
    scroll.scrollTop = y - scroll.clientHeight / 2;
    drawLadder();
  }
}

function drawLanes() {
  const width = $("ladder-scroll").clientWidth;
  $("lanes").replaceChildren(...lanes.map((lane, index) => {
    const box = element("span", { className: lane.isNode ? `side${index % 2}` : "outside" },
      element("b", { textContent: lane.name }), ` ${lane.address}`);
    box.style.left = `${laneX(index, width)}px`;
    return box;
  }));
  if (ladder.style.times > 0) {
    $("lanes").append(element("i", { className: "unit", textContent: "ms" }));
    $("lanes").append(element("i", { className: "unit last", textContent: lanes[lanes.length - 1].isNode ? "ms" : "" }));
  }
  for (const box of $("lanes").querySelectorAll("span")) {
    const over = box.offsetLeft + box.offsetWidth / 2 - width;
    box.style.left = `${Math.max(box.offsetWidth / 2, box.offsetLeft - Math.max(0, over))}px`;
  }
}

function startLadder() {
  ladder.marks = ladderMarks();
  ladder.delay = typicalDelay();
  const redo = () => {
    layLadder();
    drawLadder(true);
    drawLanes();
  };
  redo();
  const scroll = $("ladder-scroll");
  const around = (change) => {
    const middle = ladderTime(scroll.scrollTop + scroll.clientHeight / 3);
    change();
    redo();
    scroll.scrollTop = ladderY(middle) - scroll.clientHeight / 3;
    drawLadder();
  };
  ladder.rescale = (factor) => around(() => { ladder.zoom = Math.min(64, Math.max(1 / 16, ladder.zoom * factor)); });
  ladder.switchTime = () => around(() => {
    ladder.trueTime = !ladder.trueTime;
    $("scale").setAttribute("aria-pressed", ladder.trueTime);
  });
  $("grow").onclick = () => ladder.rescale(1.5);
  $("shrink").onclick = () => ladder.rescale(1 / 1.5);
  $("scale").onclick = ladder.switchTime;
  scroll.addEventListener("scroll", () => {
    drawLadder();
    markSeen();
  }, { passive: true });
  whenResized(scroll, () => {
    if (drawn.width !== scroll.clientWidth) {
      redo();
    } else {
      drawLadder();
      markSeen();
    }
  });
  const under = (target) => {
    const found = target.closest("[data-packet],[data-event]");
    return found ? [Number(found.dataset.packet ?? -1), Number(found.dataset.event ?? -1)] : [-1, -1];
  };
  scroll.addEventListener("pointermove", (event) => look(...under(event.target)));
  scroll.addEventListener("pointerleave", () => look(-1, -1));
  scroll.addEventListener("click", (event) => {
    const [packet, happened] = under(event.target);
    look(packet, happened, packet < 0 && happened < 0 ? { release: true } : { fix: true, table: true });
  });
  views.push(lightLadder);
}
