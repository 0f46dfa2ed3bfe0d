/* What a gateway lets people choose for a new cluster (GET options: {"cluster_options": [{field, label, default, spec: {type, …}}]}), checked
 * before anything is asked of it. Pure. */
#ifndef DASKTOP_BACKENDS_GATEWAY_OPTIONS_H
#define DASKTOP_BACKENDS_GATEWAY_OPTIONS_H

#include "base/buffer.h"
#include "base/json.h"
#include "base/tree.h"

const cJSON *options_find(const cJSON *answer, const char *field); /* NULL: it has no such option */
/* Each value of a map against its offer; the error names where it stands. where: the gateway, for people. */
bool options_check(const cJSON *answer, const Tree *values, const char *where, Error *error);
/* "profile: small (or big), worker_cores: 2 (1 to 4)": each with what is chosen, else its default. Maps, and what is called like one, are where
 * people put secrets: only that there is one. */
bool options_is_secret(const char *field); /* "api_token" */
void options_words(const cJSON *answer, const Tree *values, Buffer *out);

#endif
