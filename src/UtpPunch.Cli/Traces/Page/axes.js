// Axes, pointer and keys of the diagrams.

function ticksOf(low, high, count, binary, whole) {
  const rough = (high - low) / Math.max(1, count);
  let size;
  if (binary) {
    size = 2 ** Math.ceil(Math.log2(Math.max(1, rough)));
  } else {
    const power = 10 ** Math.floor(Math.log10(rough));
    size = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough);
  }
  size = whole ? Math.max(1, Math.round(size)) : size;
  const ticks = [];
  for (let i = Math.ceil(low / size); i * size <= high && ticks.length < 50; i++) {
    ticks.push(Number((i * size).toPrecision(12)));
  }
  return ticks;
}

function timeLabel(t, size) {
  return size < 1e6 && plots.to < 10e6 ? `${Number((t / 1e3).toFixed(3))} ms` : `${Number((t / 1e6).toFixed(4))} s`;
}

const plotX = (t) => margin.left + (t - plots.from) / Math.max(1e-9, plots.to - plots.from) * (plots.width - margin.left - margin.right);
const plotTime = (x) => plots.from + (x - margin.left) / (plots.width - margin.left - margin.right) * (plots.to - plots.from);

function drawPlots() {
  const host = $("panels");
  const width = host.clientWidth;
  const wide = matchMedia("(min-width: 1000px)").matches;
  const height = wide ? Math.max(260, host.clientHeight) : 150 * plots.panels.length + 40;
  Object.assign(plots, { width, height });
  const svg = shape("svg", { width, height, id: "plots-svg", role: "img", "aria-label": "Sequence numbers, windows and delays over time" });
  const defs = shape("defs", {});
  svg.append(defs);
  if (plots.panels.length === 0) {
    svg.append(shape("text", { x: width / 2, y: 60, "text-anchor": "middle", class: "tick" }, "No packets of a stream in this trace."));
  }
  const room = height - margin.axis - plots.panels.length * (margin.title + margin.gap);
  const weights = plots.panels.reduce((sum, panel) => sum + panel.weight, 0);
  const times = ticksOf(plots.from, plots.to, Math.max(2, (width - margin.left) / 95));
  let top = 2;
  plots.panels.forEach((panel, index) => {
    panel.top = top + margin.title;
    panel.bottom = panel.top + room * panel.weight / weights;
    top = panel.bottom + margin.gap;
    drawPanel(svg, defs, panel, index, times);
  });
  const size = times[1] - times[0] || 1;
  for (const t of times) {
    svg.append(shape("text", { class: "tick", x: plotX(t), y: top + 9, "text-anchor": "middle" }, timeLabel(t, size)));
  }
  svg.append(shape("g", { id: "plots-hot" }));
  host.replaceChildren(svg);
  markSeen();
  lightPlots();
}

function drawPanel(svg, defs, panel, index, times) {
  const clip = shape("clipPath", { id: `clip${index}` });
  const inner = { x: margin.left, y: panel.top, width: Math.max(0, plots.width - margin.left - margin.right), height: panel.bottom - panel.top };
  clip.append(shape("rect", inner));
  defs.append(clip);
  const [low, high] = panel.range(plots.from, plots.to);
  panel.high = high;
  panel.y = (value) => panel.bottom - (value - low) / (high - low) * (panel.bottom - panel.top);
  svg.append(shape("rect", { class: "plane", ...inner }), shape("g", { class: "seen" }));
  for (const t of times) {
    svg.append(shape("line", { class: "grid", x1: plotX(t), x2: plotX(t), y1: panel.top, y2: panel.bottom }));
  }
  for (const value of ticksOf(low, high, Math.max(1.5, (panel.bottom - panel.top) / 26), panel.binary, panel.whole)) {
    const y = panel.y(value);
    svg.append(shape("line", { class: "grid", x1: margin.left, x2: plots.width - margin.right, y1: y, y2: y }),
      shape("text", { class: "tick", x: margin.left - 6, y: y + 3.5, "text-anchor": "end" }, panel.label(value)));
  }
  const group = shape("g", { "clip-path": `url(#clip${index})` });
  panel.draw(panel, plotX, panel.y, group);
  for (const happened of events.filter((happened) => happened.kind === "violation")) {
    group.append(shape("line", { class: "wrong", x1: plotX(happened.t), x2: plotX(happened.t), y1: panel.top, y2: panel.bottom }));
  }
  panel.head = shape("g", {});
  svg.append(group, shape("rect", { class: "frame", ...inner }), panel.head);
  drawHead(panel);
}

