/*
 * A long audit log, and what can be asked of it: fills a log that `sealgated init` made with
 * records as the gateway writes them, and then measures what a start, a receipt and a search cost.
 *
 *     bench_log fill STORE LOG KEY-FILE ANCHOR-FILE LEAVES   until it has so many, and their index
 *     bench_log ask STORE LOG KEY-FILE ANCHOR-FILE QUESTIONS
 *
 * Prints one line of name=value. No gateway may be writing to the log meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>

#include "formats/audit/request_id.h"
#include "gateway/audit/audit_priv.h"
#include "gateway/rpc/audit_leaves.h"

enum { GROUP = 256, QUESTIONS_MAX = 100000, SIGNATURE_BYTES = 256 };

static void must(enum sg_rc rc, const struct sg_err *err)
{
    if (rc == SG_OK)
        return;
    fprintf(stderr, "bench_log: %s\n", err->msg);
    exit(1);
}

static double now_ms(void)
{
    return (double)sg_mono_ns(&sg_clock_system) / 1e6;
}

/* Leaf `i` has these, and nobody else has. */
static void random_bytes(uint64_t i, uint8_t *ret, size_t len)
{
    uint64_t state = (i + 1) * UINT64_C(0x9e3779b97f4a7c15), word = 0;
    for (size_t at = 0; at < len; at++) {
        if (at % 8 == 0) { /* splitmix64 */
            state += UINT64_C(0x9e3779b97f4a7c15);
            word = (state ^ (state >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
            word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
            word ^= word >> 31;
        }
        ret[at] = (uint8_t)(word >> (8 * (at % 8)));
    }
}

static void digest_of(uint64_t i, uint8_t ret[32])
{
    random_bytes(i, ret, 32);
}

/* An RSA-2048 signature's record, with everything in it that a caller may say, and its key. */
static void write_record(uint64_t i, struct sg_audit_entry *ret)
{
    static const uint8_t key_sha256[32] = {1};
    uint8_t digest[32], signature[SIGNATURE_BYTES], request[32];
    char id[48], number[32];

    digest_of(i, digest);
    random_bytes(i + UINT64_C(0x100000000), signature, sizeof(signature));
    random_bytes(i + UINT64_C(0x200000000), request, sizeof(request));
    /* Of version 7: 64 in a millisecond. */
    snprintf(id, sizeof(id), "%08llx-%04llx-7%02x%x-8%02x%x-%02x%02x%02x%02x%02x%02x",
             (unsigned long long)(i / 64) >> 16, (unsigned long long)(i / 64) & 0xffff, request[0],
             request[1] & 15u, request[2], request[3] & 15u, request[4], request[5], request[6],
             request[7], request[8], request[9]);
    snprintf(number, sizeof(number), "%llu/TB", (unsigned long long)i);
    const struct sg_audit_record record = {
        .event = SG_AUDIT_SIGNATURE,
        .time_ns = INT64_C(1790000000) * SG_NS_PER_S + (int64_t)i * SG_NS_PER_MS,
        .authority = SG_SLICE("dev-ca"),
        .caller = SG_SLICE("spiffe://dev.sealgate.local/client/dev"),
        .source = SG_SLICE("127.0.0.1"),
        .method = SG_SLICE("sealgate.v1.SigningService/Sign"),
        .request_id = sg_slice_str(id),
        .request_sha256 = sg_slice_of(request, sizeof(request)),
        .rule_set = SG_SLICE("callers"),
        .rule = SG_SLICE("key"),
        .key_version = SG_SLICE("keys/dev-rsa2048/versions/1"),
        .public_key_sha256 = sg_slice_of(key_sha256, sizeof(key_sha256)),
        .scheme = SG_SCHEME_RSA_PKCS1,
        .digest_alg = SG_DIGEST_SHA256,
        .digest = sg_slice_of(digest, sizeof(digest)),
        .document_number = sg_slice_str(number),
        .signature = sg_slice_of(signature, sizeof(signature)),
        .token = SG_SLICE("softhsm"),
    };
    struct sg_request_id key;
    struct sg_err err = {0};
    must(sg_request_id_read(record.request_id, record.authority, record.caller, record.method, &key,
                            &err),
         &err);
    *ret = (struct sg_audit_entry){.time_ns = 0};
    memcpy(ret->request_key, key.key, sizeof(ret->request_key));
    sg_buf_init(&ret->bytes, SG_AUDIT_RECORD_BYTES_MAX);
    sg_audit_record_write(&record, &ret->bytes);
    must(sg_buf_check(&ret->bytes, &err), &err);
}

static void append(struct sg_audit_writer *writer, uint64_t first, size_t count)
{
    static struct sg_audit_entry entries[GROUP];
    struct sg_audit_entry *group[GROUP];
    struct sg_err err = {0};

    for (size_t i = 0; i < count; i++) {
        write_record(first + i, &entries[i]);
        group[i] = &entries[i];
    }
    must(sg_audit_write(writer, group, count, &err), &err);
    for (size_t i = 0; i < count; i++)
        sg_audit_entry_done(&entries[i]);
}

static void fill(struct sg_audit_writer *writer, uint64_t leaves)
{
    const double begun_ms = now_ms();
    const uint64_t old = sg_log_tree_size(writer->tree);
    struct sg_err err = {0};
    bool is_more = true;

    for (uint64_t size = old; size < leaves; size = sg_log_tree_size(writer->tree))
        append(writer, size, leaves - size < GROUP ? (size_t)(leaves - size) : GROUP);
    const double written_ms = now_ms();
    while (is_more)
        must(sg_audit_index_some(writer->store, &writer->log, sg_log_tree_size(writer->tree),
                                 &is_more, &err),
             &err);
    const double count = leaves > old ? (double)(leaves - old) : 1;
    printf("leaves=%llu write_us=%.2f index_us=%.2f\n", (unsigned long long)leaves,
           (written_ms - begun_ms) * 1e3 / count, (now_ms() - written_ms) * 1e3 / count);
}

/* Asking ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double times_ms[QUESTIONS_MAX];

static void print_times(const char *name, size_t count)
{
    qsort(times_ms, count, sizeof(*times_ms), compare);
    printf("%s_ms=%.3f %s_p99_ms=%.3f ", name, times_ms[count / 2], name,
           times_ms[count * 99 / 100]);
}

/* Some leaf behind leaf 0. */
static uint64_t some_leaf(uint64_t question, uint64_t size)
{
    uint64_t random;
    random_bytes(question + UINT64_C(0x400000000), (uint8_t *)&random, sizeof(random));
    return 1 + random % (size - 1);
}

static void ask_receipt(struct sg_audit_reader *reader, uint64_t seq)
{
    struct sg_audit_receipt receipt = {0};
    struct sg_err err = {0};

    must(sg_audit_receipt_read(reader->store, reader->tree, reader->log, reader->log->id, seq,
                               &receipt, &err),
         &err);
    if (receipt.index != seq)
        must(SG_FAIL(&err, SG_E_INTERNAL, 0, "the receipt is another leaf's"), &err);
    sg_audit_receipt_done(&receipt);
}

static void ask_digest(struct sg_audit_reader *reader, uint64_t seq, bool is_there)
{
    uint8_t digest[32];
    struct sg_leaves leaves = {0};
    struct sg_err err = {0};

    digest_of(is_there ? seq : seq + UINT64_C(0x500000000), digest);
    const struct sg_leaves_filter filter = {.digest = sg_slice_of(digest, sizeof(digest))};
    must(sg_leaves_read(reader, reader->log->id, &filter, 0, 50, &leaves, &err), &err);
    if (leaves.count != (is_there ? 1 : 0) || (is_there && leaves.seqs[0] != seq))
        must(SG_FAIL(&err, SG_E_INTERNAL, 0, "the search found what it should not"), &err);
    sg_leaves_done(&leaves);
}

static void ask(struct sg_audit_writer *writer, double opened_ms, size_t count)
{
    struct sg_audit_reader reader = {
        .store = writer->store, .log = &writer->log, .tree = writer->tree};
    const uint64_t size = sg_log_tree_size(writer->tree);

    writer->log.size = size;
    printf("leaves=%llu open_ms=%.1f ", (unsigned long long)size, opened_ms);
    for (size_t i = 0; i < count; i++) {
        const double begun = now_ms();
        ask_receipt(&reader, some_leaf(i, size));
        times_ms[i] = now_ms() - begun;
    }
    print_times("receipt", count);
    for (size_t i = 0; i < count; i++) {
        const double begun = now_ms();
        ask_digest(&reader, some_leaf(i + count, size), true);
        times_ms[i] = now_ms() - begun;
    }
    print_times("find", count);
    for (size_t i = 0; i < count; i++) {
        const double begun = now_ms();
        ask_digest(&reader, some_leaf(i, size), false);
        times_ms[i] = now_ms() - begun;
    }
    print_times("find_none", count);
    putchar('\n');
}

int main(int argc, char **argv)
{
    struct sg_audit_writer writer;
    struct sg_err err = {0};

    const bool is_fill = argc == 7 && strcmp(argv[1], "fill") == 0;
    if (!is_fill && (argc != 7 || strcmp(argv[1], "ask") != 0)) {
        fputs("usage: bench_log fill|ask STORE LOG KEY-FILE ANCHOR-FILE NUMBER\n", stderr);
        return 2;
    }
    const uint64_t number = strtoull(argv[6], NULL, 10);
    const struct sg_audit_options options = {
        .store = argv[2], .log = argv[3], .key_file = argv[4], .anchor_file = argv[5]};
    const double begun_ms = now_ms();
    must(sg_audit_writer_open(&writer, &options, &err), &err);
    const double opened_ms = now_ms() - begun_ms;
    if (is_fill)
        fill(&writer, number);
    else if (number >= 1 && number <= QUESTIONS_MAX)
        ask(&writer, opened_ms, (size_t)number);
    sg_audit_writer_close(&writer);
    return 0;
}
