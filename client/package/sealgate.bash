# bash completion for sealgate. From the tables of client/cli/, by tests/docs/cli_docs.c.
_sealgate() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command options
    command=${COMP_WORDS[1]-}
    case "$command" in
    keys|tokens|token|audit) command="$command ${COMP_WORDS[2]-}" ;;
    esac
    compopt +o default 2>/dev/null
    COMPREPLY=()
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W '--help --version sign verify info health bench keys tokens token audit' -- "$word"))
        return
    fi
    if [ "$COMP_CWORD" = 2 ] && [ "${COMP_WORDS[1]}" = keys ]; then
        COMPREPLY=($(compgen -W '--help list show public-key csr' -- "$word"))
        return
    fi
    if [ "$COMP_CWORD" = 2 ] && [ "${COMP_WORDS[1]}" = tokens ]; then
        COMPREPLY=($(compgen -W '--help list show drain resume compare' -- "$word"))
        return
    fi
    if [ "$COMP_CWORD" = 2 ] && [ "${COMP_WORDS[1]}" = token ]; then
        COMPREPLY=($(compgen -W '--help new' -- "$word"))
        return
    fi
    if [ "$COMP_CWORD" = 2 ] && [ "${COMP_WORDS[1]}" = audit ]; then
        COMPREPLY=($(compgen -W '--help tail show find verify export checkpoint approve' -- "$word"))
        return
    fi
    case "$before" in
    --ca|--cert|--cert-key|--token-file|--file|--out|--receipt|--manifest|--results|--public-key|--certificate|--signature|--certified-by|--since|--growth)
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$word"))
        return
        ;;
    --output)
        COMPREPLY=($(compgen -W 'text json' -- "$word"))
        return
        ;;
    --endpoint|--server-name|--log-key|--timeout|--output|--key|--digest|--algorithm|--hash|--scheme|--encoding|--format|--purpose|--request-id|--concurrency|--subject|--dns|--uri|--email|--reason|--service|--connections|--duration|--requests|--batch|--lines|--log|--number|--caller|--event|--since|--until|--witness-key|--witnesses|--first|--end) return ;;
    esac
    case "$command" in
    'sign') options=' --key --file --digest --algorithm --hash --message --scheme --encoding --out --format --purpose --request-id --receipt --dry-run --manifest --results --resume --concurrency' ;;
    'verify') options=' --key --public-key --certificate --signature --file --digest --algorithm --hash --message --scheme --encoding --offline' ;;
    'keys list') options='' ;;
    'keys show') options='' ;;
    'keys public-key') options=' --format --out' ;;
    'keys csr') options=' --subject --dns --uri --email --hash --format --out' ;;
    'tokens list') options='' ;;
    'tokens show') options='' ;;
    'tokens drain') options=' --reason' ;;
    'tokens resume') options=' --reason' ;;
    'tokens compare') options='' ;;
    'info') options='' ;;
    'health') options=' --service --watch' ;;
    'bench') options=' --key --connections --concurrency --duration --requests --batch --scheme' ;;
    'token new') options=' --out' ;;
    'audit tail') options=' --lines --follow --log' ;;
    'audit show') options=' --receipt --log' ;;
    'audit find') options=' --file --hash --digest --number --certificate --signature --key --caller --request-id --event --since --until --log' ;;
    'audit verify') options=' --any-log --certified-by --list --since --growth --witness-key --witnesses' ;;
    'audit export') options=' --out --first --end --log' ;;
    'audit checkpoint') options=' --since --out --growth --log' ;;
    'audit approve') options=' --out' ;;
    *) return ;;
    esac
    COMPREPLY=($(compgen -W "$options --endpoint --ca --cert --cert-key --token-file --server-name --log-key --timeout --output --help" -- "$word"))
}
complete -F _sealgate sealgate
