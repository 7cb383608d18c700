#ifndef SG_TESTS_SUPPORT_RPC_ECHO_H
#define SG_TESTS_SUPPORT_RPC_ECHO_H

#include "proto/grpc/call.h"

/*
 * A handler of calls for tests: methods of echo.Echo, one of each kind, that send back what they
 * get. Their messages are test.Inner, where a protocol asks for that; what the methods look for
 * is a whole message or its name. It counts the events of every call and aborts when one comes out
 * of order.
 *
 *   Unary         "refuse" fails with BAD_NAME, "later" is answered by echo_answer_later(),
 *                 "head" and "tail" add metadata, "only-tail" and "only-both" do without a message
 *   Read          the same without side effects
 *   ServerStream  as many messages back as the request has bytes, as far as there is room
 *   ClientStream  the sum of all messages' lengths, in decimal
 *   Bidi          every message back at once; "stop" ends the call early with ABORTED, "pause"
 *                 pauses it
 */
extern const struct sg_method_table echo_methods;

struct echo {
    struct sg_call_handler handler; /* give this to the server */
    size_t begun, messages, half_closed, closed, writables;
    size_t refused_by_begin;
    bool refuse_begin;         /* begin says QUEUE_FULL */
    struct sg_call *later;     /* the last unary call that asked for it and is still open */
    struct sg_call *paused;    /* the last call that asked for it and is still open */
    size_t stream_message_len; /* of each message of ServerStream */
};

void echo_init(struct echo *echo);
/* Answers the call kept by "later". */
void echo_answer_later(struct echo *echo);

#endif
