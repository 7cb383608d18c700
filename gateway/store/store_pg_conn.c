/* A connection to PostgreSQL: made and waited for with deadlines, its errors, its parameters. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "gateway/store/store_pg_priv.h"

enum {
    CONNECT_MS = 5000,
    ANSWER_MS = 12000, /* more than the server's own statement_timeout, so that it speaks first */
    OPTIONS_MAX = 64,
    OID_INT8 = 20,
    OID_BYTEA = 17,
};

/* synchronous_commit: whatever the server, the database or the user is set to. */
static const char session[] = "SET synchronous_commit = on; SET statement_timeout = '8s';"
                              "SET lock_timeout = '5s'; SET client_min_messages = error;"
                              "SET search_path = pg_catalog";

void sg_pg_close(struct sg_pg *pg)
{
    PQfinish(pg->conn);
    pg->conn = NULL;
    memset(pg->is_prepared, 0, sizeof(pg->is_prepared));
}

/* ---- errors ---- */

static bool is_class(const char *state, const char *class)
{
    return strncmp(state, class, strlen(class)) == 0;
}

static enum sg_reason reason_of(const char *state)
{
    static const char *const broken[] = {"XX001", "XX002", "22", "23", "42P01", "42703", "3F"};
    if (is_class(state, "53100"))
        return SG_R_STORE_FULL;
    for (size_t i = 0; i < SG_COUNT(broken); i++) {
        if (is_class(state, broken[i]))
            return SG_R_STORE_BROKEN;
    }
    return SG_R_STORE_UNAVAILABLE;
}

/* What is wrong with a standby, a server that goes, or an account, may be otherwise next time. */
static bool is_of_connection(const char *state)
{
    return is_class(state, "08") || is_class(state, "57P") || is_class(state, "25") ||
           is_class(state, "28") || is_class(state, "42501") || is_class(state, "26");
}

static unsigned long native_of(const char *state)
{
    unsigned long native = 0; /* five digits or capital letters */
    for (const char *c = state; *c != '\0'; c++)
        native = native << 8 | (unsigned char)*c;
    return native;
}

/* What matters of libpq's messages is their first line; others give advice. */
static void tidy(const char *text, char *ret, size_t size)
{
    snprintf(ret, size, "%.*s", (int)strcspn(text, "\n"), text);
}

static enum sg_rc fail_connection(struct sg_pg *pg, const char *what, struct sg_err *err)
{
    char why[128];
    tidy(pg->conn == NULL ? "no memory" : PQerrorMessage(pg->conn), why, sizeof(why));
    sg_pg_close(pg);
    return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "could not %s: %s", what, why);
}

static enum sg_rc fail_result(struct sg_pg *pg, const PGresult *result, const char *what,
                              struct sg_err *err)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char why[128];

    if (state == NULL)
        return fail_connection(pg, what, err);
    enum sg_reason reason = reason_of(state);
    tidy(message == NULL ? state : message, why, sizeof(why));
    unsigned long native = native_of(state);
    if (is_of_connection(state) || PQstatus(pg->conn) != CONNECTION_OK ||
        PQtransactionStatus(pg->conn) == PQTRANS_UNKNOWN)
        sg_pg_close(pg);
    return sg_fail(err, sg_reason_rc(reason), reason, native, SG_WHERE, "could not %s: %s", what,
                   why);
}

/* ---- waiting ---- */

static enum sg_rc wait_for(struct sg_pg *pg, short events, int64_t deadline_ns, const char *what,
                           short *ret_events, struct sg_err *err)
{
    struct pollfd fd = {.fd = PQsocket(pg->conn), .events = events};
    for (;;) {
        int64_t left = (deadline_ns - sg_mono_ns(&sg_clock_system)) / SG_NS_PER_MS;
        int ready = left <= 0 ? 0 : poll(&fd, 1, (int)left + 1);
        if (ready > 0) {
            *ret_events = fd.revents;
            return SG_OK;
        }
        if (ready < 0 && errno == EINTR)
            continue;
        sg_pg_close(pg);
        return SG_REFUSE(err, SG_R_STORE_UNAVAILABLE, "could not %s: no answer in time", what);
    }
}

