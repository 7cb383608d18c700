#ifndef SG_CLI_RECORD_H
#define SG_CLI_RECORD_H

#include "client/cli/json.h"
#include "formats/audit/record.h"

/* Records of an audit log as people and programs read them. */

/* One or two lines on stdout: who did what, when. */
void sg_cli_put_record(uint64_t index, const struct sg_audit_record *record);
/* All of it, a line for each part that is set. */
void sg_cli_put_record_whole(uint64_t index, const struct sg_audit_record *record);
/* Members of the object that is open. */
void sg_cli_json_record(struct sg_json *json, uint64_t index, const struct sg_audit_record *record);

#endif
