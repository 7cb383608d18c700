/*
 * Signs on a libuv loop: the digests on the command line (64 hex digits each), all at once. Prints
 * "DIGEST SIGNATURE" as the answers come. A uv_poll_t watches the client's descriptor and a
 * uv_timer_t keeps its time; both lead to the same step.
 */
#include <sealgate.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

static struct sealgate_client *client;
static uv_poll_t news;
static uv_timer_t timer;
static int failures;

static void step(void);

static void on_news(uv_poll_t *handle, int status, int events)
{
    (void)handle, (void)status, (void)events;
    step();
}

static void on_timer(uv_timer_t *handle)
{
    (void)handle;
    step();
}

/* One step, and the timer set to when the next one is due; the end of the loop with the last call.
 */
static void step(void)
{
    int timeout_ms;

    sealgate_client_step(client);
    if (sealgate_client_open_calls(client) == 0) {
        uv_close((uv_handle_t *)&news, NULL);
        uv_close((uv_handle_t *)&timer, NULL);
        return;
    }
    timeout_ms = sealgate_client_timeout_ms(client);
    if (timeout_ms < 0)
        uv_timer_stop(&timer);
    else
        uv_timer_start(&timer, on_timer, (uint64_t)timeout_ms, 0);
}

static void on_signed(void *user, const struct sealgate_error *error,
                      const struct sealgate_signature *signature)
{
    if (error != NULL) {
        failures++;
        fprintf(stderr, "%s: %s: %s\n", (const char *)user, error->reason, error->message);
        return;
    }
    printf("%s ", (const char *)user);
    for (size_t i = 0; i < signature->signature.len; i++)
        printf("%02x", signature->signature.ptr[i]);
    printf("\n");
}

static int start(char *text)
{
    unsigned char digest[32] = {0};
    struct sealgate_sign_request request = {.key = "keys/dev-p256",
                                            .digest = SEALGATE_DIGEST_SHA256,
                                            .content = {digest, sizeof(digest)}};
    struct sealgate_error error;

    for (size_t i = 0; i < sizeof(digest); i++)
        if (sscanf(text + 2 * i, "%2hhx", &digest[i]) != 1)
            return fprintf(stderr, "%s: not a digest\n", text), 0;
    /* The digest is copied, so it may live here; `text` is the application's own to keep. */
    if (sealgate_sign_start(client, &request, 0, on_signed, text, NULL, &error) != SEALGATE_OK)
        return fprintf(stderr, "%s: %s\n", error.reason, error.message), 0;
    return 1;
}

int main(int argc, char **argv)
{
    struct sealgate_options options = {
        .endpoint = getenv("SEALGATE_ENDPOINT"),
        .ca_file = getenv("SEALGATE_CA"),
        .cert_file = getenv("SEALGATE_CERT"),
        .key_file = getenv("SEALGATE_KEY"),
    };
    struct sealgate_error error;
    uv_loop_t *loop = uv_default_loop();

    if (sealgate_client_new(&options, &client, &error) != SEALGATE_OK)
        return fprintf(stderr, "%s: %s\n", error.reason, error.message), 1;
    for (int i = 1; i < argc; i++)
        failures += !start(argv[i]);

    uv_poll_init(loop, &news, sealgate_client_fd(client));
    uv_timer_init(loop, &timer);
    uv_poll_start(&news, UV_READABLE, on_news);
    uv_timer_start(&timer, on_timer, 0, 0); /* the first step, from inside the loop */
    uv_run(loop, UV_RUN_DEFAULT);

    sealgate_client_free(client);
    uv_loop_close(loop);
    return failures > 0;
}
