#include "proto/tls/tls_priv.h"

static BIO_METHOD *method; /* made once, kept for the life of the program */

static int bio_read(BIO *bio, char *out, size_t len, size_t *ret_len)
{
    struct sg_tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (conn->in.len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    if (len > conn->in.len)
        len = conn->in.len;
    struct sg_slice part = sg_slice_take(&conn->in, len);
    memcpy(out, part.ptr, len);
    *ret_len = len;
    return 1;
}

/* A full buffer is an error, not a retry: the owner asked for more than it allows to wait. */
static int bio_write(BIO *bio, const char *in, size_t len, size_t *ret_len)
{
    struct sg_tls_conn *conn = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    sg_buf_add(&conn->out, in, len);
    if (conn->out.failed)
        return 0;
    *ret_len = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_method(void)
{
    BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "sealgate");
    if (made == NULL)
        return;
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_ctrl(made, bio_ctrl);
    method = made;
}

BIO *sg_tls_bio_new(struct sg_tls_conn *conn)
{
    static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
    if (CRYPTO_THREAD_run_once(&once, make_method) != 1 || method == NULL)
        return NULL;
    BIO *bio = BIO_new(method);
    if (bio == NULL)
        return NULL;
    BIO_set_data(bio, conn);
    BIO_set_init(bio, 1);
    return bio;
}
