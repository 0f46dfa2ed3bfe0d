/* The helper's source, built into the program from helper.py. */
#ifndef DASKTOP_BACKENDS_PYTHON_HELPER_H
#define DASKTOP_BACKENDS_PYTHON_HELPER_H

#include <stddef.h>

extern const unsigned char python_helper[];
extern const size_t python_helper_length;

#endif
