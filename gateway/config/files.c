#include "gateway/config/bind_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that this process must be able to read; `mode_not` are permission bits it must not have.
 */
static void check_readable(struct sg_config_bind *bind, const struct sg_yaml_node *map,
                           const char *name, const char *path, mode_t mode_not)
{
    struct stat st;
    if (path == NULL || path[0] == '\0')
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0)
        sg_config_complain(bind, sg_yaml_pos_of(map, name), "could not read \"%.120s\": %s", path,
                           strerror(errno));
    else if (!S_ISREG(st.st_mode))
        sg_config_complain(bind, sg_yaml_pos_of(map, name), "\"%.120s\" is not a file", path);
    else if ((st.st_mode & mode_not) != 0)
        sg_config_complain(bind, sg_yaml_pos_of(map, name),
                           "\"%.120s\" is open to everybody: take that away with chmod o=", path);
    if (fd >= 0)
        close(fd);
}

/*
 * A file that one role reads, perhaps as another user than this process: so it must not be missing,
 * nor open to everybody, but this process need not see it. The token process has no business with
 * the server's key, nor the gateway with a PIN.
 */
static void check_secret(struct sg_config_bind *bind, const struct sg_yaml_node *map,
                         const char *name, const char *path)
{
    struct stat st;
    if (path == NULL || path[0] != '/') /* a credential: systemd has it */
        return;
    if (stat(path, &st) != 0) {
        if (errno != EACCES)
            sg_config_complain(bind, sg_yaml_pos_of(map, name), "could not find \"%.120s\": %s",
                               path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        sg_config_complain(bind, sg_yaml_pos_of(map, name), "\"%.120s\" is not a file", path);
    } else if ((st.st_mode & S_IRWXO) != 0) {
        sg_config_complain(bind, sg_yaml_pos_of(map, name),
                           "\"%.120s\" is open to everybody: take that away with chmod o=", path);
    }
}

/* The token process makes its folder; what is there already must be one. */
static void check_folder(struct sg_config_bind *bind, const struct sg_yaml_node *map,
                         const char *name, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        sg_config_complain(bind, sg_yaml_pos_of(map, name), "\"%.120s\" is not a folder", path);
}

/* The path without links, as far as it is there. False: it is too long. */
static bool resolve(const char *path, char ret[PATH_MAX])
{
    char there[PATH_MAX], found[PATH_MAX];
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    const size_t whole = len;
    for (; len > 0; len--) {
        if (len < whole && path[len] != '/')
            continue;
        if ((size_t)snprintf(there, sizeof(there), "%.*s", (int)len, path) < sizeof(there) &&
            realpath(there, found) != NULL)
            break;
    }
    return snprintf(ret, PATH_MAX, "%s%.*s", len == 0 ? "" : found, (int)(whole - len),
                    path + len) < PATH_MAX;
}

/* What backs up the store's folder, or puts it back, would take the anchor along, which is there to
 * notice that. */
static void check_anchor(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                         const struct sg_config *config)
{
    static const char sqlite[] = "sqlite:";
    char store[PATH_MAX], anchor[PATH_MAX];

    if (strncmp(config->store, sqlite, sizeof(sqlite) - 1) != 0 ||
        !resolve(config->store + sizeof(sqlite) - 1, store) ||
        !resolve(config->audit_anchor_file, anchor))
        return;
    const size_t len = strlen(store);
    if (strncmp(anchor, store, len) == 0 && anchor[len] == '/')
        sg_config_complain(bind, sg_yaml_pos_of(root, "audit_anchor_file"),
                           "\"audit_anchor_file\" is in the store's folder \"%.80s\": with that "
                           "put back, nobody would notice; keep it on another disk",
                           store);
}

static void check_user(struct sg_config_bind *bind, const struct sg_yaml_node *map,
                       const char *user)
{
    char room[4096];
    struct passwd entry, *found = NULL;
    if (user == NULL)
        return;
    if (getpwnam_r(user, &entry, room, sizeof(room), &found) != 0 || found == NULL)
        sg_config_complain(bind, sg_yaml_pos_of(map, "user"), "there is no user \"%.32s\"", user);
}

void sg_config_check_files(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                           const struct sg_config *config)
{
    check_readable(bind, root, "tls_certificate_file", config->tls_certificate_file, 0);
    check_secret(bind, root, "tls_key_file", config->tls_key_file);
    check_anchor(bind, root, config);

    const struct sg_yaml_node *node = sg_yaml_items(root, "client_cas");
    for (size_t i = 0; i < config->client_ca_count; i++, node = node->next) {
        check_readable(bind, node, "file", config->client_cas[i].file, S_IWOTH);
        check_readable(bind, node, "crl_file", config->client_cas[i].crl_file, S_IWOTH);
    }
    node = sg_yaml_items(root, "witnesses");
    for (size_t i = 0; i < config->witness_count; i++, node = node->next) {
        check_readable(bind, node, "ca_file", config->witnesses[i].ca_file, S_IWOTH);
        check_readable(bind, node, "certificate_file", config->witnesses[i].certificate_file,
                       S_IWOTH);
        check_secret(bind, node, "key_file", config->witnesses[i].key_file);
    }
    node = sg_yaml_items(root, "tokens");
    for (size_t i = 0; i < config->token_count; i++, node = node->next) {
        const struct sg_config_token *token = &config->tokens[i];
        check_readable(bind, node, "module", token->module, S_IWOTH);
        check_secret(bind, node, "pin_file", token->pin_file);
        check_folder(bind, node, "state_dir", token->state_dir);
        check_user(bind, node, token->user);
    }
    node = sg_yaml_items(root, "keys");
    for (size_t i = 0; i < config->key_count; i++, node = node->next)
        check_readable(bind, node, "public_key_file", config->keys[i].public_key_file, S_IWOTH);
}
