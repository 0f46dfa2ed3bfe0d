/* Records and their view rows as the contract's JSON (section 2), and back (plugins, the last table). Pure. */
#ifndef DASKTOP_CORE_RECORD_JSON_H
#define DASKTOP_CORE_RECORD_JSON_H

#include "core/view.h"

/* One object of `clusters`, every key of the contract, in its order. key as in base/json.h. */
void record_json_row(JsonWriter *json, const char *key, const ViewRow *row);
/* One object of `backends`. */
void record_json_part(JsonWriter *json, const char *key, const PartInfo *part);
/* The whole document of `list -o json`. */
void record_json_list(Buffer *out, const View *view, Clock now);

/* Fills fields from a cluster object of the contract, tolerant: a wrong type is unknown, numbers beyond 2^53 too. Strings are
 * borrowed from the tree; labels and machines from *pairs, which the caller frees. False where id or name is missing. `id` is
 * taken as it stands. */
bool record_json_read(const cJSON *cluster, RecordFields *fields, Pair **pairs, Error *error);

#endif
