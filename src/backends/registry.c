#include "backends/registry.h"

extern const BackendType local_backend;
extern const BackendType slurm_backend;
extern const BackendType exec_backend;
extern const BackendType python_backend;
extern const BackendType scheduler_backend;

const BackendType *const backend_types[] = {
    &local_backend,
    &slurm_backend,
    &exec_backend,
    &python_backend,
    &scheduler_backend,
    NULL,
};
