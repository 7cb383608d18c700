# strip(LINE): the line without comments and without what stands in quotes. Comments may run over
# lines; a new file begins outside of one.
function strip(line, out, i, n, c, two, quote) {
    if (FNR == 1)
        in_comment = 0
    out = ""
    n = length(line)
    for (i = 1; i <= n; i++) {
        c = substr(line, i, 1)
        two = substr(line, i, 2)
        if (in_comment) {
            if (two == "*/") {
                in_comment = 0
                i++
            }
        } else if (two == "/*") {
            in_comment = 1
            out = out " "
            i++
        } else if (two == "//") {
            break
        } else if (c == "\"" || c == "'") {
            quote = c
            out = out quote
            for (i++; i <= n && substr(line, i, 1) != quote; i++)
                if (substr(line, i, 1) == "\\")
                    i++
            out = out quote
        } else {
            out = out c
        }
    }
    return out
}

# included(LINE): what an #include names, with its brackets: "<x.h>" or "\"x.h\""; empty otherwise.
function included(line) {
    if (line !~ /^[ \t]*#[ \t]*include[ \t]*[<"]/)
        return ""
    sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
    if (substr(line, 1, 1) == "<")
        sub(/>.*/, ">", line)
    else
        line = "\"" substr(line, 2, index(substr(line, 2), "\"") - 1) "\""
    return line
}

function complain(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    bad++
}
