#!/usr/bin/env bash
# completion.sh FILE: what bash offers by the completion of sealgate.
set -eu
. "$1"
failed=0
# offers EXPECTED WORD...: the last word is being written; all of EXPECTED is offered.
offers() {
    local expected=$1 word
    shift
    COMP_WORDS=(sealgate "$@") COMP_CWORD=$#
    COMPREPLY=()
    _sealgate || true
    for word in $expected; do
        printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"} | grep -qx -- "$word" ||
            { echo "sealgate $*: no $word in: ${COMPREPLY[*]-}"; failed=1; }
    done
    [ -n "$expected" ] || [ ${#COMPREPLY[@]} = 0 ] || { echo "sealgate $*: offers ${COMPREPLY[*]}"; failed=1; }
}
offers "sign verify keys token bench health info" ""
offers "sign" si
offers "list show public-key csr" keys ""
offers "--key --file --endpoint --output" sign --
offers "new" token ""
offers "tail show find export checkpoint verify" audit ""
offers "--file --certificate --since --log" audit find --
offers "" token li
offers "" keys ne
offers "--out" token new --ou
offers "--subject" keys csr --su
offers "text json" info --output ""
offers "" sign --key ""
offers "" nonsense --
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
touch document.pdf
offers document.pdf sign --file docu
exit $failed
