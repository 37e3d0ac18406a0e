'use strict'

// Bytes that look random and that both sides can make from a seed: xorshift32, the top byte of each state.
// tests/Testing/PeerNoise.cs is the same in C#.

module.exports = class RandomBytes {
  constructor (seed) {
    this._state = ((seed ^ 0x9E3779B9) >>> 0) || 1
  }

  take (count) {
    const bytes = Buffer.allocUnsafe(count)
    let x = this._state
    for (let i = 0; i < count; i++) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      bytes[i] = x >>> 24
    }
    this._state = x
    return bytes
  }
}
