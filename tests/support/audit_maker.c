#include "tests/support/audit_maker.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "formats/audit/witness.h"

enum { LEAVES_MAX = 1 << 20, LEVELS = 21 };

struct audit_maker {
    char origin[SG_CHECKPOINT_ORIGIN_BYTES_MAX + 1];
    EVP_PKEY *pkey;
    struct sg_note_key *key;
    struct sg_tree_hasher *hasher;
    struct sg_tree_edge edge;
    struct sg_tree_hash *kept[LEVELS];
    struct sg_slice *records; /* each of its own memory */
    uint64_t room;
};

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct audit_maker *audit_maker_new(const char *origin, uint8_t seed)
{
    uint8_t secret[32], public_key[32];
    size_t len = sizeof(public_key);
    struct audit_maker *maker = calloc(1, sizeof(*maker));
    require(maker != NULL);
    snprintf(maker->origin, sizeof(maker->origin), "%s", origin);
    memset(secret, seed, sizeof(secret));
    maker->pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof(secret));
    require(maker->pkey != NULL);
    require(EVP_PKEY_get_raw_public_key(maker->pkey, public_key, &len) == 1);
    require(sg_note_key_new(sg_slice_str(origin), SG_NOTE_ED25519, public_key, &maker->key, NULL) ==
            SG_OK);
    require(sg_tree_hasher_new(&maker->hasher, NULL) == SG_OK);
    return maker;
}

void audit_maker_free(struct audit_maker *maker)
{
    if (maker == NULL)
        return;
    for (uint64_t i = 0; i < maker->edge.size; i++)
        free((void *)(uintptr_t)maker->records[i].ptr);
    free(maker->records);
    for (size_t i = 0; i < LEVELS; i++)
        free(maker->kept[i]);
    EVP_PKEY_free(maker->pkey);
    sg_note_key_free(maker->key);
    sg_tree_hasher_free(maker->hasher);
    free(maker);
}

static void keep(void *arg, struct sg_tree_place place, const struct sg_tree_hash *hash)
{
    struct audit_maker *maker = arg;
    require(place.level < LEVELS);
    maker->kept[place.level][place.index] = *hash;
}

static enum sg_rc find(void *arg, struct sg_tree_place place, struct sg_tree_hash *ret,
                       struct sg_err *err)
{
    const struct audit_maker *maker = arg;
    (void)err;
    *ret = maker->kept[place.level][place.index];
    return SG_OK;
}

static void make_room(struct audit_maker *maker)
{
    if (maker->edge.size < maker->room)
        return;
    maker->room = maker->room == 0 ? 64 : maker->room * 2;
    require(maker->room <= LEAVES_MAX);
    maker->records = realloc(maker->records, maker->room * sizeof(*maker->records));
    require(maker->records != NULL);
    for (size_t i = 0; i < LEVELS; i++) {
        maker->kept[i] = realloc(maker->kept[i], ((maker->room >> i) + 1) * sizeof(**maker->kept));
        require(maker->kept[i] != NULL);
    }
}

void audit_maker_add(struct audit_maker *maker, struct sg_slice record)
{
    struct sg_tree_hash leaf;
    make_room(maker);
    uint8_t *copy = malloc(record.len + 1);
    require(copy != NULL);
    memcpy(copy, record.ptr, record.len);
    maker->records[maker->edge.size] = sg_slice_of(copy, record.len);
    sg_tree_hash_leaf(maker->hasher, record, &leaf);
    sg_tree_append(maker->hasher, &maker->edge, &leaf, keep, maker);
}

/* All that differs from one to the next comes from the number. */
static void make_record(const struct audit_maker *maker, uint64_t index, struct sg_buf *out)
{
    char request_id[40], number[32];
    uint8_t digest[32], signature[70];
    struct sg_audit_record record = {.time_ns = 1795388400000000000 + (int64_t)index * 1000003};

    snprintf(request_id, sizeof(request_id), "0193526e-8c00-7abc-8def-%012llx",
             (unsigned long long)index);
    snprintf(number, sizeof(number), "%llu/TB-CCT", (unsigned long long)index);
    memset(digest, (int)(index & 0xff), sizeof(digest));
    memset(signature, (int)(index % 251), sizeof(signature));
    if (index == 0) {
        record.event = SG_AUDIT_LOG_STARTED;
        record.detail = sg_slice_str(maker->origin);
        sg_audit_record_write(&record, out);
        return;
    }
    record.authority = SG_SLICE("staff");
    record.caller = SG_SLICE("spiffe://example.vn/back-office");
    record.source = SG_SLICE("192.0.2.7");
    record.method = SG_SLICE("sealgate.v1.SigningService/Sign");
    record.event = index % 7 == 6 ? SG_AUDIT_DENIAL : SG_AUDIT_SIGNATURE;
    record.digest_alg = SG_DIGEST_SHA256;
    record.digest = sg_slice_of(digest, sizeof(digest));
    if (record.event == SG_AUDIT_DENIAL) {
        record.reason = SG_SLICE("KEY_NOT_FOUND");
        record.count = 1;
    } else {
        record.request_id = sg_slice_str(request_id);
        record.document_number = sg_slice_str(number);
        record.key_version = SG_SLICE("keys/thue/versions/1");
        record.scheme = SG_SCHEME_ECDSA;
        record.encoding = SG_ENCODING_DER;
        record.signature = sg_slice_of(signature, sizeof(signature));
        record.token = SG_SLICE("hsm-a");
    }
    sg_audit_record_write(&record, out);
}

