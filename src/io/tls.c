#include "io/tls.h"

#include "base/file.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { PEM_MAX = 4 << 20 };

/* What is counted stands behind the public part. */
typedef struct CountedTls {
    Tls tls;
    atomic_int users;
} CountedTls;

static Tls *tls_new(void) {
    CountedTls *counted = mem_new(sizeof *counted);
    atomic_init(&counted->users, 1);
    counted->tls.verify_host = true;
    return &counted->tls;
}

Tls *tls_keep(Tls *tls) {
    if (tls)
        atomic_fetch_add(&((CountedTls *)tls)->users, 1);
    return tls;
}

void tls_drop(Tls *tls) {
    if (!tls || atomic_fetch_sub(&((CountedTls *)tls)->users, 1) != 1)
        return;
    secret_free(tls->ca);
    secret_free(tls->cert);
    secret_free(tls->key);
    free(tls->ca_file);
    free(tls->cert_file);
    free(tls->key_file);
    free(tls);
}

/* curl 7.88 would end in a segmentation fault on an encrypted key, and nobody is there to be asked for its password. */
static bool check_pem(const char *bytes, size_t n, const char *name, bool key, Error *error) {
    static const char begin[] = "-----BEGIN ";
    if (!memmem(bytes, n, begin, sizeof begin - 1))
        return error_set(error, ERROR_USAGE, NULL, "it must be PEM text", "%s holds no certificate or key", name);
    if (key && (memmem(bytes, n, "BEGIN ENCRYPTED ", 16) || memmem(bytes, n, ",ENCRYPTED", 10)))
        return error_set(error, ERROR_USAGE, NULL, "give one without a password", "the key in %s is encrypted", name);
    return true;
}

static bool read_pem(const char *path, bool key, Secret **secret, char **name, Error *error) {
    if (!path)
        return true;
    Buffer bytes;
    buffer_init(&bytes, PEM_MAX);
    bool good = file_read(path, &bytes, error) && check_pem(bytes.bytes, bytes.length, path, key, error);
    if (good) {
        *secret = secret_new(bytes.bytes, bytes.length);
        *name = mem_text(path);
    }
    buffer_wipe(&bytes);
    return good;
}

static Tls *finish(Tls *tls, bool good, Error *error) {
    if (good && tls->key && !tls->cert)
        good = error_set(error, ERROR_USAGE, NULL, NULL, "a TLS key was given without its certificate");
    if (good)
        return tls;
    tls_drop(tls);
    return NULL;
}

Tls *tls_read(const char *ca_file, const char *cert_file, const char *key_file, Error *error) {
    Tls *tls = tls_new();
    /* A certificate's file may hold its key as well. */
    bool good = read_pem(ca_file, false, &tls->ca, &tls->ca_file, error) &&
                read_pem(cert_file, !key_file, &tls->cert, &tls->cert_file, error) &&
                read_pem(key_file, true, &tls->key, &tls->key_file, error);
    return finish(tls, good, error);
}

static bool take_pem(const char *text, bool key, const char *name, Secret **secret, Error *error) {
    if (!text)
        return true;
    size_t n = strlen(text);
    if (!check_pem(text, n, name, key, error))
        return false;
    *secret = secret_new(text, n);
    return true;
}

Tls *tls_from_bytes(const char *ca, const char *cert, const char *key, Error *error) {
    Tls *tls = tls_new();
    bool good = take_pem(ca, false, "the authority's text", &tls->ca, error) &&
                take_pem(cert, !key, "the certificate's text", &tls->cert, error) &&
                take_pem(key, true, "the key's text", &tls->key, error);
    return finish(tls, good, error);
}
