/* What the kubeconfig says, read as kubectl reads it: the files of KUBECONFIG merged (of a whole cluster, user or context of one name
 * the first file's counts), else ~/.kube/config, else a pod's own service account.
 *
 * Pure once the files are read: nobody is asked and nothing is run. A Kubeconfig is counted and never changes; any thread may read it.
 * An entry that is broken spoils only the contexts that use it. What it holds of secrets is wiped at the end. */
#ifndef DASKTOP_BACKENDS_KUBERNETES_KUBECONFIG_H
#define DASKTOP_BACKENDS_KUBERNETES_KUBECONFIG_H

#include "base/error.h"
#include "base/list.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct KubeCluster {
    char *name;
    char *server;          /* "https://HOST:PORT/PREFIX", without a slash at its end */
    char *tls_server_name; /* what its certificate is made out to; NULL: the host of server */
    Secret *proxy;         /* "http://…", "https://…", "socks5h://…", perhaps with a password; NULL: the environment's */
    char *ca;              /* PEM; NULL */
    char *ca_file;         /* NULL; neither: the system's authorities */
    bool insecure;         /* its certificate is not looked at; the screen says so all the time */
    bool uncompressed;
    char *exec_config;     /* JSON for exec plugins that want to know the cluster; NULL */
    Error problem;         /* code OK: usable */
} KubeCluster;

/* A program that gives credentials. */
typedef struct KubeExec {
    char *version;         /* "client.authentication.k8s.io/v1" */
    List command;          /* with its arguments; a path is absolute */
    List environment;      /* "NAME=value", beside ours */
    bool wants_cluster;
    bool wants_terminal;   /* interactiveMode: Always */
    char *install_hint;    /* NULL */
} KubeExec;

typedef struct KubeUser {
    char *name;
    Secret *token;
    char *token_file;      /* read again as it changes */
    char *username;
    Secret *password;
    Secret *cert, *key;    /* PEM */
    char *cert_file, *key_file;
    List impersonate;      /* whole headers: "Impersonate-User: ada" */
    KubeExec *exec;        /* NULL */
    Error problem;
} KubeUser;

typedef struct KubeContext {
    char *name;
    char *namespace;       /* NULL: not set ("default" for kubectl) */
    const KubeCluster *cluster; /* of the same Kubeconfig; never NULL where problem is OK. Two contexts with the same cluster and user */
    const KubeUser *user;       /* see the same things. NULL: nobody signs in */
    Error problem;         /* its own, its cluster's or its user's */
} KubeContext;

/* Where it is looked for. */
typedef struct KubeSources {
    const char *file;             /* one file and no other (it must be there); NULL */
    const char *list;             /* KUBECONFIG */
    const char *home;
    const char *service_account;  /* folder of token, ca.crt and namespace */
    const char *service_host, *service_port; /* KUBERNETES_SERVICE_HOST, _PORT */
} KubeSources;
KubeSources kubeconfig_sources(const char *file); /* from the environment; borrowed from it */

typedef struct Kubeconfig {
    KubeContext *contexts;
    size_t count;
    char *current;         /* current-context; NULL: none is set */
    List files;            /* that were read */
    bool in_cluster;
} Kubeconfig;

/* NULL: ERROR_ABSENT where nothing is configured, else a line that names the file and what is broken in it. */
Kubeconfig *kubeconfig_read(const KubeSources *sources, Error *error);
Kubeconfig *kubeconfig_keep(const Kubeconfig *config);
void kubeconfig_drop(Kubeconfig *config);

/* By name, NULL: the current one. NULL with ERROR_ABSENT where none is current, ERROR_USAGE where there is none of that name. A context
 * that is found may still have a problem. */
const KubeContext *kubeconfig_find(const Kubeconfig *config, const char *name, Error *error);

#endif
