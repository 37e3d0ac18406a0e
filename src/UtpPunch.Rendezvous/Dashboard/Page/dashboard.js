'use strict';
// Errors are marked on the document, where a test finds them.
addEventListener('error', event => { document.documentElement.dataset.errors = event.message; });
addEventListener('unhandledrejection', event => { document.documentElement.dataset.errors = String(event.reason); });

const interval = 1000;
const timeLimit = 5000;
// Beside the page, without the password that its address may have: a request must not have one.
const source = `${location.origin}${location.pathname.replace(/[^/]*$/, '')}dashboard.json`;
const charts = [
  { title: 'Rooms and peers', load: true, series: [['waiting', 'peers in rooms'], ['staying', 'of these, that stay'], ['rooms', 'rooms'], ['introductionsUnderWay', 'introductions under way']] },
  { title: 'Registrations and introductions', series: [['registered', 'registrations'], ['introduced', 'introductions'], ['renewed', 'renewals'], ['vanished', 'peers that vanished']] },
  { title: 'Refused registrations', series: [['serverFull', 'server full'], ['sourceFull', 'too many of one source'], ['roomFull', 'room full']] },
  { title: 'Floods', series: [['challenged', 'cookies demanded'], ['invalid', 'dropped: not valid'], ['tooManyUnproven', 'dropped: too many without a cookie'], ['tooManyProven', 'dropped: too many with a cookie']] },
];
let state = null;
let answeredAt = performance.now();

const byId = id => document.getElementById(id);

// Text only ever becomes text: nothing that the server says is markup.
function element(name, attributes = {}, ...children) {
  const made = name.startsWith('svg:') ? document.createElementNS('http://www.w3.org/2000/svg', name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const whole = value => value.toLocaleString('en');
const rate = value => value.toLocaleString('en', { maximumFractionDigits: 1 });
const time = (ms, none) => ms === null ? none : ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;

function span(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

// ---- Numbers ----

// The mean of the last ten seconds.
function perSecond(...names) {
  const last = names.map(name => state.lastMinute[name].slice(-10));
  return last[0].length === 0 ? 0 : last.flat().reduce((sum, value) => sum + value, 0) / last[0].length;
}

function showNumbers(list, entries) {
  for (const [id, label, value] of entries) {
    let shown = byId(id);
    if (!shown) {
      shown = element('dd', { id });
      list.append(element('div', {}, shown, element('dt', {}, label)));
    }
    if (shown.textContent !== value) {
      shown.textContent = value;
    }
  }
}

function showNow() {
  const load = state.load;
  showNumbers(byId('tiles'), [
    ['n-rooms', 'rooms', whole(load.rooms)],
    ['n-waiting', 'peers in rooms', whole(load.waiting)],
    ['n-staying', 'of these, that stay', whole(load.staying)],
    ['n-registrations', `registrations of ${whole(load.maxRegistrations)}`, whole(load.registrations)],
    ['n-under-way', 'introductions under way', whole(load.introductionsUnderWay)],
    ['n-introduced', 'introductions in all', whole(state.totals.introduced)],
    ['n-registered-rate', 'registrations a second', rate(perSecond('registered'))],
    ['n-introduced-rate', 'introductions a second', rate(perSecond('introduced'))],
    ['n-challenged-rate', 'cookies demanded a second', rate(perSecond('challenged'))],
    ['n-refused-rate', 'refused a second', rate(perSecond('serverFull', 'sourceFull', 'roomFull'))],
    ['n-dropped-rate', 'dropped a second', rate(perSecond('invalid', 'tooManyUnproven', 'tooManyProven'))],
  ]);
  byId('about').textContent = `version ${state.version}, up for ${span(state.uptimeSeconds)}`;
  showChip(state.isReady ? 'ready' : 'not ready', state.isReady);
}

function showChip(text, isGood) {
  const chip = byId('state');
  if (chip.textContent !== text) {
    chip.textContent = text;
    chip.className = isGood ? 'chip good' : 'chip bad';
  }
}

// ---- Charts ----

const width = 480, height = 150, left = 44, bottom = 18;

function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].map(step => step * power).find(step => step >= value);
}

function makeChart(chart, index) {
  const picture = element('svg:svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', id: `chart${index}` });
  const legend = chart.series.map(([, label], at) => element('li', {},
    element('svg:svg', { viewBox: '0 0 18 8', 'aria-hidden': 'true' }, element('svg:path', { class: `line line${at}`, d: 'M0 4H18' })), label));
  const details = element('details', {}, element('summary', {}, 'as a table'), element('div', { class: 'scroll' }, element('table')));
  details.addEventListener('toggle', () => state && showChart(chart, index));
  byId('charts').append(element('figure', {},
    element('figcaption', {}, element('h3', {}, chart.title), element('ul', {}, ...legend)), picture, details));
}

