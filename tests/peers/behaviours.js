'use strict'

// What a peer does with its connection. Each gets the connection and the rest of the command line, and reports what
// happened as events. `stopped` on the connection is set by the command `end`.

const { createHash } = require('crypto')
const RandomBytes = require('./noise')

const CHUNK = 64 * 1024

// Sends `size` random bytes and receives to the end at the same time.
exports.exchange = async (connection, size, seed) => {
  const { socket, library, dialled, report } = connection
  const incoming = new Incoming(socket)
  const outgoing = () => pour(connection, Number(size), new RandomBytes(Number(seed)))
  if (library.halfClose) {
    outgoing().then(() => socket.end())
    await incoming.end
  } else {
    // utp-punch loses data in situations that these tests do not cover. So the side that was dialled lets the other send first
    // (a repeated SYN is answered with a later seq), and end() comes when both directions are through.
    if (!dialled) await incoming.reaches(1)
    await outgoing()
    await incoming.reaches(Number(size))
    await library.acknowledged(socket)
    socket.end()
  }
  report('received', incoming.summary())
}

// Receives to the end first, then sends `size` random bytes. A dialler sends the first of them at once, for in uTP the
// dialled side holds its own data until it has received data from the dialler.
exports['half-close'] = async (connection, size, seed) => {
  const { socket, dialled, report } = connection
  const incoming = new Incoming(socket)
  const randomBytes = new RandomBytes(Number(seed))
  const early = dialled ? 1 : 0
  if (early) socket.write(randomBytes.take(early))
  await incoming.end
  report('received', incoming.summary())
  await pour(connection, Number(size) - early, randomBytes)
  socket.end()
}

// Sends back what it receives, and ends when the other side does.
exports.echo = async ({ socket, report }) => {
  const incoming = new Incoming(socket)
  socket.on('data', data => socket.write(data))
  await incoming.end
  socket.end()
  report('received', incoming.summary())
}

// The example of utp-punch's README.
exports.hello = async ({ socket, dialled, report }) => {
  if (dialled) socket.write('hello')
  socket.on('data', data => {
    report('received', { bytes: data.length, text: data.toString() })
    if (dialled) return
    socket.write('world')
    socket.end()
  })
}

// Receives and counts, for throughput. Time runs from the first byte to the last.
exports.sink = async ({ socket, report }) => {
  let bytes = 0
  let first, last
  socket.on('data', data => {
    last = process.hrtime.bigint()
    if (first === undefined) first = last
    bytes += data.length
  })
  await new Promise(resolve => socket.once('end', resolve))
  socket.end()
  report('received', { bytes, ms: first === undefined ? 0 : Number(last - first) / 1e6 })
}

// Sends `size` bytes as fast as it can, or less if told to `end`.
exports.source = async (connection, size) => {
  const block = Buffer.alloc(CHUNK, 'utp')
  await pour(connection, Number(size), { take: count => count === CHUNK ? block : block.subarray(0, count) })
  await connection.library.acknowledged(connection.socket)
  connection.socket.end()
}

// Sends nothing; reads, so that an end is noticed.
exports.silent = async ({ socket }) => { socket.resume() }

async function pour ({ socket, report, stopped }, size, randomBytes) {
  let bytes = 0
  while (bytes < size && !stopped()) {
    const chunk = randomBytes.take(Math.min(CHUNK, size - bytes))
    await new Promise(resolve => socket.write(chunk, () => resolve()))
    bytes += chunk.length
  }
  report('sent', { bytes })
}

class Incoming {
  constructor (socket) {
    this._hash = createHash('sha256')
    this._bytes = 0
    this._waiting = []
    this.end = new Promise(resolve => socket.once('end', resolve))
    socket.on('data', data => {
      this._hash.update(data)
      this._bytes += data.length
      this._waiting = this._waiting.filter(({ count, resolve }) => this._bytes < count || resolve())
    })
  }

  reaches (count) {
    if (this._bytes >= count) return Promise.resolve()
    return new Promise(resolve => this._waiting.push({ count, resolve }))
  }

  summary () {
    return { bytes: this._bytes, sha256: this._hash.copy().digest('hex') }
  }
}
