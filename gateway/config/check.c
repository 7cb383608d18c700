#include "gateway/config/bind_priv.h"

#include <sys/un.h>

#include "authz/authz.h"
#include "formats/audit/note.h"
#include "gateway/config/address.h"
#include "gateway/config/url.h"
#include "hsm/keyref.h"

/* Things that must differ, sorted ---------------------------------------------------------------
 */

struct entry {
    struct sg_slice a, b; /* must not both be the same as another's */
    const char *name;     /* of the row */
    struct sg_yaml_pos pos;
};

struct entries {
    struct entry *at;
    size_t count;
};

static struct entries new_entries(struct sg_config_bind *bind, size_t count)
{
    struct entries entries = {sg_arena_alloc(bind->scratch, count * sizeof(struct entry)), 0};
    bind->no_memory = bind->no_memory || entries.at == NULL;
    return entries;
}

/* Rows with a missing or malformed part have been complained of already. */
static void add_entry(struct entries *entries, struct sg_slice a, struct sg_slice b,
                      const char *name, struct sg_yaml_pos pos)
{
    if (entries->at != NULL && a.len > 0 && name != NULL)
        entries->at[entries->count++] = (struct entry){a, b, name, pos};
}

static int slice_order(struct sg_slice a, struct sg_slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter == 0 ? 0 : memcmp(a.ptr, b.ptr, shorter);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int entry_order(const void *x, const void *y)
{
    const struct entry *a = x, *b = y;
    int order = slice_order(a->a, b->a);
    if (order == 0)
        order = slice_order(a->b, b->b);
    return order != 0 ? order : (a->pos.line > b->pos.line) - (a->pos.line < b->pos.line);
}

/* Sorts them; says of each that is like the one before it that both `what`. */
static void refuse_same(struct sg_config_bind *bind, struct entries *entries, const char *what)
{
    if (entries->count > 0)
        qsort(entries->at, entries->count, sizeof(*entries->at), entry_order);
    for (size_t i = 1; i < entries->count; i++) {
        const struct entry *a = &entries->at[i - 1], *b = &entries->at[i];
        if (sg_slice_eq(a->a, b->a) && sg_slice_eq(a->b, b->b))
            sg_config_complain(bind, b->pos, "\"%s\" (line %zu) and \"%s\" %s", a->name,
                               a->pos.line, b->name, what);
    }
}

/* References ---------------------------------------------------------------------------------- */

/* The names of a list, sorted; unique or complained of. */
static struct entries index_names(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                                  const struct sg_list *list, const struct sg_config *config)
{
    const char *items = NULL;
    size_t count = 0;
    memcpy(&items, (const char *)config + list->offset, sizeof(items));
    memcpy(&count, (const char *)config + list->count_offset, sizeof(count));
    const struct sg_yaml_node *node = sg_yaml_items(root, list->name);
    struct entries names = new_entries(bind, count);
    for (size_t i = 0; i < count; i++, node = node->next) {
        const char *name = NULL;
        SG_ASSERT(strcmp(list->fields[0].name, "name") == 0);
        memcpy(&name, items + i * list->item_size + list->fields[0].offset, sizeof(name));
        add_entry(&names, sg_slice_str(name), (struct sg_slice){0}, name,
                  sg_yaml_pos_of(node, "name"));
    }
    refuse_same(bind, &names, "have one name");
    return names;
}

static const char *suggest_name(struct sg_config_bind *bind, const struct entries *names,
                                const char *word)
{
    if (bind->complaints >= SG_CONFIG_REPORT_MAX) /* nobody would read it */
        return NULL;
    for (size_t i = 0; i < names->count; i++) {
        if (sg_config_suggest(word, &names->at[i].name, 1) != NULL)
            return names->at[i].name;
    }
    return NULL;
}

static void check_reference(struct sg_config_bind *bind, const struct entries *names,
                            const char *what, const char *name, struct sg_yaml_pos pos)
{
    struct entry wanted = {.a = sg_slice_str(name)};
    size_t low = 0, high = names->count;
    if (name == NULL)
        return;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = slice_order(names->at[middle].a, wanted.a);
        if (order == 0)
            return;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    const char *near = suggest_name(bind, names, name);
    sg_config_complain(bind, pos, "there is no %s \"%.64s\"%s%s%s", what, name,
                       near == NULL ? "" : ": did you mean \"", near == NULL ? "" : near,
                       near == NULL ? "" : "\"?");
}

/* Tokens -------------------------------------------------------------------------------------- */

static void check_token_uri(struct sg_config_bind *bind, struct sg_yaml_pos pos, const char *uri)
{
    struct sg_keyref ref;
    struct sg_err err;

    if (uri == NULL)
        return;
    if (strncmp(uri, "pkcs11:", 7) != 0)
        sg_config_complain(bind, pos,
                           "\"uri\" must begin with \"pkcs11:\", as in \"pkcs11:token=sealgate\"");
    else if (sg_keyref_parse_token(sg_slice_str(uri), &ref, &err) != SG_OK)
        sg_config_complain(bind, pos, "%s", err.msg);
}

static void check_tokens(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                         const struct sg_config *config)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "tokens");
    struct entries sockets = new_entries(bind, config->token_count);
    struct entries states = new_entries(bind, config->token_count);
    for (size_t i = 0; i < config->token_count; i++, node = node->next) {
        const struct sg_config_token *token = &config->tokens[i];
        check_token_uri(bind, sg_yaml_pos_of(node, "uri"), token->uri);
        size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
        if (token->socket != NULL && strlen(token->socket) > room)
            sg_config_complain(bind, sg_yaml_pos_of(node, "socket"),
                               "\"socket\" has %zu bytes with its folder, and a unix socket may "
                               "have %zu",
                               strlen(token->socket), room);
        add_entry(&sockets, sg_slice_str(token->socket), (struct sg_slice){0}, token->name,
                  sg_yaml_pos_of(node, "socket"));
        add_entry(&states, sg_slice_str(token->state_dir), (struct sg_slice){0}, token->name,
                  sg_yaml_pos_of(node, "state_dir"));
    }
    refuse_same(bind, &sockets, "have one socket");
    refuse_same(bind, &states, "have one state_dir");
}

