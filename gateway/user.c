#include "gateway/user.h"

#include <errno.h>
#include <pwd.h>

enum sg_rc sg_user_ids(const char *name, int64_t *ret_uid, int64_t *ret_gid, struct sg_err *err)
{
    *ret_uid = *ret_gid = -1;
    if (name == NULL || name[0] == '\0')
        return SG_OK;
    errno = 0;
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        return SG_FAIL(err, SG_E_INVALID, (unsigned long)errno, "there is no user \"%s\"", name);
    *ret_uid = user->pw_uid;
    *ret_gid = user->pw_gid;
    return SG_OK;
}
