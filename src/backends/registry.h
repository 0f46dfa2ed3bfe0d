/* The kinds of system that this build knows, in the order in which they are shown. Ends with NULL. */
#ifndef DASKTOP_BACKENDS_REGISTRY_H
#define DASKTOP_BACKENDS_REGISTRY_H

#include "core/backend.h"

extern const BackendType *const backend_types[];

#endif
