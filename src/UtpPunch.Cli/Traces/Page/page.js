// Puts the views together: heading, card, keys.

function startHeading() {
  $("file").textContent = raw.file;
  $("title").textContent = raw.title;
  const sent = packets.filter((packet) => packet.sent !== null);
  const lost = packets.filter((packet) => packet.lost !== null).length;
  const copies = packets.reduce((sum, packet) => sum + Math.max(0, packet.arrivals.length - 1), 0);
  const again = packets.filter((packet) => packet.again).length;
  const wrong = events.filter((happened) => happened.kind === "violation");
  const counts = [[`${((lastTime - firstTime) / 1e6).toFixed(3)} s`, "long"],
    [grouped(sent.length), sent.length === 1 ? "packet sent" : "packets sent"],
    [grouped(packets.length - sent.length), "only received"], [grouped(lost), "lost", lost > 0 ? "bad" : ""],
    [grouped(again), "retransmitted", again > 0 ? "bad" : ""], [grouped(copies), copies === 1 ? "copy" : "copies", copies > 0 ? "odd" : ""],
    [grouped(wrong.length), wrong.length === 1 ? "violation" : "violations", wrong.length > 0 ? "bad" : "good"]];
  $("counts").append(...counts.filter(([count, what]) => what !== "only received" || count !== "0").map(([count, what, kind]) =>
    element("li", { className: kind || "" }, element("b", { textContent: count }), ` ${what}`)));
  const host = $("violations");
  host.hidden = wrong.length === 0;
  for (const happened of wrong.slice(0, 20)) {
    const button = element("button", {}, element("b", { textContent: "violation" }),
      ` ${seconds(happened.t)} ${nameOf(happened.lane)} `, element("span", { textContent: happened.text }));
    button.onclick = () => look(-1, events.indexOf(happened), { fix: true, scroll: true, table: true });
    host.append(button);
  }
  if (wrong.length > 20) {
    host.append(element("p", { textContent: `and ${wrong.length - 20} more` }));
  }
}

// What is known of the packet under the pointer.
function showCard() {
  const card = $("card");
  const packet = packets[focus.packet];
  card.classList.toggle("empty", !packet);
  if (!packet) {
    const known = [["j k", "next, previous packet"], ["t", "rows or linear time"], ["+ −", "ladder"], ["i o", "zoom in, out"],
      ["← →", "move"], ["0", "all"], ["/", "filter"], ["Esc", "deselect"]];
    card.replaceChildren(element("p", { textContent: "Point at a packet, anywhere; a click holds it." }), element("dl", {},
      ...known.flatMap(([key, what]) => [element("dt", {}, element("kbd", { textContent: key })), element("dd", { textContent: what })])));
    return;
  }
  const facts = [];
  const fact = (name, value) => value !== "" && facts.push(element("dt", { textContent: name }), element("dd", { textContent: value, title: value }));
  const way = `${nameOf(packet.from)} → ${nameOf(packet.to)}`;
  fact("sent", packet.sent === null ? "" : `${seconds(packet.sent)} s`);
  packet.arrivals.slice(0, 3).forEach((at, index) => fact(index > 0 ? "copy" : "arrived",
    `${seconds(at)} s${packet.sent === null ? "" : ` (${millis(at - packet.sent)})`}`));
  fact("fate", packet.lost !== null ? `lost: ${packet.lost}` : packet.corrupt ? "corrupted on the way" : "");
  fact("queued", packet.queue ? millis(packet.queue) : "");
  if (packet.type !== "RAW") {
    fact("seq / ack", `${packet.seq} / ${packet.ack}`);
    fact("sack", ranges(packet.sacked));
    fact("bits", packet.bits);
    fact("payload", packet.len > 0 ? `${grouped(packet.len)} B` : "");
    fact("window", `${grouped(packet.wnd)} B`);
    fact("ts", packet.ts);
    fact("td", packet.td);
    fact("id", packet.id);
  }
  fact("line", packet.line);
  card.replaceChildren(element("h3", { className: classOf(packet), textContent: `${packet.type}${packet.again ? ", retransmission" : ""}` },
    element("span", { textContent: `${way}${packet.p ? `, p${packet.p}` : ""}` })), element("dl", {}, ...facts));
}

function startChoices() {
  const found = [...new Set(packets.map((packet) => packet.conversation))].filter((conversation) => conversation >= 0);
  const payload = (conversation) => packets.reduce((sum, packet) => sum + (packet.conversation === conversation ? packet.len + 1 : 0), 0);
  const sizes = new Map(found.map((conversation) => [conversation, payload(conversation)]));
  found.sort((a, b) => sizes.get(b) - sizes.get(a));
  plots.conversation = found.length > 0 ? found[0] : -1;
  const select = $("conversation");
  select.hidden = found.length < 2;
  for (const conversation of found.slice(0, 200)) {
    const packet = packets.find((packet) => packet.conversation === conversation);
    select.append(element("option", { value: conversation, textContent: `${lanes[packet.from].name}–${lanes[packet.to].name} id ${packet.id}` }));
  }
  select.onchange = () => {
    plots.conversation = Number(select.value);
    choose();
  };
  choose();
}

function choose() {
  choosePanels();
  $("side").replaceChildren(...(plots.measured.length < 2 ? [] : plots.measured).map((lane) => {
    const button = element("button", { textContent: lanes[lane].name, title: `Window and delay of ${lanes[lane].name}` });
    button.setAttribute("aria-pressed", lane === plots.side);
    button.onclick = () => {
      plots.side = lane;
      choose();
    };
    return button;
  }));
  drawPlots();
}

// From one packet to the next, in the order of the trace.
function nextPacket(by) {
  goTo(focus.packet < 0 ? (by > 0 ? 0 : packets.length - 1) : Math.min(packets.length - 1, Math.max(0, focus.packet + by)));
}

function goTo(next) {
  if (packets[next]) {
    look(next, -1, { fix: true, scroll: true, table: true });
  }
}

const keys = {
  j: () => nextPacket(1),
  k: () => nextPacket(-1),
  t: () => ladder.switchTime(),
  "+": () => ladder.rescale(1.5),
  "-": () => ladder.rescale(1 / 1.5),
  0: () => zoomTo(firstTime, lastTime),
  i: () => zoomBy(1 / 1.6),
  o: () => zoomBy(1.6),
  ArrowLeft: () => moveBy(-0.25),
  ArrowRight: () => moveBy(0.25),
  "/": () => $("filter").focus(),
  Escape: () => look(-1, -1, { release: true }),
};

addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.target.tagName === "SELECT") {
    if (event.key === "Escape") {
      event.target.blur();
    }
    return;
  }
  if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    keys[event.key]();
  }
});

startHeading();
startLadder();
startChoices();
startPlots();
startTable();
views.push(showCard);
showCard();

// page.html#p7 begins at the packet that the trace calls 7.
const wanted = /^#p(\d+)$/.exec(location.hash);
if (wanted) {
  goTo(packets.findIndex((packet) => packet.p === Number(wanted[1])));
}
document.documentElement.dataset.ready = "1";