/* Keys ---------------------------------------------------------------------------------------- */

static uint32_t schemes_of(enum sg_key_type type)
{
    uint32_t schemes = 0;
    for (unsigned scheme = SG_SCHEME_UNSET + 1; scheme < SG_SCHEME_COUNT; scheme++) {
        if (sg_key_type_does(type, (enum sg_scheme)scheme))
            schemes |= UINT32_C(1) << scheme;
    }
    return schemes;
}

static void check_schemes(struct sg_config_bind *bind, const struct sg_yaml_node *node,
                          struct sg_config_key *key)
{
    uint32_t able = schemes_of(key->type);
    if (key->schemes == 0)
        key->schemes = able;
    for (unsigned scheme = SG_SCHEME_UNSET + 1; scheme < SG_SCHEME_COUNT; scheme++) {
        if ((key->schemes & ~able & UINT32_C(1) << scheme) != 0)
            sg_config_complain(bind, sg_yaml_pos_of(node, "schemes"),
                               "a key of type %s does not sign by %s", sg_key_type_name(key->type),
                               sg_scheme_name((enum sg_scheme)scheme));
    }
    if (key->default_scheme != SG_SCHEME_UNSET &&
        (key->schemes & UINT32_C(1) << key->default_scheme) == 0)
        sg_config_complain(bind, sg_yaml_pos_of(node, "default_scheme"),
                           "\"default_scheme\" must be one of the key's schemes, and %s is not",
                           sg_scheme_name(key->default_scheme));
    if (key->default_scheme != SG_SCHEME_UNSET)
        return;
    enum sg_scheme usual = sg_key_type_default(key->type);
    for (unsigned scheme = SG_SCHEME_COUNT - 1; scheme > SG_SCHEME_UNSET; scheme--) {
        if ((key->schemes & UINT32_C(1) << scheme) != 0)
            key->default_scheme = (enum sg_scheme)scheme;
    }
    if ((key->schemes & UINT32_C(1) << usual) != 0)
        key->default_scheme = usual;
}

