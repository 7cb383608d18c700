/* faultctl: breaks and mends the fault rig (fault.h). README.md explains it. */
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/fake/pkcs11/fault.h"

static const char help[] =
    "usage: faultctl FILE COMMAND...\n"
    "\n"
    "Breaks and mends the token behind libfaultp11.so whose control file is FILE, at once and in\n"
    "all processes that have it loaded. Several commands may follow one another. FUNCTION is a\n"
    "name without its C_, or \"all\"; RV a number as in CKR_DEVICE_ERROR = 0x30; HOW-LONG is\n"
    "a number of calls, or \"for 1.2\" (seconds; \"for 800ms\").\n"
    "\n"
    "  lat FUNCTION MICROSECONDS [JITTER]  takes longer, and up to JITTER more; slept\n"
    "  err FUNCTION RV HOW-LONG            fails with RV\n"
    "  hang FUNCTION [HOW-LONG]            does not return; so many calls, or until unhang\n"
    "  unhang                              what hangs goes on\n"
    "  crash [FUNCTION] CALLS              ends the process by SIGSEGV; Sign when none is named\n"
    "  down RV [for TIME], up              all calls fail\n"
    "  restart                             sessions, handles and the login are void\n"
    "  logout                              the login alone is void\n"
    "  maxsessions N                       more sessions are refused; 0: no limit\n"
    "  saysessions N                       what C_GetTokenInfo claims; 0: what is true\n"
    "  corrupt HOW-LONG                    signatures with a wrong bit\n"
    "  corruptkey ID                       all by the key with this CKA_ID (hexadecimal, or none)\n"
    "  poisonkey ID                        a signature by this key ends the process\n"
    "  poisoninput BYTES                   one whose input has these in it ends the process\n"
    "  pin wrong|locked|expired|ok         how C_Login is answered\n"
    "  pintries N                          locked after so many wrong PINs; 0: never\n"
    "  memo 0|1                            the same input is signed once and remembered\n"
    "  keys N BASE-ID                      N synthetic keys that borrow from the key BASE-ID\n"
    "  stat                                how often each function was called\n"
    "  reset                               no fault, all counts 0; what hangs goes on\n";

static const char *const names[] = {
#define X(name) #name,
    FAULT_FUNCTIONS(X)
#undef X
};

static char **next; /* the words that are left */

static void die(const char *what, const char *word)
{
    fprintf(stderr, "faultctl: \"%s\" %s; faultctl --help\n", word, what);
    exit(2);
}

static const char *word(void)
{
    if (*next == NULL)
        die("lacks a word", next[-1]);
    return *next++;
}

static unsigned long number_to(unsigned long max)
{
    char *end;
    const char *text = word();
    unsigned long v = strtoul(text, &end, 0);
    if (*text < '0' || *text > '9' || *end != '\0' || v > max)
        die("is no number here", text);
    return v;
}

static bool is_number_next(void)
{
    return *next != NULL && **next >= '0' && **next <= '9';
}

/* After "for": seconds, or milliseconds with "ms" behind them; the moment when they are over. */
static int64_t until(void)
{
    char *end;
    struct timespec now;
    const char *text = word();
    double seconds = strtod(text, &end);
    const bool is_ms = strcmp(end, "ms") == 0;
    if (end == text || !(seconds > 0) || seconds > 1e6 ||
        (*end != '\0' && strcmp(end, "s") != 0 && !is_ms))
        die("is no time", text);
    if (is_ms)
        seconds /= 1000;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + (int64_t)(seconds * 1e9);
}

static bool is_for_next(void)
{
    if (*next == NULL || strcmp(*next, "for") != 0)
        return false;
    next++;
    return true;
}

/* Calls go to `count`, a time to `until_ns`; what was there before is over. */
static void how_long(_Atomic int32_t *count, _Atomic int64_t *until_ns)
{
    const bool is_time = is_for_next();
    *until_ns = is_time ? until() : 0;
    *count = is_time ? 0 : (int32_t)number_to(INT32_MAX);
}

/* One function or all: from `*from` to before `*to`. */
static void functions(size_t *from, size_t *to)
{
    const char *name = word();
    *from = 0;
    *to = FAULT_FUNCTION_COUNT;
    if (strcmp(name, "all") == 0)
        return;
    while (*from < *to && strcmp(names[*from], name) != 0)
        ++*from;
    if (*from == *to)
        die("is no function that is interposed", name);
    *to = *from + 1;
}

/* Hexadecimal bytes, or "none". The length is 0 while they change. */
static void bytes(struct fault_bytes *out)
{
    const char *text = word();
    const size_t len = strcmp(text, "none") == 0 ? 0 : strlen(text);
    unsigned byte;

    if (len % 2 != 0 || len / 2 > FAULT_BYTES_MAX || strspn(text, "0123456789abcdefABCDEF") < len)
        die("is not hexadecimal, or too long", text);
    out->len = 0;
    for (size_t i = 0; i < len / 2; i++) {
        sscanf(text + 2 * i, "%2x", &byte);
        out->bytes[i] = (uint8_t)byte;
    }
    out->len = (uint32_t)(len / 2);
}

