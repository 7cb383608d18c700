#ifndef SG_GATEWAY_MAIN_STORE_H
#define SG_GATEWAY_MAIN_STORE_H

#include "gateway/config/config.h"

/*
 * The commands of sealgated about its store. Each prints what it did. Blocks.
 */

/* Started by root, those that make or read what is the gateway's first become `gateway_user`, or
 * else the owner of the folder that the store lies in. */
enum sg_rc sg_main_become_gateway(const struct sg_config *config, struct sg_err *err);
enum sg_rc sg_main_migrate(const struct sg_config *config, struct sg_err *err);
enum sg_rc sg_main_backup(const struct sg_config *config, const char *folder, struct sg_err *err);
enum sg_rc sg_main_restore(const struct sg_config *config, const char *folder, struct sg_err *err);

/* For --check-config: the store as it is now, for reading. One that is not there yet, or that this
 * user may not see, is told and is no failure; settings that lose data are. */
enum sg_rc sg_main_check_store(const struct sg_config *config, struct sg_err *err);

#endif