static void check_digests(struct sg_config_bind *bind, const struct sg_yaml_node *node,
                          struct sg_config_key *key)
{
    bool is_ed25519 = key->type == SG_KEY_ED25519;
    if (is_ed25519 && key->digests != 0)
        sg_config_complain(bind, sg_yaml_pos_of(node, "digests"),
                           "Ed25519 signs the message itself: remove \"digests\"");
    if (!is_ed25519 && key->digests == 0)
        key->digests = UINT32_C(1) << SG_DIGEST_SHA256 | UINT32_C(1) << SG_DIGEST_SHA384 |
                       UINT32_C(1) << SG_DIGEST_SHA512;
}

/* Its copies, each with a token of its own. What is not given of one is the key's. */
static void check_copies(struct sg_config_bind *bind, const struct sg_yaml_node *node,
                         const struct entries *tokens, struct sg_config_key *key,
                         struct entries *ids)
{
    const struct sg_yaml_node *item = sg_yaml_items(node, "copies");
    struct entries places = new_entries(bind, key->copy_count + 1);
    struct sg_config_copy *copies = NULL;
    memcpy(&copies, &key->copies, sizeof(void *));
    add_entry(&places, sg_slice_str(key->token), (struct sg_slice){0}, key->name,
              sg_yaml_pos_of(node, "token"));
    for (size_t i = 0; i < key->copy_count; i++, item = item->next) {
        struct sg_config_copy *copy = &copies[i];
        if (copy->id.len == 0)
            copy->id = key->id;
        check_reference(bind, tokens, "token", copy->token, sg_yaml_pos_of(item, "token"));
        add_entry(&places, sg_slice_str(copy->token), (struct sg_slice){0}, key->name,
                  sg_yaml_pos_of(item, "token"));
        if (copy->id.len > 0)
            add_entry(ids, sg_slice_str(copy->token), copy->id, key->name,
                      sg_yaml_pos_of(item, "id"));
    }
    refuse_same(bind, &places, "are copies on one token");
}

/* How many ids of objects there are, on all tokens. */
static size_t count_ids(const struct sg_config *config)
{
    size_t count = config->key_count;
    for (size_t i = 0; i < config->key_count; i++)
        count += config->keys[i].copy_count;
    for (size_t i = 0; i < config->token_count; i++)
        count += config->tokens[i].probe_key_count + config->tokens[i].log_certifier_count;
    return count;
}

static void add_own(const struct sg_yaml_node *node, const char *list, const char *token,
                    const struct sg_config_own_key *keys, size_t count, struct entries *ids)
{
    const struct sg_yaml_node *item = sg_yaml_items(node, list);
    for (size_t i = 0; i < count; i++, item = item->next)
        if (keys[i].id.len > 0)
            add_entry(ids, sg_slice_str(token), keys[i].id, list, sg_yaml_pos_of(item, "id"));
}

static void add_own_ids(const struct sg_yaml_node *root, const struct sg_config *config,
                        struct entries *ids)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "tokens");
    for (size_t i = 0; i < config->token_count; i++, node = node->next) {
        const struct sg_config_token *token = &config->tokens[i];
        add_own(node, "probe_keys", token->name, token->probe_keys, token->probe_key_count, ids);
        add_own(node, "log_certifier", token->name, token->log_certifier,
                token->log_certifier_count, ids);
    }
}

