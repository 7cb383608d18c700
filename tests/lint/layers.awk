# First layers.txt, then the sources, by paths relative to the root of the tree.
FNR == 1 {
    nr_file++
    split(FILENAME, path, "/")
    from = path[1]
}

nr_file == 1 {
    sub(/#.*/, "")
    if (split($0, row, ":") == 2) {
        gsub(/[ \t]/, "", row[1])
        allowed[row[1]] = " " row[1] " " row[2] " "
    }
    next
}

{
    target = included($0)
    if (target == "")
        next
    is_quoted = substr(target, 1, 1) == "\""
    target = substr(target, 2, length(target) - 2)
    split(target, part, "/")
    to = part[1]
    is_test = from == "tests"

    if (target ~ /(^|\/)\.\.?\//)
        complain("\"" target "\" is not relative to the root of the tree")
    else if (target ~ /\.c$/)
        complain("\"" target "\" is not a header; what a test needs is in a _priv.h")
    else if (target ~ /_priv\.h$/ && to != from && !(is_test && may_see_private(to)))
        complain("\"" target "\" is private to " to "/ and its tests")
    else if (is_test)
        next
    else if (to in allowed) {
        if (!is_quoted)
            complain("<" target "> is ours: quotes, not brackets")
        else if (index(allowed[from], " " to " ") == 0)
            complain(from "/ may not include \"" target "\" (tests/lint/layers.txt)")
    } else if (target ~ /\.pb-c\.h$/ || (is_quoted && (target == "methods.h" || target == "descriptors.h"))) {
        # Generated from the .proto files, so a part of proto.
        if (index(allowed[from], " proto ") == 0)
            complain(from "/ may not include \"" target "\", which is generated for proto/")
    } else if (FILENAME ~ /^client\/include\// && target == "sealgate.h") {
        # Where it is installed there is no tree: the header beside it is meant.
        next
    } else if (is_quoted)
        complain("\"" target "\" is neither of a module nor generated")
}

# A module's own unit tests, and what serves all tests.
function may_see_private(module) {
    return FILENAME ~ ("^tests/unit/" module "/") || FILENAME !~ /^tests\/unit\//
}

END {
    if (nr_file < 2) {
        print "no source seen"
        bad++
    }
    exit bad > 0
}