function drawHead(panel) {
  const isNarrow = plots.width < 520;
  const title = isNarrow ? panel.title.replace(", seq", "") : panel.title;
  panel.head.replaceChildren(shape("text", { class: "panel-title", x: margin.left, y: panel.top - 5 }, title));
  const keys = shape("text", { class: "keys", x: plots.width - margin.right, y: panel.top - 5, "text-anchor": "end" });
  for (const [text, kind] of panel.keys(plots.cursor, panel)) {
    const sign = kind === "key-lost" ? "✗ " : kind === "key-again" || kind === "key-sent" ? "| " : "━ ";
    keys.append(shape("tspan", { class: `sign ${kind}`, dx: keys.firstChild ? 9 : 0 }, sign),
      shape("tspan", {}, isNarrow ? text.replace(" (above)", "") : text));
  }
  panel.head.append(keys);
}

// The part of the time that the ladder shows.
function markSeen() {
  const scroll = $("ladder-scroll");
  const [from, to] = [ladderTime(scroll.scrollTop), ladderTime(scroll.scrollTop + scroll.clientHeight)];
  const left = Math.max(margin.left, plotX(from));
  const right = Math.min(plots.width - margin.right, plotX(to));
  const all = from <= plots.from && to >= plots.to;
  document.querySelectorAll("#plots-svg .seen").forEach((group, index) => {
    const panel = plots.panels[index];
    group.replaceChildren(...(right > left && !all
      ? [shape("rect", { class: "band", x: left, width: right - left, y: panel.top, height: panel.bottom - panel.top })] : []));
    if (index === 0 && right - left > 90 && !all) {
      group.append(shape("text", { class: "band-name", x: left + 5, y: panel.bottom - 6 }, "in the ladder"));
    }
  });
}

function lightPlots() {
  const hot = $("plots-hot");
  if (!hot) {
    return;
  }
  hot.replaceChildren();
  if (plots.cursor !== null) {
    const x = plotX(plots.cursor);
    hot.append(shape("line", { class: "cursor", x1: x, x2: x, y1: margin.title, y2: plots.height - margin.axis }));
    const place = { x: Math.min(Math.max(x, 40), plots.width - 40), y: plots.height - margin.axis + 11 };
    hot.append(shape("text", { class: "tick now", ...place, "text-anchor": "middle" }, `${seconds(plots.cursor)} s`));
  }
  if (plots.drag) {
    const [a, b] = [plots.drag.from, plots.drag.to].sort((p, q) => p - q);
    hot.append(shape("rect", { class: "picked", x: a, width: b - a, y: margin.title, height: plots.height - margin.axis - margin.title }));
  }
  const packet = packets[focus.packet];
  for (const panel of packet ? plots.panels.filter((panel) => panel.kind === "sequence") : []) {
    for (const { t, n } of panel.direction.sends.filter((send) => send.packet === packet)) {
      hot.append(shape("circle", { class: "ring", cx: plotX(t), cy: panel.y(n + 0.5), r: 6.5 }));
    }
    for (const { t, n } of panel.direction.acks.filter((ack) => ack.packet === packet)) {
      hot.append(shape("circle", { class: "ring", cx: plotX(t), cy: panel.y(n), r: 5 }));
    }
  }
  const t = packet ? packet.start : focus.event >= 0 ? events[focus.event].t : null;
  if (t !== null) {
    hot.append(shape("line", { class: "pointer", x1: plotX(t), x2: plotX(t), y1: margin.title, y2: plots.height - margin.axis }));
  }
}

