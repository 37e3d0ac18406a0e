"""One end of a BitTorrent connection over uTP, with libtorrent, for a test that starts this process:

    /usr/bin/python3 torrent.py seed|leech FOLDER [PORT]

FOLDER has `metainfo.torrent`, and for `seed` the file that it describes; `leech` downloads the file to it. With PORT, libtorrent
connects to 127.0.0.1:PORT; without, it waits for a connection. TCP, encryption and everything that finds other peers are off.

Events are written as lines of JSON, as peer.js does: listening (port), received (bytes, sha256); all other lines are alerts of
libtorrent, with UTP_PEER_LOG=1 also its log of the connection. Commands are read as lines: `end` ends the connection. The process ends
when its input does, and in any case after UTP_PEER_LIFE seconds (380).
"""

import hashlib
import json
import os
import sys
import threading
import time

import libtorrent as lt

SETTINGS = {
    "listen_interfaces": "127.0.0.1:0",
    "enable_outgoing_tcp": False,
    "enable_incoming_tcp": False,
    "enable_outgoing_utp": True,
    "enable_incoming_utp": True,
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "in_enc_policy": int(lt.enc_policy.pe_disabled),
    "out_enc_policy": int(lt.enc_policy.pe_disabled),
    "allowed_enc_level": int(lt.enc_level.pe_plaintext),
    # The tests say which side ends. Otherwise a leecher leaves a seed when it has everything.
    "close_redundant_connections": False,
    # On the paths of the tests a packet is now and then lost three times in a row; that must not end the connection.
    "utp_syn_resends": 10,
    "utp_num_resends": 10,
    "utp_fin_resends": 10,
    "alert_mask": lt.alert.category_t.error_notification
    | lt.alert.category_t.status_notification
    | lt.alert.category_t.peer_notification
    | lt.alert.category_t.storage_notification
    | (lt.alert.category_t.peer_log_notification if "UTP_PEER_LOG" in os.environ else 0),
}


def report(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


def follow_commands(handle):
    for line in sys.stdin:
        if line.strip() == "end":
            handle.pause()
    os._exit(0)


def end_in_time():
    time.sleep(float(os.environ.get("UTP_PEER_LIFE", "380")))
    report("expired")
    os._exit(3)


def add(session, role, folder):
    torrent = lt.add_torrent_params()
    torrent.ti = lt.torrent_info(os.path.join(folder, "metainfo.torrent"))
    torrent.save_path = folder
    if role == "seed":
        torrent.flags |= lt.torrent_flags.seed_mode  # the file is complete
    return session.add_torrent(torrent)


def report_file(handle):
    path = os.path.join(handle.status().save_path, handle.torrent_file().files().file_path(0))
    with open(path, "rb") as file:
        content = file.read()
    report("received", bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def main(role, folder, target=None):
    session = lt.session(SETTINGS)
    handle = add(session, role, folder)
    threading.Thread(target=follow_commands, args=[handle], daemon=True).start()
    threading.Thread(target=end_in_time, daemon=True).start()
    while True:
        session.wait_for_alert(1000)
        for alert in session.pop_alerts():
            print(f"{type(alert).__name__}: {alert}", flush=True)
            if isinstance(alert, lt.listen_succeeded_alert) and "[uTP]" in alert.message():
                report("listening", port=alert.port)
            elif isinstance(alert, lt.torrent_checked_alert) and target:
                handle.connect_peer(("127.0.0.1", int(target)))
            elif isinstance(alert, lt.torrent_finished_alert) and role == "leech":
                handle.flush_cache()
            elif isinstance(alert, lt.cache_flushed_alert) and role == "leech" and handle.status().is_seeding:
                report_file(handle)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or sys.argv[1] not in ("seed", "leech"):
        sys.exit("usage: torrent.py seed|leech FOLDER [PORT]")
    main(*sys.argv[1:])
