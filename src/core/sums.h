/* Counting rows for the header of the table. Pure. */
#ifndef DASKTOP_CORE_SUMS_H
#define DASKTOP_CORE_SUMS_H

#include "core/view.h"

/* Adds one row, which must not be folded. What is not known adds nothing; what is kept is not unused. */
void sums_add(ViewSums *sums, const ViewRow *row);

#endif
