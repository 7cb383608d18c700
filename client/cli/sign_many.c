#include "client/cli/sign_many.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "client/cli/content.h"
#include "client/cli/progress.h"
#include "client/cli/results.h"
#include "client/cli/text.h"

enum {
    MANIFEST_BYTES_MAX = 256 << 20,
    PATH_BYTES_MAX = 4096,
    CONCURRENCY = 32,
    CONCURRENCY_MAX = 1000,
    TRIES_MAX = 20, /* of one document that the gateway is too busy for */
    PROGRESS_MS = 100,
};

struct many;

/* One document under way. */
struct job {
    struct many *many;
    const char *file; /* NULL: the place is free */
    struct sg_content content;
    unsigned tries;
    int64_t not_before_ns; /* to be tried again then; 0: its call is under way */
};

struct many {
    struct sg_cli *cli;
    const struct sealgate_sign_request *shared;
    bool is_message;

    struct sg_buf manifest;
    char *next, *end;                      /* what of the manifest has not been begun */
    uint64_t total, skipped, done, failed; /* done: the failed and the skipped too */

    struct sg_results *results;
    struct job jobs[CONCURRENCY_MAX];
    size_t width, busy;
    bool is_stopping; /* nothing more is begun: `stop` says why */
    struct sealgate_error stop;
    enum sg_exit stop_code;

    bool has_terminal;
    int64_t begin_ns, shown_ns;
};

/* ---- The manifest --------------------------------------------------------------------------- */

/* Cuts it into lines, in place, and judges each before anything is signed. */
static enum sg_exit read_manifest(struct many *many)
{
    const char *path = sg_args_get(&many->cli->args, "manifest");
    enum sg_exit code;
    struct sg_slice rest;

    sg_buf_init(&many->manifest, MANIFEST_BYTES_MAX + 2);
    code = sg_cli_read_file(many->cli, path, MANIFEST_BYTES_MAX, &many->manifest);
    if (code != SG_EXIT_OK)
        return code;
    if (many->manifest.len > 0 && many->manifest.ptr[many->manifest.len - 1] != '\n')
        sg_buf_add_u8(&many->manifest, '\n');
    if (many->manifest.failed)
        return sg_cli_fail(many->cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    rest = sg_buf_slice(&many->manifest);
    many->next = (char *)many->manifest.ptr;
    many->end = many->next + many->manifest.len;
    for (uint64_t number = 1; rest.len > 0; number++) {
        uint8_t *end = memchr(rest.ptr, '\n', rest.len);
        struct sg_slice line = sg_slice_take(&rest, (size_t)(end - rest.ptr));
        (void)sg_slice_take(&rest, 1);
        if (line.len >= PATH_BYTES_MAX || !sg_utf8_is_valid(line) ||
            (line.len > 0 && memchr(line.ptr, 0, line.len) != NULL))
            return sg_cli_fail(many->cli, SG_EXIT_FILE, "MANIFEST_MALFORMED",
                               "line %llu of %s is no path in UTF-8", (unsigned long long)number,
                               path);
        *end = '\0';
        many->total += line.len > 0;
    }
    return SG_EXIT_OK;
}

/* The next document that is to be signed; NULL: there is none left. */
static const char *next_file(struct many *many)
{
    while (many->next < many->end) {
        const char *file = many->next;

        many->next += strlen(file) + 1;
        if (file[0] == '\0')
            continue;
        if (!sg_results_has(many->results, file))
            return file;
        many->skipped++;
        many->done++;
    }
    return NULL;
}

/* ---- Results -------------------------------------------------------------------------------- */

static const char *digest_name(enum sealgate_digest digest)
{
    return digest == SEALGATE_DIGEST_UNSET ? "" : sg_digest_name((enum sg_digest_alg)digest);
}

/* What the files share: a run that resumes must say the same. */
static void head_line(const struct many *many, struct sg_buf *out)
{
    const char *hash = sg_args_get(&many->cli->args, "hash");
    struct sg_json json = sg_json_of(out);

    sg_json_begin_object(&json, NULL);
    sg_json_int(&json, "sealgate_results", 1);
    sg_json_str(&json, "key", many->shared->key);
    sg_json_str(&json, "hash", many->is_message ? "" : hash == NULL ? "sha256" : hash);
    sg_json_str(&json, "scheme",
                many->shared->scheme == SEALGATE_SCHEME_UNSET
                    ? ""
                    : sg_scheme_name((enum sg_scheme)many->shared->scheme));
    sg_json_str(&json, "encoding",
                many->shared->encoding == SEALGATE_ENCODING_UNSET
                    ? ""
                    : sg_cli_encoding_name((int)many->shared->encoding));
    sg_json_end(&json);
}

static struct sg_json begin_line(struct many *many, const char *file, bool is_signed)
{
    struct sg_json json = sg_json_of(sg_results_lines(many->results));

