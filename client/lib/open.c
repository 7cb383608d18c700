#include <errno.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/lib/client_priv.h"
#include "proto/tls/tls.h"

/* Making a client out of its options, and its end. */

enum { CONNECT_MS = 5000, TIMEOUT_MS = 30000, KEEPALIVE_TIMEOUT_MS = 20000 };
enum { RESPONSE_BYTES_MAX = 4 << 20, CALLS_MAX = 10000 };
/* What servers permit unless they are told otherwise (gRFC A8, A9). */
enum { KEEPALIVE_MS_MIN = 300000 };

const char *sealgate_version(void)
{
    return SG_VERSION;
}

static enum sealgate_code bad_options(struct sealgate_error *error, const char *why)
{
    return sg_client_fail(error, SG_CLIENT_BAD_OPTIONS, SEALGATE_OUTCOME_NOT_DONE, "%s", why);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value == 0 ? otherwise : value;
}

static void take_limits(const struct sealgate_options *options, struct sealgate_client *client)
{
    struct sg_conn_config *config = &client->config;
    uint32_t keepalive_ms = options->keepalive_ms;

    if (keepalive_ms > 0 && keepalive_ms < KEEPALIVE_MS_MIN)
        keepalive_ms = KEEPALIVE_MS_MIN;
    client->connect_timeout_ns = or_default(options->connect_timeout_ms, CONNECT_MS) * SG_NS_PER_MS;
    client->timeout_ns = or_default(options->timeout_ms, TIMEOUT_MS) * SG_NS_PER_MS;
    client->calls_max = or_default(options->calls_max, CALLS_MAX);
    client->is_patient = client->targets.count > 1 || options->wait_for_ready;
    config->limits = sg_rpc_client_limits_default;
    config->limits.message_bytes_max = or_default(options->response_bytes_max, RESPONSE_BYTES_MAX);
    config->limits.send_bytes_max = SG_CLIENT_SEND_BYTES_MAX;
    config->limits.ping_interval_ns = keepalive_ms * SG_NS_PER_MS;
    config->limits.ping_timeout_ns =
        or_default(options->keepalive_timeout_ms, KEEPALIVE_TIMEOUT_MS) * SG_NS_PER_MS;
}

static enum sealgate_code take_names(struct sealgate_client *client,
                                     const struct sealgate_options *options,
                                     struct sealgate_error *error)
{
    struct sg_err err;

    if (options->endpoint == NULL || options->ca_file == NULL)
        return bad_options(error, "the options lack endpoint or ca_file");
    if ((options->cert_file == NULL) != (options->key_file == NULL))
        return bad_options(error, "cert_file and key_file go together");
    if (options->cert_file == NULL && options->authorization == NULL)
        return bad_options(error, "the options lack cert_file and key_file, or authorization");
    if (sg_targets_parse(sg_slice_str(options->endpoint), options->server_name, &client->targets,
                         &err) != SG_OK)
        return bad_options(error, err.msg);
    /* Only spreads retries in time: any number will do when there is no better one. */
    if (getrandom(&client->targets.random, sizeof(client->targets.random), GRND_NONBLOCK) < 0)
        client->targets.random = (uint64_t)getpid();
    if (asprintf(&client->config.user_agent, "%s%ssealgate-c/" SG_VERSION,
                 options->user_agent == NULL ? "" : options->user_agent,
                 options->user_agent == NULL ? "" : " ") < 0) {
        client->config.user_agent = NULL;
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a client: out of memory");
    }
    return SEALGATE_OK;
}

static enum sealgate_code client_init(struct sealgate_client *client,
                                      const struct sealgate_options *options,
                                      struct sealgate_error *error)
{
    static const char *const alpn[] = {"h2"};
    struct sg_tls_client_options tls = {.ca_file = options->ca_file,
                                        .cert_file = options->cert_file,
                                        .key_file = options->key_file,
                                        .alpn = alpn,
                                        .alpn_count = SG_COUNT(alpn)};
    enum sealgate_code code = take_names(client, options, error);
    struct sg_err err;

    if (code != SEALGATE_OK)
        return code;
    take_limits(options, client);
    client->clock = &sg_clock_system;
    if (sg_tls_client_ctx_new(&tls, &client->config.tls, &err) != SG_OK)
        return bad_options(error, err.msg);
    code = sg_client_receipts_new(options->log_key, options->receipts, &client->receipts, error);
    if (code != SEALGATE_OK)
        return code;
    client->makes_ids = !options->no_repeat;
    client->authorization = options->authorization;
    client->authorization_user = options->authorization_user;
    if (client->authorization != NULL &&
        sg_secret_new(SEALGATE_AUTHORIZATION_BYTES_MAX + 1, &client->token, &err) != SG_OK)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE, "%s",
                              err.msg);
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (client->epoll_fd < 0)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a client: %s", strerror(errno));
    return SEALGATE_OK;
}

enum sealgate_code sealgate_client_new(const struct sealgate_options *options,
                                       struct sealgate_client **ret, struct sealgate_error *error)
{
    struct sealgate_client *client = calloc(1, sizeof(*client));
    enum sealgate_code code;

    if (client == NULL)
        return sg_client_fail(error, SG_CLIENT_OUT_OF_MEMORY, SEALGATE_OUTCOME_NOT_DONE,
                              "could not make a client: out of memory");
    client->epoll_fd = -1;
    code = client_init(client, options, error);
    if (code == SEALGATE_OK)
        *ret = client;
    else
        sealgate_client_free(client);
    return code;
}

void sealgate_client_free(struct sealgate_client *client)
{
    if (client == NULL)
        return;
    SG_ASSERT(!client->in_step);
    client->in_step = true; /* a callback that blocks now would wait for ever */
    while (client->waiting.first != NULL) {
        struct sealgate_error error;
        (void)sg_client_fail(&error, SG_CLIENT_CANCELLED, sg_client_undone(client->waiting.first),
                             "the client was freed");
        sg_client_call_finish(client->waiting.first, &error);
    }
    for (struct sealgate_call *call = client->running.first; call != NULL; call = call->next)
        call->is_cancelled = true;
    sg_conn_free(client->conn);
    for (size_t i = 0; i < SG_CLIENT_DRAINING_MAX; i++)
        sg_conn_free(client->draining[i]);
    sg_tls_ctx_free(client->config.tls);
    if (client->epoll_fd >= 0)
        (void)close(client->epoll_fd);
    sg_secret_free(client->token);
    sg_client_receipts_free(client->receipts);
    free(client->config.user_agent);
    free(client);
}
