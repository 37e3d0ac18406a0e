'use strict'

// One end of a transfer for `dotnet fsi build.fsx bench`, with a library of npm:
//
//   node bench.js utp-native|utp-punch  read [OWN-IP]
//   node bench.js utp-native|utp-punch  write OWN-IP PORT [IP]
//
// The default of addresses is 127.0.0.1.
//
// It reports as the roles of `utp bench` do: `listening` (port) or `started`, and `done` (counts) as lines of JSON.
// Commands are lines, too: `mark` is answered with the bytes so far, the time, and the processor time of the process; `stop`
// ends the writer. The process ends when its input does.

const libraries = require('./libraries')

const CHUNK = 64 * 1024

const report = (event, details) => process.stdout.write(JSON.stringify({ event, ...details }) + '\n')
const fail = error => report('failed', { message: String(error && error.message) })
process.on('uncaughtException', error => {
  fail(error)
  process.exit(1)
})

const [name, role, own, port, host] = process.argv.slice(2)
const library = libraries[name]()
let bytes = 0
let stopped = false

const endpoint = library.open(role === 'read', read, port => { if (role === 'read') report('listening', { port }) }, own)
endpoint.on('error', fail)

if (role === 'write') {
  const socket = library.connect(Number(port), host)
  socket.on('error', fail)
  socket.once('connect', () => write(socket).catch(fail))
}

function read (socket) {
  socket.on('error', fail)
  socket.on('data', data => { bytes += data.length })
  socket.once('end', () => {
    socket.end()
    report('done', { counts: [bytes] })
  })
}

async function write (socket) {
  const block = Buffer.alloc(CHUNK, 'utp')
  socket.resume()
  report('started')
  while (!stopped) {
    await new Promise(resolve => socket.write(block, () => resolve()))
    bytes += block.length
  }
  await library.acknowledged(socket)
  socket.end()
  report('done', { counts: [bytes] })
}

const commands = {
  mark () {
    const { user, system } = process.cpuUsage()
    report('mark', { us: Number(process.hrtime.bigint()) / 1000, cpu: (user + system) / 1e6, counts: [bytes] })
  },
  stop () { stopped = true }
}

require('readline').createInterface({ input: process.stdin })
  .on('line', line => { if (commands[line]) commands[line]() })
  .on('close', () => process.exit(0))