static bool has_id(const struct sg_config_key *key, struct sg_slice id)
{
    for (size_t i = 0; i < key->copy_count; i++)
        if (sg_slice_eq(key->copies[i].id, id))
            return true;
    return sg_slice_eq(key->id, id);
}

/* Tokens are copied with their ids, so a key of its id on any of them may be the same key; and what
 * certifies signs nothing for callers. */
static void check_certifier(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                            const struct sg_config *config)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "tokens");
    const struct sg_config_token *certifies = NULL;

    for (size_t i = 0; i < config->token_count; i++, node = node->next) {
        const struct sg_config_token *token = &config->tokens[i];
        if (token->log_certifier_count == 0)
            continue;
        const struct sg_yaml_pos pos = sg_yaml_pos_of(node, "log_certifier");
        if (certifies != NULL)
            sg_config_complain(bind, pos,
                               "one key certifies the audit log's, and \"%.64s\" has one already",
                               certifies->name == NULL ? "" : certifies->name);
        certifies = token;
        const struct sg_slice id = token->log_certifier[0].id;
        for (size_t j = 0; id.len > 0 && j < config->key_count; j++)
            if (has_id(&config->keys[j], id))
                sg_config_complain(bind, pos,
                                   "\"log_certifier\" has the id of key \"%.64s\", and a key that "
                                   "certifies must sign nothing else: give it another",
                                   config->keys[j].name == NULL ? "" : config->keys[j].name);
    }
}

static void check_keys(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                       const struct entries *tokens, struct sg_config *config)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "keys");
    struct sg_config_key *keys = NULL;
    /* They are const for those the config is given to; here it is still being made. */
    memcpy(&keys, &config->keys, sizeof(void *));
    struct entries ids = new_entries(bind, count_ids(config));
    if (bind->no_memory)
        return;
    for (size_t i = 0; i < config->key_count; i++, node = node->next) {
        struct sg_config_key *key = &keys[i];
        check_reference(bind, tokens, "token", key->token, sg_yaml_pos_of(node, "token"));
        if (key->type == SG_KEY_UNSET)
            continue;
        check_schemes(bind, node, key);
        check_digests(bind, node, key);
        if (key->verify_sampled && !sg_key_type_does(key->type, SG_SCHEME_ECDSA))
            sg_config_complain(bind, sg_yaml_pos_of(node, "verify_sampled"),
                               "only ECDSA keys may be verified by samples");
        if (key->id.len > 0)
            add_entry(&ids, sg_slice_str(key->token), key->id, key->name,
                      sg_yaml_pos_of(node, "id"));
        check_copies(bind, node, tokens, key, &ids);
    }
    add_own_ids(root, config, &ids);
    check_certifier(bind, root, config);
    refuse_same(bind, &ids, "have one id on one token");
}

/* Callers ------------------------------------------------------------------------------------- */

/* scheme:rest in printable ASCII, as a certificate has it (RFC 5280 §4.2.1.6). */
static bool is_uri(const char *text)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || colon[1] == '\0' ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") !=
            (size_t)(colon - text))
        return false;
    for (; *text != '\0'; text++) {
        if (*text <= ' ' || *text >= 0x7f)
            return false;
    }
    return true;
}

static void check_caller_keys(struct sg_config_bind *bind, const struct sg_yaml_node *node,
                              const struct entries *keys)
{
    for (const struct sg_yaml_node *item = sg_yaml_items(node, "keys"); item != NULL;
         item = item->next) {
        if (item->kind == SG_YAML_SCALAR && item->text[0] != '\0')
            check_reference(bind, keys, "key", item->text, item->pos);
    }
}

static void check_methods(struct sg_config_bind *bind, const struct sg_yaml_node *node)
{
    for (const struct sg_yaml_node *item = sg_yaml_items(node, "methods"); item != NULL;
         item = item->next) {
        if (item->kind == SG_YAML_SCALAR && item->text[0] != '\0' &&
            !sg_authz_is_method(item->text))
            sg_config_complain(bind, item->pos,
                               "a method is named as sealgate.v1.SigningService/Sign, all of a "
                               "service as sealgate.v1.SigningService; not \"%.40s\"",
                               item->text);
    }
}