    sg_json_begin_object(&json, NULL);
    sg_json_str(&json, "file", file);
    sg_json_bool(&json, "signed", is_signed);
    return json;
}

static void end_line(struct many *many, struct sg_json *json)
{
    sg_json_end(json);
    sg_buf_add_u8(sg_results_lines(many->results), '\n');
    many->done++;
}

static void signed_line(const struct job *job, const struct sealgate_signature *signature)
{
    struct sg_json json = begin_line(job->many, job->file, true);

    sg_json_str(&json, "key_version", signature->key_version);
    sg_json_str(&json, "scheme", sg_scheme_name((enum sg_scheme)signature->scheme));
    sg_json_str(&json, "digest_algorithm", digest_name(signature->digest));
    if (!job->many->is_message)
        sg_json_hex(&json, "digest", sg_slice_of(job->content.bytes, job->content.len));
    sg_json_base64(&json, "signature",
                   sg_slice_of(signature->signature.ptr, signature->signature.len));
    sg_json_time(&json, "sign_time", signature->sign_time_ns);
    if (signature->receipt != NULL)
        sg_json_text(&json, "receipt",
                     sg_slice_of(signature->receipt->file.ptr, signature->receipt->file.len));
    end_line(job->many, &json);
}

static void failed_line(struct many *many, const char *file, const struct sealgate_error *error)
{
    struct sg_json json = begin_line(many, file, false);

    sg_json_begin_object(&json, "error");
    sg_cli_json_error(&json, error);
    sg_json_end(&json);
    end_line(many, &json);
    many->failed++;
}

static enum sg_exit commit(struct many *many)
{
    struct sg_err err;

