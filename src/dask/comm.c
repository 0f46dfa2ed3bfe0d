#include "dask/comm.h"

#include "base/mem.h"

#include <string.h>

enum { LEAST_TOTAL = 17, PREFIX = 16 };

static uint64_t read_u64(const char *bytes)
{
    uint64_t value = 0;
    for (int i = 8; i-- > 0;)
        value = value << 8 | (unsigned char)bytes[i];
    return value;
}

static void put_u64(Buffer *out, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        buffer_char(out, (char)(value & 0xff));
}

void comm_reader_init(CommReader *reader, size_t most_bytes)
{
    *reader = (CommReader){.most_bytes = most_bytes};
    buffer_init(&reader->bytes, most_bytes + PREFIX + 8 * COMM_MOST_FRAMES);
}

void comm_reader_done(CommReader *reader)
{
    buffer_done(&reader->bytes);
}

static CommStep bad(Error *error, const char *what)
{
    error_set(error, ERROR_BAD_REPLY, NULL, NULL, "%s", what);
    return COMM_BAD;
}

bool comm_plausible_start(const char bytes[8])
{
    uint64_t total = read_u64(bytes);
    return total == 2 || (total >= LEAST_TOTAL && total <= COMM_MOST_BYTES);
}

/* How many bytes are needed before the next thing can be said: 8, 16, the whole head, the whole message. 0: what is there says
 * that it is no message. Each announced size is checked here, before memory is taken for it. */
static uint64_t needed(CommReader *reader, bool *whole, Error *error)
{
    *whole = false;
    const Buffer *bytes = &reader->bytes;
    if (bytes->length < 8)
        return 8;
    uint64_t total = read_u64(bytes->bytes);
    if (!comm_plausible_start(bytes->bytes))
        return bad(error, "this is not Dask's protocol"), 0;
    if (bytes->length < PREFIX)
        return PREFIX;
    uint64_t frames = read_u64(bytes->bytes + 8);
    if (total == 2 && frames == 0) {
        reader->old_framing = true;
        return bad(error, "Dask before 2021.3: not spoken with"), 0;
    }
    if (total > reader->most_bytes)
        return bad(error, "a message larger than is read"), 0;
    if (frames < 1 || frames > COMM_MOST_FRAMES || 8 + 8 * frames > total)
        return bad(error, "a message with impossible frames"), 0;
    if (bytes->length < PREFIX + 8 * frames)
        return PREFIX + 8 * frames;
    uint64_t sum = 8 + 8 * frames;
    for (uint64_t i = 0; i < frames; i++) {
        uint64_t length = read_u64(bytes->bytes + PREFIX + 8 * i);
        if (length > reader->most_bytes || (sum += length) > reader->most_bytes + 8 + 8 * frames)
            return bad(error, "a message with impossible lengths"), 0;
    }
    *whole = true;
    /* frames that did not fit `total` follow it directly */
    return 8 + (sum > total ? sum : total);
}

CommStep comm_feed(CommReader *reader, const char *bytes, size_t n, size_t *used, Error *error)
{
    *used = 0;
    if (reader->total && reader->bytes.length == reader->total) { /* the message before was taken */
        buffer_clear(&reader->bytes);
        reader->total = 0;
    }
    for (;;) {
        bool whole;
        uint64_t wanted = needed(reader, &whole, error);
        if (wanted == 0)
            return COMM_BAD;
        if (whole && reader->bytes.length == wanted) {
            reader->total = wanted;
            return COMM_MESSAGE;
        }
        size_t missing = (size_t)(wanted - reader->bytes.length), left = n - *used, take = missing < left ? missing : left;
        if (take == 0)
            return COMM_MORE;
        if (!buffer_add(&reader->bytes, bytes + *used, take))
            return bad(error, "a message larger than is read");
        *used += take;
    }
}

const char *comm_frame(const CommReader *reader, size_t *n)
{
    uint64_t frames = read_u64(reader->bytes.bytes + 8);
    *n = (size_t)read_u64(reader->bytes.bytes + PREFIX);
    return reader->bytes.bytes + PREFIX + 8 * frames;
}

bool comm_is_handshake(const Message *message)
{
    return value_get(&message->root, "pickle-protocol") && value_get(&message->root, "compression");
}

void comm_wrap(Buffer *out, const char *frame, size_t n)
{
    put_u64(out, n + 16);
    put_u64(out, 1);
    put_u64(out, n);
    buffer_add(out, frame, n);
}

/* {"compression": nil, "python": [3, 11, 0], "pickle-protocol": 5}: all three are asked for by some version; nil means that
 * nothing is compressed. */
void comm_handshake(Buffer *out)
{
    static const char frame[] = "\x83\xab"
                                "compression\xc0\xa6python\x93\x03\x0b\x00\xafpickle-protocol\x05";
    comm_wrap(out, frame, sizeof frame - 1);
}
