/* The framing of Dask's comm, without any I/O: bytes in, messages out. Format: u64 total, u64 nframes, u64 lengths, frames; little
 * endian; the server speaks first, with a handshake. Every size is checked before memory is taken. */
#ifndef DASKTOP_DASK_COMM_H
#define DASKTOP_DASK_COMM_H

#include "base/buffer.h"
#include "base/error.h"
#include "dask/message.h"

enum { COMM_MOST_BYTES = 64 << 20, COMM_MOST_FRAMES = 4096 };

typedef struct CommReader {
    Buffer bytes;        /* of the message that is being read */
    uint64_t total;      /* that it will have, with its prefix; 0: not known yet */
    size_t most_bytes;   /* limit of this conversation; COMM_MOST_BYTES at most */
    bool old_framing;    /* Dask before 2021.3: recognised, not spoken with */
} CommReader;

typedef enum CommStep { COMM_MORE, COMM_MESSAGE, COMM_BAD } CommStep;

void comm_reader_init(CommReader *reader, size_t most_bytes);
void comm_reader_done(CommReader *reader);
/* Takes what it can use of the bytes: *used. COMM_MESSAGE: frame 0 is at comm_frame until the next feed. */
CommStep comm_feed(CommReader *reader, const char *bytes, size_t n, size_t *used, Error *error);
const char *comm_frame(const CommReader *reader, size_t *n);

/* Is the frame a handshake (a map with pickle-protocol and compression)? The first 8 bytes alone already tell most strangers. */
bool comm_is_handshake(const Message *message);
bool comm_plausible_start(const char bytes[8]);
void comm_handshake(Buffer *out);                     /* our answer */
void comm_wrap(Buffer *out, const char *frame, size_t n); /* a message of one frame */

#endif