/* Of a field that is malformed, that has been said already. */
static void complain_identity(struct sg_config_bind *bind, const struct sg_yaml_node *node)
{
    if (node->kind != SG_YAML_MAP)
        return;
    const bool has_ca = sg_yaml_get(node, "ca") != NULL, has_uri = sg_yaml_get(node, "uri") != NULL;
    if (has_ca != has_uri)
        sg_config_complain(bind, node->pos,
                           "\"%s\" is missing here: \"ca\" and \"uri\" go together",
                           has_ca ? "uri" : "ca");
    else if (!has_ca && sg_yaml_get(node, "token_sha256") == NULL)
        sg_config_complain(bind, node->pos,
                           "by what is it known? \"ca\" and \"uri\" of its certificate, or "
                           "\"token_sha256\" are missing here");
}

static void check_callers(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                          const struct entries *cas, const struct entries *keys,
                          const struct sg_config *config)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "callers");
    struct entries identities = new_entries(bind, config->caller_count);
    struct entries tokens = new_entries(bind, 2 * config->caller_count);
    for (size_t i = 0; i < config->caller_count; i++, node = node->next) {
        const struct sg_config_caller *caller = &config->callers[i];
        check_reference(bind, cas, "client CA", caller->ca, sg_yaml_pos_of(node, "ca"));
        if ((caller->ca == NULL) != (caller->uri == NULL) ||
            (caller->ca == NULL && caller->token_count == 0))
            complain_identity(bind, node);
        if (caller->token_expires != 0 && sg_yaml_get(node, "token_sha256") == NULL)
            sg_config_complain(bind, sg_yaml_pos_of(node, "token_expires"),
                               "\"token_expires\" ends tokens, and there is no "
                               "\"token_sha256\" here: certificates end by themselves");
        for (size_t j = 0; j < caller->token_count; j++)
            add_entry(&tokens, caller->token_sha256[j], (struct sg_slice){0}, caller->name,
                      sg_yaml_pos_of(node, "token_sha256"));
        check_caller_keys(bind, node, keys);
        check_methods(bind, node);
        if (caller->uri != NULL && !is_uri(caller->uri))
            sg_config_complain(bind, sg_yaml_pos_of(node, "uri"),
                               "\"uri\" must be a URI in ASCII, as in urn:example:tax-portal");
        add_entry(&identities, sg_slice_str(caller->ca), sg_slice_str(caller->uri), caller->name,
                  sg_yaml_pos_of(node, "uri"));
    }
    refuse_same(bind, &identities, "have one CA and URI");
    refuse_same(bind, &tokens, "have one token");
}

/* Witnesses ----------------------------------------------------------------------------------- */

static void check_note_key(struct sg_config_bind *bind, struct sg_yaml_pos pos, const char *text,
                           enum sg_note_kind kind)
{
    SG_AUTO(sg_note_key_free) struct sg_note_key *key = NULL;
    struct sg_err err;

    if (text == NULL)
        return;
    if (sg_note_key_parse(sg_slice_str(text), &key, &err) != SG_OK)
        sg_config_complain(bind, pos, "\"%.60s\" is no public key as NAME+ID+KEY", text);
    else if (sg_note_key_kind(key) != kind)
        sg_config_complain(bind, pos, "\"%.60s\" is the key of a %s", text,
                           kind == SG_NOTE_COSIGNATURE ? "log, not of a witness"
                                                       : "witness, not of a log");
}

