/*
 * Signs on an epoll loop that was there before: digests come on standard input, one a line (64 hex
 * digits), and each is signed while the next are read. Prints "DIGEST SIGNATURE" as the answers
 * come. The two things that the loop owes the client are marked: the wait, and the step.
 */
#include <sealgate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct job {
    char text[65];
    unsigned char digest[32];
};

static int failures;

static void on_signed(void *user, const struct sealgate_error *error,
                      const struct sealgate_signature *signature)
{
    struct job *job = user;

    if (error != NULL) {
        failures++;
        fprintf(stderr, "%s: %s: %s\n", job->text, error->reason, error->message);
    } else {
        printf("%s ", job->text);
        for (size_t i = 0; i < signature->signature.len; i++)
            printf("%02x", signature->signature.ptr[i]);
        printf("\n");
    }
    free(job);
}

static void start(struct sealgate_client *client, const char *line)
{
    struct job *job = calloc(1, sizeof(*job));
    struct sealgate_sign_request request = {.key = "keys/dev-p256",
                                            .digest = SEALGATE_DIGEST_SHA256};
    struct sealgate_error error;

    if (job == NULL)
        abort();
    memcpy(job->text, line, 64);
    for (size_t i = 0; i < sizeof(job->digest); i++)
        if (sscanf(line + 2 * i, "%2hhx", &job->digest[i]) != 1)
            fprintf(stderr, "%s: not a digest\n", job->text);
    request.content = (struct sealgate_bytes){job->digest, sizeof(job->digest)};
    if (sealgate_sign_start(client, &request, 0, on_signed, job, NULL, &error) != SEALGATE_OK)
        on_signed(job, &error, NULL);
}

/* Takes what came of standard input apart into lines; 0: that was all. */
static int on_input(struct sealgate_client *client)
{
    static char text[65 * 64];
    static size_t len;
    ssize_t got = read(STDIN_FILENO, text + len, sizeof(text) - len);

    if (got <= 0)
        return 0;
    len += (size_t)got;
    while (len >= 65) {
        start(client, text);
        len -= 65;
        memmove(text, text + 65, len);
    }
    return 1;
}

int main(void)
{
    struct sealgate_options options = {
        .endpoint = getenv("SEALGATE_ENDPOINT"),
        .ca_file = getenv("SEALGATE_CA"),
        .cert_file = getenv("SEALGATE_CERT"),
        .key_file = getenv("SEALGATE_KEY"),
    };
    struct sealgate_client *client;
    struct sealgate_error error;
    struct epoll_event input = {.events = EPOLLIN}, calls = {.events = EPOLLIN};
    int loop = epoll_create1(EPOLL_CLOEXEC), has_input = 1;

    if (sealgate_client_new(&options, &client, &error) != SEALGATE_OK)
        return fprintf(stderr, "%s: %s\n", error.reason, error.message), 1;
    input.data.fd = STDIN_FILENO;
    calls.data.fd = sealgate_client_fd(client); /* one and the same for the client's whole life */
    if (epoll_ctl(loop, EPOLL_CTL_ADD, STDIN_FILENO, &input) != 0 ||
        epoll_ctl(loop, EPOLL_CTL_ADD, calls.data.fd, &calls) != 0)
        return perror("epoll_ctl"), 1;

    while (has_input || sealgate_client_open_calls(client) > 0) {
        struct epoll_event events[2];
        /* The wait: not longer than the client says. */
        int count = epoll_wait(loop, events, 2, sealgate_client_timeout_ms(client));

        for (int i = 0; i < count; i++)
            if (events[i].data.fd == STDIN_FILENO && !on_input(client)) {
                has_input = 0;
                epoll_ctl(loop, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
            }
        /* The step: whenever its descriptor is ready or its time has come; more often is harmless.
         */
        sealgate_client_step(client);
    }
    sealgate_client_free(client);
    close(loop);
    return failures > 0;
}
