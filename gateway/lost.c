#include "gateway/lost.h"

#include <sys/stat.h>

#include "gateway/audit/anchor.h"
#include "gateway/key_file.h"

static bool is_there(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && st.st_size > 0;
}

/* What the anchor remembers of the log whose key this is: a key is called as the origin of its log.
 */
static enum sg_rc read_anchor(const char *path, const struct sg_note_key *key,
                              struct sg_tree_head *ret)
{
    SG_AUTO(sg_anchor_close) struct sg_anchor *anchor = NULL;

    SG_TRY(sg_anchor_open(path, &anchor, NULL));
    return sg_anchor_read(anchor, sg_note_key_name(key), key, ret, NULL);
}

/* `init` makes the anchor last, and with leaf 0 alone. */
void sg_lost_explain(const struct sg_config *config, struct sg_err *err)
{
    SG_AUTO(sg_note_signer_free) struct sg_note_signer *signer = NULL;
    const char *path = config->audit_anchor_file;
    struct sg_tree_head head = {0};

    if (err->reason != SG_R_AUDIT_NOT_INITIALISED || !is_there(path))
        return;
    enum sg_rc rc = sg_key_file_read(config->audit_key_file, &signer, NULL);
    if (rc == SG_OK)
        rc = read_anchor(path, sg_note_signer_key(signer), &head);
    if (rc == SG_E_NOT_FOUND)
        SG_IGNORE(SG_REFUSE(err, SG_R_STORE_ROLLED_BACK, /* this is the caller's error */
                            "the store has no log \"%.40s\", and its anchor is of one whose key is "
                            "not there: put back the store and \"%.60s\"",
                            config->audit_log, config->audit_key_file));
    else if (rc == SG_OK && head.size > 1)
        SG_IGNORE(SG_REFUSE(err, SG_R_STORE_ROLLED_BACK,
                            "the store is lost: its anchor remembers %llu leaves of the log "
                            "\"%.40s\": put a copy back (sealgated restore); an old one goes on by "
                            "sealgated epoch",
                            (unsigned long long)head.size, config->audit_log));
}