static void check_witnesses(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                            const struct sg_config *config)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "witnesses");
    struct entries keys = new_entries(bind, config->witness_count);
    struct sg_url url;
    struct sg_err err;

    if (config->witness_count > SG_CONFIG_WITNESSES_MAX)
        sg_config_complain(bind, sg_yaml_pos_of(root, "witnesses"), "there are over %d witnesses",
                           SG_CONFIG_WITNESSES_MAX);
    for (size_t i = 0; i < config->witness_count; i++, node = node->next) {
        const struct sg_config_witness *witness = &config->witnesses[i];
        check_note_key(bind, sg_yaml_pos_of(node, "key"), witness->key, SG_NOTE_COSIGNATURE);
        if (witness->url != NULL && sg_url_parse(witness->url, &url, &err) != SG_OK)
            sg_config_complain(bind, sg_yaml_pos_of(node, "url"), "%s", err.msg);
        if ((witness->certificate_file == NULL) != (witness->key_file == NULL))
            sg_config_complain(bind, node->pos,
                               "\"certificate_file\" and \"key_file\" go together");
        add_entry(&keys, sg_slice_str(witness->key), (struct sg_slice){0}, witness->name,
                  sg_yaml_pos_of(node, "key"));
    }
    refuse_same(bind, &keys, "have one key");
}

static void check_witnessed_logs(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                                 const struct sg_config *config)
{
    const struct sg_yaml_node *node = sg_yaml_items(root, "witnessed_logs");
    struct entries origins = new_entries(bind, config->witnessed_log_count);

    for (size_t i = 0; i < config->witnessed_log_count; i++, node = node->next) {
        const struct sg_config_witnessed_log *log = &config->witnessed_logs[i];
        for (size_t j = 0; j < log->key_count; j++)
            check_note_key(bind, sg_yaml_pos_of(node, "keys"), log->keys[j], SG_NOTE_ED25519);
        if (log->key_count > SG_CONFIG_LOG_KEYS_MAX)
            sg_config_complain(bind, sg_yaml_pos_of(node, "keys"), "a log has at most %d keys",
                               SG_CONFIG_LOG_KEYS_MAX);
        add_entry(&origins, sg_slice_str(log->origin), (struct sg_slice){0}, log->name,
                  sg_yaml_pos_of(node, "origin"));
    }
    refuse_same(bind, &origins, "have one origin");
}

/* Options ------------------------------------------------------------------------------------- */

/* Cuts the next item off; false when there is none. */
static bool take_item(struct sg_slice *list, char separator, struct sg_slice *ret)
{
    while (list->len > 0 && (list->ptr[0] == ' ' || list->ptr[0] == (uint8_t)separator))
        (void)sg_slice_take(list, 1);
    size_t len = 0;
    while (len < list->len && list->ptr[len] != ' ' && list->ptr[len] != (uint8_t)separator)
        len++;
    *ret = sg_slice_take(list, len);
    return len > 0;
}

static size_t span(struct sg_slice text, const char *others)
{
    size_t len = 0;
    for (; len < text.len; len++) {
        uint8_t c = text.ptr[len];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(others, c) != NULL))
            break;
    }
    return len;
}

/* RFC 6454 §6.2: scheme, host and, where it is not the usual one, port; no path, lower case. */
static bool is_origin(struct sg_slice text)
{
    const bool is_https = sg_slice_starts(text, SG_SLICE("https://"));
    if (!is_https && !sg_slice_starts(text, SG_SLICE("http://")))
        return false;
    (void)sg_slice_take(&text, is_https ? 8 : 7);
    struct sg_slice host = sg_slice_take(&text, span(text, ".-[]:"));
    if (host.len == 0 || text.len > 0)
        return false;
    const uint8_t *colon = memrchr(host.ptr, ':', host.len);
    if (colon == NULL || host.ptr[host.len - 1] == ']')
        return true;
    struct sg_slice port = sg_slice_of(colon + 1, (size_t)(host.ptr + host.len - colon - 1));
    return colon > host.ptr && port.len > 0 && port.ptr[0] > '0' && port.ptr[0] <= '9' &&
           !sg_slice_is(port, is_https ? "443" : "80");
}