static enum sg_rc flush(struct sg_pg *pg, int64_t deadline_ns, const char *what, struct sg_err *err)
{
    for (;;) {
        short events;
        int left = PQflush(pg->conn);
        if (left == 0)
            return SG_OK;
        if (left < 0)
            return fail_connection(pg, what, err);
        SG_TRY(wait_for(pg, POLLIN | POLLOUT, deadline_ns, what, &events, err));
        if ((events & POLLIN) != 0 && PQconsumeInput(pg->conn) == 0)
            return fail_connection(pg, what, err);
    }
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/* Every result there is: the last, or the first that failed. */
static enum sg_rc collect(struct sg_pg *pg, const char *what, PGresult **ret, struct sg_err *err)
{
    int64_t deadline_ns = sg_mono_ns(&sg_clock_system) + ANSWER_MS * SG_NS_PER_MS;
    SG_AUTO(sg_pg_clear) PGresult *kept = NULL;

    SG_TRY(flush(pg, deadline_ns, what, err));
    for (;;) {
        while (PQisBusy(pg->conn)) {
            short events;
            SG_TRY(wait_for(pg, POLLIN, deadline_ns, what, &events, err));
            if (PQconsumeInput(pg->conn) == 0)
                return fail_connection(pg, what, err);
        }
        PGresult *result = PQgetResult(pg->conn);
        if (result == NULL)
            break;
        if (kept == NULL || is_good(kept)) {
            PQclear(kept);
            kept = result;
        } else {
            PQclear(result);
        }
    }
    if (kept == NULL)
        return fail_connection(pg, what, err);
    enum sg_rc rc = is_good(kept) ? SG_OK : fail_result(pg, kept, what, err);
    if (ret != NULL)
        *ret = SG_STEAL(kept); /* of a failure too: it says what was violated */
    return rc;
}

enum sg_rc sg_pg_exec(struct sg_pg *pg, const char *sql, const char *what, PGresult **ret,
                      struct sg_err *err)
{
    if (PQsendQuery(pg->conn, sql) == 0)
        return fail_connection(pg, what, err);
    return collect(pg, what, ret, err);
}

static enum sg_rc prepare(struct sg_pg *pg, size_t number, const char *name, const char *what,
                          struct sg_err *err)
{
    SG_ASSERT(number < SG_PG_STATEMENTS_MAX);
    if (pg->is_prepared[number])
        return SG_OK;
    if (PQsendPrepare(pg->conn, name, pg->sql[number], 0, NULL) == 0)
        return fail_connection(pg, what, err);
    SG_TRY(collect(pg, what, NULL, err));
    pg->is_prepared[number] = true;
    return SG_OK;
}

enum sg_rc sg_pg_run(struct sg_pg *pg, size_t number, const struct sg_pg_params *params,
                     const char *what, PGresult **ret, struct sg_err *err)
{
    const char *values[SG_PG_PARAMS_MAX];
    int lengths[SG_PG_PARAMS_MAX], formats[SG_PG_PARAMS_MAX];
    const char name[] = {'s', (char)('a' + number), '\0'};

    SG_TRY(sg_buf_check(&params->bytes, err));
    for (int i = 0; i < params->count; i++) {
        const void *ptr = params->params[i].ptr;
        values[i] = ptr != NULL ? ptr : (const char *)params->bytes.ptr + params->params[i].at;
        lengths[i] = (int)params->params[i].len;
        formats[i] = 1;
    }
    SG_TRY(prepare(pg, number, name, what, err));
    if (PQsendQueryPrepared(pg->conn, name, params->count, values, lengths, formats, 1) == 0)
        return fail_connection(pg, what, err);
    return collect(pg, what, ret, err);
}

const char *sg_pg_violated(const struct sg_err *err, const PGresult *result)
{
    const char *name = NULL;
    if (result != NULL && err->native == native_of("23505"))
        name = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    return name == NULL ? "" : name;
}

/* ---- connecting ---- */

static void ignore_notice(void *arg, const char *message)
{
    (void)arg, (void)message; /* libpq writes them to stderr otherwise */
}

/*
 * A password with a sign that ought to be written as %XX makes libpq take parts of it for the
 * host or the port, and show them in its messages.
 */
static bool is_plain_url(const char *url)
{
    const char *authority = strstr(url, "://");
    if (authority == NULL)
        return false;
    const char *at = strchr(authority, '@');
    if (at == NULL)
        return true;
    size_t len = strcspn(authority + 3, "/?#");
    return strchr(at + 1, '@') == NULL && authority + 3 + len > at;
}

static void add_option(const char **names, const char **values, size_t *count, const char *name,
                       const char *value)
{
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(names[i], name) == 0)
            return;
    }
    SG_ASSERT(*count < OPTIONS_MAX);
    names[*count] = name;
    values[(*count)++] = value;
}

