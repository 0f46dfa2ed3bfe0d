/* From what a user typed to one cluster: contract section 1, "CLUSTER is …". Pure over a view. */
#ifndef DASKTOP_CORE_FIND_H
#define DASKTOP_CORE_FIND_H

#include "core/view.h"

/* for_change: a prefix is not enough; a name is refused (ERROR_DENIED…) while a backend that may hold it is incomplete.
 * Errors: not-found; partial (nothing found while some backend is incomplete); ambiguous, with the ids in `candidates`. */
bool find_cluster(const View *view, const char *text, bool for_change, const ViewRow **row, List *candidates, Error *error);
/* The backend key (and instance, may be NULL) of an id, where text has the form of one: then only that backend is asked. */
bool find_backend_of_id(const Config *config, const char *text, char **key, char **instance);

#endif
