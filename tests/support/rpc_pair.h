#ifndef SG_TESTS_SUPPORT_RPC_PAIR_H
#define SG_TESTS_SUPPORT_RPC_PAIR_H

#include "proto/grpc/client.h"
#include "proto/grpc/server.h"
#include "tests/support/rpc_echo.h"

/* Our client and our server, each the other's peer, with nothing in between. */
struct pair {
    struct sg_rpc_client *client;
    struct sg_rpc_server *server;
    struct echo echo;
    int64_t now_ns;
    size_t step;        /* bytes per feed; 0: all at once */
    bool client_failed; /* its feed or tick did */
    bool server_failed;
    bool is_cut; /* nothing gets through any more */
};

/* What became of a call. */
struct pair_call {
    struct sg_rpc_client_call *call;
    size_t messages;
    struct sg_buf body; /* of all messages */
    unsigned done;      /* times: must end at 1 */
    enum sg_grpc_code code;
    struct sg_buf message, details;
    enum sg_rpc_outcome outcome;
    unsigned writables;
};

void pair_start(struct pair *pair, const struct sg_rpc_limits *limits,
                const struct sg_rpc_client_limits *client_limits, size_t step);
void pair_stop(struct pair *pair);
/* Exchanges bytes until both are quiet. */
void pair_run(struct pair *pair);
/* Time passes for both; then as above. */
void pair_wait(struct pair *pair, int64_t ns);

enum sg_rc pair_begin(struct pair *pair, struct pair_call *call, const char *path,
                      int64_t timeout_ns);
/* Begins, sends one message, half-closes. Aborts when that cannot be. */
void pair_ask(struct pair *pair, struct pair_call *call, const char *path, struct sg_slice message);
/* Frees what was received; aborts unless done came once. */
void pair_call_done(struct pair_call *call);

#endif