function showChart(chart, index) {
  const range = document.querySelector('input[name=range]:checked').value;
  const unit = range === 'lastMinute' ? 's' : 'min';
  const rows = chart.series.map(([name]) => state[range][name]);
  const count = rows[0].length;
  const most = ceiling(Math.max(1, ...rows.flat()));
  const x = at => left + (width - left - 4) * (at + 60 - count) / 59;
  const y = value => (height - bottom) - (height - bottom - 8) * value / most;
  const parts = [];
  for (const value of [0, most / 2, most]) {
    parts.push(element('svg:path', { class: 'grid', d: `M${left} ${y(value)}H${width}` }));
    parts.push(element('svg:text', { x: left - 6, y: y(value) + 4, 'text-anchor': 'end' }, rate(value)));
  }
  for (const ago of [60, 30]) {
    parts.push(element('svg:text', { x: x(count - ago), y: height - 3 }, `${ago} ${unit} ago`));
  }
  parts.push(element('svg:text', { x: width, y: height - 3, 'text-anchor': 'end' }, 'now'));
  rows.forEach((values, at) => {
    if (count > 0) {
      const points = values.map((value, place) => `${x(place).toFixed(1)} ${y(value).toFixed(1)}`);
      parts.push(element('svg:path', { class: `line line${at}`, d: `M${points.join('L')}${count === 1 ? 'h2' : ''}` }));
    }
  });
  const picture = byId(`chart${index}`);
  const kind = chart.load ? '' : ` a ${range === 'lastMinute' ? 'second' : 'minute'}`;
  const latest = chart.series.map(([, label], at) => `${label} ${count === 0 ? 0 : rows[at][count - 1]}`).join(', ');
  picture.setAttribute('aria-label', `${chart.title}${kind}, now: ${latest}`);
  picture.replaceChildren(...parts);
  const details = picture.nextSibling;
  if (details.open) {
    const body = Array.from({ length: count }, (_, back) => count - 1 - back)
      .map(place => [`${count - 1 - place} ${unit} ago`, ...rows.map(values => whole(values[place]))]);
    showTable(details.querySelector('table'), ['', ...chart.series.map(([, label]) => label)], body);
  }
}

// ---- Tables ----

function showTable(table, head, rows, caption) {
  const cell = (content, at) => at === 0
    ? element('th', { scope: 'row' }, content)
    : content instanceof HTMLTableCellElement ? content : element('td', {}, content);
  table.replaceChildren(
    ...(caption ? [element('caption', {}, caption)] : []),
    element('thead', {}, element('tr', {}, ...head.map(text => element('th', { scope: 'col' }, text)))),
    element('tbody', {}, ...rows.map(row => element('tr', {}, ...row.map(cell)))));
}

function showOutcomes() {
  const outcomes = state[byId('period').value];
  const none = [['no report yet']];
  const pairs = outcomes.pairs.map(pair => {
    const all = pair.met + pair.nothingHeard + pair.notHeard + pair.notAgreed + pair.peerGaveUp;
    const percent = Math.round(100 * pair.met / all);
    const bar = element('meter', { min: 0, max: all, value: pair.met, 'aria-label': `${percent} of 100 met` });
    return [`${pair.one} — ${pair.other}`, whole(all), element('td', {}, bar, ` ${percent} %`), whole(pair.nothingHeard), whole(pair.notHeard),
      whole(pair.notAgreed), whole(pair.peerGaveUp), time(pair.median, pair.met ? 'more' : '–'), time(pair.most, pair.met ? 'more' : '–')];
  });
  showTable(byId('pairs'), ['NATs of both peers', 'reports', 'met', 'nothing heard', 'not heard by the peer', 'not agreed', 'peer gave up', 'half within', '95 of 100 within'],
    pairs.length ? pairs : none);
  const most = Math.max(1, ...outcomes.times.map(row => row.met));
  showTable(byId('times'), ['within', 'reports', ''], outcomes.times.length ? outcomes.times.map(row => [time(row.within, 'more than 10 s'), whole(row.met),
    element('td', { class: 'text' }, element('meter', { min: 0, max: most, value: row.met, 'aria-hidden': 'true' }))]) : none, 'Reports of a path by time');
  showTable(byId('paths'), ['path', 'reports', 'half within', '95 of 100 within'], outcomes.paths.length
    ? outcomes.paths.map(row => [row.path, whole(row.met), time(row.median, 'more'), time(row.most, 'more')]) : none, 'By kind of path');
  byId('refused').textContent = state.reportsRefused ? `${whole(state.reportsRefused)} reports did not count: late, repeated, or of no introduction.` : '';
}

function showStore() {
  byId('redis').hidden = !state.redis;
  if (state.redis) {
    showNumbers(byId('store'), [
      ['n-redis', 'state', state.redis.isConnected ? 'connected' : 'away'],
      ['n-redis-under-way', 'requests under way', whole(state.redis.underWay)],
      ['n-redis-errors', 'errors', whole(state.redis.errors)],
      ['n-redis-instance', 'this instance', state.redis.instance],
    ]);
  }
  byId('named').hidden = !state.named;
  if (state.named) {
    byId('listening').textContent = `The server listens at ${state.named.listening.join(', ')}.`;
    showTable(byId('rooms'), ['room', 'visitors', 'staying', 'some members'], state.named.rooms.map(room =>
      [room.name ?? room.tag, whole(room.visitors), whole(room.staying), element('td', { class: 'text members' }, room.members.join(', '))]));
  }
}

// ---- The page ----

function show() {
  showNow();
  charts.forEach(showChart);
  showOutcomes();
  showStore();
  document.documentElement.dataset.ready = Number(document.documentElement.dataset.ready ?? 0) + 1;
}

async function update() {
  try {
    const answer = await fetch(source, { cache: 'no-store', signal: AbortSignal.timeout(timeLimit) });
    if (!answer.ok) {
      throw new Error(`HTTP ${answer.status}`);
    }
    state = await answer.json();
    answeredAt = performance.now();
  } catch {
    showChip(`no answer for ${span(Math.round((performance.now() - answeredAt) / 1000))}`, false);
    return;
  }
  show();
}

async function run() {
  while (true) {
    if (!document.hidden) {
      await update();
    }
    await new Promise(resume => setTimeout(resume, interval));
  }
}

charts.forEach(makeChart);
byId('range').addEventListener('change', () => state && show());
byId('period').addEventListener('change', () => state && show());
document.addEventListener('visibilitychange', () => document.hidden || update());
run();