static enum sg_rc start(struct sg_pg *pg, struct sg_err *err)
{
    const char *names[OPTIONS_MAX + 1] = {0}, *values[OPTIONS_MAX + 1] = {0};
    size_t count = 0;

    PQconninfoOption *options = is_plain_url(pg->url) ? PQconninfoParse(pg->url, NULL) : NULL;
    if (options == NULL) /* libpq's own words would repeat the address, password and all */
        return SG_FAIL(err, SG_E_INVALID, 0,
                       "could not read the store's address: signs such as @ / ? # in a password "
                       "are written %%40 %%2F %%3F %%23");
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++) {
        if (option->val != NULL && count < OPTIONS_MAX - 10)
            add_option(names, values, &count, option->keyword, option->val);
    }
    add_option(names, values, &count, "application_name", "sealgate");
    add_option(names, values, &count, "client_encoding", "UTF8");
    add_option(names, values, &count, "gssencmode", "disable");
    add_option(names, values, &count, "keepalives_idle", "10");
    add_option(names, values, &count, "keepalives_interval", "5");
    add_option(names, values, &count, "keepalives_count", "3");
    add_option(names, values, &count, "tcp_user_timeout", "15000");
    add_option(names, values, &count, "target_session_attrs",
               pg->is_read_only ? "any" : "read-write");
    pg->conn = PQconnectStartParams(names, values, 0);
    PQconninfoFree(options);
    if (pg->conn == NULL || PQstatus(pg->conn) == CONNECTION_BAD)
        return fail_connection(pg, "connect to the store", err);
    PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
    return SG_OK;
}

static enum sg_rc connect_now(struct sg_pg *pg, struct sg_err *err)
{
    int64_t deadline_ns = sg_mono_ns(&sg_clock_system) + CONNECT_MS * SG_NS_PER_MS;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    SG_TRY(start(pg, err));
    while (status != PGRES_POLLING_OK) {
        short events, wanted = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        SG_TRY(wait_for(pg, wanted, deadline_ns, "connect to the store", &events, err));
        status = PQconnectPoll(pg->conn);
        if (status == PGRES_POLLING_FAILED)
            return fail_connection(pg, "connect to the store", err);
    }
    if (PQsetnonblocking(pg->conn, 1) != 0)
        return fail_connection(pg, "connect to the store", err);
    return sg_pg_exec(pg, session, "set up the session", NULL, err);
}

/* A server that was stopped meanwhile has closed the connection; asking the socket costs little. */
static bool is_alive(struct sg_pg *pg)
{
    struct pollfd fd = {.fd = PQsocket(pg->conn), .events = POLLIN};
    if (PQstatus(pg->conn) != CONNECTION_OK || PQtransactionStatus(pg->conn) != PQTRANS_IDLE)
        return false;
    while (poll(&fd, 1, 0) > 0) { /* its last words, and the end behind them */
        if (PQconsumeInput(pg->conn) == 0 || PQstatus(pg->conn) != CONNECTION_OK)
            return false;
    }
    return true;
}

