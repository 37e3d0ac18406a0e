"""A peer of BitTorrent over uTP, with libtorrent, for a test of the holepunch extension (BEP 55) that starts this process:

    /usr/bin/python3 holepunch.py ADDRESS:PORT [RELAY-ADDRESS:PORT]

It listens at ADDRESS:PORT, and connects to the relay, if there is one. All such peers have the same torrent, and nothing of its content.

Events are written as lines of JSON: listening (port, infoHash); peer (endpoint, id, holepunched) for each connection whose handshake is
complete. The process ends when its input does, and in any case after UTP_PEER_LIFE seconds (380).
"""

import sys
import tempfile
import threading

import libtorrent as lt
from torrent import SETTINGS, end_in_time, follow_commands, report

INFO = {b"name": b"holepunch", b"piece length": 16384, b"length": 16384, b"pieces": bytes(20)}


def peers_of(handle):
    for peer in handle.get_peer_info():
        if not peer.flags & (peer.handshake | peer.connecting):
            yield "%s:%d" % peer.ip, peer


def main(listen, relay=None):
    session = lt.session(
        {
            **SETTINGS,
            "listen_interfaces": listen,
            "min_reconnect_time": 1,
            "max_failcount": 30,
            "allow_multiple_connections_per_ip": True,
        }
    )
    torrent = lt.add_torrent_params()
    torrent.ti = lt.torrent_info({b"info": INFO})
    torrent.save_path = tempfile.gettempdir()  # nothing is written there, since no peer has any of it
    torrent.flags |= lt.torrent_flags.disable_pex
    handle = session.add_torrent(torrent)
    threading.Thread(target=follow_commands, args=[handle], daemon=True).start()
    threading.Thread(target=end_in_time, daemon=True).start()
    seen = set()
    while True:
        session.wait_for_alert(50)
        for alert in session.pop_alerts():
            print(f"{type(alert).__name__}: {alert}", flush=True)
            if isinstance(alert, lt.listen_succeeded_alert) and "[uTP]" in alert.message():
                report("listening", port=alert.port, infoHash=str(torrent.ti.info_hash()))
        if relay and relay not in seen:
            address, port = relay.rsplit(":", 1)
            handle.connect_peer((address, int(port)))
        for endpoint, peer in peers_of(handle):
            if endpoint not in seen:
                seen.add(endpoint)
                report("peer", endpoint=endpoint, id=str(peer.pid), holepunched=bool(peer.flags & peer.holepunched))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: holepunch.py ADDRESS:PORT [RELAY-ADDRESS:PORT]")
    main(*sys.argv[1:])
