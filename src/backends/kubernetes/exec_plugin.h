/* A credential plugin: a program that a kubeconfig names and that prints who one is (ExecCredential, client.authentication.k8s.io). */
#ifndef DASKTOP_BACKENDS_KUBERNETES_EXEC_PLUGIN_H
#define DASKTOP_BACKENDS_KUBERNETES_EXEC_PLUGIN_H

#include "backends/kubernetes/kubeconfig.h"
#include "io/io.h"

enum { EXEC_PLUGIN_MS = 30000 };

typedef struct ExecGiven {
    Secret *token;      /* NULL: a certificate only */
    Secret *cert, *key; /* both or neither */
    int64_t expires_ms; /* Unix ms; TIME_UNKNOWN: it does not say */
} ExecGiven;
void exec_given_done(ExecGiven *given);

/* Runs it, without a terminal, for at most EXEC_PLUGIN_MS, and reads what it printed. Any thread. ERROR_SIGN_IN: it ended without credentials:
 * what it said last stands in the error; what it printed on standard output never does. */
bool exec_plugin_run(const KubeExec *exec, const KubeCluster *cluster, const char *where, Io *io, const Context *context, ExecGiven *given, Error *error);

/* What it printed, checked. Pure. */
bool exec_plugin_read(const KubeExec *exec, const char *bytes, size_t n, const char *where, ExecGiven *given, Error *error);

#endif
