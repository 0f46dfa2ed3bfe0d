/* Bytes of a stranger's port, as a row probe meets them: framing, messages, identities. */
#include "base/buffer.h"
#include "dask/dask.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const CommReader *reader)
{
    Message message;
    Error error;
    size_t n;
    const char *frame = comm_frame(reader, &n);
    assert(n <= reader->bytes.length);
    if (!message_decode(frame, n, &message, "fuzz", &error)) {
        assert(error.code == ERROR_BAD_REPLY && *error.what);
        return;
    }
    DaskIdentity identity;
    Buffer text;
    buffer_init(&text, 1 << 20);
    comm_is_handshake(&message);
    if (dask_identity_decode(&message.root, &identity))
        dask_identity_done(&identity);
    value_print(&text, &message.root);
    buffer_done(&text);
    free(value_text_new(&message.root));
    message_done(&message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CommReader reader;
    /* the first byte says in what pieces it arrives */
    size_t piece = size ? 1 + data[0] % 64 : 1;
    comm_reader_init(&reader, 1 << 20);
    for (size_t at = 0; at < size;) {
        size_t n = size - at < piece ? size - at : piece, used;
        Error error;
        CommStep step = comm_feed(&reader, (const char *)data + at, n, &used, &error);
        assert(used <= n);
        at += used;
        if (step == COMM_BAD) {
            assert(*error.what);
            break;
        }
        if (step == COMM_MESSAGE)
            decode(&reader);
        assert(step == COMM_MESSAGE || used == n);
    }
    comm_reader_done(&reader);
    /* and as one message, without its frame */
    Message message;
    if (message_decode((const char *)data, size, &message, "fuzz", NULL)) {
        DaskIdentity identity;
        if (dask_identity_decode(&message.root, &identity))
            dask_identity_done(&identity);
        message_done(&message);
    }
    return 0;
}
