'use strict'

// One side of a punch by npm's utp-punch, for a test that starts this process:
//
//   node punch.js SERVER PORT ROOM SIDE HOLD
//
// It sends `JOIN ROOM SIDE` to the server until that answers `PEER address:port`, waits HOLD milliseconds and punches. The
// outcome is a line of JSON, and the exit code: 0 for success, 4 for failure, 3 if no peer came within 20 seconds.

const Node = require('utp-punch')

const ATTEMPTS = 6
const [server, port, room, side, hold] = process.argv.slice(2)
const node = new Node()
const socket = node.getUdpSocket()

function finish (success, code, stage) {
  process.stdout.write(JSON.stringify({ event: 'punched', success, stage, elapsedMs: Date.now() - introduced }) + '\n')
  process.exit(code)
}

let introduced = Date.now()
let joining, giveUp

function meet (data) {
  const [word, peer] = String(data).split(' ')
  if (word !== 'PEER') return
  clearInterval(joining)
  clearTimeout(giveUp)
  socket.removeListener('message', meet)
  introduced = Date.now()
  const [host, peerPort] = peer.split(':')
  setTimeout(() => {
    node.punch(ATTEMPTS, Number(peerPort), host, success => finish(success, success ? 0 : 4, 'punch'))
  }, Number(hold))
}

socket.on('message', meet)
node.bind(0, '0.0.0.0', () => {
  const join = () => socket.send(`JOIN ${room} ${side}`, Number(port), server)
  join()
  joining = setInterval(join, 100)
  giveUp = setTimeout(() => finish(false, 3, 'rendezvous'), 20000)
})
