/* What a user has to type before something is deleted: contract section 5, Dialogs. Pure; used by the dialogs and the commands. */
#ifndef DASKTOP_CORE_CONFIRM_H
#define DASKTOP_CORE_CONFIRM_H

#include "base/list.h"
#include "core/view.h"

typedef enum ConfirmKind { CONFIRM_YES, CONFIRM_TYPED } ConfirmKind;

typedef struct Confirm {
    ConfirmKind kind; /* CONFIRM_YES: `y` (and --yes); CONFIRM_TYPED: `typed` (and --yes --force) */
    char *typed;      /* what has to be typed: a name, an owner, a number */
    char *why;        /* "it is active", "it holds 41 results", "it belongs to bob" */
} Confirm;

/* `results` etc. come from the rows, frozen by the caller. count >= 1. */
Confirm confirm_delete(const ViewRow *const *rows, size_t count);
void confirm_done(Confirm *confirm);
/* It holds results, or may: what is not known and could be asked for counts as held. */
bool confirm_may_hold_results(const ViewRow *row);

#endif
