#include <stdlib.h>

#include "formats/audit/note.h"

static void require(bool holds)
{
    if (!holds)
        abort();
}

/*
 * A note that is read has its parts where they were found; a text that is a key is written again as
 * it was; and nothing is taken for the signature of a key that signed nothing.
 */

static const char trusted[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char signed_text[] = "If you think cryptography is the answer to your problem,\n"
                                  "then you don't know what your problem is.\n";

static void read_key(struct sg_slice text)
{
    struct sg_note_key *key = NULL;
    struct sg_buf again;
    if (sg_note_key_parse(text, &key, NULL) != SG_OK)
        return;
    sg_buf_init(&again, text.len);
    sg_note_key_write(key, &again);
    require(sg_slice_eq(sg_buf_slice(&again), text));
    sg_buf_done(&again);
    sg_note_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sg_note_key *key;
    struct sg_slice input = sg_slice_of(data, size);
    enum sg_note_verdict verdict = SG_NOTE_NOT_SIGNED;
    struct sg_note note;
    uint64_t time;

    if (key == NULL)
        require(sg_note_key_parse(sg_slice_str(trusted), &key, NULL) == SG_OK);
    read_key(input);
    if (sg_note_parse(input, &note, NULL) != SG_OK)
        return 0;
    require(note.text.ptr == data && note.text.len + 1 + note.signatures.len == size);
    require(note.text.ptr[note.text.len - 1] == '\n' && data[note.text.len] == '\n');
    require(sg_note_judge(&note, key, &verdict, &time, NULL) == SG_OK);
    require(verdict != SG_NOTE_SIGNED || sg_slice_is(note.text, signed_text));
    return 0;
}