    if (sg_results_commit(many->results, &err) == SG_OK)
        return SG_EXIT_OK;
    return sg_cli_fail(many->cli, SG_EXIT_FILE, "FILE_NOT_WRITTEN", "could not write %s: %s",
                       sg_args_get(&many->cli->args, "results"), err.msg);
}

/* ---- Documents ------------------------------------------------------------------------------ */

static void finish(struct job *job)
{
    job->file = NULL;
    job->many->busy--;
}

/* No document has a chance any more: no gateway came within the time, or it knows us not. */
static bool is_hopeless(const struct sealgate_error *error)
{
    if (error->outcome == SEALGATE_OUTCOME_NOT_DONE && error->is_local &&
        (error->code == SEALGATE_UNAVAILABLE || error->code == SEALGATE_DEADLINE_EXCEEDED))
        return true;
    return error->code == SEALGATE_UNAUTHENTICATED;
}

/* The gateway says when to come again, and that nothing was signed. */
static bool is_for_later(const struct job *job, const struct sealgate_error *error)
{
    return (error->code == SEALGATE_RESOURCE_EXHAUSTED || error->code == SEALGATE_UNAVAILABLE) &&
           error->retry_after_ms > 0 && error->outcome != SEALGATE_OUTCOME_UNKNOWN &&
           job->tries < TRIES_MAX;
}

static void on_failed(struct job *job, const struct sealgate_error *error)
{
    struct many *many = job->many;

    if (is_for_later(job, error)) {
        job->not_before_ns = sg_mono_ns(&sg_clock_system) + error->retry_after_ms * SG_NS_PER_MS;
        return;
    }
    if (is_hopeless(error)) { /* it stays without a line, and is the next run's */
        if (!many->is_stopping)
            many->stop = *error;
        many->is_stopping = true;
    } else {
        failed_line(many, job->file, error);
    }
    finish(job);
}

static void on_signed(void *user, const struct sealgate_error *error,
                      const struct sealgate_signature *signature)
{
    struct job *job = user;

    if (error != NULL) {
        on_failed(job, error);
        return;
    }
    signed_line(job, signature);
    finish(job);
}

static void start(struct job *job)
{
    struct sealgate_sign_request request = *job->many->shared;
    struct sealgate_error error;

    request.digest = (enum sealgate_digest)job->content.alg;
    request.content = (struct sealgate_bytes){job->content.bytes, job->content.len};
    job->not_before_ns = 0;
    job->tries++;
    if (sealgate_sign_start(job->many->cli->client, &request, job->many->cli->timeout_ms, on_signed,
                            job, NULL, &error) != SEALGATE_OK)
        on_failed(job, &error);
}

/* Reads a document and begins it. What cannot be read is that document's failure alone. */
static void begin(struct many *many, struct job *job, const char *file)
{
    struct sealgate_error error;
    enum sg_exit code;

    many->cli->collect = &error;
    /* "-" would be standard input, which is not among many files. */
    code = sg_content_read_file(many->cli, strcmp(file, "-") == 0 ? "./-" : file, many->is_message,
                                &job->content);
    many->cli->collect = NULL;
    if (code != SG_EXIT_OK) {
        failed_line(many, file, &error);
        return;
    }
    job->many = many;
    job->file = file;
    job->tries = 0;
    many->busy++;
    start(job);
}

/* Fills the free places, and begins anew what was to wait. A few documents at a time: large ones
 * take a while to hash, and what is under way must not wait for that. False: nothing is left. */
static bool claim(struct many *many)
{
    enum { CLAIMS = 8 };
    int64_t now_ns = sg_mono_ns(&sg_clock_system);
    unsigned claims = 0;

    for (size_t i = 0; i < many->width; i++) {
        struct job *job = &many->jobs[i];
        const char *file;

        if (job->file != NULL) {
            if (job->not_before_ns != 0 && many->is_stopping)
                finish(job);
            else if (job->not_before_ns != 0 && job->not_before_ns <= now_ns)
                start(job);
            continue;
        }
        if (many->is_stopping || claims++ >= CLAIMS || (file = next_file(many)) == NULL)
            continue;
        begin(many, job, file);
    }
    return many->busy > 0 || (!many->is_stopping && many->next < many->end) ||
           sg_results_lines(many->results)->len > 0;
}

/* ---- The run -------------------------------------------------------------------------------- */

static void show(struct many *many, bool is_last)
{
    struct sg_progress progress = {
        .total = many->total, .done = many->done, .failed = many->failed, .before = many->skipped};
    int64_t now_ns = sg_mono_ns(&sg_clock_system);
    struct sg_buf line;

    if (!many->has_terminal || (!is_last && now_ns < many->shown_ns + PROGRESS_MS * SG_NS_PER_MS))
        return;
    many->shown_ns = now_ns;
    progress.elapsed_ns = now_ns - many->begin_ns;
    sg_buf_init(&line, 1024);
    sg_progress_line(&progress, &line);
    sg_buf_add_u8(&line, '\0');
    if (!line.failed) /* ESC [K clears what a longer line before left */
        (void)fprintf(stderr, "\r%s\033[K%s", (const char *)line.ptr, is_last ? "\n" : "");
    sg_buf_done(&line);
}

static void wait(const struct many *many)
{
    struct pollfd news = {.fd = sealgate_client_fd(many->cli->client), .events = POLLIN};
    int timeout_ms = sealgate_client_timeout_ms(many->cli->client);
    int64_t now_ns = sg_mono_ns(&sg_clock_system);

    if (many->busy < many->width && many->next < many->end && !many->is_stopping)
        timeout_ms = 0; /* there is a free place and something for it */
    for (size_t i = 0; i < many->width; i++) {
        const struct job *job = &many->jobs[i];
        int64_t left_ms = (job->not_before_ns - now_ns) / SG_NS_PER_MS + 1;
        if (job->file == NULL || job->not_before_ns == 0)
            continue;
        if (timeout_ms < 0 || left_ms < timeout_ms)
            timeout_ms = left_ms < 0 ? 0 : (int)left_ms;
    }
    if (many->has_terminal && (timeout_ms < 0 || timeout_ms > PROGRESS_MS))
        timeout_ms = PROGRESS_MS;
    (void)poll(&news, 1, timeout_ms);
}

/* Each turn puts on the disk what came in the one before, and only then begins more. */
static enum sg_exit run_loop(struct many *many)
{
    enum sg_exit code = SG_EXIT_OK;

    while (code == SG_EXIT_OK && claim(many)) {
        sealgate_client_step(many->cli->client);
        code = commit(many);
        show(many, false);
        if (code == SG_EXIT_OK && many->busy > 0)
            wait(many);
    }
    show(many, true);
    return code;
}

static enum sg_exit print_json(const struct many *many, double seconds, enum sg_exit code)
{
    struct sg_buf out;
    struct sg_json json;

