#include "gateway/config/callers.h"

#include <pthread.h>
#include <stdlib.h>

enum sg_rc sg_callers_of(const struct sg_config *config, struct sg_authz **ret, struct sg_err *err)
{
    const size_t count = config->caller_count;
    struct sg_authz_caller *callers = calloc(count == 0 ? 1 : count, sizeof(*callers));
    if (callers == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the list of callers");
    for (size_t i = 0; i < count; i++) {
        const struct sg_config_caller *from = &config->callers[i];
        callers[i] = (struct sg_authz_caller){.name = from->name,
                                              .ca = from->ca,
                                              .uri = from->uri,
                                              .methods = from->methods,
                                              .method_count = from->method_count,
                                              .keys = from->keys,
                                              .key_count = from->key_count,
                                              .tokens = from->token_sha256,
                                              .token_count = from->token_count,
                                              .tokens_expire_s = from->token_expires};
    }
    enum sg_rc rc = sg_authz_new(callers, count, ret, err);
    free(callers);
    return rc;
}

/* Whatever else the file says takes a restart. */
static enum sg_rc read_file(const char *path, struct sg_authz **ret, struct sg_err *err)
{
    SG_AUTO(sg_config_free) const struct sg_config *config = NULL;

    SG_TRY(sg_config_load(path, NULL, &config, err));
    return sg_callers_of(config, ret, err);
}

struct sg_callers_reader {
    struct sg_callers_reader_options options; /* set once, read by both threads */

    /* Loop. */
    struct sg_wake wake;
    bool is_reading, is_asked;
    pthread_t thread; /* while it is reading */

    struct sg_callers_reading reading; /* the thread's, until it was joined */
};

static void *read_list(void *arg)
{
    struct sg_callers_reader *reader = arg;
    struct sg_callers_reading *reading = &reader->reading;

    reading->rc = reader->options.read(reader->options.path, &reading->authz, &reading->err);
    sg_wake_signal(&reader->wake);
    return NULL;
}

static enum sg_rc begin(struct sg_callers_reader *reader, struct sg_err *err)
{
    reader->reading = (struct sg_callers_reading){0};
    const int failed = pthread_create(&reader->thread, NULL, read_list, reader);
    if (failed != 0)
        return SG_FAIL(err, SG_E_UNAVAILABLE, (unsigned long)failed,
                       "could not start a thread to read the list of callers: %s",
                       strerrordesc_np(failed));
    reader->is_reading = true;
    return SG_OK;
}

/* The thread has said all that it had to say. */
static struct sg_callers_reading end(struct sg_callers_reader *reader)
{
    pthread_join(reader->thread, NULL);
    reader->is_reading = false;
    return reader->reading;
}

static void on_wake(void *arg)
{
    struct sg_callers_reader *reader = arg;
    struct sg_callers_reading reading = end(reader);
    struct sg_callers_reading next = {.is_last = true};
    const bool is_asked = reader->is_asked;

    reader->is_asked = false;
    if (is_asked)
        next.rc = begin(reader, &next.err);
    reading.is_last = !is_asked;
    reader->options.told(reader->options.arg, &reading);
    if (next.rc != SG_OK)
        reader->options.told(reader->options.arg, &next);
}

enum sg_rc sg_callers_reader_new(const struct sg_callers_reader_options *options,
                                 struct sg_callers_reader **ret, struct sg_err *err)
{
    struct sg_callers_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the reader of callers");
    reader->options = *options;
    if (reader->options.read == NULL)
        reader->options.read = read_file;
    reader->wake = (struct sg_wake){.fn = on_wake, .arg = reader};
    sg_wake_add(options->loop, &reader->wake);
    *ret = reader;
    return SG_OK;
}

void sg_callers_reader_free(struct sg_callers_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->is_reading)
        sg_authz_free(end(reader).authz);
    sg_wake_remove(reader->options.loop, &reader->wake);
    free(reader);
}

enum sg_rc sg_callers_reader_ask(struct sg_callers_reader *reader, struct sg_err *err)
{
    if (!reader->is_reading)
        return begin(reader, err);
    reader->is_asked = true;
    return SG_OK;
}
