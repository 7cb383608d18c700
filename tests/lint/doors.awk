# First doors.txt, then the sources, by paths relative to the root of the tree.
FNR == 1 {
    nr_file++
}

nr_file == 1 {
    sub(/^#.*/, "")
    if ($1 == "anywhere") {
        anywhere[++anywhere_count] = "^" $2 "$"
    } else if ($1 == "include" || $1 == "call") {
        split($0, row, " : ")
        kind[++door_count] = $1
        pattern[door_count] = $2
        places[door_count] = row[2]
    } else if (NF > 0) {
        complain("neither include, call nor anywhere: " $1)
    }
    next
}

{
    target = included($0)
    if (target != "")
        check_include(target)
    else
        check_calls(strip($0))
}

function check_include(target, i, is_known, name) {
    name = substr(target, 2, length(target) - 2)
    for (i = 1; i <= door_count; i++)
        if (kind[i] == "include" && name ~ ("^" pattern[i])) {
            is_known = 1
            if (!is_at(places[i]))
                complain(target " may be included by " places[i] " only")
        }
    for (i = 1; i <= anywhere_count; i++)
        if (name ~ anywhere[i])
            is_known = 1
    if (!is_known && substr(target, 1, 1) == "<")
        complain(target " has no door in tests/lint/doors.txt")
}

# A call is a name before a parenthesis that is not a member, a longer name or a declaration's.
function check_calls(code, i) {
    for (i = 1; i <= door_count; i++)
        if (kind[i] == "call" && code ~ ("(^|[^A-Za-z0-9_.>])" pattern[i] "[ \t]*\\(") && !is_at(places[i]))
            complain(pattern[i] "() may be called by " places[i] " only")
}

function is_at(list, i, n, place) {
    n = split(list, place, " ")
    for (i = 1; i <= n; i++)
        if (index(FILENAME, place[i]) == 1)
            return 1
    return 0
}

END {
    if (nr_file < 2) {
        print "no source seen"
        bad++
    }
    exit bad > 0
}