    sg_buf_init(&out, 64 << 10);
    json = sg_json_of(&out);
    sg_json_begin_object(&json, NULL);
    sg_json_int(&json, "files", (int64_t)many->total);
    sg_json_int(&json, "signed", (int64_t)(many->done - many->skipped - many->failed));
    sg_json_int(&json, "signed_before", (int64_t)many->skipped);
    sg_json_int(&json, "failed", (int64_t)many->failed);
    sg_json_int(&json, "not_begun", (int64_t)(many->total - many->done));
    sg_json_real(&json, "seconds", seconds, 3);
    sg_json_end(&json);
    return sg_cli_print_json(many->cli, &out, code);
}

static enum sg_exit print_summary(const struct many *many, enum sg_exit code)
{
    unsigned long long made = many->done - many->skipped - many->failed;
    double seconds = (double)(sg_mono_ns(&sg_clock_system) - many->begin_ns) / (double)SG_NS_PER_S;

    if (many->cli->is_json)
        return print_json(many, seconds, code);
    printf("signed %llu of %llu documents in %.1f s", made, (unsigned long long)many->total,
           seconds);
    if (many->skipped > 0)
        printf(", %llu before", (unsigned long long)many->skipped);
    if (many->failed > 0)
        printf(", %llu failed", (unsigned long long)many->failed);
    if (many->done < many->total)
        printf(", %llu not begun: --resume goes on",
               (unsigned long long)(many->total - many->done));
    printf("; results in ");
    sg_cli_put(stdout, sg_args_get(&many->cli->args, "results"));
    printf("\n");
    return sg_cli_flush(many->cli, code);
}

static enum sg_exit open_results(struct many *many)
{
    const char *path = sg_args_get(&many->cli->args, "results");
    struct sg_buf head;
    struct sg_err err;
    enum sg_rc rc;

    sg_buf_init(&head, 4096);
    head_line(many, &head);
    rc = sg_results_open(path, sg_buf_slice(&head), sg_args_has(&many->cli->args, "resume"),
                         &many->results, &err);
    sg_buf_done(&head);
    if (rc == SG_OK)
        return SG_EXIT_OK;
    return sg_cli_fail(many->cli, SG_EXIT_FILE, "RESULTS_NOT_OPENED", "could not write %s: %s",
                       path, err.msg);
}

static enum sg_exit run(struct many *many)
{
    enum sg_exit code = read_manifest(many);

    if (code == SG_EXIT_OK)
        code = open_results(many);
    if (code != SG_EXIT_OK)
        return code;
    many->begin_ns = sg_mono_ns(&sg_clock_system);
    many->has_terminal = !many->cli->is_json && isatty(STDERR_FILENO) == 1;
    code = run_loop(many);
    if (code == SG_EXIT_OK && many->is_stopping)
        code = sg_cli_failed(many->cli, &many->stop);
    else if (code == SG_EXIT_OK && many->failed > 0)
        code = SG_EXIT_NO;
    return print_summary(many, code);
}

enum sg_exit sg_sign_many_check(const struct sg_cli *cli)
{
    static const char *const others[] = {"file",   "digest",     "algorithm", "out",
                                         "format", "request-id", "dry-run"};
    const char *concurrency = sg_args_get(&cli->args, "concurrency");
    uint64_t number;

    if (!sg_args_has(&cli->args, "manifest") || !sg_args_has(&cli->args, "results"))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--manifest and --results go together, and --resume and --concurrency "
                           "with them");
    for (size_t i = 0; i < SG_COUNT(others); i++)
        if (sg_args_has(&cli->args, others[i]))
            return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                               "--%s is for one document, and --manifest for many", others[i]);
    if (concurrency != NULL && !sg_cli_number(concurrency, 1, CONCURRENCY_MAX, &number))
        return sg_cli_fail(cli, SG_EXIT_USAGE, "BAD_OPTIONS",
                           "--concurrency is a number from 1 to %d", CONCURRENCY_MAX);
    return SG_EXIT_OK;
}

enum sg_exit sg_sign_many(struct sg_cli *cli, const struct sealgate_sign_request *request,
                          bool is_message)
{
    const char *concurrency = sg_args_get(&cli->args, "concurrency");
    struct many *many = calloc(1, sizeof(*many));
    uint64_t width = CONCURRENCY;
    enum sg_exit code;

    if (many == NULL)
        return sg_cli_fail(cli, SG_EXIT_INTERNAL, "OUT_OF_MEMORY", "out of memory");
    if (concurrency != NULL)
        (void)sg_cli_number(concurrency, 1, CONCURRENCY_MAX, &width);
    many->cli = cli;
    many->shared = request;
    many->is_message = is_message;
    many->width = width;
    code = run(many);
    sealgate_client_free(SG_STEAL(cli->client)); /* its calls end while their jobs are there */
    sg_results_close(many->results);
    sg_buf_done(&many->manifest);
    free(many);
    return code;
}