function zoomTo(from, to) {
  const whole = lastTime - firstTime || 1;
  const length = Math.min(whole, Math.max(20, to - from));
  plots.from = Math.min(Math.max(from, firstTime), firstTime + whole - length);
  plots.to = plots.from + length;
  drawPlots();
}

function zoomBy(factor, t = (plots.from + plots.to) / 2) {
  zoomTo(t - (t - plots.from) * factor, t + (plots.to - t) * factor);
}

const moveBy = (part) => zoomTo(plots.from + part * (plots.to - plots.from), plots.to + part * (plots.to - plots.from));

// The packet whose tick, acknowledgement or queue is nearest.
function nearest(px, py) {
  let found = -1;
  let best = 14;
  for (const panel of plots.panels.filter((panel) => panel.kind === "sequence" && py >= panel.top - 4 && py <= panel.bottom + 4)) {
    const close = (rows, height) => {
      for (let i = firstIndex(rows.length, (k) => plotX(rows[k].t) >= px - best); i < rows.length && plotX(rows[i].t) <= px + best; i++) {
        const distance = Math.hypot(plotX(rows[i].t) - px, panel.y(rows[i].n + height) - py);
        if (distance < best) {
          best = distance;
          found = rows[i].packet.index;
        }
      }
    };
    close(panel.direction.sends, 0.5);
    close(panel.direction.acks, 0);
  }
  return found;
}

function startPlots() {
  const host = $("panels");
  const at = (event) => {
    const box = host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  host.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" && event.button === 0) {
      plots.drag = { from: at(event)[0], to: at(event)[0] };
      host.setPointerCapture(event.pointerId);
    }
  });
  host.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    plots.cursor = Math.min(plots.to, Math.max(plots.from, plotTime(x)));
    if (plots.drag) {
      plots.drag.to = x;
    } else {
      look(nearest(x, y), -1);
    }
    plots.panels.filter((panel) => panel.kind === "strip").forEach(drawHead);
    lightPlots();
  });
  host.addEventListener("pointerup", (event) => {
    const { drag } = plots;
    plots.drag = null;
    if (drag && Math.abs(drag.to - drag.from) > 6) {
      zoomTo(...[plotTime(drag.from), plotTime(drag.to)].sort((a, b) => a - b));
    } else {
      const packet = nearest(...at(event));
      look(packet, -1, packet < 0 ? { release: true } : { fix: true, scroll: true, table: true });
      lightPlots();
    }
  });
  host.addEventListener("pointerleave", () => {
    plots.cursor = null;
    look(-1, -1);
    plots.panels.filter((panel) => panel.kind === "strip").forEach(drawHead);
    lightPlots();
  });
  host.addEventListener("dblclick", () => zoomTo(firstTime, lastTime));
  host.addEventListener("wheel", (event) => {
    if (event.ctrlKey || event.shiftKey || matchMedia("(min-width: 1000px)").matches) {
      event.preventDefault();
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        moveBy((event.deltaX || event.deltaY) / 1000);
      } else {
        zoomBy(Math.exp(event.deltaY / 500), plotTime(at(event)[0]));
      }
    }
  }, { passive: false });
  addEventListener("resize", drawPlots);
  whenResized(host, () => {
    if (host.clientWidth !== plots.width || Math.abs(host.clientHeight - plots.height) > 8) {
      drawPlots();
    }
  });
  $("in").onclick = () => zoomBy(1 / 1.6);
  $("out").onclick = () => zoomBy(1.6);
  $("left").onclick = () => moveBy(-0.25);
  $("right").onclick = () => moveBy(0.25);
  $("all").onclick = () => zoomTo(firstTime, lastTime);
  views.push(lightPlots);
}
