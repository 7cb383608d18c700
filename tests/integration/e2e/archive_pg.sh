#!/usr/bin/env bash
# e2e/archive.sh with its store in PostgreSQL.
exec "$(dirname "$0")/../../support/postgres" "$(dirname "$0")/archive.sh"
