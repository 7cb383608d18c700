#include <stdlib.h>

#include "formats/audit/certified.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* The Ed25519 key whose private key is 32 bytes of 3, and which certified the log of the corpus. */
static const uint8_t certifier[] = {
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0xed, 0x49, 0x28,
    0xc6, 0x28, 0xd1, 0xc2, 0xc6, 0xea, 0xe9, 0x03, 0x38, 0x90, 0x59, 0x95, 0x61, 0x29, 0x59,
    0x27, 0x3a, 0x5c, 0x63, 0xf9, 0x36, 0x36, 0xc1, 0x46, 0x14, 0xac, 0x87, 0x37, 0xd1,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A record that is certified by the key names the one log whose text the key has signed, says which
 * key that was, and is none by another key. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char signed_text[] =
        "sealgate.v1 log-key/1\n"
        "origin sealgate.example/main/1\n"
        "log-key sealgate.example/main/1+0290bc8a+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs\n";
    struct sg_slice spki = sg_slice_of(certifier, sizeof(certifier));
    uint8_t other[sizeof(certifier)];
    struct sg_note_key *key = NULL;
    struct sg_audit_record record;
    struct sg_buf text;

    if (sg_audit_record_parse(sg_slice_of(data, size), &record, NULL) != SG_OK)
        return 0;
    memcpy(other, certifier, sizeof(certifier));
    other[sizeof(other) - 1] ^= 1;
    require(sg_certification_check(&record, sg_slice_of(other, sizeof(other)), &key, NULL) !=
            SG_OK);
    if (sg_certification_check(&record, spki, &key, NULL) != SG_OK) {
        require(key == NULL);
        return 0;
    }
    sg_buf_init(&text, SG_CERTIFIED_TEXT_BYTES_MAX);
    sg_certified_text(key, &text);
    require(sg_slice_is(sg_buf_slice(&text), signed_text));
    require(record.event == SG_AUDIT_LOG_STARTED &&
            sg_certification_certifier(&record).len == 4 * ((sizeof(certifier) + 2) / 3));
    sg_buf_done(&text);
    sg_note_key_free(key);
    return 0;
}
