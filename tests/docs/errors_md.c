/*
 * Prints docs/errors.md: every reason of base/reason.def under the status that carries it. The
 * test docs.errors holds the file to it; after a change of the table:
 *
 *     build/dev/tests/errors_md > docs/errors.md
 */
#include <stdio.h>

#include "base/err.h"
#include "proto/grpc/status.h"

/* What a program may do about a status, whatever the reason; in the order of the page. */
static const struct {
    enum sg_grpc_code code;
    const char *meaning;
} statuses[] = {
    {SG_GRPC_INVALID_ARGUMENT,
     "The request is wrong as it stands. Do not repeat it unchanged (`CRC_MISMATCH` apart)."},
    {SG_GRPC_UNAUTHENTICATED, "The gateway does not accept who asks: the client certificate, or "
                              "the bearer token. Do not repeat the call with the same one."},
    {SG_GRPC_PERMISSION_DENIED, "The caller is known and may not do this. Do not repeat."},
    {SG_GRPC_NOT_FOUND, "There is no such thing, or the caller may not know of it. Do not repeat."},
    {SG_GRPC_FAILED_PRECONDITION,
     "The key cannot be used as it is now. Repeat after an operator has acted."},
    {SG_GRPC_RESOURCE_EXHAUSTED,
     "A limit was reached and nothing was signed. With RetryInfo: repeat after its delay."},
    {SG_GRPC_UNAVAILABLE,
     "The token or the gateway is away. With RetryInfo: repeat after its delay."},
    {SG_GRPC_DEADLINE_EXCEEDED, "The time ran out and the outcome is unknown. Repeat a signing "
                                "call with its `request_id`; without one it may sign a "
                                "second time."},
    {SG_GRPC_UNIMPLEMENTED, "This server does not offer it. Do not repeat."},
    {SG_GRPC_INTERNAL, "A fault of the gateway or the token: tell the operator. "
                       "`MALFORMED_MESSAGE` alone is the caller's, as gRPC has it."},
};

/* Returns how many reasons stand under the status. */
static int print_status(enum sg_grpc_code code, const char *meaning)
{
    printf("\n## %s (%d)\n\n%s\n\n| reason | what to do |\n|---|---|\n", sg_grpc_code_name(code),
           (int)code, meaning);
    int printed = 0;
    for (int i = SG_R_NONE + 1; i < SG_R_COUNT; i++) {
        enum sg_reason reason = (enum sg_reason)i;
        if (sg_grpc_code_of(sg_reason_rc(reason)) != code)
            continue;
        printf("| `%s` | %s |\n", sg_reason_name(reason), sg_reason_next(reason));
        printed++;
    }
    return printed;
}

int main(void)
{
    fputs(
        "<!-- Generated from base/reason.def by tests/docs/errors_md.c; a test compares. -->\n"
        "# Errors\n\n"
        "A call that fails ends with a gRPC status. Its details (`grpc-status-details-bin`, a\n"
        "`google.rpc.Status`) hold exactly one `google.rpc.ErrorInfo` with the domain `sealgate`\n"
        "and one of the reasons below. Reasons are stable: programs may branch on them. Messages\n"
        "are for people and may change. [api.md](api.md) tells how to read the details.\n",
        stdout);
    int printed = 0;
    for (size_t i = 0; i < SG_COUNT(statuses); i++)
        printed += print_status(statuses[i].code, statuses[i].meaning);
    /* A reason whose status has no paragraph here must not vanish from the page. */
    return printed == SG_R_COUNT - 1 ? 0 : 1;
}
