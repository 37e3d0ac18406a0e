'use strict'

// The two libraries behind one interface:
//   open(listen, onconnection, onbound, [ip])  binds a port of 127.0.0.1, or of this address; onbound(port)
//   connect(port, [ip])                        dials it, gives the socket, which emits 'connect'
//   halfClose                                  does end() leave the reading side open?
//   acknowledged(socket)                       resolves when the other side has confirmed all that was written

const HOST = '127.0.0.1'

exports['utp-native'] = () => {
  const utp = require('utp-native')({ allowHalfOpen: true })
  return {
    halfClose: true,

    open (listen, onconnection, onbound, ip = HOST) {
      utp.on('connection', onconnection)
      utp.bind(0, ip, () => onbound(utp.address().port))
      if (listen) utp.listen()                     // bound already, so this only lets SYNs in
      return utp
    },

    connect: (port, ip = HOST) => utp.connect(port, ip),

    acknowledged: async () => {}                   // end() sends the FIN after the data, reliably
  }
}

exports['utp-punch'] = () => {
  const Node = require('utp-punch')
  const node = new Node()
  return {
    halfClose: false,                              // the other side's FIN ends our writer too

    open (listen, onconnection, onbound, ip = HOST) {
      node.on('connection', onconnection)
      node.bind(0, ip, () => {
        if (listen) node.listen()                  // before this, a SYN is answered with RESET
        onbound(node.address().port)
      })
      return node
    },

    connect: (port, ip = HOST) => node.connect(port, ip),

    // 'flush' is its internal event for "nothing is in flight". Without waiting for it, end() loses data: five
    // seconds after its own FIN, or on the other side's, it stops retransmitting lost packets.
    acknowledged: async socket => {
      if (socket._inflightPackets > 0) await new Promise(resolve => socket.once('flush', resolve))
    }
  }
}
