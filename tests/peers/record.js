'use strict'

// Records a conversation of a library of npm with itself, for tests that replay it without Node:
//
//   node record.js utp-native|utp-punch SIZE SEED > conversation.txt
//
// A dialler sends SIZE bytes to an acceptor and both close, through a relay in this process that loses some datagrams and
// delays some so that others overtake them, as the seed says. What goes out is a line of words for the conversation, then one
// line for each datagram:
//
//   MICROSECONDS WHAT HEADER [LENGTH@OFFSET]
//
// WHAT is `s` for a datagram that comes to the relay, `x` for one that comes and is lost there, `r` for one that leaves the relay
// for its receiver, followed by the direction: `>` from the dialler to the acceptor, `<` back. HEADER is in hexadecimal,
// extensions included. Byte i of the content is a function of i (see `content`), so that a payload is told by its length and
// its place. Lines with # are notes.

const dgram = require('dgram')
const { createHash } = require('crypto')
const libraries = require('./libraries')

const HOST = '127.0.0.1'
const [name, sizeText, seedText] = process.argv.slice(2)
const size = Number(sizeText)
let state = (Number(seedText) || 1) >>> 0

// xorshift32
function below (limit) {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  state >>>= 0
  return state % limit
}

// Byte i of the content: Knuth's multiplicative hash of i's 32-bit word, so that no two places look alike.
function content (length) {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (Math.imul((i >>> 2) + 1, 2654435761) >>> (8 * (i & 3))) & 0xff
  return bytes
}

const whole = content(size)
const lines = []
const start = process.hrtime.bigint()
const elapsed = () => Number((process.hrtime.bigint() - start) / 1000n)

function headerLength (datagram) {
  let extension = datagram[1]
  let length = 20
  while (extension !== 0) {
    extension = datagram[length]
    length += 2 + datagram[length + 1]
  }
  return length
}

function line (what, datagram) {
  const length = headerLength(datagram)
  const payload = datagram.subarray(length)
  const words = [elapsed(), what, datagram.subarray(0, length).toString('hex')]
  if (payload.length > 0) {
    const offset = whole.indexOf(payload)
    if (offset < 0) throw new Error('A payload that is not part of the content.')
    words.push(payload.length + '@' + offset)
  }
  lines.push(words.join(' '))
}

const front = dgram.createSocket('udp4')       // the dialler's side
const back = dgram.createSocket('udp4')        // the acceptor's side
let diallerPort = 0
let acceptorPort = 0
let datagrams = 0

function carry (direction, datagram, socket, port) {
  datagrams++
  // The handshake comes through: libutp repeats neither its SYN-ACK nor, within a second, its SYN.
  const spared = datagrams < 8
  if (!spared && below(100) < 5) return line('x' + direction, datagram)
  line('s' + direction, datagram)
  const late = !spared && below(100) < 15 ? 6 + below(25) : 5
  setTimeout(() => {
    line('r' + direction, datagram)
    socket.send(datagram, port(), HOST)
  }, late)
}

front.on('message', (datagram, from) => {
  diallerPort = from.port
  carry('>', datagram, back, () => acceptorPort)
})
back.on('message', datagram => carry('<', datagram, front, () => diallerPort))

function report (received) {
  const hash = bytes => createHash('sha256').update(bytes).digest('hex')
  const bytes = Buffer.concat(received)
  if (!bytes.equals(whole)) throw new Error(`${bytes.length} of ${size} bytes came through, or wrong ones.`)
  process.stdout.write(`conversation ${name} bytes=${size} sha256=${hash(whole)}\n`)
  process.stdout.write('# Made by tests/peers/record.js, which tells what the lines mean.\n')
  process.stdout.write(lines.join('\n') + '\n')
  process.exit(0)
}

const received = []
const acceptor = libraries[name]()
const dialler = libraries[name]()
let open = 2

const closed = () => {
  // A last acknowledgement may still be under way.
  if (--open === 0) setTimeout(() => report(received), 200)
}

front.bind(0, HOST, () => back.bind(0, HOST, () => {
  const accept = socket => {
    socket.on('data', data => received.push(Buffer.from(data)))
    socket.on('end', () => socket.end())
    socket.on('close', closed)
  }

  acceptor.open(true, accept, port => {
    acceptorPort = port
    dialler.open(false, () => {}, async () => {
      const socket = dialler.connect(front.address().port)
      socket.on('close', closed)
      socket.resume()
      await new Promise(resolve => socket.once('connect', resolve))
      for (let at = 0; at < size; at += 16384) {
        await new Promise(resolve => socket.write(whole.subarray(at, at + 16384), () => resolve()))
      }
      await dialler.acknowledged(socket)
      socket.end()
    })
  })
}))

setTimeout(() => {
  process.stderr.write('The conversation did not come to its end within a minute.\n')
  process.exit(1)
}, 60000)
