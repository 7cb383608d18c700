# Sourced by what starts programs of a sanitizer build. SoftHSM2 2.6.1 loses the decoded name of the
# curve with each Ed25519 signature; to tell its losses from ours the stack must be walked through
# libraries without frame pointers.
export ASAN_OPTIONS=fast_unwind_on_malloc=0
export LSAN_OPTIONS=print_suppressions=0:suppressions=$top/tests/support/lsan.supp

# no_complaint LOG: fails, and shows it, when a sanitizer complained there.
no_complaint() { ! grep -nE -A 20 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$1" >&2; }