static uint64_t pin_answer(void)
{
    const char *text = word();
    if (strcmp(text, "ok") == 0)
        return 0;
    if (strcmp(text, "wrong") == 0)
        return 0xa0; /* CKR_PIN_INCORRECT */
    if (strcmp(text, "expired") == 0)
        return 0xa3;
    if (strcmp(text, "locked") != 0)
        die("is neither wrong, locked, expired nor ok", text);
    return 0xa4;
}

static void reset(struct fault_control *control)
{
    const uint32_t restarts = control->restarts, logouts = control->logouts;
    const uint32_t releases = control->releases, sessions = control->sessions;
    memset(control, 0, sizeof(*control));
    control->restarts = restarts; /* going back would make void handles valid */
    control->logouts = logouts;
    control->releases = releases + 1;
    control->sessions = sessions;
}

static void release(struct fault_control *control)
{
    for (size_t i = 0; i < FAULT_FUNCTION_COUNT; i++) {
        control->of[i].is_hanging = 0;
        control->of[i].hang_count = 0;
        control->of[i].hang_until_ns = 0;
    }
    control->releases++;
}

static void stat(const struct fault_control *control)
{
    for (size_t i = 0; i < FAULT_FUNCTION_COUNT; i++)
        if (control->of[i].calls > 0)
            printf("%s %llu\n", names[i], (unsigned long long)control->of[i].calls);
    printf("sessions %u\nwrong-pins %u\n", control->sessions, control->pin_refused);
}

/* Commands that name functions. False: it is none of them. */
static bool obey_of_function(struct fault_control *control, const char *command)
{
    size_t from, to;

    if (strcmp(command, "crash") == 0 && is_number_next()) {
        control->of[FAULT_Sign].crash = (int32_t)number_to(INT32_MAX);
        return true;
    }
    if (strcmp(command, "lat") != 0 && strcmp(command, "err") != 0 &&
        strcmp(command, "hang") != 0 && strcmp(command, "crash") != 0)
        return false;
    functions(&from, &to);
    char **words = next;
    for (size_t i = from; i < to; i++) {
        next = words;
        if (*command == 'l') {
            control->of[i].latency_us = (uint32_t)number_to(UINT32_MAX);
            control->of[i].jitter_us = is_number_next() ? (uint32_t)number_to(UINT32_MAX - 1) : 0;
        } else if (*command == 'e') {
            control->of[i].error_rv = number_to(ULONG_MAX);
            how_long(&control->of[i].error_count, &control->of[i].error_until_ns);
        } else if (*command == 'c') {
            control->of[i].crash = (int32_t)number_to(INT32_MAX);
        } else if (is_number_next()) {
            control->of[i].hang_count = (int32_t)number_to(INT32_MAX);
        } else {
            control->of[i].hang_until_ns = is_for_next() ? until() : 0;
            control->of[i].is_hanging = 1;
        }
    }
    return true;
}

static void obey(struct fault_control *control, const char *command)
{
    if (obey_of_function(control, command)) {
        return;
    } else if (strcmp(command, "reset") == 0) {
        reset(control);
    } else if (strcmp(command, "unhang") == 0) {
        release(control);
    } else if (strcmp(command, "down") == 0) {
        const uint64_t rv = number_to(ULONG_MAX);
        control->down_until_ns = is_for_next() ? until() : 0;
        control->down_rv = rv;
    } else if (strcmp(command, "up") == 0) {
        control->down_rv = 0;
    } else if (strcmp(command, "restart") == 0) {
        control->restarts++;
    } else if (strcmp(command, "logout") == 0) {
        control->logouts++;
    } else if (strcmp(command, "maxsessions") == 0) {
        control->max_sessions = (uint32_t)number_to(UINT32_MAX);
    } else if (strcmp(command, "saysessions") == 0) {
        control->said_sessions = (uint32_t)number_to(UINT32_MAX);
    } else if (strcmp(command, "corrupt") == 0) {
        how_long(&control->corrupt, &control->corrupt_until_ns);
    } else if (strcmp(command, "corruptkey") == 0) {
        bytes(&control->corrupt_key);
    } else if (strcmp(command, "poisonkey") == 0) {
        bytes(&control->poison_key);
    } else if (strcmp(command, "poisoninput") == 0) {
        bytes(&control->poison_input);
    } else if (strcmp(command, "pin") == 0) {
        control->pin_rv = pin_answer();
    } else if (strcmp(command, "pintries") == 0) {
        control->pin_tries = (uint32_t)number_to(UINT32_MAX);
    } else if (strcmp(command, "memo") == 0) {
        control->memo = (uint32_t)number_to(1);
    } else if (strcmp(command, "keys") == 0) {
        const uint32_t count = (uint32_t)number_to(FAULT_SYNTHETIC_MAX);
        bytes(&control->synthetic_base);
        control->synthetic_count = count;
    } else if (strcmp(command, "stat") == 0) {
        stat(control);
    } else {
        die("is no command", command);
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        fputs(help, stdout);
        return 0;
    }
    if (argc < 3) {
        fputs(help, stderr);
        return 2;
    }
    int fd = open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct fault_control)) != 0) {
        perror(argv[1]);
        return 2;
    }
    struct fault_control *control =
        mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) {
        perror(argv[1]);
        return 2;
    }
    next = argv + 2;
    while (*next != NULL)
        obey(control, word());
    return 0;
}
