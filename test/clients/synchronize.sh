#!/bin/sh
# Synchronizes a source and waits until its task has ended. Needs curl alone.
#   ROLLCALL_URL=http://localhost:4000/graphql TOKEN=... ./synchronize.sh source_...
# Ends with 0 when the task SUCCEEDED, 1 when it did not, 2 when it could not be started.
set -eu
url=${ROLLCALL_URL:-http://localhost:4000/graphql}
source=$1

ask() {
  curl -sS --fail-with-body "$url" -H "authorization: Bearer $TOKEN" -H 'content-type: application/json' -d "$1"
}
# The first value of a field of the answer.
value() {
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

# Sent again with the same key, for instance after a lost answer, it starts nothing twice.
key=${IDEMPOTENCY_KEY:-$(date +%s)-$$}
started=$(ask '{"query":"mutation ($input: StartSyncTaskInput!) { startSyncTask(input: $input) { syncTask { id } userErrors { code message } } }",
  "variables":{"input":{"identitySourceId":"'"$source"'","idempotencyKey":"'"$key"'"}}}') || { echo "$started" >&2; exit 2; }
task=$(echo "$started" | value id)
if [ -z "$task" ]; then
  echo "$started" >&2
  exit 2
fi

while :; do
  answer=$(ask '{"query":"query ($id: ID!) { syncTask(id: $id) { status progress { phase } } }","variables":{"id":"'"$task"'"}}')
  status=$(echo "$answer" | value status)
  case $status in
    QUEUED | RUNNING) sleep "${POLL_SECONDS:-1}" ;;
    SUCCEEDED) echo "$task $status"; exit 0 ;;
    *) echo "$task $status"; exit 1 ;;
  esac
done