static void check_cors(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                       const struct sg_config *config)
{
    struct sg_slice item, list = sg_slice_str(config->cors_origins);
    while (take_item(&list, ' ', &item))
        if (!is_origin(item))
            sg_config_complain(
                bind, sg_yaml_pos_of(root, "cors_origins"),
                "\"%.*s\" is no origin as browsers write it: https://app.example, in "
                "lower case, without a path, a usual port, or \"*\"",
                (int)item.len, (const char *)item.ptr);
    for (list = sg_slice_str(config->cors_headers); take_item(&list, ',', &item);)
        if (span(item, "-_") != item.len)
            sg_config_complain(bind, sg_yaml_pos_of(root, "cors_headers"),
                               "\"%.*s\" is no name of a header in lower case", (int)item.len,
                               (const char *)item.ptr);
}

static void check_networks(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                           const char *name, const char *text)
{
    struct sg_slice list = sg_slice_str(text);
    struct sg_network network;
    struct sg_err err;
    enum sg_rc rc;
    while ((rc = sg_network_take(&list, &network, &err)) != SG_E_NOT_FOUND)
        if (rc != SG_OK)
            sg_config_complain(bind, sg_yaml_pos_of(root, name), "%s", err.msg);
}

static void check_options(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                          const struct sg_config *config)
{
    struct sockaddr_storage address;
    socklen_t len = 0;
    struct sg_err err;
    if (config->listen[0] == '\0')
        sg_config_complain(bind, sg_yaml_pos_of(root, "listen"), "\"listen\" must not be empty");
    else if (sg_address_parse(config->listen, &address, &len, &err) != SG_OK)
        sg_config_complain(bind, sg_yaml_pos_of(root, "listen"), "%s", err.msg);
    if (config->listen_bearer[0] != '\0' &&
        sg_address_parse(config->listen_bearer, &address, &len, &err) != SG_OK)
        sg_config_complain(bind, sg_yaml_pos_of(root, "listen_bearer"), "%s", err.msg);
    check_networks(bind, root, "proxy_from", config->proxy_from);
    check_networks(bind, root, "proxy_from_bearer", config->proxy_from_bearer);
    if (config->metrics_listen[0] != '\0' &&
        sg_address_parse(config->metrics_listen, &address, &len, &err) != SG_OK)
        sg_config_complain(bind, sg_yaml_pos_of(root, "metrics_listen"), "%s", err.msg);
    if (config->witness_listen[0] != '\0' &&
        sg_address_parse(config->witness_listen, &address, &len, &err) != SG_OK)
        sg_config_complain(bind, sg_yaml_pos_of(root, "witness_listen"), "%s", err.msg);
    if (config->call_bytes_max < config->message_bytes_max)
        sg_config_complain(bind, sg_yaml_pos_of(root, "call_bytes_max"),
                           "\"call_bytes_max\" is %lld, and a message alone may have %lld",
                           (long long)config->call_bytes_max, (long long)config->message_bytes_max);
}

/* The order of sg_config_lists. */
enum { CAS, TOKENS, KEYS, CALLERS, WITNESSES, WITNESSED_LOGS, LISTS };

void sg_config_check(struct sg_config_bind *bind, const struct sg_yaml_node *root,
                     struct sg_config *config)
{
    struct entries names[LISTS];
    SG_ASSERT(sg_config_list_count == LISTS);
    for (size_t i = 0; i < sg_config_list_count; i++)
        names[i] = index_names(bind, root, &sg_config_lists[i], config);
    if (bind->no_memory)
        return;
    check_options(bind, root, config);
    check_cors(bind, root, config);
    check_tokens(bind, root, config);
    check_keys(bind, root, &names[TOKENS], config);
    check_callers(bind, root, &names[CAS], &names[KEYS], config);
    check_witnesses(bind, root, config);
    check_witnessed_logs(bind, root, config);
}
