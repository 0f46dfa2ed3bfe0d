#include "backends/registry.h"

extern const BackendType local_backend;
extern const BackendType gateway_backend;
extern const BackendType kubernetes_backend;
extern const BackendType jupyter_backend;
extern const BackendType slurm_backend;
extern const BackendType sge_backend;
extern const BackendType pbs_backend;
extern const BackendType lsf_backend;
extern const BackendType htcondor_backend;
extern const BackendType oar_backend;
extern const BackendType ssh_backend;
extern const BackendType exec_backend;
extern const BackendType python_backend;
extern const BackendType scheduler_backend;

const BackendType *const backend_types[] = {
    &local_backend,
    &gateway_backend,
    &kubernetes_backend,
    &jupyter_backend,
    &slurm_backend,
    &sge_backend,
    &pbs_backend,
    &lsf_backend,
    &htcondor_backend,
    &oar_backend,
    &ssh_backend,
    &exec_backend,
    &python_backend,
    &scheduler_backend,
    NULL,
};