void audit_maker_grow(struct audit_maker *maker, uint64_t count)
{
    struct sg_buf bytes;
    sg_buf_init(&bytes, SG_AUDIT_RECORD_BYTES_MAX);
    for (; count > 0; count--) {
        sg_buf_clear(&bytes);
        make_record(maker, maker->edge.size, &bytes);
        require(!bytes.failed);
        audit_maker_add(maker, sg_buf_slice(&bytes));
    }
    sg_buf_done(&bytes);
}

const struct sg_note_key *audit_maker_key(const struct audit_maker *maker)
{
    return maker->key;
}

struct sg_slice audit_maker_record(const struct audit_maker *maker, uint64_t index)
{
    return maker->records[index];
}

static void root_at(struct audit_maker *maker, uint64_t size, struct sg_tree_hash *ret)
{
    struct sg_tree_edge edge;
    require(size <= maker->edge.size);
    require(sg_tree_find_edge(size, find, maker, &edge, NULL) == SG_OK);
    sg_tree_root(maker->hasher, &edge, ret);
}

void audit_maker_growth(struct audit_maker *maker, uint64_t old, uint64_t size,
                        struct sg_tree_proof *ret)
{
    require(sg_tree_prove_growth(maker->hasher, old, size, find, maker, ret, NULL) == SG_OK);
}

void audit_maker_checkpoint(struct audit_maker *maker, uint64_t size, struct sg_buf *out)
{
    struct sg_checkpoint checkpoint = {sg_slice_str(maker->origin), {.size = size}};
    uint8_t signature[64];
    size_t len = sizeof(signature);
    struct sg_buf text;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    root_at(maker, size, &checkpoint.head.root);
    sg_buf_init(&text, 4096);
    sg_checkpoint_write(&checkpoint, &text);
    require(EVP_DigestSignInit(ctx, NULL, NULL, NULL, maker->pkey) == 1);
    require(EVP_DigestSign(ctx, signature, &len, text.ptr, text.len) == 1);
    sg_buf_add_slice(out, sg_buf_slice(&text));
    sg_buf_add_u8(out, '\n');
    sg_note_add_signature(maker->key, 0, signature, out);
    EVP_MD_CTX_free(ctx);
    sg_buf_done(&text);
}

void audit_maker_receipt(struct audit_maker *maker, uint64_t index, uint64_t size,
                         struct sg_buf *out)
{
    struct sg_receipt receipt = {.index = index};
    struct sg_buf note;
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    audit_maker_checkpoint(maker, size, &note);
    receipt.checkpoint = sg_buf_slice(&note);
    require(sg_tree_prove_leaf(maker->hasher, index, size, find, maker, &receipt.proof, NULL) ==
            SG_OK);
    sg_receipt_write_with(&receipt, maker->records[index], out);
    sg_buf_done(&note);
}

void audit_maker_growth_file(struct audit_maker *maker, uint64_t old_size, uint64_t size,
                             struct sg_buf *out)
{
    struct sg_witness_request growth = {.old_size = old_size};
    struct sg_buf note;
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    audit_maker_checkpoint(maker, size, &note);
    audit_maker_growth(maker, old_size, size, &growth.proof);
    growth.checkpoint = sg_buf_slice(&note);
    sg_witness_request_write(&growth, out);
    sg_buf_done(&note);
}

void audit_maker_export(struct audit_maker *maker, uint64_t first, uint64_t end, uint64_t size,
                        struct sg_buf *out)
{
    struct sg_export_head head = {
        .origin = sg_slice_str(maker->origin), .first = first, .end = end};
    struct sg_buf note;
    sg_buf_init(&note, SG_NOTE_BYTES_MAX);
    audit_maker_checkpoint(maker, size, &note);
    head.checkpoint = sg_buf_slice(&note);
    root_at(maker, end, &head.root);
    require(sg_tree_find_edge(first, find, maker, &head.edge, NULL) == SG_OK);
    if (end > 0)
        require(sg_tree_prove_growth(maker->hasher, end, size, find, maker, &head.growth, NULL) ==
                SG_OK);
    sg_export_write_head(&head, out);
    for (uint64_t i = first; i < end; i++)
        sg_export_write_leaf(maker->hasher, i, maker->records[i], out);
    sg_buf_done(&note);
}
