#include "client/cli/cli.h"

const struct sg_command *const sg_commands[] = {
    &sg_cmd_sign,          &sg_cmd_verify,          &sg_cmd_keys_list,
    &sg_cmd_keys_show,     &sg_cmd_keys_public_key, &sg_cmd_keys_csr,
    &sg_cmd_tokens_list,   &sg_cmd_tokens_show,     &sg_cmd_tokens_drain,
    &sg_cmd_tokens_resume, &sg_cmd_tokens_compare,  &sg_cmd_info,
    &sg_cmd_health,        &sg_cmd_bench,           &sg_cmd_token_new,
    &sg_cmd_audit_tail,    &sg_cmd_audit_show,      &sg_cmd_audit_find,
    &sg_cmd_audit_verify,  &sg_cmd_audit_export,    &sg_cmd_audit_checkpoint,
    &sg_cmd_audit_approve,
};

const size_t sg_command_count = SG_COUNT(sg_commands);

const char sg_exit_codes[] = "Exit codes:\n"
                             "  0  done; the signature is valid; the gateway is serving\n"
                             "  1  answered, and the answer is no: not valid, not proved,\n"
                             "     not serving, not every document signed\n"
                             "  2  the command line is wrong\n"
                             "  3  no connection, or the gateway or its token is away\n"
                             "  4  not authenticated, or not allowed\n"
                             "  5  no such key, or not one that you may use\n"
                             "  6  refused for another reason: the request has to change\n"
                             "  7  too busy: try again later\n"
                             "  8  sent and not answered: it may have been done\n"
                             "  9  a file here could not be read or written\n"
                             " 10  the gateway failed, or its answer was damaged\n";
