#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/unit.h"
/* cmocka's header comes first */
#include "tests/unit/gateway/store/suite.h"

char *suite_backend_new(void)
{
    char folder[] = "/tmp/sg-store-XXXXXX";
    char *url = NULL;
    assert_non_null(mkdtemp(folder));
    assert_true(asprintf(&url, "sqlite:%s/store", folder) > 0);
    return url;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void suite_backend_drop(const char *url)
{
    char *folder = strdup(url + strlen("sqlite:"));
    assert_non_null(folder);
    *strrchr(folder, '/') = '\0';
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(folder);
}

int main(void)
{
    cmocka_set_message_output(CM_OUTPUT_STDOUT);
    return _cmocka_run_group_tests("store.sqlite", suite_tests, suite_test_count, NULL, NULL);
}
