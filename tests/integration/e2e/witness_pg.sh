#!/usr/bin/env bash
# witness.sh, and the log that is witnessed is in PostgreSQL.
exec "$(dirname "$0")/../../support/postgres" "$(dirname "$0")/witness.sh"
