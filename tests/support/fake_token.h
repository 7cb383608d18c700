#ifndef SG_TESTS_SUPPORT_FAKE_TOKEN_H
#define SG_TESTS_SUPPORT_FAKE_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "hsm/job.h"

/*
 * A token process without a token: the other end of the engine's socket, in the test's own
 * process, which says of itself what the test wants and answers when the test wants. Tests of
 * what an engine makes of silence, lies and greetings; what a token does is for the real one.
 *
 * Failures of its own fail the test.
 */
enum { FAKE_TOKEN_KEYS_MAX = 8, FAKE_TOKEN_CONNECTIONS_MAX = 8, FAKE_TOKEN_HELD_MAX = 64 };

struct fake_token_key {
    struct sg_slice id, spki;
    enum sg_key_type type;
};

struct fake_token {
    char dir[32], path[64];
    struct fake_token_key keys[FAKE_TOKEN_KEYS_MAX];
    size_t key_count;

    /* What it does not answer, from now on. */
    bool is_deaf_to_hello, is_deaf_to_probe, is_deaf_to_load;
    /* What it says to a probe instead of being well; unset: it is well. */
    enum sg_outcome probe_outcome;

    /* Seen so far; connections are those that are open. */
    size_t hellos, probes, loads, packets, connections;

    /* SIGN and CSR requests wait here for fake_token_answer(). Copies; their slices live until
     * the answer. */
    struct fake_token_held {
        int fd;
        struct sg_request request;
        uint8_t bytes[SG_JOB_MESSAGE_MAX];
    } * held;
    size_t held_count;

    /* Private. */
    struct sg_loop *loop;
    struct sg_watch listener;
    struct fake_token_connection {
        struct fake_token *token;
        struct sg_watch watch;
    } links[FAKE_TOKEN_CONNECTIONS_MAX];
};

/* Listens at `path`, in a folder of its own, served by turns of the loop. */
void fake_token_start(struct fake_token *token, struct sg_loop *loop);
/* Closes everything, as the kernel does for a process that dies; the path stays. */
void fake_token_die(struct fake_token *token);
/* Listens again, as the process that is started in its place. */
void fake_token_rise(struct fake_token *token);
void fake_token_stop(struct fake_token *token);

/* Answers held[index] with `answer`, whose kind and serial are filled in, and forgets it. */
void fake_token_answer(struct fake_token *token, size_t index, struct sg_answer answer);
/* Sends bytes that need not be an answer on the connection of held[index]. */
void fake_token_send(struct fake_token *token, size_t index, struct sg_slice bytes);

#endif
