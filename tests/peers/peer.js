'use strict'

// One end of one connection, with a library of npm, for a test that starts this process:
//
//   node peer.js utp-native|utp-punch  serve|dial PORT|bind  BEHAVIOUR [ARGUMENTS]
//
//   serve       listens, and applies the behaviour to every connection
//   dial PORT   connects to 127.0.0.1:PORT; or ADDRESS:PORT
//   bind        has a port and does not listen (no behaviour)
//
// The behaviours are in behaviours.js. Events are written as lines of JSON: bound or listening (port), connected, sent and
// received (bytes, sha256), end, close, error (message, code). Commands are read as lines: `end` ends the stream, `destroy`
// destroys it. The process ends when its input does, and in any case after UTP_PEER_LIFE seconds (380).

const libraries = require('./libraries')
const behaviours = require('./behaviours')

const report = (event, details) => process.stdout.write(JSON.stringify({ event, ...details }) + '\n')
const fail = error => report('error', { message: String(error && error.message), code: error && error.code })

process.on('uncaughtException', error => {
  report('crashed', { message: String(error && error.stack) })
  process.exit(1)
})

const [name, role, ...rest] = process.argv.slice(2)
const target = role === 'dial' ? rest.shift().split(':') : []
const port = Number(target.pop() ?? 0)
const ip = target.length ? { own: '0.0.0.0', theirs: target[0] } : {}
const [behaviour, ...details] = rest
if (!libraries[name] || !['serve', 'dial', 'bind'].includes(role) || (role !== 'bind' && !behaviours[behaviour])) {
  process.stderr.write('usage: node peer.js utp-native|utp-punch serve|dial PORT|bind BEHAVIOUR [ARGUMENTS]\n')
  process.exit(2)
}

let current = null          // the newest socket, which the commands are for
let stopped = false

const library = libraries[name]()
const endpoint = library.open(role === 'serve', socket => start(socket, false), port =>
  report(role === 'serve' ? 'listening' : 'bound', { port }), ip.own)
endpoint.on('error', fail)

if (role === 'dial') {
  const socket = library.connect(port, ip.theirs)
  watch(socket)
  socket.once('connect', () => start(socket, true))
}

function start (socket, dialled) {
  if (!dialled) watch(socket)
  report('connected')
  behaviours[behaviour]({ socket, library, dialled, report, stopped: () => stopped }, ...details).catch(fail)
}

function watch (socket) {
  current = socket
  socket.on('end', () => report('end'))
  socket.on('close', () => report('close'))
  socket.on('error', fail)
}

const commands = {
  end () { stopped = true; if (current && behaviour !== 'source') current.end() },
  destroy () { if (current) current.destroy() }
}

require('readline').createInterface({ input: process.stdin })
  .on('line', line => { if (commands[line]) commands[line]() })
  .on('close', () => process.exit(0))

setTimeout(() => {
  report('expired')
  process.exit(3)
}, 1000 * (Number(process.env.UTP_PEER_LIFE) || 380))
