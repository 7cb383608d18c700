#!/usr/bin/python3
"""A foreign witness for Sealgate's log: witness.py FOLDER CERTIFICATE KEY LOG-VKEY. It writes its port and its vkey into the
folder, and answers as the file FOLDER/mode says: right, or in one of the ways that a witness may be wrong."""
import os
import sys
import time

import peer

KEY = peer.Key("foreign.example/witness", peer.WITNESS, peer.seed("a foreign witness"))
STRANGER = peer.Key("stranger.example/witness", peer.WITNESS, peer.seed("a stranger"))


class Moody(peer.Witness):
    def __init__(self, folder, log_key):
        super().__init__(KEY, log_key)
        self.folder = folder

    def mode(self):
        with open(self.folder + "/mode") as file:
            return file.read().strip()

    def answer_locked(self, body):
        mode = self.mode()
        text = body.partition(b"\n\n")[2].partition(b"\n\n")[0] + b"\n"
        now = int(time.time())
        wrong = {
            "nobody": (404, b"", "text/plain"),
            "ill": (500, b"sorry\n", "text/plain"),
            "moved": (302, b"", "text/plain"),
            "empty": (200, b"", "text/plain"),
            "stranger": (200, STRANGER.sign(text, now).encode(), "text/plain"),
            "ahead": (409, b"999999999\n", "text/x.tlog.size"),
            "words": (409, b"conflict\n", "text/x.tlog.size"),
            "long": (200, b"x" * 100000, "text/plain"),
        }
        if mode in wrong:
            return wrong[mode]
        if mode == "forged":
            return 200, KEY.sign(b"another text\n", now).encode(), "text/plain"
        return super().answer_locked(body)


def main(folder, certificate, key, log_vkey):
    witness = Moody(folder, peer.Key.parse(log_vkey))
    server = witness.serve(certificate, key)
    handler = server.RequestHandlerClass
    usual = handler.do_POST

    def do_post(self):
        mode = witness.mode()
        if mode == "noise":
            self.wfile.write(b"\x00\x01\x02 what?\r\n\r\n")
        elif mode == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n\xe2\x80\x94 half")
        elif mode == "old":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
        else:
            usual(self)
            return
        self.close_connection = True

    handler.do_POST = do_post
    if os.path.exists(folder + "/chunked"):
        handler.is_chunked = True
    open(folder + "/vkey", "w").write(KEY.vkey)
    open(folder + "/port.new", "w").write("%d" % server.server_address[1])
    os.rename(folder + "/port.new", folder + "/port")
    while True:
        time.sleep(3600)


def judge(file, log_vkey):
    """Whether what the gateway keeps is a checkpoint of the log, cosigned by this witness."""
    text, _, lines = open(file, "rb").read().partition(b"\n\n")
    text += b"\n"
    assert peer.Key.parse(log_vkey).judge(text, lines.decode())
    when = KEY.judge(text, lines.decode())
    assert when is not None and abs(when - time.time()) < 3600
    print(text.decode().split("\n")[1])


if __name__ == "__main__":
    if sys.argv[1] == "vkey":
        print(KEY.vkey)
    elif sys.argv[1] == "judge":
        judge(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
