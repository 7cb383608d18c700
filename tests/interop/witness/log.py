#!/usr/bin/python3
"""A foreign log against Sealgate's witness: log.py URL CA KEY, the witness's vkey. The log's origin and key are below; its
vkey is printed by `log.py vkey`."""
import http.client
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import peer

LOG = peer.Log("foreign.example/log", peer.seed("a foreign log"))


def ask(url, ca, body, path="/add-checkpoint"):
    """Status, type and body, as HTTP/1.1 has them."""
    where = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["http/1.1"])
    connection = http.client.HTTPSConnection(where.hostname, where.port, context=context, timeout=20)
    connection.request("POST", where.path + path, body)
    answer = connection.getresponse()
    return answer.status, answer.getheader("content-type"), answer.read().decode()


def ask_h2(url, ca, body):
    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        said = subprocess.run(["curl", "-sS", "--http2", "--cacert", ca, "--data-binary", "@" + file.name, "-w",
                               "\n%{http_code} %{http_version}", url + "/add-checkpoint"], capture_output=True, check=True)
    answer, _, last = said.stdout.decode().rpartition("\n")
    assert last.split()[1] == "2", last
    return int(last.split()[0]), answer


def is_cosigned(key, size, said):
    when = key.judge(LOG.text(size), said[2])
    return said[0] == 200 and when is not None and abs(when - time.time()) < 60 and said[2].endswith("\n")


def main(url, ca, vkey):
    key = peer.Key.parse(vkey)
    assert key.kind == peer.WITNESS
    LOG.grow(100)
    fork = peer.Log(LOG.origin, peer.seed("a foreign log"))
    fork.leaves = LOG.leaves[:20]
    fork.grow(80, b"another leaf")

    assert is_cosigned(key, 7, ask(url, ca, LOG.request(0, 7)))
    assert is_cosigned(key, 7, ask(url, ca, LOG.request(7, 7)))
    known = 7
    for size in (8, 9, 16, 31, 32, 64):
        assert is_cosigned(key, size, ask(url, ca, LOG.request(known, size))), size
        known = size
    status, answer = ask_h2(url, ca, LOG.request(64, 70))
    assert status == 200 and key.judge(LOG.text(70), answer), answer
    print("ok: a log that grows is cosigned, by HTTP/1.1 and HTTP/2")

    for old, size in ((0, 80), (64, 80), (71, 80), (1, 2)):
        assert ask(url, ca, LOG.request(old, size)) == (409, "text/x.tlog.size", "70\n"), (old, size)
    assert ask(url, ca, LOG.request(70, 69, []))[0] == 400
    assert ask(url, ca, LOG.request(70, 80, []))[0] == 422
    assert ask(url, ca, LOG.request(70, 80, [bytes(32)]))[0] == 422
    assert ask(url, ca, LOG.request(70, 80, key=peer.Key(LOG.origin, peer.LOG, peer.seed("a thief"))))[0] == 403
    other = peer.Log("foreign.example/other", peer.seed("another"))
    other.grow(3)
    assert ask(url, ca, other.request(0, 3))[0] == 404
    assert ask(url, ca, b"")[0] == 400
    assert ask(url, ca, b"old 70\n\nnothing\n")[0] == 400
    assert ask(url, ca, LOG.request(70, 80), "/elsewhere")[0] == 404
    assert ask(url, ca, b"old 70\n" + b"x" * 200000)[0] == 413
    print("ok: what it should refuse, by the statuses of the protocol")

    assert ask(url, ca, fork.request(70, 70)) == (409, "text/x.tlog.size", "70\n")
    assert ask(url, ca, fork.request(70, 80))[0] == 422
    print("ok: a fork of the log is refused")

    # Two trees of one size, both grown from what is known, many times at once: one of them wins, once.
    late = peer.Log(LOG.origin, peer.seed("a foreign log"))
    late.leaves = LOG.leaves[:70]
    late.grow(30, b"a late leaf")
    requests = [LOG.request(70, 90), late.request(70, 90)] * 8
    said = [None] * len(requests)

    def one(i):
        said[i] = ask(url, ca, requests[i])

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(s[0] for s in said) == [200] + [409] * 15, said
    winner = LOG if said.index(next(s for s in said if s[0] == 200)) % 2 == 0 else late
    loser = late if winner is LOG else LOG
    assert ask(url, ca, winner.request(90, 90))[0] == 200
    assert ask(url, ca, loser.request(90, 90)) == (409, "text/x.tlog.size", "90\n")
    print("ok: of two trees of one size one is cosigned, however many ask at once")


if __name__ == "__main__":
    if sys.argv[1:] == ["vkey"]:
        print(LOG.key.vkey)
    else:
        main(*sys.argv[1:])
