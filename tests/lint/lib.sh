# What the lints share; each is called as LINT.sh [ROOT], where ROOT is a tree like ours.
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here/../..}" || exit 2

modules=$(sed -n 's/^\([a-z][a-z]*\):.*/\1/p' "$here/layers.txt")

# sources FOLDER...: the C files of these folders that exist, one a line.
sources() {
    for folder in "$@"; do
        [ ! -d "$folder" ] ||
            find "$folder" -name node_modules -prune -o -name '*.[ch]' -type f -print
    done | LC_ALL=C sort
}
