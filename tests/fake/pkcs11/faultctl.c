/*
 * faultctl FILE COMMAND...: breaks and mends the fault rig whose control file is FILE.
 *
 *     reset | down RV | up | restart | maxsessions N | corrupt N | crash N | memo 0|1
 *     lat FUNCTION MICROSECONDS | err FUNCTION RV COUNT | hang FUNCTION | unhang | stat
 *
 * FUNCTION is a name without its C_. Several commands may follow one another.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fake/pkcs11/fault.h"

static const char *const names[] = {
#define X(name) #name,
    FAULT_FUNCTIONS(X)
#undef X
};

static char **next; /* the words that are left */

static const char *word(void)
{
    if (*next == NULL) {
        fputs("faultctl: a command lacks a word\n", stderr);
        exit(2);
    }
    return *next++;
}

static unsigned long number(void)
{
    char *end;
    const char *text = word();
    unsigned long v = strtoul(text, &end, 0);
    if (*text == '\0' || *end != '\0') {
        fprintf(stderr, "faultctl: \"%s\" is not a number\n", text);
        exit(2);
    }
    return v;
}

static size_t function(void)
{
    const char *name = word();
    for (size_t i = 0; i < FAULT_FUNCTION_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    fprintf(stderr, "faultctl: C_%s is not interposed\n", name);
    exit(2);
}

static void obey(struct fault_control *control, const char *command)
{
    if (strcmp(command, "reset") == 0) {
        uint32_t restarts = control->restarts;
        memset(control, 0, sizeof(*control));
        control->restarts = restarts; /* going back would make void handles valid */
    } else if (strcmp(command, "down") == 0) {
        control->down_rv = number();
    } else if (strcmp(command, "up") == 0) {
        control->down_rv = 0;
    } else if (strcmp(command, "restart") == 0) {
        control->restarts++;
    } else if (strcmp(command, "maxsessions") == 0) {
        control->max_sessions = (uint32_t)number();
    } else if (strcmp(command, "corrupt") == 0) {
        control->corrupt = (int32_t)number();
    } else if (strcmp(command, "crash") == 0) {
        control->crash = (int32_t)number();
    } else if (strcmp(command, "memo") == 0) {
        control->memo = (uint32_t)number();
    } else if (strcmp(command, "lat") == 0) {
        size_t at = function();
        control->of[at].latency_us = (uint32_t)number();
    } else if (strcmp(command, "err") == 0) {
        size_t at = function();
        control->of[at].error_rv = number();
        control->of[at].error_count = (int32_t)number();
    } else if (strcmp(command, "hang") == 0) {
        control->of[function()].is_hanging = 1;
    } else if (strcmp(command, "unhang") == 0) {
        for (size_t i = 0; i < FAULT_FUNCTION_COUNT; i++)
            control->of[i].is_hanging = 0;
    } else if (strcmp(command, "stat") == 0) {
        for (size_t i = 0; i < FAULT_FUNCTION_COUNT; i++)
            printf("%s %llu\n", names[i], (unsigned long long)control->of[i].calls);
    } else {
        fprintf(stderr, "faultctl: unknown command \"%s\"\n", command);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int fd = argc < 3 ? -1 : open(argv[1], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct fault_control)) != 0) {
        fputs("usage: faultctl FILE COMMAND...\n", stderr);
        return 2;
    }
    struct fault_control *control =
        mmap(NULL, sizeof(*control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        return 2;
    next = argv + 2;
    while (*next != NULL)
        obey(control, word());
    return 0;
}