enum sg_rc sg_pg_ready(struct sg_pg *pg, bool *ret_is_new, struct sg_err *err)
{
    *ret_is_new = false;
    if (pg->conn != NULL && is_alive(pg))
        return SG_OK;
    sg_pg_close(pg);
    *ret_is_new = true;
    enum sg_rc rc = connect_now(pg, err);
    if (rc != SG_OK)
        sg_pg_close(pg);
    return rc;
}

/* ---- parameters, in PostgreSQL's binary form ---- */

void sg_pg_params_init(struct sg_pg_params *params, size_t bytes_max)
{
    *params = (struct sg_pg_params){0};
    sg_buf_init(&params->bytes, bytes_max);
}

void sg_pg_params_done(struct sg_pg_params *params)
{
    sg_buf_done(&params->bytes);
}

static void add_be64(struct sg_buf *buf, int64_t value)
{
    sg_buf_add_be32(buf, (uint32_t)((uint64_t)value >> 32));
    sg_buf_add_be32(buf, (uint32_t)value);
}

void sg_pg_add_int(struct sg_pg_params *params, int64_t value)
{
    SG_ASSERT(params->count < SG_PG_PARAMS_MAX);
    params->params[params->count].at = params->bytes.len;
    params->params[params->count++].len = 8;
    add_be64(&params->bytes, value);
}

void sg_pg_add_bytes(struct sg_pg_params *params, struct sg_slice bytes)
{
    SG_ASSERT(params->count < SG_PG_PARAMS_MAX);
    params->params[params->count].ptr = bytes.ptr == NULL ? "" : (const void *)bytes.ptr;
    params->params[params->count++].len = bytes.len;
}

static void begin_array(struct sg_pg_params *params, uint32_t oid, size_t count)
{
    SG_ASSERT(params->count < SG_PG_PARAMS_MAX);
    params->array_at = params->bytes.len;
    sg_buf_add_be32(&params->bytes, count == 0 ? 0 : 1); /* dimensions */
    sg_buf_add_be32(&params->bytes, 1);                  /* there may be nulls */
    sg_buf_add_be32(&params->bytes, oid);
    if (count > 0) {
        sg_buf_add_be32(&params->bytes, (uint32_t)count);
        sg_buf_add_be32(&params->bytes, 1); /* the first has this number */
    }
}

void sg_pg_begin_ints(struct sg_pg_params *params, size_t count)
{
    begin_array(params, OID_INT8, count);
}

void sg_pg_begin_blobs(struct sg_pg_params *params, size_t count)
{
    begin_array(params, OID_BYTEA, count);
}

void sg_pg_item_int(struct sg_pg_params *params, int64_t value)
{
    sg_buf_add_be32(&params->bytes, 8);
    add_be64(&params->bytes, value);
}

void sg_pg_item_blob(struct sg_pg_params *params, struct sg_slice bytes)
{
    sg_buf_add_be32(&params->bytes, bytes.ptr == NULL ? UINT32_MAX : (uint32_t)bytes.len);
    if (bytes.ptr != NULL)
        sg_buf_add_slice(&params->bytes, bytes);
}

void sg_pg_end_array(struct sg_pg_params *params)
{
    params->params[params->count].at = params->array_at;
    params->params[params->count++].len = params->bytes.len - params->array_at;
}

int64_t sg_pg_int(const PGresult *result, int row, int column)
{
    struct sg_slice bytes = sg_pg_bytes(result, row, column);
    if (bytes.len != 8)
        return -1;
    return (int64_t)((uint64_t)sg_be32(bytes.ptr) << 32 | sg_be32(bytes.ptr + 4));
}

struct sg_slice sg_pg_bytes(const PGresult *result, int row, int column)
{
    if (row >= PQntuples(result) || column >= PQnfields(result) || PQgetisnull(result, row, column))
        return (struct sg_slice){0};
    return sg_slice_of(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}
