#!/usr/bin/env bash
# sealgate sign --manifest: every document signed and judged by openssl; killed and resumed, with
# nothing lost that was on the disk; over a gateway that dies; and the progress bar on a terminal.
. "$(dirname "$0")/../lib.sh"
own_instance sign_many
cd "$work"
rm -rf ./*
mkdir docs
count=200
for ((i = 0; i < count; i++)); do echo "document $i" >"docs/$i"; done
printf 'an "odd" \\ name\n' >'docs/an "odd" \ name'
find docs -type f | sort >list
count=$(wc -l <list)
sealgate keys public-key dev-p256 --out key.pem >/dev/null
many() { sealgate sign --key dev-p256 --manifest list --results "$@"; }
many_killable() { exec sealgate sign --key dev-p256 --manifest list --results "$@"; } # in the background: $! is itself

# judge RESULTS: prints "signed failed lines" and judges every signature in it.
judge() {
    /usr/bin/python3 - "$1" <<'END'
import base64, hashlib, json, subprocess, sys
signed, failed, lines = set(), set(), 0
with open(sys.argv[1], encoding="utf-8") as results:
    head = json.loads(next(results))
    assert head["sealgate_results"] == 1 and head["key"] == "keys/dev-p256", head
    for line in results:
        lines += 1
        result = json.loads(line)
        if not result["signed"]:
            failed.add(result["file"])
            assert result["error"]["code"] and result["error"]["reason"], result
            continue
        signed.add(result["file"])
        if lines % 20 == 0 or "odd" in result["file"]:
            content = open(result["file"], "rb").read()
            assert hashlib.sha256(content).hexdigest() == result["digest"], result
            open("one.sig", "wb").write(base64.b64decode(result["signature"]))
            subprocess.run(["openssl", "dgst", "-sha256", "-verify", "key.pem", "-signature",
                            "one.sig", result["file"]], check=True, stdout=subprocess.DEVNULL)
print(len(signed), len(failed - signed), lines)
END
}

# All of them; what cannot be read fails alone.
many all.jsonl >out || fail "exit code $?"
[ "$(judge all.jsonl)" = "$count 0 $count" ] || fail "not all were signed: $(judge all.jsonl)"
grep -q "^signed $count of $count documents" out || fail "said: $(cat out)"
code=0; many all.jsonl >out 2>&1 || code=$?
[ $code = 9 ] && grep -q -- --resume out || fail "results that are there were written over: $code $(cat out)"
many all.jsonl --resume >out || fail "exit code $?"
grep -q "^signed 0 of $count documents.*, $count before" out || fail "said: $(cat out)"
cp list list.good
printf 'docs/none\n\ndocs\n' >>list
code=0; many some.jsonl >out || code=$?
[ $code = 1 ] || fail "exit code $code with two that cannot be read"
[ "$(judge some.jsonl)" = "$count 2 $((count + 2))" ] || fail "$(judge some.jsonl)"
echo late >docs/none
code=0; many some.jsonl --resume >out || code=$?
[ $code = 1 ] && [ "$(judge some.jsonl)" = "$((count + 1)) 1 $((count + 4))" ] || fail "$code $(judge some.jsonl)"
code=0; sealgate sign --key dev-p384 --manifest list --results some.jsonl --resume >out 2>&1 || code=$?
[ $code = 9 ] && grep -q "another key" out || fail "resumed by another key: $code $(cat out)"
code=0; sealgate sign --key dev-none --manifest list --results none.jsonl >out 2>&1 || code=$?
[ $code = 5 ] && [ ! -e none.jsonl ] || fail "a key that is not there: $code"
printf 'bad \377 name\n' >list
code=0; many none.jsonl >out 2>&1 || code=$?
[ $code = 9 ] && grep -q MANIFEST_MALFORMED out || fail "a path that is not UTF-8: $code"
mv list.good list
ok "every document has a line, and what failed failed alone"

# kill -9, again and again: the lines that were there stay, and the runs together sign everything.
before=0 rounds=0
while [ $rounds -lt 12 ]; do
    rounds=$((rounds + 1))
    many_killable killed.jsonl --resume --concurrency 2 >out 2>&1 &
    run=$!
    sleep 0.$((3 + RANDOM % 4))
    kill -9 $run 2>/dev/null || true
    wait $run 2>/dev/null && break
    [ -e killed.jsonl ] || continue
    now=$(wc -l <killed.jsonl)
    [ "$now" -ge "$before" ] || fail "lines were lost: $before before, $now after"
    before=$now
done
[ "$before" -gt 1 ] || fail "every run was killed before it had signed anything"
many killed.jsonl --resume >out || fail "exit code $?: $(cat out)"
read -r signed failed lines <<<"$(judge killed.jsonl)"
[ "$signed" = "$count" ] && [ "$failed" = 0 ] || fail "$signed signed, $failed failed"
[ "$lines" = "$count" ] || fail "$lines lines for $count documents: some were signed again in spite of their line"
ok "killed $rounds times, the last at line $before: $signed documents, $lines lines"

# The gateway is killed in the middle: it is waited for. What it had may have been done: told so.
many dies.jsonl --concurrency 8 >out 2>&1 &
run=$!
sleep 0.2
kill -9 "$(role_pid gateway)"
code=0; wait $run || code=$?
[ $code = 0 ] || [ $code = 1 ] || fail "exit code $code: $(cat out)"
failed=$(grep -c '"signed":false' dies.jsonl || true)
[ "$failed" -le 8 ] || fail "$failed failed by one death"
[ "$(grep '"signed":false' dies.jsonl | grep -vc '"outcome":"unknown"' || true)" = 0 ] || fail "failures of another kind"
many dies.jsonl --resume >out || fail "exit code $?"
[ "$(judge dies.jsonl | cut -d' ' -f1,2)" = "$count 0" ] || fail "$(judge dies.jsonl)"
ok "a gateway died: $failed may have been done and were told so, all signed in the end"

# It stays away: the run ends, and can go on.
"$top/ops/dev" down
code=0; many away.jsonl --timeout 1 >out 2>&1 || code=$?
[ $code = 3 ] || fail "exit code $code without a gateway"
"$top/ops/dev" up
many away.jsonl --resume >out || fail "exit code $?"

# The bar is for terminals only.
many pipe.jsonl >out 2>err || fail "exit code $?"
[ ! -s err ] || fail "on a pipe it said: $(cat err)"
if command -v script >/dev/null; then
    script -qec "sealgate sign --key dev-p256 --manifest list --results tty.jsonl" /dev/null </dev/null >tty.out
    tr '\r' '\n' <tty.out | grep -qE "^\[#{30}\]  $count/$count  100 %" || fail "no bar on a terminal: $(cat tty.out)"
fi
sealgate sign --key dev-p256 --manifest list --results json.jsonl --output json >out
grep -q "\"files\":$count,\"signed\":$count,\"signed_before\":0,\"failed\":0,\"not_begun\":0" out || fail "$(cat out)"

# An Ed25519 key signs the documents themselves.
sealgate sign --key dev-ed25519 --manifest list --results ed.jsonl >out || fail "exit code $?"
sealgate keys public-key dev-ed25519 --out ed.pem >/dev/null
sed -n 2p ed.jsonl | /usr/bin/python3 -c 'import base64, json, sys
r = json.loads(sys.stdin.readline()); open("ed.sig", "wb").write(base64.b64decode(r["signature"])); print(r["file"])' >ed.file
openssl pkeyutl -verify -pubin -inkey ed.pem -rawin -in "$(cat ed.file)" -sigfile ed.sig >/dev/null || fail "ed25519"
ok "on a terminal, in JSON, by Ed25519"
