// All events, one row each. Only the rows that can be seen exist.

const rowHeight = 22;
const table = { rows: [], kinds: new Map([["packets", true], ["losses", true], ["application", true], ["notes", true]]) };

function kindOf(happened) {
  return happened.kind === "violation" ? "violations" : happened.dir === "net" ? "losses"
    : happened.packet >= 0 ? "packets" : happened.kind === "noted" ? "notes" : "application";
}

function textOf(happened) {
  if (happened.packet < 0) {
    return happened.text;
  }
  const packet = packets[happened.packet];
  const parts = [packet.type, packet.type === "RAW" ? "" : `seq=${packet.seq} ack=${packet.ack}`, `len=${packet.len}`];
  if (packet.type !== "RAW") {
    parts.push(`wnd=${packet.wnd}`, `id=${packet.id}`);
  }
  parts.push(packet.bits);
  parts.push(packet.sacked.length > 0 ? `sack=${ranges(packet.sacked).replaceAll(" ", "")}` : "", packet.p ? `p=${packet.p}` : "");
  return parts.filter(Boolean).join(" ");
}

function remarksOf(happened) {
  const packet = packets[happened.packet];
  if (!packet) {
    return [];
  }
  const fate = happened.dir === "net" ? `lost: ${packet.lost}` : packet.lost !== null && happened.dir === "out" ? "lost" : "";
  return [[fate, "bad"], [packet.again ? "again" : "", "bad"], [packet.corrupt ? "corrupt" : "", "bad"], [happened.arrival > 0 ? "copy" : "", "odd"]]
    .filter(([text]) => text);
}

const wordsOf = (happened) => [seconds(happened.t), nameOf(happened.lane), happened.dir, happened.kind, textOf(happened),
  ...remarksOf(happened).map(([text]) => text)].join(" ").toLowerCase();

function filterRows() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  table.rows = [];
  events.forEach((happened, index) => {
    const kind = kindOf(happened);
    if (table.kinds.get(kind) === false) {
      return;
    }
    if (words.length > 0) {
      happened.words ??= wordsOf(happened);
      if (!words.every((word) => happened.words.includes(word))) {
        return;
      }
    }
    table.rows.push(index);
  });
  const cut = raw.cut > 0 ? `; ${grouped(raw.cut)} more are not on this page` : "";
  $("shown").textContent = `${grouped(table.rows.length)} of ${grouped(events.length)}${cut}`;
  drawRows();
}

const isFocused = (index) => index === focus.event || (events[index].packet >= 0 && events[index].packet === focus.packet);

// Browsers end at some tens of millions of pixels; 400,000 rows stay below.
function drawRows() {
  const host = $("rows");
  const space = $("space");
  space.style.height = `${table.rows.length * rowHeight}px`;
  const first = Math.max(0, Math.floor(host.scrollTop / rowHeight) - 10);
  const last = Math.min(table.rows.length, Math.ceil((host.scrollTop + host.clientHeight) / rowHeight) + 10);
  const made = [];
  for (let i = first; i < last; i++) {
    const happened = events[table.rows[i]];
    const isHot = isFocused(table.rows[i]);
    const arrow = happened.dir === "out" ? "→" : happened.dir === "in" ? "←" : "·";
    const text = element("span", { className: "text" }, element("b", { textContent: happened.kind }), ` ${textOf(happened)}`);
    for (const [remark, kind] of remarksOf(happened)) {
      text.append(element("em", { className: kind, textContent: remark }));
    }
    const line = element("div", { className: `row ${kindOf(happened)}${isHot ? " hot" : ""}`, role: "row" },
      element("span", { className: "time", textContent: seconds(happened.t) }),
      element("span", { className: happened.lane >= 0 ? `node side${happened.lane % 2}` : "node", textContent: nameOf(happened.lane) }),
      element("span", { className: "arrow", title: happened.dir, textContent: arrow }), text);
    line.style.top = `${i * rowHeight}px`;
    line.dataset.index = table.rows[i];
    made.push(line);
  }
  space.replaceChildren(...made);
}

function lightRows(options = {}) {
  if (options.table && (focus.packet >= 0 || focus.event >= 0)) {
    const place = table.rows.findIndex((index) => focus.event >= 0 ? index === focus.event : events[index].packet === focus.packet);
    const host = $("rows");
    const y = place * rowHeight;
    if (place >= 0 && (y < host.scrollTop || y > host.scrollTop + host.clientHeight - rowHeight)) {
      host.scrollTop = y - host.clientHeight / 2;
      drawRows();
    }
  }
  for (const line of $("space").children) {
    line.classList.toggle("hot", isFocused(Number(line.dataset.index)));
  }
}

function startTable() {
  for (const [kind] of table.kinds) {
    const button = element("button", { textContent: kind });
    button.setAttribute("aria-pressed", "true");
    button.onclick = () => {
      table.kinds.set(kind, !table.kinds.get(kind));
      button.setAttribute("aria-pressed", table.kinds.get(kind));
      filterRows();
    };
    $("kinds").append(button);
  }
  $("filter").addEventListener("input", () => {
    $("rows").scrollTop = 0;
    filterRows();
  });
  const host = $("rows");
  host.addEventListener("scroll", drawRows, { passive: true });
  const under = (event) => {
    const line = event.target.closest(".row");
    const happened = line ? events[line.dataset.index] : null;
    return happened ? [happened.packet, happened.packet >= 0 ? -1 : Number(line.dataset.index)] : [-1, -1];
  };
  host.addEventListener("pointermove", (event) => look(...under(event)));
  host.addEventListener("pointerleave", () => look(-1, -1));
  host.addEventListener("click", (event) => {
    const [packet, happened] = under(event);
    look(packet, happened, packet < 0 && happened < 0 ? { release: true } : { fix: true, scroll: true });
  });
  whenResized(host, drawRows);
  views.push(lightRows);
  filterRows();
}
