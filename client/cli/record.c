#include "client/cli/record.h"

#include "client/cli/text.h"

enum { LABEL_WIDTH = 18 };

/* One part, by its name in JSON. */
struct part {
    const char *name;
    size_t at; /* a slice of struct sg_audit_record */
    enum { TEXT, HEX, BASE64 } form;
};

static const struct part parts[] = {
#define PART(member, form)                                                                         \
    {                                                                                              \
#member, offsetof(struct sg_audit_record, member), form                                    \
    }
    PART(authority, TEXT),       PART(caller, TEXT),
    PART(source, TEXT),          PART(method, TEXT),
    PART(request_id, TEXT),      PART(request_sha256, HEX),
    PART(rule_set, TEXT),        PART(rule, TEXT),
    PART(key_version, TEXT),     PART(public_key_sha256, HEX),
    PART(digest, HEX),           PART(document_digest, HEX),
    PART(document_number, TEXT), PART(purpose, TEXT),
    PART(signature, BASE64),     PART(token, TEXT),
    PART(reason, TEXT),          PART(detail, TEXT),
#undef PART
};

static struct sg_slice slice_of(const struct sg_audit_record *record, const struct part *part)
{
    struct sg_slice slice;
    memcpy(&slice, (const char *)record + part->at, sizeof(slice));
    return slice;
}

static void put(struct sg_slice text)
{
    struct sg_buf clean;
    sg_buf_init(&clean, 8 * SG_AUDIT_RECORD_BYTES_MAX);
    sg_cli_clean(text, &clean);
    (void)fwrite(clean.ptr, 1, clean.len, stdout);
    sg_buf_done(&clean);
}

static void put_hex(struct sg_slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        printf("%02x", bytes.ptr[i]);
}

/* " LABEL text", when there is any. */
static void put_named(const char *label, struct sg_slice text)
{
    if (text.len == 0)
        return;
    printf(" %s ", label);
    put(text);
}

void sg_cli_put_record(uint64_t index, const struct sg_audit_record *record)
{
    char time[SG_CLI_TIME_BYTES];

    printf("%llu  %s  %s", (unsigned long long)index, sg_cli_time(record->time_ns, time),
           sg_audit_event_name(record->event));
    put_named("by", record->key_version);
    put_named("for", record->caller);
    if (record->event == SG_AUDIT_DENIAL || record->event == SG_AUDIT_DENIALS) {
        put_named("of", record->method);
        put_named("because of", record->reason);
        if (record->count > 1)
            printf(" %llu times", (unsigned long long)record->count);
    }
    put_named("number", record->document_number);
    if (record->digest.len > 0) {
        printf(" %s ", record->digest_alg == SG_DIGEST_UNSET ? "message with sha256"
                                                             : sg_digest_name(record->digest_alg));
        put_hex(record->digest);
    }
    if (record->detail.len > 0) {
        printf(" ");
        put(record->detail);
    }
    printf("\n");
}

static void put_label(const char *name)
{
    char label[LABEL_WIDTH + 1];
    (void)snprintf(label, sizeof(label), "%s", name);
    for (char *at = label; *at != '\0'; at++)
        if (*at == '_')
            *at = ' ';
    printf("%-*s ", LABEL_WIDTH, label);
}

static void put_choice(const char *label, const char *name)
{
    put_label(label);
    printf("%s\n", name);
}

void sg_cli_put_record_whole(uint64_t index, const struct sg_audit_record *record)
{
    char time[SG_CLI_TIME_BYTES];

    put_label("leaf");
    printf("%llu\n", (unsigned long long)index);
    put_choice("event", sg_audit_event_name(record->event));
    put_choice("time", sg_cli_time(record->time_ns, time));
    if (record->scheme != SG_SCHEME_UNSET)
        put_choice("scheme", sg_scheme_name(record->scheme));
    if (record->encoding != SG_ENCODING_UNSET)
        put_choice("encoding", sg_cli_encoding_name((int)record->encoding));
    if (record->digest_alg != SG_DIGEST_UNSET)
        put_choice("digest by", sg_digest_name(record->digest_alg));
    if (record->document_digest_alg != SG_DIGEST_UNSET)
        put_choice("document digest by", sg_digest_name(record->document_digest_alg));
    for (size_t i = 0; i < SG_COUNT(parts); i++) {
        struct sg_slice slice = slice_of(record, &parts[i]);
        if (slice.len == 0)
            continue;
        put_label(parts[i].name);
        if (parts[i].form == TEXT)
            put(slice);
        else
            put_hex(slice);
        printf("\n");
    }
    for (size_t i = 0; i < record->grant_count; i++) {
        put_label("grant");
        put(record->grants[i]);
        printf("\n");
    }
    if (record->count > 0) {
        put_label("count");
        printf("%llu\n", (unsigned long long)record->count);
    }
}

void sg_cli_json_record(struct sg_json *json, uint64_t index, const struct sg_audit_record *record)
{
    char number[24]; /* as protobuf's JSON has 64 bits: a double would not hold them */

    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)index);
    sg_json_str(json, "leaf_index", number);
    sg_json_str(json, "event", sg_audit_event_name(record->event));
    sg_json_time(json, "time", record->time_ns);
    if (record->scheme != SG_SCHEME_UNSET)
        sg_json_str(json, "scheme", sg_scheme_name(record->scheme));
    if (record->encoding != SG_ENCODING_UNSET)
        sg_json_str(json, "encoding", sg_cli_encoding_name((int)record->encoding));
    if (record->digest_alg != SG_DIGEST_UNSET)
        sg_json_str(json, "digest_algorithm", sg_digest_name(record->digest_alg));
    if (record->document_digest_alg != SG_DIGEST_UNSET)
        sg_json_str(json, "document_digest_algorithm", sg_digest_name(record->document_digest_alg));
    for (size_t i = 0; i < SG_COUNT(parts); i++) {
        struct sg_slice slice = slice_of(record, &parts[i]);
        if (slice.len == 0)
            continue;
        if (parts[i].form == TEXT)
            sg_json_text(json, parts[i].name, slice);
        else if (parts[i].form == HEX)
            sg_json_hex(json, parts[i].name, slice);
        else
            sg_json_base64(json, parts[i].name, slice);
    }
    if (record->grant_count > 0) {
        sg_json_begin_array(json, "grants");
        for (size_t i = 0; i < record->grant_count; i++)
            sg_json_text(json, NULL, record->grants[i]);
        sg_json_end(json);
    }
    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)record->count);
    if (record->count > 0)
        sg_json_str(json, "count", number);
}
